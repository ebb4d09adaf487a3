"""The suite for MTFTP can fail: servers that break one requirement each are caught by the case of it and no other."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from mtftpd.conformance.discovery import Told
from mtftpd.conformance.findings import Session
from mtftpd.conformance.results import Report
from mtftpd.conformance.verdicts import Verdict
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.tftp import Ack, Data, Error
from tests.conformance.memory_network import MemoryNetwork
from tests.conformance.mutation import Mutant, by_verdict, changed, check_caught, judged, mutant
from tests.conformance.reference_mtftp import CLIENT_PORT, DELAY, LARGEST, OTHER_PORT, SERVER_PORT, MtftpServer, Pass
from tests.conformance.reference_tftp import TftpServer, Transfer

FILES = {"linux/boot.img": Random(1).randbytes(9_001), "even.img": Random(2).randbytes(4_096)}
GROUPS = {"linux/boot.img": "239.1.1.1", "even.img": "239.1.1.2"}
TOLD = Told((), tuple(Session(name, group, CLIENT_PORT, SERVER_PORT, DELAY) for name, group in GROUPS.items()))

SERVER: Any = MtftpServer
PASS: Any = Pass

MUTANTS = [
    mutant("RRQ-01", may_open=lambda self, heard: heard.source.port != CLIENT_PORT or not heard.data.count(b"OcTeT")),
    mutant("RRQ-01", mode=lambda self, heard, request: heard.data[2:].split(b"\0")[1].decode()),
    mutant("RRQ-02", "RRQ-01 RRQ-06 RRQ-08 RRQ-10 RRQ-11 RRQ-12 RRQ-13", send_first=lambda self: (
        self.send(Endpoint(self.master.address, CLIENT_PORT), self.data(1)), self.send(self.group, self.data(1)))),
    mutant("RRQ-02", "RRQ-08 GRP-01", first_copy=lambda self: Data(1, bytes(512))),
    mutant("RRQ-03", send_first=lambda self: self.server.nursery.start_soon(group_first, self)),
    mutant("RRQ-04", source_port=OTHER_PORT),
    mutant("RRQ-05", opened_by_another=lambda self, opener: self.send(opener, self.data(self.block))),
    mutant("RRQ-05", opened_by_another=lambda self, opener: self.send(opener, Error(0, "busy"))),
    mutant("RRQ-06", opened_again=lambda self, opener: PASS.opened_again(self, opener) if self.block > 1 else None),
    mutant("RRQ-07", opened_again=lambda self, opener: PASS.opened_again(self, opener)
           if opener == self.master else None),
    mutant("RRQ-08", requested=lambda self, heard, request: None if any(
        each.is_running for name, each in self.sessions.items() if name != self.name(request.filename))
        else SERVER.requested(self, heard, request)),
    mutant("RRQ-09", no_open=lambda self, heard: self.reply(heard, Error(4, "no"))),
    mutant("RRQ-09", unknown=lambda self, heard, name: self.reply(heard, Error(1, "no")) if name else None),
    mutant("RRQ-10", is_question=lambda self, heard, request: False),
    mutant("RRQ-11", is_question=lambda self, heard, request: bool(request.options)),
    mutant("RRQ-12", unknown=lambda self, heard, name: None if name else self.reply(heard, Error(1, "no"))),
    mutant("RRQ-13", name=lambda self, filename: filename.rstrip(b"\xff").decode("latin-1")),
    mutant("RRQ-13", name=lambda self, filename: filename.lstrip(b"/").decode("latin-1")),
    mutant("DAT-01", "DAT-05", data=lambda self, number: Data(number, PASS.data(self, number).payload[::-1])
           if number == self.last() - 2 else PASS.data(self, number)),
    mutant("DAT-02", "ACK-06 END-02", send=lambda self, destination, packet: [
        PASS.send(self, each, packet)
        for each in ([destination, self.master] if packet.number == 2 and self.master else [destination])]),
    mutant("DAT-05", last=lambda self: -(-len(self.content) // 512)),
    mutant("DAT-07", "RRQ-06", runs_ahead=lambda self: self.block == 1,
           waits_for_ack=lambda self: (0.2,) if self.block == 1 else self.waits),
    mutant("DAT-09", rest=lambda self: 0.0),
    mutant("DAT-09", rest=lambda self: 1.0),
    mutant("ACK-01", "RRQ-08", is_from_master=lambda self, source: self.is_running),
    mutant("ACK-02", "ACK-05", is_over=lambda self, answer: jumped(self, answer)),
    mutant("ACK-04", old_ack=lambda self, number: self.send(self.group, self.data(number + 1))),
    mutant("ACK-05", is_over=lambda self, answer: PASS.is_over(self, answer) or (answer or 0) >= self.last()),
    mutant("ACK-06", "ACK-07", stray=lambda self, heard, packet: self.reply(heard, Error(0, "why"))
           if isinstance(packet, Error) else None),
    mutant("ACK-07", stray=lambda self, heard, packet: self.reply(heard, Error(5, "who"))
           if isinstance(packet, Ack) else None),
    mutant("ACK-10", "ACK-05", was_never_heard=lambda self: True),
    mutant("ACK-11", waits_for_ack=lambda self: (0.5,) * 1000 if self.block == 1 else self.waits),
    mutant("FBK-01", "DAT-01", unicast_files=lambda self, files: {
        name: content[:-1] for name, content in files.items()}),
    mutant("FBK-02", linger=0.0),
    mutant("FBK-03", serves_unicast=lambda self: not any(each.is_running for each in self.sessions.values())),
]  # fmt: skip


async def group_first(session: Pass) -> None:
    assert session.master is not None
    session.send(session.group, session.data(1))
    await trio.sleep(0.01)
    session.send(session.master, session.data(1))


def jumped(session: Pass, answer: int | None) -> bool:
    """Go on behind the block that was acknowledged, wherever that is."""
    session.block = max(session.block, min(answer or 0, session.last()))
    return Pass.is_over(session, answer)


TOO_LARGE = {**FILES, "large.img": bytes(LARGEST + 1)}
TOLD_TOO_MUCH = Told((), (*TOLD.sessions, Session("large.img", "239.1.1.3", CLIENT_PORT, SERVER_PORT, DELAY)))


async def run(changes: dict[str, object], files: dict[str, bytes] = FILES, told: Told = TOLD) -> Report:
    server, session, unicast, transfer = changed(MtftpServer, Pass, TftpServer, Transfer, changes=changes)

    def start(network: MemoryNetwork, nursery: trio.Nursery) -> None:
        unicast.transfer_class = transfer
        server.pass_class, server.unicast_class = session, unicast
        groups = {session.name: session.group for session in told.sessions}
        network.server = server(network, nursery, files, groups).receive

    return await judged("mtftp", told, start)


async def test_the_reference_server_passes(autojump_clock: MockClock) -> None:
    report = await run({})
    assert not by_verdict(report, Verdict.FAIL)
    assert not by_verdict(report, Verdict.INCONCLUSIVE)
    assert Counter(result.verdict for result in report.results)[Verdict.PASS] > 25


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.id)
async def test_a_mutant_is_caught(mutant: Mutant, autojump_clock: MockClock) -> None:
    check_caught(await run(mutant.changes), mutant)


async def test_a_server_that_sends_what_no_pass_can_carry_is_caught(autojump_clock: MockClock) -> None:
    report = await run({}, TOO_LARGE, TOLD_TOO_MUCH)
    assert not by_verdict(report, Verdict.FAIL)
    assert any("GRP-05" in result.case.ids for result in report.results if result.verdict is Verdict.PASS)
    broken = mutant("GRP-05", fits=lambda self, size: True)
    check_caught(await run(broken.changes, TOO_LARGE, TOLD_TOO_MUCH), broken)

"""The suite for TFTP can fail: servers that break one requirement each are caught by the case of it and no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from mtftpd.conformance.discovery import Told
from mtftpd.conformance.results import Report
from mtftpd.conformance.verdicts import Verdict
from mtftpd.errors import Malformed
from mtftpd.net.outside import Heard
from mtftpd.wire import tftp
from mtftpd.wire.tftp import Ack, Data, OptionAck
from tests.conformance.memory_network import MemoryNetwork
from tests.conformance.mutation import Mutant, by_verdict, changed, check_caught, judged, mutant
from tests.conformance.reference_tftp import OPTIONS, TftpServer, Transfer

FILES = {
    "linux/boot.img": Random(1).randbytes(9_000 + 1),
    "even.img": Random(2).randbytes(4_096),
    "empty.img": b"",
    "text.txt": b"one\ntwo\r\n",
}


def granting(name: str, answer: Callable[[str, bytes], str | None]) -> Callable[..., str | None]:
    """Return a `TftpServer.grant` with another ``answer``, to value and content, for ``name``; "" is the usual one."""

    def grant(self: TftpServer, option: str, value: str, content: bytes) -> str | None:
        given = answer(value, content) if option == name else ""
        return TftpServer.grant(self, option, value, content) if given == "" else given

    return grant


def granting_for(name: str, **answers: str) -> Callable[..., str | None]:
    """Return a `TftpServer.grant` with other answers for some values (with an underscore before them) of ``name``."""
    return granting(name, lambda value, content: answers.get(f"_{value}", ""))


def lenient(self: TftpServer, data: bytes) -> tftp.Packet:
    try:
        return tftp.parse_untrusted(data)
    except Malformed:
        return tftp.parse_untrusted(data + b"\0octet\0")


SERVER: Any = TftpServer
TRANSFER: Any = Transfer

MUTANTS = [
    mutant("TFTP-02", new_port=lambda self: 50_000),
    mutant("TFTP-04", "BLK-04", last=lambda self: max(1, -(-len(self.content) // self.block_size))),
    mutant("TFTP-06", "TFTP-07 TFTP-09 TFTP-32 TFTP-34 WIN-06 WIN-07 TMO-03",
           goes_on_unheard=lambda self: not self.granted),
    mutant("TFTP-07", "TFTP-34 WIN-06 TMO-03", waits_for=lambda self, first: (30.0,)),
    mutant("TFTP-08", "TFTP-34 WIN-08", passed_over=lambda self, ack: ack.number < self.sent[0].number
           and self.send_all([self.data(ack.number + 1)])),
    mutant("TFTP-09", waits=(2.0, 2.0, 2.0, 2.0, 2.0)),
    mutant("TFTP-10", owner=lambda self, heard: next(
        (each for (_, port), each in self.transfers.items() if port == heard.destination.port), None)),
    mutant("TFTP-10", stranger=lambda self, heard: self.network.refuse(heard) or [
        each.scope.cancel() for (_, port), each in self.transfers.items() if port == heard.destination.port]),
    mutant("TFTP-11", "NEG-14", missing=0),
    mutant("TFTP-12", write=lambda self, heard: self.send(heard.destination, heard.source, Ack(0))),
    mutant("TFTP-13", other_mode=lambda self, heard, request: self.begin(heard, b"?", ())
           if request.mode == "netascii" else SERVER.other_mode(self, heard, request)),
    mutant("TFTP-14", other_mode=lambda self, heard, request: self.begin(heard, b"?", ())
           if request.mode == "mail" else SERVER.other_mode(self, heard, request)),
    mutant("TFTP-15", mode=lambda self, heard, request: heard.data[2:].split(b"\0")[1].decode()),
    mutant("TFTP-16", odd=lambda self, heard: self.refuse(heard, 0)),
    mutant("TFTP-17", error_from_nowhere=lambda self, heard: self.refuse(heard, 4)),
    mutant("TFTP-18", "NEG-09", leaves=lambda self, error: False),
    mutant("TFTP-19", known=lambda self, client: None),
    mutant("TFTP-22", file=lambda self, name: b"root:x:0:0" if b"passwd" in name else SERVER.file(self, name)),
    mutant("TFTP-24", understood=lenient),
    mutant("TFTP-25", begin=lambda self, *args: ([each.scope.cancel() for each in self.transfers.values()]
           and None) or SERVER.begin(self, *args)),
    mutant("TFTP-26", error_address="10.0.0.99"),
    mutant("TFTP-27", "TFTP-11 NEG-14", missing=99),
    mutant("TFTP-28", counts=lambda self, number, acked, ahead: acked < number),
    mutant("TFTP-30", waits_for=lambda self, first: (0.5,) * 20
           if first == self.data(1) else TRANSFER.waits_for(self, first)),
    mutant("TFTP-32", waits=(1.0, 2.0)),
    mutant("TFTP-34", passed_over=lambda self, ack: self.scope.cancel()),
    mutant("TFTP-35", file=lambda self, name: self.files.get(name.decode("latin-1").replace("\\", "/"))),
    mutant("TFTP-35", file=lambda self, name: self.files.get(name.decode("latin-1").lstrip("/"))),
    mutant("TFTP-36", linger=0.0),
    mutant("NEG-02", "NEG-01", grants=lambda self, pairs, content: SERVER.grants(self, pairs, content)
           and tuple({**dict(SERVER.grants(self, pairs, content)), "tsize": str(len(content))}.items())),
    mutant("NEG-03", "NEG-04", grant=lambda self, name, value, content: SERVER.grant(self, name, value, content)
           if name in (*OPTIONS, "multicast") else value),
    mutant("NEG-04", negotiates=lambda self: bool(self.granted) or b"x-" in self.request),
    mutant("NEG-05", "NEG-15", exchange=lambda self, packets, acked, ahead:
           TRANSFER.exchange(self, packets, acked, ahead) if ahead else at_once(self, packets)),
    mutant("NEG-06", pairs=lambda self, heard, request: spelled(heard.data)),
    mutant("NEG-07", "WIN-11", grants=lambda self, pairs, content: SERVER.grants(
        self, [each for each in pairs if each[0] != "blksize" or each == pairs[-1]], content)),
    mutant("NEG-08", receive_request=lambda self, heard: SERVER.receive_request(self, heard)
           if len(heard.data) < 500 else None),
    mutant("NEG-09", leaves=lambda self, error: error.code != 8),
    mutant("NEG-11", grants=lambda self, pairs, content: tuple(
        (name, self.grant(name, value, content)) for name, value in pairs if self.grant(name, value, content))),
    mutant("NEG-14", not_found=lambda self, heard, request: self.begin(heard, b"", (("tsize", "0"),))
           if request.options else SERVER.not_found(self, heard, request)),
    mutant("NEG-15", asked_again=lambda self: None, waits_for=lambda self, first: (30.0,)
           if isinstance(first, OptionAck) else TRANSFER.waits_for(self, first)),
    mutant("BLK-01", "NEG-03 NEG-11", grant=granting_for("blksize", _1024="1468", _1428="1468")),
    mutant("BLK-02", "BLK-04", data=lambda self, number: Data(number, TRANSFER.data(self, number).payload[:1000])
           if self.block_size == 1024 else TRANSFER.data(self, number)),
    mutant("BLK-03", grant=granting_for("blksize", _7="7")),
    mutant("BLK-03", grant=granting_for("blksize", _65465="65465")),
    mutant("BLK-04", last=lambda self: max(1, -(-len(self.content) // self.block_size))
           if self.granted else TRANSFER.last(self)),
    mutant("BLK-05", grant=granting_for("blksize", _8192="8192")),
    mutant("BLK-06", grant=granting_for("blksize", _large="512")),
    mutant("TSZ-01", "TSZ-03 NEG-06", grant=granting("tsize", lambda value, content: str(len(content) + 1))),
    mutant("TSZ-03", grant=granting_for("tsize", _12345="12345")),
    mutant("TSZ-04", receive=lambda self, heard: deaf_after_error_8(self, heard)),
    mutant("TMO-01", grant=granting_for("timeout", _3="2")),
    mutant("TMO-02", grant=granting_for("timeout", _0="0")),
    mutant("TMO-02", grant=granting_for("timeout", _256="256")),
    mutant("TMO-03", waits_for=lambda self, first: (5.0,) * 5
           if "timeout" in self.granted else TRANSFER.waits_for(self, first)),
    mutant("WIN-01", grant=granting_for("windowsize", _4="5")),
    mutant("WIN-02", "WIN-03 WIN-07 WIN-08",
           window=lambda self: TRANSFER.window(self) + ("windowsize" in self.granted)),
    mutant("WIN-03", counts=lambda self, number, acked, ahead: number == ahead),
    mutant("WIN-04", grant=granting_for("windowsize", _0="1")),
    mutant("WIN-05", ended=lambda self: "windowsize" in self.granted and self.send_all([self.data(self.last() + 1)])),
    mutant("WIN-06", waits_for=lambda self, first: (30.0,)
           if "windowsize" in self.granted else TRANSFER.waits_for(self, first)),
    mutant("WIN-07", window=lambda self: max(2, TRANSFER.window(self)) if "windowsize" in self.granted else 1),
    mutant("WIN-08", passed_over=lambda self, ack: "windowsize" in self.granted and self.send_all(
        [self.data(ack.number + 1)])),
    mutant("WIN-11", grants=lambda self, pairs, content: SERVER.grants(
        self, [each for each in pairs if each[0] != "windowsize" or len(pairs) == 1], content)),
]  # fmt: skip


async def at_once(transfer: Transfer, packets: list[tftp.Packet]) -> int:
    """Send the OACK and wait for nothing."""
    transfer.send_all(packets)
    return 0


def spelled(data: bytes) -> tftp.Pairs:
    """Return the options of a request with their names as they were written."""
    strings = [each.decode("latin-1") for each in data[2:].split(b"\0")[2:-1]]
    return tuple(zip(strings[::2], strings[1::2], strict=False))


def deaf_after_error_8(server: TftpServer, heard: Heard) -> None:
    if heard.data[:4] == b"\0\5\0\x08":
        server.deaf_until = trio.current_time() + 1.5
    TftpServer.receive(server, heard)


async def run(changes: dict[str, object]) -> Report:
    server, transfer = changed(TftpServer, Transfer, changes=changes)

    def start(network: MemoryNetwork, nursery: trio.Nursery) -> None:
        made = server(network, nursery, FILES)
        made.transfer_class = transfer
        network.server = made.receive

    return await judged("tftp", Told(tuple(FILES)), start)


async def test_the_reference_server_passes(autojump_clock: MockClock) -> None:
    report = await run({})
    assert not by_verdict(report, Verdict.FAIL)
    assert not by_verdict(report, Verdict.INCONCLUSIVE)
    assert Counter(result.verdict for result in report.results)[Verdict.PASS] > 50


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.id)
async def test_a_mutant_is_caught(mutant: Mutant, autojump_clock: MockClock) -> None:
    check_caught(await run(mutant.changes), mutant)

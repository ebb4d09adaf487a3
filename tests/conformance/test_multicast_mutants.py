"""The cases of RFC 2090 can fail: servers that break one requirement each are caught by the case of it and no other."""

from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import MockClock

from mtftpd.conformance.discovery import Told
from mtftpd.conformance.results import Report
from mtftpd.conformance.verdicts import Verdict
from mtftpd.wire.tftp import Data
from tests.conformance.memory_network import MemoryNetwork
from tests.conformance.mutation import Mutant, by_verdict, changed, check_caught, judged, mutant
from tests.conformance.reference_multicast import GROUP, GroupTransfer, MulticastServer

FILES = {"linux/boot.img": Random(1).randbytes(5_001)}
MULTICAST = {f"MUL-{number:02}" for number in (1, 2, 3, 4, 5, 6, 8, 9)}

MUTANTS = [
    mutant("MUL-01", answer=lambda self, client: f"{GROUP.address},{GROUP.port},0"),
    mutant("MUL-02", answer=lambda self, client: GroupTransfer.answer(self, client)
           if client == self.members[0] else f"{GROUP.address},{GROUP.port + 1},0"),
    mutant("MUL-02", answer=lambda self, client: f"{GROUP.address},{GROUP.port},1"),
    mutant("MUL-03", data=lambda self, number: Data(number, bytes(512)) if number == 1
           else GroupTransfer.data(self, number)),
    mutant("MUL-04", acknowledged=lambda self, number: GroupTransfer.acknowledged(self, min(number, self.block))),
    mutant("MUL-05", next_master=lambda self: self.members.clear()),
    mutant("MUL-06", waits=(100.0,)),
    mutant("MUL-08", acknowledged_by_another=lambda self, source, number: None),
    mutant("MUL-09", acknowledged_by_another=lambda self, source, number: self.acknowledged(number)
           if number < self.last() else self.leave(source)),
]  # fmt: skip


async def run(changes: dict[str, object]) -> Report:
    server, group = changed(MulticastServer, GroupTransfer, changes=changes)

    def start(network: MemoryNetwork, nursery: trio.Nursery) -> None:
        server.group_class = group
        network.server = server(network, nursery, FILES).receive

    return await judged("tftp", Told(tuple(FILES)), start)


async def test_the_reference_server_passes(autojump_clock: MockClock) -> None:
    report = await run({})
    assert not by_verdict(report, Verdict.FAIL)
    assert not by_verdict(report, Verdict.INCONCLUSIVE)
    passed = {id_ for result in report.results if result.verdict is Verdict.PASS for id_ in result.case.ids}
    assert passed >= MULTICAST


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.id)
async def test_a_mutant_is_caught(mutant: Mutant, autojump_clock: MockClock) -> None:
    check_caught(await run(mutant.changes), mutant)

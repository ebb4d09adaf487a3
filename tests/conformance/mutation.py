"""Mutants: a reference server with one decision changed, and what the suite makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from random import Random
from typing import Any

import trio

from mtftpd.conformance.discovery import Told, discover
from mtftpd.conformance.findings import Findings
from mtftpd.conformance.lab import Lab, Target
from mtftpd.conformance.registry import selected
from mtftpd.conformance.results import Report
from mtftpd.conformance.runner import run_cases
from mtftpd.conformance.verdicts import Verdict
from tests.conformance.memory_network import MemoryNetwork

TARGET = Target(IPv4Address("10.0.0.1"), patience=5.0, quiet=2.0)

Start = Callable[[MemoryNetwork, trio.Nursery], None]


@dataclass(frozen=True)
class Mutant:
    """A server that breaks the requirement ``id``.

    ``also`` names other requirements that the same change breaks, or that are the same thing seen from elsewhere.
    ``changes`` replace attributes of the reference server, or of its transfers.
    """

    id: str
    also: str
    changes: dict[str, Any]

    @property
    def allowed(self) -> set[str]:
        return {self.id, *self.also.split()}


def mutant(id_: str, also: str = "", **changes: Any) -> Mutant:
    return Mutant(id_, also, changes)


def changed(*classes: type[Any], changes: dict[str, Any]) -> list[type[Any]]:
    """Return each of ``classes`` with those of ``changes`` that it has and none before it."""
    left = dict(changes)
    mutants = [
        type(each.__name__, (each,), {name: left.pop(name) for name in list(left) if hasattr(each, name)})
        for each in classes
    ]
    assert not left, f"the reference server has no {sorted(left)}"
    return mutants


async def judged(suite: str, told: Told, start: Start) -> Report:
    """Run a suite, one case at a time, against what ``start`` attaches to a network in memory."""
    network = MemoryNetwork()
    report = Report(str(TARGET), selected([suite], ()), 0.0)
    random = Random(1)

    def make_lab(found: Findings) -> Lab:
        return Lab(TARGET, network, found, random)

    async with trio.open_nursery() as nursery:
        start(network, nursery)
        report.found = await discover(make_lab, told, lambda line: None)
        for case in report.cases:
            # One after the other, as trio begins tasks in any order: what a case leaves behind is always the same.
            alone = Report(report.target, [case], 0.0, report.found, report.done)
            await run_cases(alone, make_lab, lambda result: None)
        nursery.cancel_scope.cancel()
    return report


def by_verdict(report: Report, verdict: Verdict) -> dict[str, str]:
    """Return the cases that ended with ``verdict``, with their requirements and reasons."""
    return {
        f"{result.case.name} ({' '.join(result.case.ids)})": f"{result.reason}{result.trouble}"
        for result in report.results
        if result.verdict is verdict
    }


def check_caught(report: Report, mutant: Mutant) -> None:
    """Fail unless a case of the mutant's requirement failed, and no case that has nothing to do with it."""
    failed = [result for result in report.results if result.verdict is Verdict.FAIL]
    unrelated = {
        result.case.name: (result.case.ids, result.reason)
        for result in failed
        if not set(result.case.ids) & mutant.allowed
    }
    assert not unrelated, f"fails too: {unrelated}"
    assert any(mutant.id in result.case.ids for result in failed), f"not caught: {by_verdict(report, Verdict.FAIL)}"
    assert not any(result.trouble for result in report.results), by_verdict(report, Verdict.INCONCLUSIVE)

"""What a run found: one result for each case, and what they say of each requirement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mtftpd.conformance.findings import Findings
from mtftpd.conformance.packets import Packet
from mtftpd.conformance.registry import Case
from mtftpd.conformance.requirements import Requirement
from mtftpd.conformance.verdicts import Evidence, Verdict

_WORST_FIRST = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NOT_RUN, Verdict.PASS, Verdict.NOT_APPLICABLE)
"""What a requirement with several cases gets: the first of these that one of its cases has."""


@dataclass(frozen=True, slots=True)
class Result:
    """How one case ended.

    ``reason`` is one line, empty when it passed; ``evidence`` says more of a failure; ``packets`` are those of the
    case, and ``began`` is when its first one was due, in seconds since 1970.
    """

    case: Case
    verdict: Verdict
    reason: str = ""
    evidence: Evidence | None = None
    packets: Sequence[Packet] = ()
    seconds: float = 0.0
    began: float = 0.0
    trouble: str = ""

    @property
    def breaks_a_must(self) -> bool:
        """Whether the target may not call itself conforming for it."""
        return self.verdict is Verdict.FAIL and self.case.binds


@dataclass(slots=True)
class Report:
    """A run: of which ``target``, when (seconds since 1970), what was found first, and the results so far.

    ``interrupted`` is the reason why cases are missing, or empty.
    """

    target: str
    cases: Sequence[Case]
    started: float
    found: Findings = field(default_factory=Findings)
    done: dict[str, Result] = field(default_factory=dict)
    seconds: float = 0.0
    interrupted: str = ""

    @property
    def results(self) -> tuple[Result, ...]:
        """One for each case, in the order of the cases."""
        return tuple(self.done.get(case.name) or Result(case, Verdict.NOT_RUN, "not run") for case in self.cases)

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many cases ended how."""
        counted = Counter(result.verdict for result in self.results)
        return {verdict: counted[verdict] for verdict in Verdict}

    @property
    def conforms(self) -> bool:
        """Whether no MUST failed."""
        return not any(result.breaks_a_must for result in self.results)

    def by_requirement(self) -> list[tuple[Requirement, Verdict, list[Result]]]:
        """Return each requirement that a case judges, with what the worst of its cases found."""
        judged: dict[str, tuple[Requirement, list[Result]]] = {}
        for result in self.results:
            for requirement in result.case.requirements:
                judged.setdefault(requirement.id, (requirement, []))[1].append(result)
        rows = []
        for requirement, results in judged.values():
            found = {result.verdict for result in results}
            rows.append((requirement, next(each for each in _WORST_FIRST if each in found), results))
        return rows


def plain(report: Report) -> dict[str, Any]:
    """Return a report as plain data, for JSON."""
    return {
        "target": report.target,
        "started": report.started,
        "seconds": round(report.seconds, 3),
        "interrupted": report.interrupted,
        "conforms": report.conforms,
        "found": report.found.plain(),
        "counts": {verdict.value: number for verdict, number in report.counts.items()},
        "requirements": {requirement.id: verdict.value for requirement, verdict, _ in report.by_requirement()},
        "cases": [_plain_result(result) for result in report.results],
    }


def _plain_result(result: Result) -> dict[str, Any]:
    content: dict[str, Any] = {
        "case": result.case.name,
        "suite": result.case.suite,
        "requirements": list(result.case.ids),
        "verdict": result.verdict.value,
        "must": result.case.binds,
        "reason": result.reason,
        "seconds": round(result.seconds, 3),
    }
    if result.evidence is not None:
        content["evidence"] = {
            "field": result.evidence.field,
            "expected": result.evidence.expected,
            "got": result.evidence.got,
            "source": result.evidence.source or "; ".join(s for r in result.case.requirements for s in r.source),
            "packet": result.evidence.packet.number if result.evidence.packet else None,
        }
        content["packets"] = [
            {
                "number": each.number, "time": round(each.time, 6), "sent": each.sent, "source": str(each.source),
                "destination": str(each.destination), "summary": each.summary, "octets": each.data.hex(),
            }
            for each in result.packets
        ]  # fmt: skip
    return content

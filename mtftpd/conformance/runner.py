"""Running cases: several at a time, each with packets and clients of its own.

Most of a run is waiting for silence, so `AT_ONCE` cases wait together.  Those that share something that the target has
once only, such as the pass of a group, name it in ``alone`` and take turns; those that need everything come last.
"""

from __future__ import annotations

import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import trio

from mtftpd.conformance.findings import Findings
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.registry import EVERYTHING, Case
from mtftpd.conformance.results import Report, Result
from mtftpd.conformance.verdicts import Failed, Inconclusive, NotApplicable, Verdict
from mtftpd.errors import StartupError

AT_ONCE: Final = 8
"""Cases at a time: as many clients as any target serves together, each slow by intention."""
CASE_SECONDS: Final = 60.0
"""After which a case is given up."""


async def run_cases(
    report: Report, make_lab: Callable[[Findings], Lab], on_result: Callable[[Result], None], at_once: int = AT_ONCE
) -> None:
    """Run the cases of ``report`` and write each result into it; cancelling leaves those out that have not ended."""
    free = trio.CapacityLimiter(at_once)
    locks: dict[str, trio.Lock] = defaultdict(trio.Lock)

    async def take_turn(case: Case) -> None:
        if case.alone:
            async with locks[case.alone], free:
                await run(case)
        else:
            async with free:
                await run(case)

    async def run(case: Case) -> None:
        result = await run_case(case, make_lab(report.found))
        report.done[case.name] = result
        on_result(result)

    last = []
    async with trio.open_nursery() as nursery:
        for case in report.cases:
            missing = sorted(case.needs - report.found.features, key=lambda feature: feature.name)
            if missing:
                result = Result(case, Verdict.NOT_APPLICABLE, missing[0].value)
                report.done[case.name] = result
                on_result(result)
            elif case.alone == EVERYTHING:
                last.append(case)
            else:
                nursery.start_soon(take_turn, case)
    for case in last:
        await run(case)


async def run_case(case: Case, lab: Lab) -> Result:
    """Return how ``case`` ends in ``lab``; a mistake of the case itself is inconclusive, with its traceback."""
    began, start = time.time(), trio.current_time()
    verdict, reason, evidence, trouble = Verdict.PASS, "", None, ""
    try:
        with trio.fail_after(CASE_SECONDS):
            await case.function(lab)
    except Failed as failure:
        verdict, reason, evidence = Verdict.FAIL, str(failure), failure.evidence
    except Inconclusive as why:
        verdict, reason = Verdict.INCONCLUSIVE, str(why)
    except NotApplicable as why:
        verdict, reason = Verdict.NOT_APPLICABLE, str(why)
    except trio.TooSlowError:
        verdict, reason = Verdict.INCONCLUSIVE, f"not finished after {CASE_SECONDS:g} s"
    except StartupError as why:
        verdict, reason = Verdict.INCONCLUSIVE, str(why)
    except Exception as mistake:
        verdict, reason = Verdict.INCONCLUSIVE, f"the case itself failed: {mistake!r}"
        trouble = traceback.format_exc()
    seconds = trio.current_time() - start
    return Result(case, verdict, reason, evidence, lab.trace.packets, seconds, began, trouble)

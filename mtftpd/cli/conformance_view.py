"""What ``mtftpd conformance server`` shows: progress on standard error, and the summary."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mtftpd.conformance.verdicts import Verdict

if TYPE_CHECKING:
    from mtftpd.conformance.results import Report, Result

_SHOWN = (Verdict.FAIL, Verdict.INCONCLUSIVE)


class View:
    """Progress on standard error: a bar on a terminal, elsewhere a line for each case that does not pass."""

    def __init__(self, cases: int, target: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=self._console, transient=True, disable=not sys.stderr.isatty())
        self._task = self._progress.add_task(f"asking {target}", total=cases)
        self._target = target

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step(self, what: str) -> None:
        """Say what is looked for."""
        self._tell(f"{self._target}: looking for {what}")

    def ended(self, result: Result) -> None:
        """Count a case, and name it when it did not pass."""
        self._progress.update(self._task, advance=1, description=f"{result.case.suite} {result.case.name}"[:50])
        if result.verdict in _SHOWN:
            self._tell(f"{result.verdict.value:12} {result.case.suite} {result.case.name}: {result.reason}")

    def _tell(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)


def summary(report: Report) -> str:
    """Return the result as lines: failures with their evidence, then the counts."""
    lines = []
    for result in report.results:
        if result.verdict is Verdict.FAIL:
            lines.append(f"FAIL {result.case.name} ({', '.join(result.case.ids)}): {result.case.title}")
            lines.append(f"     {result.reason}")
    counts = ", ".join(f"{number} {verdict.value}" for verdict, number in report.counts.items() if number)
    musts = sum(result.breaks_a_must for result in report.results)
    verdict = f"{musts} MUST failed" if musts else "no MUST failed"
    tail = f"; interrupted by {report.interrupted}" if report.interrupted else ""
    lines.append(f"{report.target}: {verdict}: {counts or 'no case'} in {report.seconds:.1f} s{tail}")
    return "\n".join(lines)

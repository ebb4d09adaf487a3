"""A whole run against one server: open the network, find out what the target does, run the cases, write the reports."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, Protocol

import trio

from mtftpd.conformance.discovery import Told, discover
from mtftpd.conformance.findings import Findings
from mtftpd.conformance.lab import Lab, Target
from mtftpd.conformance.network import Network, real_network
from mtftpd.conformance.registry import Case
from mtftpd.conformance.report_files import junit, pcapng, write
from mtftpd.conformance.report_page import page
from mtftpd.conformance.results import Report, Result
from mtftpd.conformance.runner import run_cases
from mtftpd.errors import Unavailable

WITHOUT_ADDRESS: Final = ("dhcp", "pxe")
"""Suites whose clients need a packet socket."""


class Watcher(Protocol):
    """Who is told how the run goes on."""

    def step(self, what: str) -> None:
        """Take note of what is looked for before the first case."""
        ...

    def ended(self, result: Result) -> None:
        """Take note of how a case ended."""
        ...


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files that a run leaves: JUnit XML, a page, a folder with a pcapng file for each case."""

    junit: Path | None = None
    html: Path | None = None
    pcap: Path | None = None

    def prepare(self) -> None:
        """Make the folder, and find out whether the files can be written; raises `Unavailable`."""
        try:
            if self.pcap is not None:
                self.pcap.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"--pcap {self.pcap}: {error.strerror}") from error
        for path in (self.junit, self.html):
            if path is not None and not path.parent.is_dir():
                raise Unavailable(f"{path}: there is no folder {path.parent}")

    def case_ended(self, result: Result) -> None:
        """Write what is left of one case."""
        if self.pcap is not None and result.packets:
            write(self.pcap / f"{result.case.suite}-{result.case.name}.pcapng", pcapng(result))

    def run_ended(self, report: Report) -> None:
        """Write what is left of the run, which may have been interrupted."""
        if self.junit is not None:
            write(self.junit, junit(report))
        if self.html is not None:
            write(self.html, page(report).encode())


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: which ``cases`` against which ``target`` (on ``interface``, found by its address when None)."""

    target: Target
    cases: Sequence[Case]
    told: Told
    interface: str | None = None


def run_server_suite(plan: Plan, outputs: Outputs, watcher: Watcher) -> Report:
    """Run ``plan`` over real sockets and return the report.

    SIGINT and SIGTERM end the run after the packets that are on their way; the reports are written all the same.
    Raises `StartupError` when it cannot begin.
    """
    outputs.prepare()
    report = Report(str(plan.target), plan.cases, time.time())
    try:
        trio.run(_run, plan, report, outputs, watcher)
    except BaseExceptionGroup as group:
        raise _innermost(group) from None
    finally:
        report.seconds = time.time() - report.started
        outputs.run_ended(report)
    return report


async def _run(plan: Plan, report: Report, outputs: Outputs, watcher: Watcher) -> None:
    frames = any(case.suite in WITHOUT_ADDRESS for case in plan.cases)
    async with trio.open_nursery() as nursery:
        await nursery.start(_stop_on_signal, report, nursery.cancel_scope)
        async with real_network(plan.target.address, plan.interface, frames) as network:
            await judge(plan, report, network, _both(outputs, watcher), watcher.step)
        nursery.cancel_scope.cancel()


def _innermost(error: BaseException) -> BaseException:
    """Return what went wrong: a nursery wraps it, even when it is a single error."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _both(outputs: Outputs, watcher: Watcher) -> Callable[[Result], None]:
    def ended(result: Result) -> None:
        outputs.case_ended(result)
        watcher.ended(result)

    return ended


async def judge(
    plan: Plan, report: Report, network: Network, on_result: Callable[[Result], None], tell: Callable[[str], None]
) -> None:
    """Find out what the target does, and run the cases over any network."""
    seed = secrets.token_hex(8)
    made = iter(range(1 << 30))

    def make_lab(found: Findings) -> Lab:
        return Lab(plan.target, network, found, Random(f"{seed}/{next(made)}"))

    report.found = await discover(make_lab, plan.told, tell)
    await run_cases(report, make_lab, on_result)


async def _stop_on_signal(
    report: Report, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for number in signals:
            report.interrupted = signal.Signals(number).name
            scope.cancel()

"""Writes down what the reports say about nodes and groups, so that the next run begins with it.

Nobody waits for it.  What is said of one node in one turn of the pump is written down once, at the end of the turn or
before the next lease, and what is said between two commits of the store is one row.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from mtftpd.core.effects import Report, ReportKind
from mtftpd.core.mtftp.pass_rates import PassRate
from mtftpd.core.nodes.attempts import PAST_ATTEMPTS, Attempt, NodeKey
from mtftpd.core.nodes.nics import KnownMachine
from mtftpd.core.nodes.records import MAX_NODES
from mtftpd.core.service import BootService
from mtftpd.core.settings import Catalogue, Settings
from mtftpd.daemon.store import RunningPass, Store
from mtftpd.wire.datagram import HardwareAddress

_ENDS: Final = (ReportKind.PASS_ENDED, ReportKind.PASS_ABORTED)


class Recorder:
    """A listener of reports; what is found in ``store`` is what it wrote in the former run."""

    def __init__(self, service: BootService, store: Store) -> None:
        self._service = service
        self._store = store
        self._written: OrderedDict[NodeKey, dict[int, Attempt]] = OrderedDict()
        self._machines: OrderedDict[HardwareAddress, KnownMachine] = OrderedDict()
        self._moved: dict[NodeKey, None] = {}
        former = store.former()
        for attempt in former.attempts:
            self._note(attempt)
        for machine in former.machines:
            self._note_machine(machine)
        self._rates: dict[str, PassRate] = {each.profile: each for each in former.rates}
        self._readers: dict[ReportKind, Callable[[Report], None]] = {
            ReportKind.NODE_STATE: self._note_move,
            ReportKind.NODE_FORGOTTEN: self._forgotten,
            ReportKind.PASS_STARTED: self._pass_started,
            **dict.fromkeys(_ENDS, self._pass_ended),
        }

    def report(self, report: Report) -> None:
        """Take one event."""
        reader = self._readers.get(report.kind)
        if reader is not None:
            reader(report)

    def flush(self) -> None:
        """Write down what has become of those who have moved, and what was learnt."""
        for node in self._moved:
            self._write(node)
        self._moved.clear()
        for mark, is_held in self._service.fallback.memory.take_changed():
            (self._store.keep if is_held else self._store.forget)(mark)
        for learnt, is_known in self._service.learning.take_changed():
            (self._store.keep if is_known else self._store.forget)(learnt)

    def _note_move(self, report: Report) -> None:
        self._moved[report.hardware or report.address] = None

    def _write(self, node: NodeKey) -> None:
        attempt = self._service.nodes.attempt(node)
        if attempt is None:
            return
        if not isinstance(attempt.node, str):
            if attempt.address in self._written:
                self._forget(attempt.address)  # It was a stranger until DHCP named it.
            self._machine_of(attempt.node)
        if self._written.get(attempt.node, {}).get(attempt.number) != attempt:
            self._store.keep(attempt)
            self._note(attempt)

    def _forgotten(self, report: Report) -> None:
        self._forget(report.hardware or report.address)
        for first in [first for first, machine in self._machines.items() if report.hardware in machine.nics]:
            self._store.forget(self._machines.pop(first))

    def _forget(self, node: NodeKey) -> None:
        self._drop(self._written.pop(node, {}).values())

    def _note(self, attempt: Attempt) -> None:
        attempts = self._written.setdefault(attempt.node, {})
        attempts[attempt.number] = attempt
        self._written.move_to_end(attempt.node)
        if len(attempts) > PAST_ATTEMPTS + 1:
            self._drop([attempts.pop(min(attempts))])
        if len(self._written) > MAX_NODES:
            self._drop(self._written.popitem(last=False)[1].values())

    def _machine_of(self, hardware: HardwareAddress) -> None:
        machine = self._service.nics.learnt(hardware)
        if machine is not None and self._machines.get(machine.nics[0]) != machine:
            self._store.keep(machine)
            self._note_machine(machine)

    def _note_machine(self, machine: KnownMachine) -> None:
        self._machines[machine.nics[0]] = machine
        self._machines.move_to_end(machine.nics[0])
        if len(self._machines) > MAX_NODES:
            self._store.forget(self._machines.popitem(last=False)[1])

    def _drop(self, attempts: Iterable[Attempt]) -> None:
        for attempt in attempts:
            self._store.forget(attempt)

    def _pass_started(self, report: Report) -> None:
        self._store.keep(RunningPass(_group(report)))

    def _pass_ended(self, report: Report) -> None:
        self._store.forget(RunningPass(_group(report)))
        for rate in self._service.rates.snapshot():
            if self._rates.get(rate.profile) != rate:
                self._rates[rate.profile] = rate
                self._store.keep(rate)


def _group(report: Report) -> str:
    return str(dict(report.detail)["group"])


def revive(settings: Settings, catalogue: Catalogue, store: Store, now: float) -> BootService:
    """Return a service that goes on where the run ended that ``store`` is about."""
    former = store.former()
    service = BootService(settings, catalogue, store.groups(), store.leases(), former.experience)
    service.nics.adopt(former.machines)
    service.rates.restore(former.rates)
    service.go_on(former.attempts, {each.group for each in former.passes}, now)
    return service

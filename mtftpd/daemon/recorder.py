"""Writes down what the reports say about nodes and groups, so that the next run begins with it.

Nobody waits for it.  What a storm of reports says about one node between two commits of the store is one row.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from mtftpd.core.attempts import PAST_ATTEMPTS, Attempt, NodeKey
from mtftpd.core.effects import Report, ReportKind
from mtftpd.core.nodes import MAX_NODES, NodeStatistics
from mtftpd.core.service import BootService
from mtftpd.daemon.store import RunningPass, Store

_ENDS: Final = (ReportKind.PASS_ENDED, ReportKind.PASS_ABORTED)


class Recorder:
    """A listener of reports; what is found in ``store`` is what it wrote in the former run."""

    def __init__(self, service: BootService, store: Store) -> None:
        self._service = service
        self._store = store
        self._written: OrderedDict[NodeKey, dict[int, Attempt]] = OrderedDict()
        for attempt in store.former().attempts:
            self._note(attempt)
        self._readers: dict[ReportKind, Callable[[Report], None]] = {
            ReportKind.NODE_STATE: self._moved,
            ReportKind.NODE_FORGOTTEN: self._forgotten,
            ReportKind.PASS_STARTED: self._pass_started,
            **dict.fromkeys(_ENDS, self._pass_ended),
        }

    def report(self, report: Report) -> None:
        """Take one event."""
        reader = self._readers.get(report.kind)
        if reader is not None:
            reader(report)
        for mark, is_held in self._service.fallback.memory.take_changed():
            (self._store.keep if is_held else self._store.forget)(mark)
        for learnt, is_known in self._service.learning.take_changed():
            (self._store.keep if is_known else self._store.forget)(learnt)

    def _moved(self, report: Report) -> None:
        found = self._service.nodes.find(report.hardware or report.address)
        if found is None:
            return
        if found.hardware is not None and found.address in self._written:
            self._forget(found.address)  # It was a stranger until DHCP named it.
        attempt = _attempt(found)
        if self._written.get(attempt.node, {}).get(attempt.number) != attempt:
            self._store.keep(attempt)
            self._note(attempt)

    def _forgotten(self, report: Report) -> None:
        self._forget(report.hardware or report.address)

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

    def _drop(self, attempts: Iterable[Attempt]) -> None:
        for attempt in attempts:
            self._store.forget(attempt)

    def _pass_started(self, report: Report) -> None:
        self._store.keep(RunningPass(_group(report)))

    def _pass_ended(self, report: Report) -> None:
        self._store.forget(RunningPass(_group(report)))


def _group(report: Report) -> str:
    return str(dict(report.detail)["group"])


def _attempt(node: NodeStatistics) -> Attempt:
    return Attempt(
        node.hardware or node.address,
        node.attempt,
        node.began,
        node.since,
        node.state,
        node.reason,
        node.history[-1].packet,
        node.inferred,
        node.round,
        node.address,
        node.stage,
        node.rom,
        node.file,
        node.group,
    )

"""Where reports and drops go: one after the other to everybody who wants them, none of whom may wait for anything."""

from __future__ import annotations

from typing import Protocol

from mtftpd.core.effects import Drop, Report
from mtftpd.daemon.performer import Sink


class Listener(Protocol):
    """Somebody who wants reports and no drops."""

    def report(self, report: Report) -> None:
        """Take one event; returns at once."""


class Sinks:
    """The sink of the pump: ``journal`` and ``traces`` get everything, ``listeners`` get the reports."""

    def __init__(self, journal: Sink, listeners: tuple[Listener, ...] = (), traces: Sink | None = None) -> None:
        self._journal = journal
        self._listeners = listeners if traces is None else (*listeners, traces)
        self._traces = traces

    def report(self, report: Report) -> None:
        """Hand one event to everybody."""
        self._journal.report(report)
        for listener in self._listeners:
            listener.report(report)

    def drop(self, drop: Drop, now: float) -> None:
        """Hand a packet that got no answer at ``now`` to the journal and the traces."""
        self._journal.drop(drop, now)
        if self._traces is not None:
            self._traces.drop(drop, now)

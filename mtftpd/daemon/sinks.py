"""Where reports and drops go: one after the other to everybody who wants them, none of whom may wait for anything."""

from __future__ import annotations

from typing import Protocol

from mtftpd.core.effects import Drop, Report


class Listener(Protocol):
    """Somebody who wants reports and no drops."""

    def report(self, report: Report) -> None:
        """Take one event; returns at once."""


class Tracer(Listener, Protocol):
    """One that wants drops as well."""

    def drop(self, drop: Drop, now: float) -> None:
        """Take one packet that got no answer at ``now``."""


class Log(Tracer, Protocol):
    """One that gets everything and writes once for each turn of the pump."""

    def flush(self) -> None:
        """Write what was said in a turn that is over."""


class Collector(Listener, Protocol):
    """One that does most of its work once for each turn of the pump."""

    def flush(self) -> None:
        """Do what is left of a turn that is over."""


class Sinks:
    """The sink of the pump.

    ``journal`` and ``traces`` get everything, ``listeners`` the reports; so does ``recorder``, behind all of them.
    """

    def __init__(
        self,
        journal: Log,
        listeners: tuple[Listener, ...] = (),
        traces: Tracer | None = None,
        recorder: Collector | None = None,
    ) -> None:
        self._journal = journal
        others = (traces, recorder)
        self._listeners = (*listeners, *(each for each in others if each is not None))
        self._traces = traces
        self._recorder = recorder

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

    def flush(self) -> None:
        """Let those do their work who wait for the end of a turn."""
        self._journal.flush()
        self.write_down()

    def write_down(self) -> None:
        """Give the store what is to be kept of what came so far."""
        if self._recorder is not None:
            self._recorder.flush()

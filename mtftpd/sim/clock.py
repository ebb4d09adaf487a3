"""Virtual time: a heap of calls.  What is due at the same instant happens in the order in which it was asked for."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from typing import Any


class Clock:
    """The time of one simulation, in seconds from its start."""

    __slots__ = ("_heap", "_sequence", "events", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self.events = 0
        self._heap: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._sequence = 0

    def at(self, when: float, call: Callable[..., object], *arguments: Any) -> None:
        """Call ``call(*arguments)`` at ``when``, or at once when that has passed."""
        self._sequence += 1
        heappush(self._heap, (when, self._sequence, call, arguments))

    def step(self, until: float = inf) -> bool:
        """Let the next call happen; False when there is none up to ``until``."""
        heap = self._heap
        if not heap or heap[0][0] > until:
            return False
        when, _, call, arguments = heappop(heap)
        if when > self.now:
            self.now = when
        self.events += 1
        call(*arguments)
        return True


class Timer:
    """One deadline that moves; moving it later, as every packet does, costs nothing until the old one comes."""

    __slots__ = ("_call", "_clock", "_queued", "_when")

    def __init__(self, clock: Clock, call: Callable[[], None]) -> None:
        self._clock = clock
        self._call = call
        self._when = inf
        self._queued = inf

    def set(self, when: float | None) -> None:
        """Call at ``when`` and no longer at any other time; None is never."""
        self._when = inf if when is None else when
        if self._when < self._queued:
            self._queued = self._when
            self._clock.at(self._when, self._fire, self._when)

    def _fire(self, queued: float) -> None:
        if queued != self._queued:
            return
        self._queued = inf
        when = self._when
        if when > self._clock.now:
            self.set(when)
            return
        self._when = inf
        self._call()

"""How fast blocks leave when nobody acknowledges them: at half the speed that a real master kept up with.

A burst is for timers that are too coarse for the rate, never for speed.  Only a pass whose master answered in less
than a quarter of a millisecond gets one at all: the slower a ROM, the more surely it sees one block at a time.
"""

from __future__ import annotations

SLOW_DOWN = 2.0
"""Blocks are this many times the master's answer time apart: whoever kept up with the master has time to spare."""
FASTEST = 60e-6
"""Seconds between blocks: 582 octets with preamble and gap in 60 us are 78 Mbit/s, under a 100 Mbit/s port."""
SLOWEST = 0.2
"""Seconds between blocks; after 0.25 s of silence iPXE leaves for good, and with a hole it boots garbage."""
UNKNOWN = 0.002
"""Seconds between blocks when no answer was ever timed: 500 blocks/s, which a ROM under emulation exceeds."""
TIMER_GRAIN = 0.001
"""Seconds; the grain of epoll's time-outs.  What falls due within one grain leaves together."""
LARGEST_BURST = 8
"""Blocks.  iPXE's Intel driver keeps 8 receive buffers filled, the fewest of the drivers that were read."""


def interval_after(answer_time: float | None) -> float:
    """Return the seconds between blocks after a master that took ``answer_time`` seconds for each (None: unknown)."""
    if answer_time is None:
        return UNKNOWN
    return min(max(SLOW_DOWN * answer_time, FASTEST), SLOWEST)


class Pacer:
    """Says how many blocks may leave: the first at ``start``, the others ``interval`` seconds apart.

    No more than ``burst`` leave together.
    """

    __slots__ = ("_burst", "_interval", "_next")

    def __init__(self, interval: float, start: float, burst: int = LARGEST_BURST) -> None:
        self._interval = interval
        self._burst = min(max(int(TIMER_GRAIN / interval), 1), burst)
        self._next = start

    @property
    def deadline(self) -> float:
        """When a whole burst may leave."""
        return self._next + (self._burst - 1) * self._interval

    def take(self, now: float) -> int:
        """Return how many blocks leave now; a delay of the caller is not made up for beyond one burst."""
        if now < self._next:
            return 0
        due = int((now - self._next) / self._interval) + 1
        if due > self._burst:
            self._next = now + self._interval
            return self._burst
        self._next += due * self._interval
        return due

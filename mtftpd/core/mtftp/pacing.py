"""How fast blocks leave when nobody acknowledges them: at half the speed that a real master kept up with.

A burst is for timers that are too coarse for the rate, never for speed.  Only a pass whose master answered in less
than a quarter of a millisecond gets one at all: the slower a ROM, the more surely it sees one block at a time.

All that is for ROMs.  Where an operator says how fast an image may leave, its listeners are no ROMs: then blocks leave
that fast and in bursts as long as one system call can be, or as fast as the socket takes them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from mtftpd.core.link.wire_time import DATA_HEADER, block_octets

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

MAX_SEGMENTS: Final = 64
"""Datagrams that every kernel with UDP_SEGMENT takes in one call (UDP_MAX_SEGMENTS)."""
MAX_BURST: Final = 65_507
"""Octets of such a call: the largest UDP payload, 65,535 - 20 - 8."""
CALLS_TOGETHER: Final = 4
"""Such calls between two looks at who else wants something: 256 blocks of 512 octets in 0.3 to 0.8 ms."""


class Pace(NamedTuple):
    """Blocks are ``interval`` seconds apart on the average, 0 for no limit; ``burst`` of them may leave together."""

    interval: float
    burst: int


def stated_pace(rate: float, block_size: int) -> Pace:
    """Return the pace of an operator's ``rate`` in bit/s on the wire, 0 for no limit."""
    together = min(MAX_SEGMENTS, MAX_BURST // (DATA_HEADER + block_size))
    return Pace(block_octets(block_size) * 8 / rate, together) if rate else Pace(0.0, CALLS_TOGETHER * together)


def doubted(pace: Pace, factor: float) -> Pace:
    """Return a stated pace that was too fast for many: at most a ROM's, of which ``factor`` is used."""
    return Pace(max(pace.interval, FASTEST) / factor, LARGEST_BURST)


def interval_after(answer_time: float | None) -> float:
    """Return the seconds between blocks after a master that took ``answer_time`` seconds for each (None: unknown)."""
    if answer_time is None:
        return UNKNOWN
    return min(max(SLOW_DOWN * answer_time, FASTEST), SLOWEST)


class Pacer:
    """Says how many blocks may leave: the first at ``start``, the others ``interval`` seconds apart.

    No more than ``burst`` leave together, and what falls due within one grain of a timer does so.
    """

    __slots__ = ("_interval", "_next", "burst")

    def __init__(self, interval: float, start: float, burst: int = LARGEST_BURST) -> None:
        self._interval = interval
        self.burst = min(max(int(TIMER_GRAIN / interval), 1), burst) if interval else burst
        self._next = start

    @property
    def deadline(self) -> float:
        """When a whole burst may leave."""
        return self._next + (self.burst - 1) * self._interval

    def take(self, now: float) -> int:
        """Return how many blocks leave now; a delay of the caller is not made up for beyond one burst."""
        if now < self._next:
            return 0
        due = int((now - self._next) / self._interval) + 1 if self._interval else self.burst
        if due > self.burst:
            self._next = now + self._interval
            return self.burst
        self._next += due * self._interval
        return due

"""What goes wrong on a link, drawn for any number of packets at once.

Instead of one number per packet, the distance to the next packet that is hit is drawn: a run of a thousand blocks costs
as many numbers as it has losers, and the same numbers are drawn whether it is asked for one packet or for a thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log
from random import Random
from typing import Final

_CERTAIN: Final = 1.0
CALM: Final = 0.015
"""Seconds of silence after which a burst of loss is over.

What loses packets in a row on a LAN is a full queue, and 128 KiB at 100 Mbit/s have drained after 10.5 ms: a burst
hits for a time and not for a count, so a repetition some 20 ms later need not fear the burst that made it necessary.
"""


@dataclass(frozen=True, slots=True)
class Quality:
    """The faults of one direction of a link, as fractions of its packets.

    ``burst`` is the mean number of packets that are lost in a row; 1 is independent loss, more is the model of Gilbert
    with a bad state that loses everything.  A reordered packet is ``delay`` seconds late.
    """

    loss: float = 0.0
    burst: float = 1.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.002

    @property
    def keeps_order(self) -> bool:
        """Whether packets arrive in order and once, if they do."""
        return not self.duplicate and not self.reorder


class Hits:
    """Which packets of a stream are hit, as an alternation of spared and hit ones with geometric lengths."""

    __slots__ = ("_burst", "_chance", "_left", "_rate", "_share", "_spared_first", "_until")

    def __init__(self, chance: Random, rate: float, burst: float = 1.0) -> None:
        """Hit ``rate`` of all packets, ``burst`` in a row on average; beyond 1 a burst is followed by a gap."""
        self._chance = chance
        self._share = rate
        self._burst = 1 / burst
        self._spared_first = 1 if burst > 1 else 0
        self._rate = min(_CERTAIN, rate / (burst * (1 - rate)) if burst > 1 and rate < 1 else rate)
        self._left = self._length() if rate else 0
        self._until: float = self._gap() if rate else inf

    def take(self, count: int) -> list[int]:
        """Return the offsets of those of the next ``count`` packets that are hit, in order."""
        at = self._until
        if at >= count:
            self._until = at - count
            return []
        hit: list[int] = []
        while at < count:
            hit.append(int(at))
            self._left -= 1
            at += 1
            if not self._left:
                self._left = self._length()
                at += self._gap()
        self._until = at - count
        return hit

    def renew(self) -> None:
        """Forget the state and draw a new one: hit with the mean rate, spared otherwise."""
        self._left = self._length()
        self._until = 0 if self._chance.random() < self._share else self._gap()

    def next(self) -> bool:
        """Return whether the next packet is hit."""
        if self._until >= 1:
            self._until -= 1
            return False
        return bool(self.take(1))

    def _gap(self) -> int:
        """Return how many packets are spared before the next burst.

        A state that is left with probability ``rate`` lasts a geometric number of packets, at least one if what
        decides is a state; with independent hits it may be none.
        """
        return self._geometric(self._rate) + self._spared_first

    def _length(self) -> int:
        return self._geometric(self._burst) + 1

    def _geometric(self, success: float) -> int:
        """Return the failures before the first success."""
        if success >= _CERTAIN:
            return 0
        return int(log(1.0 - self._chance.random()) / log(1.0 - success))


class Wire:
    """The faults of one direction of one link, all from one random number generator."""

    __slots__ = ("_in_bursts", "_last", "delay", "duplicated", "keeps_order", "lost", "reordered")

    def __init__(self, quality: Quality, chance: Random) -> None:
        self.lost = Hits(chance, quality.loss, quality.burst)
        self.duplicated = Hits(chance, quality.duplicate)
        self.reordered = Hits(chance, quality.reorder)
        self.delay = quality.delay
        self.keeps_order = quality.keeps_order
        self._in_bursts = quality.burst > 1 and quality.loss > 0
        self._last = 0.0

    def pause_until(self, first: float, last: float) -> None:
        """Let packets come from ``first`` to ``last`` with no silence of `CALM` between them, after whatever was."""
        if self._in_bursts and first - self._last > CALM:
            self.lost.renew()
        self._last = last

    def arrivals(self, when: float) -> tuple[float, ...]:
        """Return how late each copy of a packet sent at ``when`` arrives: nothing, one number, or two."""
        self.pause_until(when, when)
        if self.lost.next():
            return ()
        if self.keeps_order:
            return (0.0,)
        late = self.delay if self.reordered.next() else 0.0
        return (late, late) if self.duplicated.next() else (late,)

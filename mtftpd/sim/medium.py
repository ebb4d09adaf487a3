"""A repeater hub: one shared medium, half duplex (IEEE 802.3 CSMA/CD).

Who has a frame waits until the medium is idle and then sends at once.  Two that do so collide, and each waits for a
random number of slots, from a range that doubles with every collision of its frame.  Who wins starts from the smallest
range with its next frame while the losers have grown theirs: that is the capture effect, and nothing here adds it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from random import Random
from typing import Final

from mtftpd.sim.clock import Clock

SLOT_BITS: Final = 512
"""Bit times until a collision is over and noticed everywhere (IEEE 802.3 table 4-2)."""
BACK_OFF_LIMIT: Final = 10
ATTEMPT_LIMIT: Final = 16
"""A frame that collided so often is dropped (IEEE 802.3 4.2.3.2.5)."""
PROPAGATION: Final = 1e-6
"""Seconds in which a station does not yet hear that another one has started: a repeater and two cables."""

Sent = Callable[[float], None]


class Transmitter:
    """The sender of one station, with room for ``queue`` octets."""

    __slots__ = ("attempts", "frames", "queue", "queued", "ready_at")

    def __init__(self, queue: float) -> None:
        self.queue = queue
        self.queued = 0
        self.frames: deque[tuple[int, Sent]] = deque()
        self.attempts = 0
        self.ready_at = 0.0


class Medium:
    """The wire that all stations of a hub share, at ``rate`` bit/s."""

    def __init__(self, clock: Clock, rate: float, chance: Random) -> None:
        self.collisions = 0
        self.dropped = 0
        self._clock = clock
        self._chance = chance
        self._per_octet = 8.0 / rate
        self._slot = SLOT_BITS / rate
        self._idle_from = 0.0
        self._waiting: list[tuple[float, int, Transmitter]] = []
        self._sequence = 0
        self._next = inf

    def send(self, transmitter: Transmitter, octets: int, sent: Sent) -> bool:
        """Queue a frame now; ``sent(when)`` is called when its end has left.  False when there was no room."""
        if transmitter.queued + octets > transmitter.queue:
            self.dropped += 1
            return False
        transmitter.frames.append((octets, sent))
        transmitter.queued += octets
        if len(transmitter.frames) == 1:
            transmitter.ready_at = self._clock.now
            self._wait(transmitter)
        return True

    def _wait(self, transmitter: Transmitter) -> None:
        self._sequence += 1
        heappush(self._waiting, (transmitter.ready_at, self._sequence, transmitter))
        self._wake(max(transmitter.ready_at, self._idle_from))

    def _wake(self, when: float) -> None:
        if when < self._next:
            self._next = when
            self._clock.at(when, self._contend, when)

    def _contend(self, when: float) -> None:
        if when != self._next:
            return
        self._next = inf
        waiting = self._waiting
        contenders = []
        while waiting and waiting[0][0] <= when + PROPAGATION:
            contenders.append(heappop(waiting)[2])
        if len(contenders) == 1:
            self._transmit(contenders[0], when)
        else:
            self._collide(contenders, when)
        if waiting:
            self._wake(max(waiting[0][0], self._idle_from))

    def _transmit(self, transmitter: Transmitter, when: float) -> None:
        octets, sent = transmitter.frames.popleft()
        end = when + octets * self._per_octet
        self._idle_from = end
        self._leave(transmitter, octets)
        self._clock.at(end, sent, end)

    def _collide(self, contenders: list[Transmitter], when: float) -> None:
        self.collisions += 1
        self._idle_from = when + self._slot
        for transmitter in contenders:
            transmitter.attempts += 1
            if transmitter.attempts >= ATTEMPT_LIMIT:
                self.dropped += 1
                self._leave(transmitter, transmitter.frames.popleft()[0])
                continue
            slots = self._chance.randrange(1 << min(transmitter.attempts, BACK_OFF_LIMIT))
            transmitter.ready_at = self._idle_from + slots * self._slot
            self._wait(transmitter)

    def _leave(self, transmitter: Transmitter, octets: int) -> None:
        """Go on to the next frame of a sender, once the medium is idle again."""
        transmitter.queued -= octets
        transmitter.attempts = 0
        if transmitter.frames:
            transmitter.ready_at = self._idle_from
            self._wait(transmitter)

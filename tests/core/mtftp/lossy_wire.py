"""A service, a wire that loses packets, and a clock that jumps from event to event."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import ClassVar

from mtftpd.core.effects import Effects
from mtftpd.core.mtftp.service import MtftpService
from mtftpd.wire.datagram import Datagram


class LossyWire(ABC):
    """What both kinds of clients are on; ``loss`` is the share of packets that are lost, of either direction."""

    LATENCY: ClassVar[float]
    """Seconds that a packet takes."""

    def __init__(self, service: MtftpService, loss: float = 0.0, seed: int = 0) -> None:
        self.service = service
        self.loss = loss
        self.random = Random(seed)
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._sequence = 0

    @abstractmethod
    def perform(self, effects: Effects) -> None:
        """Deliver what the service sends."""

    def at(self, when: float, action: Callable[[], object]) -> None:
        self._sequence += 1
        heappush(self._events, (when, self._sequence, action))

    def lost(self) -> bool:
        return self.random.random() < self.loss

    def carry(self, datagram: Datagram) -> None:
        """Bring a packet of a client to the service, unless it is lost."""
        if not self.lost():
            self.at(self.now + self.LATENCY, lambda: self.perform(self.service.receive(datagram, self.now)))

    def step(self, until: float) -> bool:
        """Let the next thing happen that happens before ``until``; False when there is none."""
        deadline = self.service.next_deadline()
        event = self._events[0][0] if self._events else until
        if min(event, until if deadline is None else deadline) >= until:
            return False
        if deadline is not None and deadline < event:
            self.now = max(self.now, deadline)
            self.perform(self.service.tick(self.now))
        else:
            self.now, _, action = heappop(self._events)
            action()
        return True

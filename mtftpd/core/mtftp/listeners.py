"""The clients of a carousel: where each is asked, and what it has said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from mtftpd.wire.datagram import Endpoint

MAX_LISTENERS = 4_096
"""Addresses of one group: 4,096 * ~300 bytes is 1.2 MiB; who opens beyond them is not asked, and goes to port 69."""
ASK_AGAIN = 0.06
"""Seconds until a question is repeated: three fit into the 0.25 s after which iPXE leaves."""
QUESTIONS = 12
"""In a row without an answer: 0.7 s, after which even a guest that gets no processor has left."""
UNICASTS = 60
"""Blocks that one client gets by unicast because it did not answer to the group: who hears nothing of it must leave."""
AT_ONCE = 64
"""Questions that leave together; with those of `BETWEEN` seconds later, 4,096 are asked in a third of a second."""
BETWEEN = 0.005


@dataclass(slots=True, eq=False)
class Listener:
    """One client; ``held`` blocks without a gap by its own word, -1 before it has said anything."""

    source: Endpoint
    held: int = -1
    asked_at: float = -inf
    due: float = inf
    questions: int = 0
    unicasts: int = 0
    repairs: int = 0

    def holds(self, number: int, now: float) -> bool:
        """Take its word; return whether it holds more than it did.  It is alive in any case."""
        progressed = number > self.held
        self.held = number
        self.questions = 0
        if self.due < inf:
            self.due = now + ASK_AGAIN
        return progressed

    def ask_at(self, when: float) -> None:
        """Ask it at ``when``."""
        self.due = when

    def begin_poll(self, now: float) -> None:
        """Ask it from now on."""
        self.questions = 0
        self.due = now

    def asked(self, now: float) -> None:
        """Take note that it was sent a block by unicast."""
        self.asked_at = now
        self.due = now + ASK_AGAIN


class Listeners:
    """All of one group, by address."""

    __slots__ = ("_by_address",)

    def __init__(self) -> None:
        self._by_address: dict[str, Listener] = {}

    def __len__(self) -> int:
        return len(self._by_address)

    def __iter__(self) -> Iterator[Listener]:
        return iter(self._by_address.values())

    def __contains__(self, address: str) -> bool:
        return address in self._by_address

    def at(self, source: Endpoint) -> Listener | None:
        """Return who has this very address and port, or None."""
        listener = self._by_address.get(source.address)
        return listener if listener is not None and listener.source == source else None

    def addresses(self) -> set[str]:
        """Return the addresses of all."""
        return set(self._by_address)

    def first(self) -> Listener:
        """Return who opened first."""
        return next(iter(self))

    def opened(self, source: Endpoint) -> tuple[Listener, bool]:
        """Take an open; return the listener, and whether it is new.  One that opens again has another port now."""
        listener = self._by_address.get(source.address)
        if listener is not None:
            listener.source = source
            return listener, False
        listener = Listener(source)
        if len(self._by_address) < MAX_LISTENERS:
            self._by_address[source.address] = listener
        return listener, True

    def remove(self, address: str) -> bool:
        """Forget who has ``address``; False when nobody has."""
        return self._by_address.pop(address, None) is not None

    def clear(self) -> None:
        """Forget all."""
        self._by_address.clear()

    def due(self, now: float) -> list[Listener]:
        """Return who is to be sent a block by unicast at ``now``; who was asked too often is forgotten instead."""
        asked: list[Listener] = []
        for listener in [each for each in self if each.due <= now]:
            if listener.questions >= QUESTIONS or listener.unicasts >= UNICASTS:
                del self._by_address[listener.source.address]
            elif len(asked) < AT_ONCE:
                listener.questions += 1
                listener.unicasts += 1
                listener.asked(now)
                asked.append(listener)
            else:
                listener.due = now + BETWEEN
        return asked

    def next_deadline(self) -> float:
        """Return when somebody is to be asked next."""
        return min((listener.due for listener in self), default=inf)

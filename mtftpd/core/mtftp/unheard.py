"""Clients that multicast does not reach: they take DATA 1 by unicast, and never acknowledge what goes to the group.

A switch that snoops without a querier does this to a network, and a ROM that follows PXE 2.1 figure 2-7 then opens
again and again, for ever: only silence to its opens sends it to port 69 (figure 2-6).  iPXE has no such way out and is
never counted here.
"""

from __future__ import annotations

TRIES = 2
"""Times that a client may fail in a row: the first may be due to a switch that was slow to let it into the group."""
WAITS = 8
"""How many times T a client is left alone: four ACKs without an answer, three opens without one, and one to spare."""
MAX_REMEMBERED = 1_024
"""Addresses remembered: 1,024 * ~150 bytes are 150 KiB; the oldest is forgotten first."""


class Unheard:
    """What is known of the clients of one group, by address."""

    __slots__ = ("_failures", "_until")

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def failed(self, address: str, now: float, wait: float) -> None:
        """Take note that a master fell silent before it acknowledged block 2; ``wait`` is T with its grace."""
        failures = self._failures.pop(address, 0) + 1
        if len(self._failures) == MAX_REMEMBERED:
            self.heard(next(iter(self._failures)))
        self._failures[address] = failures
        if failures >= TRIES:
            self._until[address] = now + WAITS * wait

    def heard(self, address: str) -> None:
        """Take note that a client has acknowledged what came to the group."""
        self._failures.pop(address, None)
        self._until.pop(address, None)

    def is_left_alone(self, address: str, now: float) -> bool:
        """Return whether an open of this client must not be answered."""
        return bool(self._until) and self._until.get(address, now) > now

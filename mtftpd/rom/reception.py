"""What the DHCP client of a ROM with a bad receiver sees when a datagram arrives: it, an earlier one, or nothing."""

from __future__ import annotations

from math import inf
from typing import Final

from mtftpd.quirks.vocabulary import Mutation
from mtftpd.wire.datagram import Datagram

DEAF_SECONDS: Final = 1.0
"""For so long after its DISCOVER a ROM in no hurry hears nothing (quirk Q41)."""


class Reception:
    """The receiver of a ROM with ``faults``."""

    def __init__(self, faults: frozenset[Mutation]) -> None:
        self._faults = faults
        self._asked_at = -inf
        self._stuck: Datagram | None = None

    def asked(self, now: float) -> None:
        """Take note of a DISCOVER."""
        self._asked_at = now

    def hear(self, datagram: Datagram, now: float) -> Datagram | None:
        """Return what the ROM sees when ``datagram`` arrives."""
        if Mutation.DEAF_AFTER_SEND in self._faults and now - self._asked_at < DEAF_SECONDS:
            return None
        if Mutation.NEEDS_TRAFFIC not in self._faults:
            return datagram
        seen, self._stuck = self._stuck, datagram
        return seen

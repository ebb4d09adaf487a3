"""Where packets wait: the transmitter of a switch port, and the receive ring of a ROM that polls it."""

from __future__ import annotations

from typing import Final

ETHERNET_OVERHEAD: Final = 14 + 4 + 20 + 8
"""Octets around a UDP payload in a frame: Ethernet header and FCS, IPv4, UDP."""
GAP_AND_PREAMBLE: Final = 12 + 8
"""Octets of time that every frame takes beside its own (IEEE 802.3)."""
SHORTEST_FRAME: Final = 64


def wire_octets(payload: int) -> int:
    """Return the octets of time that a datagram with ``payload`` octets takes on an Ethernet."""
    return max(payload + ETHERNET_OVERHEAD, SHORTEST_FRAME) + GAP_AND_PREAMBLE


BLOCK_SIZE: Final = 512
"""Octets of a block of MTFTP."""
BLOCK_OCTETS: Final = wire_octets(BLOCK_SIZE + 4)


class Port:
    """A transmitter of ``rate`` bit/s with room for ``queue`` octets; rate 0 is a wire that takes no time."""

    __slots__ = ("dropped", "free_at", "latency", "per_octet", "queue")

    def __init__(self, rate: float, queue: float, latency: float = 0.0) -> None:
        self.per_octet = 8.0 / rate if rate else 0.0
        self.queue = queue
        self.latency = latency
        self.free_at = 0.0
        self.dropped = 0

    def send(self, when: float, octets: int) -> float:
        """Take a frame at ``when``; return when its end is at the other side, or -1 when there was no room."""
        start = self.free_at
        if start <= when:
            start = when
        elif start - when + octets * self.per_octet > self.queue * self.per_octet:
            self.dropped += 1
            return -1.0
        self.free_at = start + octets * self.per_octet
        return self.free_at + self.latency


class Ring:
    """The receiver of a ROM: takes a packet every ``service`` seconds, and keeps ``size`` waiting."""

    __slots__ = ("busy_until", "dropped", "room", "service")

    def __init__(self, service: float, size: int) -> None:
        self.service = service
        self.room = size * service
        self.busy_until = 0.0
        self.dropped = 0

    def take(self, arrival: float, others: float = 0.0) -> float:
        """Return when a packet that arrived has been read, or -1 when the ring was full.

        ``others`` is how long the ROM is busy with what is not for it: broadcasts to other nodes.
        """
        start = max(self.busy_until, arrival + others)
        if start - arrival >= self.room:
            self.dropped += 1
            return -1.0
        self.busy_until = start + self.service
        return self.busy_until


class Flood:
    """What broadcasts to others cost every ROM of a segment: the same for all, so it is counted once."""

    __slots__ = ("_busy_until", "_longest", "_service")

    def __init__(self, service: float, size: int) -> None:
        self._service = service
        self._longest = size * service
        self._busy_until = 0.0

    def add(self, when: float) -> None:
        """Take one broadcast; those that a ring has no room for cost nothing."""
        self._busy_until = min(max(self._busy_until, when) + self._service, when + self._longest)

    def backlog(self, when: float) -> float:
        """Return for how many seconds a ROM is busy with broadcasts at ``when``."""
        return max(0.0, self._busy_until - when)

"""What datagrams take of an Ethernet, and what kinds of link there are: how much of one may be used, in what bursts.

Everything is octets of time on the wire, so that a budget in bit/s means what a meter on the cable shows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

ETHERNET: Final = 14 + 4
"""Header and frame check sequence (IEEE 802.3)."""
PREAMBLE_AND_GAP: Final = 8 + 12
IPV4: Final = 20
UDP: Final = 8
DATA_HEADER: Final = 4
SHORTEST_FRAME: Final = 64

FULL_DUPLEX_SHARE: Final = 0.8
"""Of a link that nobody sends on against us: the rest is for ARP, IGMP, the systems that run already, and bursts."""
HALF_DUPLEX_SHARE: Final = 0.6
"""Of a shared medium: an ACK of 84 octets for each block of 582 takes 13 %, collisions more (quirk Q76)."""
FULL_DUPLEX_BURST: Final = 1e-3
"""Seconds of the budget that may leave at once: the grain of the timers before Linux had better ones."""
HALF_DUPLEX_BURST: Final = 0.25e-3
"""On a hub nobody else gets through meanwhile; at 60 Mbit/s these are 3 blocks of 512 octets."""
CATCH_UP: Final = 1e-3
"""Seconds of a late wake-up that are made up for; the rest of a longer pause is lost, not sent in a heap."""
BUFFER_SHARE: Final = 16 * 1024
"""Octets in one burst: a quarter of the 64 KiB that a port of a small switch holds, whose nodes may be slower than us.
With as much again to catch up, half of it."""
FAST_BUFFER_SHARE: Final = 64 * 1024
"""The same from 10 Gbit/s on, where ports hold megabytes: one system call's worth of segments (UDP_SEGMENT)."""
FAST: Final = 10e9


def wire_octets(payload: int) -> int:
    """Return the octets of time of a UDP datagram with ``payload`` octets that is not fragmented."""
    return max(payload + UDP + IPV4 + ETHERNET, SHORTEST_FRAME) + PREAMBLE_AND_GAP


def block_octets(block_size: int) -> int:
    """Return the octets of time of a DATA packet with a full block: 582 for MTFTP's 512."""
    return wire_octets(DATA_HEADER + block_size)


@dataclass(frozen=True, slots=True)
class LinkKind:
    """A kind of link: its ``speed`` in bit/s, and whether both sides share one medium."""

    name: str
    speed: float
    half_duplex: bool = False

    @property
    def default_rate(self) -> float:
        """The budget in bit/s, when nobody said another one."""
        return self.speed * (HALF_DUPLEX_SHARE if self.half_duplex else FULL_DUPLEX_SHARE)

    def burst(self, rate: float, mtu: int) -> int:
        """Return the octets that may leave back to back with a budget of ``rate`` bit/s: at least one frame."""
        seconds = HALF_DUPLEX_BURST if self.half_duplex else FULL_DUPLEX_BURST
        room = FAST_BUFFER_SHARE if self.speed >= FAST else BUFFER_SHARE
        return max(min(int(rate / 8 * seconds), room), mtu + ETHERNET + PREAMBLE_AND_GAP)


LINKS: Final = {
    kind.name: kind
    for kind in (
        LinkKind("hub-10", 10e6, half_duplex=True),
        LinkKind("hub-100", 100e6, half_duplex=True),
        LinkKind("switch-10", 10e6),
        LinkKind("switch-100", 100e6),
        LinkKind("switch-1g", 1e9),
        LinkKind("switch-10g", 10e9),
    )
}
"""The links that have a name, for ``--link``: the slowest that all nodes are on, which may not be the server's own."""


_RATE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([kMG])")
_UNITS: Final = {"k": 1e3, "M": 1e6, "G": 1e9}
SLOWEST_RATE: Final = 1e6
"""bit/s: below it, a block of 1,468 octets takes longer than the 10 ms that half a retransmission timer has."""


def read_rate(text: str) -> float:
    """Return a rate in bit/s from text such as ``20M`` or ``1.5G``, 0 for ``none``; raises ValueError."""
    if text == "none":
        return 0.0
    found = _RATE.fullmatch(text)
    rate = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if rate < SLOWEST_RATE:
        raise ValueError("is not a rate; give bits a second, at least 1M, such as 80M or 1.5G, or none for no limit")
    return rate


def link_of(speed: float, *, half_duplex: bool) -> LinkKind:
    """Return the kind of a link by what its interface reports: ``speed`` in bit/s."""
    return LinkKind("half-duplex" if half_duplex else "full-duplex", speed, half_duplex)


def link_named(name: str) -> LinkKind:
    """Return the kind of a link by its name; raises ValueError."""
    kind = LINKS.get(name)
    if kind is None:
        raise ValueError(f"is no kind of link; give one of {', '.join(LINKS)}")
    return kind

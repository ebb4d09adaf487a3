"""What the clinic asks of its shell; performed in order."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from mtftpd.wire.datagram import Endpoint, HardwareAddress

DHCP_SERVER: Final = 67
DHCP_CLIENT: Final = 68
PXE: Final = 4011
TFTP: Final = 69
IPXE: Final = 1759
"""Where iPXE opens when its boot file is an mtftp URI that names no port."""
PALINDROMES: Final = (1799, 1542)
"""Ports of client and server in tags 2 and 3 that are the same in both orders of their octets."""
SWAPPABLE: Final = (1758, 1757)
"""Ports that are not; 1759 is iPXE's."""
OTHER: Final = 51_069
"""The port that is not the one that a client expects."""
IPXE_GROUP: Final = Endpoint("239.255.1.1", 3001)
GROUP: Final = IPv4Address("239.255.1.2")


def swapped(port: int) -> int:
    """Return ``port`` with its octets in the other order."""
    return int.from_bytes(port.to_bytes(2, "big"), "little")


LISTENS: Final = (
    DHCP_SERVER, PXE, TFTP, PALINDROMES[1], SWAPPABLE[1], swapped(SWAPPABLE[1]), IPXE, OTHER,
)  # fmt: skip
"""All ports that the shell opens."""

GROUP_PORTS: Final = frozenset({PALINDROMES[1], SWAPPABLE[1], swapped(SWAPPABLE[1]), IPXE})


class Send(NamedTuple):
    """Send one datagram from our port ``port``; with ``hardware`` in a frame to that address, without asking ARP."""

    port: int
    destination: Endpoint
    data: bytes
    hardware: HardwareAddress | None = None


class AskArp(NamedTuple):
    """Ask everybody on the link who has ``address``; the answers go to `Examination.hear_arp`."""

    address: str


class Say(NamedTuple):
    """Tell the operator."""

    text: str


class Save(NamedTuple):
    """The chart has changed: write it down."""


class Discharge(NamedTuple):
    """Everything has been tried."""


Effect = Send | AskArp | Say | Save | Discharge
Effects = tuple[Effect, ...]


class Shot(NamedTuple):
    """A datagram that leaves ``after`` so many seconds."""

    after: float
    port: int
    destination: Endpoint
    data: bytes


Shots = list[Shot]


@dataclass(frozen=True, slots=True)
class Practice:
    """Where the clinic is: its address, its network, and the addresses that it gives out, at least two."""

    address: IPv4Address
    prefix: int
    addresses: tuple[IPv4Address, ...]
    boot_file: bytes = b"nbp"

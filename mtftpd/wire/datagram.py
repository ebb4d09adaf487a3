"""The one shape in which UDP payloads travel between the shell, the simulator and the machines."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address
from typing import NamedTuple

MAX_REMEMBERED = 16_384
"""Addresses that are made once, those of a storm: 16,384 * ~250 octets are 4 MB."""


class Endpoint(NamedTuple):
    """An IPv4 address in dotted-quad text and a UDP port: equal to the pairs that ``socket`` uses."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@lru_cache(MAX_REMEMBERED)
def ipv4(octets: bytes) -> IPv4Address:
    """Return the address in four octets; making a new one for each message that names it costs 1 us."""
    return IPv4Address(octets)


def dotted(address: IPv4Address) -> str:
    """Return ``str(address)`` in a third of the time."""
    a, b, c, d = address.packed
    return f"{a}.{b}.{c}.{d}"


class HardwareAddress(NamedTuple):
    """A link-layer address as DHCP carries it: hardware type (1 is Ethernet) and ``hlen`` octets."""

    htype: int
    octets: bytes

    def __str__(self) -> str:
        text = self.octets.hex(":") or "-"
        return text if self.htype == 1 else f"{self.htype}/{text}"


class Datagram(NamedTuple):
    """A UDP payload that arrived.

    ``socket`` is the number of the socket that it came in on (see ``mtftpd.core.effects``); ``source`` is who sent
    it; ``destination`` is the address that it was sent to, which tells a broadcast from a unicast.
    """

    socket: int
    source: Endpoint
    destination: Endpoint
    data: bytes

"""UDP over IPv4: RFC 768."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from struct import Struct as Layout
from typing import Final

from construct import GreedyBytes, Int16ub, Struct

from mtftpd.errors import Malformed
from mtftpd.wire.checksum import internet_checksum
from mtftpd.wire.ipv4 import Protocol

HEADER_SIZE: Final = 8
MAX_PAYLOAD: Final = 0xFFFF - 20 - HEADER_SIZE
"""65,507 octets: an IPv4 packet of 65,535 less its header and ours."""

SEGMENT = Struct(
    "source_port" / Int16ub,
    "destination_port" / Int16ub,
    "length" / Int16ub,
    "checksum" / Int16ub,
    "payload" / GreedyBytes,
)
"""The payload is what follows: ``length`` (header included) says how much of it is not padding."""

_HEADER: Final = Layout("!HHHH")
_PSEUDO_HEADER: Final = Layout("!4s4sBBH")


@dataclass(frozen=True, slots=True)
class Segment:
    """A UDP payload with its ports."""

    source_port: int
    destination_port: int
    payload: bytes


def parse_untrusted(data: bytes, source: IPv4Address, destination: IPv4Address, *, verify: bool = True) -> Segment:
    """Return the segment in an IPv4 payload; raises `Malformed` and nothing else.

    ``verify`` looks at the checksum (0 means that the sender made none); frames captured on the machine that sends
    them have none yet when the network card makes it.
    """
    if len(data) < HEADER_SIZE:
        raise Malformed("a UDP segment is cut short in its header", len(data))
    source_port, destination_port, length, checksum = _HEADER.unpack_from(data)
    if length < HEADER_SIZE:
        raise Malformed("the UDP length is less than the header", 4)
    if len(data) < length:
        raise Malformed(f"a UDP segment of {length} octets is cut short", len(data))
    if verify and checksum and internet_checksum(_pseudo_header(source, destination, length) + data[:length]):
        raise Malformed("the UDP checksum is wrong", 6)
    return Segment(source_port, destination_port, data[HEADER_SIZE:length])


def is_checksum_unfinished(data: bytes, source: IPv4Address, destination: IPv4Address) -> bool:
    """Return whether the checksum covers the pseudo header only: Linux leaves the rest to the network card.

    That is what a capture on the sending machine shows.  Cannot fail.
    """
    length = int.from_bytes(data[4:6], "big")
    return int.from_bytes(data[6:8], "big") == 0xFFFF - internet_checksum(_pseudo_header(source, destination, length))


def build(segment: Segment, source: IPv4Address, destination: IPv4Address) -> bytes:
    """Return the octets with their checksum; raises ValueError for a port or a payload that does not fit."""
    if not (0 <= segment.source_port <= 0xFFFF and 0 <= segment.destination_port <= 0xFFFF):
        raise ValueError("a port does not fit 16 bits")
    if len(segment.payload) > MAX_PAYLOAD:
        raise ValueError(f"UDP cannot carry {len(segment.payload)} octets, only {MAX_PAYLOAD}")
    length = HEADER_SIZE + len(segment.payload)
    unsummed = _HEADER.pack(segment.source_port, segment.destination_port, length, 0) + segment.payload
    checksum = internet_checksum(_pseudo_header(source, destination, length) + unsummed)
    # 0 on the wire means "none", so a sum that comes out as 0 is sent as its other form.
    return unsummed[:6] + (checksum or 0xFFFF).to_bytes(2, "big") + unsummed[8:]


def _pseudo_header(source: IPv4Address, destination: IPv4Address, length: int) -> bytes:
    return _PSEUDO_HEADER.pack(source.packed, destination.packed, 0, Protocol.UDP, length)

"""IPv4 packets: RFC 791.  Fragments are recognised, never put together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from struct import Struct as Layout
from typing import Final

from construct import BitsInteger, BitStruct, Bytes, Flag, GreedyBytes, Int8ub, Int16ub, Struct

from mtftpd.errors import Malformed
from mtftpd.wire.checksum import internet_checksum

HEADER_SIZE: Final = 20
MAX_SIZE: Final = 0xFFFF
ROUTER_ALERT: Final = b"\x94\x04\x00\x00"
"""RFC 2113: the option that IGMP messages carry."""


class Protocol(IntEnum):
    """The protocol numbers of the IANA registry that are met on a boot network."""

    ICMP = 1
    IGMP = 2
    TCP = 6
    UDP = 17


PACKET = Struct(
    "first" / BitStruct("version" / BitsInteger(4), "header_words" / BitsInteger(4)),
    "service" / Int8ub,
    "total_length" / Int16ub,
    "identification" / Int16ub,
    "fragment"
    / BitStruct("reserved" / Flag, "dont_fragment" / Flag, "more_fragments" / Flag, "offset" / BitsInteger(13)),
    "ttl" / Int8ub,
    "protocol" / Int8ub,
    "checksum" / Int16ub,
    "source" / Bytes(4),
    "destination" / Bytes(4),
    "options" / Bytes(lambda packet: max(0, 4 * packet.first.header_words - HEADER_SIZE)),
    "payload" / GreedyBytes,
)
"""The payload is what follows: ``total_length`` says how much of it is not padding."""

_HEADER: Final = Layout("!BBHHHBBH4s4s")
_DONT_FRAGMENT: Final = 0x4000
_MORE_FRAGMENTS: Final = 0x2000


@dataclass(frozen=True, slots=True)
class Packet:
    """``options`` are the raw octets, ``fragment_offset`` is in units of 8 octets, ``service`` is the DS field."""

    source: IPv4Address
    destination: IPv4Address
    protocol: int
    payload: bytes
    ttl: int = 64
    identification: int = 0
    service: int = 0
    dont_fragment: bool = False
    more_fragments: bool = False
    fragment_offset: int = 0
    options: bytes = b""

    @property
    def is_fragment(self) -> bool:
        """Whether the payload is a part only."""
        return self.more_fragments or self.fragment_offset > 0


def parse_untrusted(data: bytes, *, verify: bool = True) -> Packet:
    """Return the packet, without what follows its total length; raises `Malformed` and nothing else.

    ``verify`` looks at the header checksum.
    """
    if len(data) < HEADER_SIZE:
        raise Malformed("an IPv4 packet is cut short in its header", len(data))
    first, service, total, identification, fragment, ttl, protocol, _, source, destination = _HEADER.unpack_from(data)
    size = 4 * (first & 0x0F)
    if first >> 4 != 4:
        raise Malformed(f"IP version {first >> 4} is not 4", 0)
    if size < HEADER_SIZE:
        raise Malformed(f"an IPv4 header cannot have {size} octets", 0)
    if total < size:
        raise Malformed("the IPv4 total length is less than the header", 2)
    if len(data) < total:
        raise Malformed(f"an IPv4 packet of {total} octets is cut short", len(data))
    if verify and internet_checksum(data[:size]):
        raise Malformed("the IPv4 header checksum is wrong", 10)
    return Packet(
        source=IPv4Address(source),
        destination=IPv4Address(destination),
        protocol=protocol,
        payload=data[size:total],
        ttl=ttl,
        identification=identification,
        service=service,
        dont_fragment=bool(fragment & _DONT_FRAGMENT),
        more_fragments=bool(fragment & _MORE_FRAGMENTS),
        fragment_offset=fragment & 0x1FFF,
        options=data[HEADER_SIZE:size],
    )


def build(packet: Packet) -> bytes:
    """Return the octets with their checksum; raises ValueError for a field that does not fit."""
    size = HEADER_SIZE + len(packet.options)
    total = size + len(packet.payload)
    if size % 4 or size > 60:
        raise ValueError("IPv4 options are up to ten words of 4 octets")
    if total > MAX_SIZE:
        raise ValueError(f"an IPv4 packet cannot have {total} octets")
    if not all(0 <= octet <= 0xFF for octet in (packet.ttl, packet.protocol, packet.service)):
        raise ValueError("the TTL, protocol or service does not fit 8 bits")
    if not 0 <= packet.identification <= 0xFFFF or not 0 <= packet.fragment_offset <= 0x1FFF:
        raise ValueError("the identification or fragment offset does not fit its field")
    fragment = packet.fragment_offset
    fragment |= _DONT_FRAGMENT * packet.dont_fragment | _MORE_FRAGMENTS * packet.more_fragments
    header = _HEADER.pack(
        0x40 | size // 4,
        packet.service,
        total,
        packet.identification,
        fragment,
        packet.ttl,
        packet.protocol,
        0,
        packet.source.packed,
        packet.destination.packed,
    )
    checksum = internet_checksum(header + packet.options)
    return header[:10] + checksum.to_bytes(2, "big") + header[12:] + packet.options + packet.payload

"""Ethernet II frames with IEEE 802.1Q tags, and the group addresses of RFC 1112 section 6.4."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from struct import Struct as Layout
from typing import Final

from construct import Bytes, Computed, GreedyBytes, IfThenElse, Int16ub, Struct

from mtftpd.errors import Malformed

HEADER_SIZE: Final = 14
ADDRESS_SIZE: Final = 6
BROADCAST: Final = b"\xff" * ADDRESS_SIZE

MAX_TAGS: Final = 4
"""802.1Q inside 802.1ad is two; four tags are 16 octets of header to look at, at most."""


class EtherType(IntEnum):
    """The EtherTypes of the IEEE registry that are met on a boot network."""

    IPV4 = 0x0800
    ARP = 0x0806
    VLAN = 0x8100
    IPV6 = 0x86DD
    PROVIDER_VLAN = 0x88A8


_TAG_TYPES: Final = frozenset({EtherType.VLAN, EtherType.PROVIDER_VLAN})

HEADER = Struct("destination" / Bytes(ADDRESS_SIZE), "source" / Bytes(ADDRESS_SIZE), "type" / Int16ub)
TAG = Struct("control" / Int16ub, "type" / Int16ub)
"""What follows a type of 0x8100 or 0x88A8: the control word, then the next type."""


def _tagged(context: object) -> bool:
    return getattr(context, "type", 0) in _TAG_TYPES


FRAME = Struct(
    "destination" / Bytes(ADDRESS_SIZE),
    "source" / Bytes(ADDRESS_SIZE),
    "type" / Int16ub,
    "tag" / IfThenElse(_tagged, TAG, Computed(None)),
    "payload" / GreedyBytes,
)
"""A frame with no tag or one; a second tag is the start of the payload."""

_HEADER: Final = Layout("!6s6sH")
_TAG: Final = Layout("!HH")


@dataclass(frozen=True, slots=True)
class Tag:
    """An 802.1Q tag: its own EtherType and the control word (priority 3 bits, DEI 1 bit, VLAN identifier 12 bits)."""

    type: int
    control: int

    @property
    def vlan(self) -> int:
        """The VLAN identifier; 0 for a priority tag."""
        return self.control & 0x0FFF


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame without preamble and check sequence; a short ``payload`` may have padding behind it.

    ``type`` is that of the payload, below 0x0600 the length of an IEEE 802.3 frame; addresses are 6 octets.
    """

    destination: bytes
    source: bytes
    type: int
    payload: bytes
    tags: tuple[Tag, ...] = ()


def parse_untrusted(data: bytes) -> Frame:
    """Return the frame; raises `Malformed` and nothing else."""
    if len(data) < HEADER_SIZE:
        raise Malformed("an Ethernet frame is cut short in its header", len(data))
    destination, source, kind = _HEADER.unpack_from(data)
    at = HEADER_SIZE
    tags: list[Tag] = []
    while kind in _TAG_TYPES:
        if len(tags) == MAX_TAGS:
            raise Malformed(f"an Ethernet frame has more than {MAX_TAGS} tags", at)
        if len(data) < at + _TAG.size:
            raise Malformed("an Ethernet frame is cut short in a tag", len(data))
        control, inner = _TAG.unpack_from(data, at)
        tags.append(Tag(kind, control))
        kind, at = inner, at + _TAG.size
    return Frame(destination, source, kind, data[at:], tuple(tags))


def build(frame: Frame) -> bytes:
    """Return the octets, unpadded (the driver pads to 60); raises ValueError for a field that does not fit."""
    if len(frame.destination) != ADDRESS_SIZE or len(frame.source) != ADDRESS_SIZE:
        raise ValueError("an Ethernet address has 6 octets")
    words = [word for tag in frame.tags for word in (tag.type, tag.control)] + [frame.type]
    if not all(0 <= word <= 0xFFFF for word in words):
        raise ValueError("a type or tag does not fit 16 bits")
    header = b"".join(word.to_bytes(2, "big") for word in words)
    return frame.destination + frame.source + header + frame.payload


def group_address(group: IPv4Address) -> bytes:
    """Return the Ethernet address of a multicast group: 01:00:5e and its low 23 bits (RFC 1112 section 6.4)."""
    if not group.is_multicast:
        raise ValueError(f"{group} is not a multicast address")
    return bytes((0x01, 0x00, 0x5E, group.packed[1] & 0x7F)) + group.packed[2:]

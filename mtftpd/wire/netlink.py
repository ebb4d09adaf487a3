"""rtnetlink messages for neighbours and links: RFC 3549, rtnetlink(7), and linux/{netlink,rtnetlink,neighbour}.h.

Everything is in the byte order of the machine; messages and attributes are aligned to 4 octets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from ipaddress import IPv4Address, IPv6Address
from struct import Struct as Layout
from typing import Final

from construct import Int8un, Int16un, Int32sn, Int32un, Padding, Struct

from mtftpd.errors import Malformed
from mtftpd.wire import schema

INET: Final = 2
INET6: Final = 10

MAX_SIZE: Final = 1 << 20
"""One read of a netlink socket; the kernel fills 32 KiB at most.  1 MiB is 65,536 empty messages, 0.3 s to read."""


class MessageType(IntEnum):
    """linux/netlink.h and linux/rtnetlink.h; others are kept as numbers."""

    NOOP = 1
    ERROR = 2
    DONE = 3
    OVERRUN = 4
    NEWLINK = 16
    DELLINK = 17
    GETLINK = 18
    NEWNEIGH = 28
    DELNEIGH = 29
    GETNEIGH = 30


class Flag(IntFlag):
    """``NLM_F_*``: those of GET and of NEW share their bits."""

    REQUEST = 0x1
    MULTI = 0x2
    ACK = 0x4
    DUMP = 0x300
    REPLACE = 0x100
    EXCLUSIVE = 0x200
    CREATE = 0x400


class NeighbourState(IntFlag):
    """``NUD_*``."""

    NONE = 0
    INCOMPLETE = 0x01
    REACHABLE = 0x02
    STALE = 0x04
    DELAY = 0x08
    PROBE = 0x10
    FAILED = 0x20
    NOARP = 0x40
    PERMANENT = 0x80


class _NeighbourAttribute(IntEnum):
    DESTINATION = 1
    HARDWARE = 2


class _LinkAttribute(IntEnum):
    ADDRESS = 1
    NAME = 3
    MTU = 4
    STATE = 16


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An entry of the neighbour table (``ndmsg``); in a dump request only ``family`` counts."""

    index: int = 0
    address: IPv4Address | IPv6Address | None = None
    hardware: bytes = b""
    state: int = NeighbourState.NONE
    flags: int = 0
    family: int = INET


@dataclass(frozen=True, slots=True)
class Link:
    """An interface (``ifinfomsg``): ``flags`` are ``IFF_*``, ``state`` the operational state of RFC 2863 (6 is up)."""

    index: int = 0
    name: str = ""
    flags: int = 0
    device_type: int = 0
    hardware: bytes = b""
    mtu: int | None = None
    state: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The body of ERROR and DONE: 0 for success, else the positive ``errno``."""

    errno: int


Body = Neighbour | Link | Outcome | bytes


@dataclass(frozen=True, slots=True)
class Message:
    """One netlink message; ``body`` is raw octets for the types that are not in `MessageType`."""

    type: int
    body: Body
    flags: int = 0
    sequence: int = 0
    port: int = 0


HEADER = Struct("length" / Int32un, "type" / Int16un, "flags" / Int16un, "sequence" / Int32un, "port" / Int32un)
NEIGHBOUR = Struct(
    "family" / Int8un, Padding(3), "index" / Int32sn, "state" / Int16un, "flags" / Int8un, "type" / Int8un
)
LINK = Struct(
    "family" / Int8un,
    Padding(1),
    "device_type" / Int16un,
    "index" / Int32sn,
    "flags" / Int32un,
    "change" / Int32un,
)
OUTCOME = Struct("code" / Int32sn)

_HEADER: Final = Layout("=IHHII")
_ATTRIBUTE: Final = Layout("=HH")
_NEIGHBOUR_SIZE: Final = 12
_LINK_SIZE: Final = 16
_TYPE_MASK: Final = 0x3FFF
"""The two high bits of an attribute type say nested and network byte order."""

_NEIGHBOURS: Final = (MessageType.NEWNEIGH, MessageType.DELNEIGH, MessageType.GETNEIGH)
_LINKS: Final = (MessageType.NEWLINK, MessageType.DELLINK, MessageType.GETLINK)
_OUTCOMES: Final = (MessageType.ERROR, MessageType.DONE)


def parse_untrusted(data: bytes) -> tuple[Message, ...]:
    """Return the messages of one read from a netlink socket; raises `Malformed` and nothing else."""
    if len(data) > MAX_SIZE:
        raise Malformed(f"more than {MAX_SIZE} octets of netlink messages", MAX_SIZE)
    return tuple(_messages(data))


def _messages(data: bytes) -> Iterator[Message]:
    at = 0
    while at < len(data):
        if len(data) - at < _HEADER.size:
            raise Malformed("a netlink message is cut short in its header", len(data))
        length, kind, flags, sequence, port = _HEADER.unpack_from(data, at)
        if not _HEADER.size <= length <= len(data) - at:
            raise Malformed("the length of a netlink message is wrong", at)
        yield Message(kind, _body(kind, data[at + _HEADER.size : at + length]), flags, sequence, port)
        at += _aligned(length)


def _body(kind: int, data: bytes) -> Body:
    if kind in _NEIGHBOURS:
        return _neighbour(data)
    if kind in _LINKS:
        return _link(data)
    if kind in _OUTCOMES:
        return Outcome(abs(schema.parse(OUTCOME, data, "netlink result").code))
    return data


def _neighbour(data: bytes) -> Neighbour:
    head = schema.parse(NEIGHBOUR, data, "neighbour message")
    values = dict(_attributes(data[_NEIGHBOUR_SIZE:]))
    octets = values.get(_NeighbourAttribute.DESTINATION, b"")
    address: IPv4Address | IPv6Address | None = None
    if head.family == INET and len(octets) == 4:
        address = IPv4Address(octets)
    elif head.family == INET6 and len(octets) == 16:
        address = IPv6Address(octets)
    elif octets and head.family in (INET, INET6):
        raise Malformed(f"a neighbour has an address of {len(octets)} octets")
    hardware = values.get(_NeighbourAttribute.HARDWARE, b"")
    return Neighbour(head.index, address, hardware, head.state, head.flags, head.family)


def _link(data: bytes) -> Link:
    head = schema.parse(LINK, data, "link message")
    values = dict(_attributes(data[_LINK_SIZE:]))
    return Link(
        index=head.index,
        name=values.get(_LinkAttribute.NAME, b"").rstrip(b"\0").decode("latin-1"),
        flags=head.flags,
        device_type=head.device_type,
        hardware=values.get(_LinkAttribute.ADDRESS, b""),
        mtu=_native(values.get(_LinkAttribute.MTU), 4),
        state=_native(values.get(_LinkAttribute.STATE), 1),
    )


def _native(octets: bytes | None, size: int) -> int | None:
    if octets is None or len(octets) != size:
        return None
    layout = Int32un if size == 4 else Int8un
    return int(layout.parse(octets))


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, value) of every attribute; the last one wins where a type comes twice, as in the kernel."""
    at = 0
    while at < len(data):
        if len(data) - at < _ATTRIBUTE.size:
            raise Malformed("a netlink attribute is cut short in its header")
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if not _ATTRIBUTE.size <= length <= len(data) - at:
            raise Malformed("the length of a netlink attribute is wrong")
        yield kind & _TYPE_MASK, data[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def build(message: Message) -> bytes:
    """Return the octets, padded to 4; raises ValueError for a field that does not fit."""
    for number, bits in ((message.type, 16), (message.flags, 16), (message.sequence, 32), (message.port, 32)):
        _check(number, bits)
    body = _build_body(message.body)
    length = _HEADER.size + len(body)
    header = _HEADER.pack(length, message.type, message.flags, message.sequence, message.port)
    return header + body + bytes(_aligned(length) - length)


def _build_body(body: Body) -> bytes:
    match body:
        case Neighbour():
            return _build_neighbour(body)
        case Link():
            return _build_link(body)
        case Outcome(errno):
            _check(errno, 31)
            return bytes(OUTCOME.build({"code": -errno}))
        case _:
            return body


def _build_neighbour(neighbour: Neighbour) -> bytes:
    for number, bits in (
        (neighbour.index, 31),
        (neighbour.state, 16),
        (neighbour.flags, 8),
        (neighbour.family, 8),
    ):
        _check(number, bits)
    head = {
        "family": neighbour.family,
        "index": neighbour.index,
        "state": neighbour.state,
        "flags": neighbour.flags,
        "type": 0,
    }
    address = neighbour.address.packed if neighbour.address is not None else b""
    return (
        bytes(NEIGHBOUR.build(head))
        + _attribute(_NeighbourAttribute.DESTINATION, address)
        + _attribute(_NeighbourAttribute.HARDWARE, neighbour.hardware)
    )


def _build_link(link: Link) -> bytes:
    for number, bits in ((link.index, 31), (link.flags, 32), (link.device_type, 16), (link.mtu or 0, 32)):
        _check(number, bits)
    _check(link.state or 0, 8)
    head = {
        "family": 0,
        "device_type": link.device_type,
        "index": link.index,
        "flags": link.flags,
        "change": 0,
    }
    name = link.name.encode("latin-1") + b"\0" if link.name else b""
    return (
        bytes(LINK.build(head))
        + _attribute(_LinkAttribute.ADDRESS, link.hardware)
        + _attribute(_LinkAttribute.NAME, name)
        + _attribute(_LinkAttribute.MTU, b"" if link.mtu is None else bytes(Int32un.build(link.mtu)))
        + _attribute(_LinkAttribute.STATE, b"" if link.state is None else bytes((link.state,)))
    )


def _attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute; an empty value is left out."""
    if not value:
        return b""
    length = _ATTRIBUTE.size + len(value)
    _check(length, 16)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_aligned(length) - length)


def _check(number: int, bits: int) -> None:
    if not 0 <= number < 1 << bits:
        raise ValueError(f"{number} does not fit {bits} bits")

"""The blocks of a pcapng capture: values, schemas, readers of one block, and the builders.

Source: draft-ietf-opsawg-pcapng sections 3 (format) and 4 (SHB, IDB, SPB, EPB, ISB).  Whole files are read by
`mtftpd.wire.captures`.  Times are integers: nanoseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct as Layout
from typing import Final, Literal, NamedTuple

from construct import (
    Bytes,
    ExprAdapter,
    GreedyBytes,
    Int16ub,
    Int16ul,
    Int32ub,
    Int32ul,
    Int64sb,
    Int64sl,
    Padding,
    Struct,
    this,
)

from mtftpd.errors import Malformed
from mtftpd.wire import schema

Order = Literal["<", ">"]
"""The byte order of a section, in the notation of ``struct``."""

NANOSECONDS: Final = 1_000_000_000
BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D

MAX_OPTION: Final = 0xFFFF
MAX_OPTIONS: Final = 256
"""Options of one block that are read: 256 x 0.5 us is 0.13 ms."""

MAX_NAME: Final = 255
"""Characters of an interface name that are kept: 1,024 interfaces of 1 KiB are 1 MiB."""


class BlockType(IntEnum):
    """Section 11.1 of the draft; others are skipped."""

    INTERFACE = 1
    SIMPLE = 3
    STATISTICS = 5
    ENHANCED = 6
    SECTION = 0x0A0D0D0A


OPTION_END: Final = 0
OPTION_COMMENT: Final = 1
SECTION_APPLICATION: Final = 4
INTERFACE_NAME: Final = 2
INTERFACE_RESOLUTION: Final = 9
INTERFACE_OFFSET: Final = 14
PACKET_FLAGS: Final = 2
STATISTICS_RECEIVED: Final = 4
STATISTICS_DROPPED: Final = 5
"""Option codes: the first two in any block, the others in the block that they are named for (sections 3.5, 4.1-4.6)."""


class LinkType(IntEnum):
    """The link types of the tcpdump registry that we can take apart."""

    NULL = 0
    ETHERNET = 1
    RAW = 101
    LINUX_COOKED = 113
    IPV4 = 228
    LINUX_COOKED_2 = 276


class Direction(IntEnum):
    """The two low bits of the packet flags (section 4.3.1)."""

    UNKNOWN = 0
    INBOUND = 1
    OUTBOUND = 2


@dataclass(frozen=True, slots=True)
class Interface:
    """Where packets were captured; ``snap_length`` 0 is no limit, ``offset`` is added to times, in seconds."""

    link_type: int = LinkType.ETHERNET
    name: str = ""
    snap_length: int = 0
    ticks_per_second: int = 1_000_000
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Captured:
    """A packet: ``data`` may be cut to less than its ``original_length``; a simple packet block has no time."""

    interface: Interface
    time: int | None
    data: bytes
    original_length: int
    direction: int = Direction.UNKNOWN
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the capturing side counted until ``time``: packets received and dropped, None when not said."""

    interface: Interface
    time: int
    received: int | None = None
    dropped: int | None = None


class _Schemas(NamedTuple):
    section: Struct
    interface: Struct
    enhanced: Struct
    simple: Struct
    statistics: Struct


def _options(order: Order) -> ExprAdapter:
    head = Layout(order + "HH")

    def read(octets: bytes, _context: object) -> tuple[tuple[int, bytes], ...]:
        options: list[tuple[int, bytes]] = []
        at = 0
        while at < len(octets):
            if len(octets) - at < head.size:
                raise Malformed("a pcapng option is cut short in its header")
            code, length = head.unpack_from(octets, at)
            if code == OPTION_END:
                break
            at += head.size
            if length > len(octets) - at:
                raise Malformed(f"pcapng option {code} is cut short")
            if len(options) == MAX_OPTIONS:
                raise Malformed(f"a pcapng block has more than {MAX_OPTIONS} options")
            options.append((code, octets[at : at + length]))
            at += length + -length % 4
        return tuple(options)

    def write(options: Sequence[tuple[int, bytes]], _context: object) -> bytes:
        parts = [head.pack(code, len(value)) + value + bytes(-len(value) % 4) for code, value in options]
        return b"".join(parts) + head.pack(OPTION_END, 0) if parts else b""

    return ExprAdapter(GreedyBytes, read, write)


def _schemas(order: Order) -> _Schemas:
    """Return the schemas of the block bodies: what stands between the two lengths."""
    int16, int32, int64 = (Int16ul, Int32ul, Int64sl) if order == "<" else (Int16ub, Int32ub, Int64sb)
    options = "options" / _options(order)
    data = ("data" / Bytes(this.captured_length), Padding(lambda block: -block.captured_length % 4))
    time = ("high" / int32, "low" / int32)
    return _Schemas(
        Struct("magic" / int32, "major" / int16, "minor" / int16, "length" / int64, options),
        Struct("link_type" / int16, Padding(2), "snap_length" / int32, options),
        Struct("interface" / int32, *time, "captured_length" / int32, "original_length" / int32, *data, options),
        Struct("original_length" / int32, "data" / GreedyBytes),
        Struct("interface" / int32, *time, options),
    )


SCHEMAS: Final[dict[Order, _Schemas]] = {"<": _schemas("<"), ">": _schemas(">")}


def order_of(magic: bytes) -> Order:
    """Return the byte order that the magic of a section header block tells; raises `Malformed`."""
    if magic == BYTE_ORDER_MAGIC.to_bytes(4, "little"):
        return "<"
    if magic == BYTE_ORDER_MAGIC.to_bytes(4, "big"):
        return ">"
    raise Malformed("a section header block has no byte-order magic", 8)


def read_section(order: Order, body: bytes) -> None:
    """Look at the body of a section header block; raises `Malformed`."""
    head = schema.parse(SCHEMAS[order].section, body, "section header block")
    if head.major != 1:
        raise Malformed(f"pcapng version {head.major} is not 1", 12)


def read_interface(order: Order, body: bytes) -> Interface:
    """Return what the body of an interface description block says; raises `Malformed`."""
    head = schema.parse(SCHEMAS[order].interface, body, "interface description block")
    options = dict(head.options)
    exponent = int.from_bytes(options.get(INTERFACE_RESOLUTION, b"\x06")[:1], "big")
    ticks = 1 << (exponent & 0x7F) if exponent & 0x80 else 10**exponent
    offset = options.get(INTERFACE_OFFSET, b"")
    return Interface(
        link_type=head.link_type,
        name=_text(options.get(INTERFACE_NAME, b""))[:MAX_NAME],
        snap_length=head.snap_length,
        ticks_per_second=ticks,
        offset=int.from_bytes(offset, "little" if order == "<" else "big", signed=True) if len(offset) == 8 else 0,
    )


def read_enhanced(order: Order, body: bytes, interfaces: Sequence[Interface]) -> Captured:
    """Return the packet in the body of an enhanced packet block; raises `Malformed`."""
    head = schema.parse(SCHEMAS[order].enhanced, body, "enhanced packet block")
    interface = _interface(interfaces, head.interface)
    options = dict(head.options)
    flags = int.from_bytes(options.get(PACKET_FLAGS, b""), "little" if order == "<" else "big")
    return Captured(
        interface,
        _time(interface, head.high << 32 | head.low),
        head.data,
        head.original_length,
        flags & 3,
        _text(options.get(OPTION_COMMENT, b"")),
    )


def read_simple(order: Order, body: bytes, interfaces: Sequence[Interface]) -> Captured:
    """Return the packet in the body of a simple packet block, which is of the first interface; raises `Malformed`."""
    head = schema.parse(SCHEMAS[order].simple, body, "simple packet block")
    interface = _interface(interfaces, 0)
    length = min(head.original_length, interface.snap_length or head.original_length)
    if length > len(head.data):
        raise Malformed("simple packet block is cut short in data", len(body))
    return Captured(interface, None, head.data[:length], head.original_length)


def read_statistics(order: Order, body: bytes, interfaces: Sequence[Interface]) -> Statistics:
    """Return the counters in the body of an interface statistics block; raises `Malformed`."""
    head = schema.parse(SCHEMAS[order].statistics, body, "interface statistics block")
    interface = _interface(interfaces, head.interface)
    options = dict(head.options)

    def counter(code: int) -> int | None:
        value = options.get(code, b"")
        return int.from_bytes(value, "little" if order == "<" else "big") if len(value) == 8 else None

    return Statistics(
        interface,
        _time(interface, head.high << 32 | head.low),
        counter(STATISTICS_RECEIVED),
        counter(STATISTICS_DROPPED),
    )


def _interface(interfaces: Sequence[Interface], number: int) -> Interface:
    if number >= len(interfaces):
        raise Malformed(f"interface {number} is not described")
    return interfaces[number]


def _time(interface: Interface, ticks: int) -> int:
    return ticks * NANOSECONDS // interface.ticks_per_second + interface.offset * NANOSECONDS


def _text(octets: bytes) -> str:
    return octets.rstrip(b"\0").decode("utf-8", "replace")

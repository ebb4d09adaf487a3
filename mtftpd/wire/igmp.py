"""IGMP: version 1 (RFC 1112 appendix I), 2 (RFC 2236 section 2) and 3 (RFC 3376 section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from typing import Any, Final

from construct import (
    Array,
    BitsInteger,
    BitStruct,
    Bytes,
    Flag,
    Int8ub,
    Int16ub,
    Struct,
    this,
)

from mtftpd.errors import Malformed
from mtftpd.wire import schema
from mtftpd.wire.checksum import internet_checksum

ALL_ROUTERS: Final = IPv4Address("224.0.0.2")
ALL_IGMPV3_ROUTERS: Final = IPv4Address("224.0.0.22")
ALL_SYSTEMS: Final = IPv4Address("224.0.0.1")

MAX_SIZE: Final = 9_216
"""A jumbo frame; 9,216 octets hold 2,300 sources or 1,150 records, each a few microseconds to read."""


class Type(IntEnum):
    """RFC 3376 section 4."""

    QUERY = 0x11
    REPORT_V1 = 0x12
    REPORT_V2 = 0x16
    LEAVE = 0x17
    REPORT_V3 = 0x22


_TYPES: Final = frozenset(Type)


class RecordType(IntEnum):
    """RFC 3376 section 4.2.12."""

    MODE_IS_INCLUDE = 1
    MODE_IS_EXCLUDE = 2
    CHANGE_TO_INCLUDE = 3
    CHANGE_TO_EXCLUDE = 4
    ALLOW_NEW_SOURCES = 5
    BLOCK_OLD_SOURCES = 6


@dataclass(frozen=True, slots=True)
class Message:
    """Version 1 or 2: ``max_response`` is in tenths of a second, 0 in reports and in queries of version 1."""

    type: int
    group: IPv4Address
    max_response: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    """Version 3 query: the code and interval fields are as on the wire (`seconds_of` tells what they mean)."""

    group: IPv4Address
    max_response_code: int
    suppress: bool = False
    robustness: int = 2
    interval_code: int = 125
    sources: tuple[IPv4Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """One group record of a version 3 report; ``auxiliary`` is whole words of 4 octets and means nothing."""

    type: int
    group: IPv4Address
    sources: tuple[IPv4Address, ...] = ()
    auxiliary: bytes = b""


@dataclass(frozen=True, slots=True)
class Report:
    """Version 3 report."""

    records: tuple[Record, ...]


Packet = Message | Query | Report

MESSAGE = Struct("type" / Int8ub, "max_response" / Int8ub, "checksum" / Int16ub, "group" / Bytes(4))
QUERY = Struct(
    "type" / Int8ub,
    "max_response" / Int8ub,
    "checksum" / Int16ub,
    "group" / Bytes(4),
    "flags" / BitStruct("reserved" / BitsInteger(4), "suppress" / Flag, "robustness" / BitsInteger(3)),
    "interval" / Int8ub,
    "count" / Int16ub,
    "sources" / Array(this.count, Bytes(4)),
)
RECORD = Struct(
    "type" / Int8ub,
    "auxiliary_words" / Int8ub,
    "count" / Int16ub,
    "group" / Bytes(4),
    "sources" / Array(this.count, Bytes(4)),
    "auxiliary" / Bytes(4 * this.auxiliary_words),
)
REPORT = Struct(
    "type" / Int8ub,
    "reserved" / Int8ub,
    "checksum" / Int16ub,
    "reserved2" / Int16ub,
    "count" / Int16ub,
    "records" / Array(this.count, RECORD),
)


def schema_of(data: bytes) -> Any:
    """Return the schema for an IGMP message: a query is of version 3 when it has 12 octets or more (RFC 3376 7.1)."""
    if data[:1] == b"\x22":
        return REPORT
    return QUERY if data[:1] == b"\x11" and len(data) >= 12 else MESSAGE


def parse_untrusted(data: bytes, *, verify: bool = True) -> Packet:
    """Return the message in an IPv4 payload; raises `Malformed` and nothing else.

    Octets behind the message count for the checksum and mean nothing (RFC 3376 4.1.10 and 4.2.11); ``verify`` looks
    at it.
    """
    if len(data) > MAX_SIZE:
        raise Malformed(f"an IGMP message is longer than {MAX_SIZE} octets", MAX_SIZE)
    if data and data[0] not in _TYPES:
        raise Malformed(f"{data[0]:#04x} is not a type of IGMP", 0)
    if data[:1] == b"\x11" and 8 < len(data) < 12:
        raise Malformed("an IGMP query has 8 octets, or 12 and more", len(data))
    layout = schema_of(data)
    parsed = schema.parse(layout, data, "IGMP message")
    if verify and internet_checksum(data):
        raise Malformed("the IGMP checksum is wrong", 2)
    if layout is REPORT:
        return Report(tuple(_record(record) for record in parsed.records))
    group = IPv4Address(parsed.group)
    if layout is MESSAGE:
        return Message(parsed.type, group, parsed.max_response)
    flags = parsed.flags
    return Query(
        group, parsed.max_response, flags.suppress, flags.robustness, parsed.interval, _addresses(parsed.sources)
    )


def _record(parsed: Any) -> Record:
    return Record(parsed.type, IPv4Address(parsed.group), _addresses(parsed.sources), parsed.auxiliary)


def _addresses(octets: list[bytes]) -> tuple[IPv4Address, ...]:
    return tuple(IPv4Address(address) for address in octets)


def build(packet: Packet) -> bytes:
    """Return the octets with their checksum; raises ValueError for a field that does not fit."""
    if isinstance(packet, Report):
        records = b"".join(_build_record(record) for record in packet.records)
        octets = bytes((Type.REPORT_V3, 0, 0, 0, 0, 0)) + len(packet.records).to_bytes(2, "big") + records
    else:
        octets = _build_message(packet) if isinstance(packet, Message) else _build_query(packet)
    if len(octets) > MAX_SIZE:
        raise ValueError(f"an IGMP message cannot have {len(octets)} octets")
    return octets[:2] + internet_checksum(octets).to_bytes(2, "big") + octets[4:]


def _build_message(message: Message) -> bytes:
    if message.type not in _TYPES or message.type == Type.REPORT_V3:
        raise ValueError(f"a message of version 1 or 2 cannot have type {message.type}")
    return bytes((message.type, _octet(message.max_response), 0, 0)) + message.group.packed


def _build_query(query: Query) -> bytes:
    if not 0 <= query.robustness <= 7:
        raise ValueError("the robustness does not fit 3 bits")
    head = bytes((Type.QUERY, _octet(query.max_response_code), 0, 0)) + query.group.packed
    return head + bytes((query.suppress << 3 | query.robustness, _octet(query.interval_code))) + _counted(query.sources)


def seconds_of(code: int) -> int:
    """Return what a version 3 code byte means, in its unit: from 128 on it is a small float (RFC 3376 4.1.1, 4.1.7)."""
    return code if code < 128 else (code & 0x0F | 0x10) << ((code >> 4 & 0x07) + 3)


def _build_record(record: Record) -> bytes:
    words, rest = divmod(len(record.auxiliary), 4)
    if rest:
        raise ValueError("auxiliary data is whole words of 4 octets")
    counted = _counted(record.sources)
    head = bytes((_octet(record.type), _octet(words))) + counted[:2] + record.group.packed
    return head + counted[2:] + record.auxiliary


def _counted(sources: tuple[IPv4Address, ...]) -> bytes:
    return (len(sources) & 0xFFFF).to_bytes(2, "big") + b"".join(address.packed for address in sources)


def _octet(number: int) -> int:
    if not 0 <= number <= 0xFF:
        raise ValueError(f"{number} does not fit 8 bits")
    return number

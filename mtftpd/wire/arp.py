"""ARP for IPv4 over Ethernet: RFC 826."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from typing import Final

from construct import Bytes, Const, Int16ub, Struct

from mtftpd.wire import schema

SIZE: Final = 28

PACKET = Struct(
    "hardware_type" / Const(1, Int16ub),
    "protocol_type" / Const(0x0800, Int16ub),
    "sizes" / Const(b"\x06\x04"),
    "operation" / Int16ub,
    "sender_hardware" / Bytes(6),
    "sender_address" / Bytes(4),
    "target_hardware" / Bytes(6),
    "target_address" / Bytes(4),
)


class Operation(IntEnum):
    """RFC 826: the two that are left in use."""

    REQUEST = 1
    REPLY = 2


@dataclass(frozen=True, slots=True)
class Packet:
    """An ARP packet; hardware addresses are 6 octets, ``operation`` may be one that is not in `Operation`."""

    operation: int
    sender_hardware: bytes
    sender_address: IPv4Address
    target_hardware: bytes
    target_address: IPv4Address


def parse_untrusted(data: bytes) -> Packet:
    """Return the packet in an Ethernet payload, padding allowed; raises `Malformed` and nothing else."""
    parsed = schema.parse(PACKET, data, "ARP packet")
    return Packet(
        parsed.operation,
        parsed.sender_hardware,
        IPv4Address(parsed.sender_address),
        parsed.target_hardware,
        IPv4Address(parsed.target_address),
    )


def build(packet: Packet) -> bytes:
    """Return the 28 octets; raises ValueError for a field that does not fit."""
    if len(packet.sender_hardware) != 6 or len(packet.target_hardware) != 6:
        raise ValueError("an Ethernet address has 6 octets")
    if not 0 <= packet.operation <= 0xFFFF:
        raise ValueError("the operation does not fit 16 bits")
    octets: bytes = PACKET.build(
        {
            "operation": packet.operation,
            "sender_hardware": packet.sender_hardware,
            "sender_address": packet.sender_address.packed,
            "target_hardware": packet.target_hardware,
            "target_address": packet.target_address.packed,
        }
    )
    return octets

"""DHCP replies as a probe wants them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Final

from mtftpd.conformance.clinic.effects import GROUP, IPXE, PALINDROMES, SWAPPABLE, Practice
from mtftpd.conformance.clinic.styles import Reply, Tags
from mtftpd.wire import bootp, pxe
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.options import Layout, Options
from mtftpd.wire.pxe import DiscoveryControl, MtftpTags, PxeOptions

ROUTER: Final = 3
BOOT_SIZE: Final = 13
VENDOR: Final = 43
LEASE: Final = 51
TYPE: Final = 53
SERVER: Final = 54
RENEWAL: Final = 58
REBINDING: Final = 59
CLASS: Final = 60
BOOT_FILE: Final = 67
UUID: Final = 97

LEASE_SECONDS: Final = 3_600
WAIT: Final = 2
"""Tags 4 and 5, in seconds: equal, because their meaning is disputed."""
FOREIGN: Final = bytes.fromhex("02ffffffff01")
"""The hardware address of a client that does not exist."""
_CONTROL: Final = DiscoveryControl.NO_MULTICAST | DiscoveryControl.USE_BOOT_FILE
_SHORTEST: Final = bootp.MINIMUM_SIZE - bootp.AREA_OFFSET - 2
"""Octets of options with which a reply without padding is shorter than BOOTP, END counted."""


def client_name(vendor_class: bytes) -> bytes:
    """Return how a client that says ``vendor_class`` wants to be called in option 60."""
    return vendor_class.rstrip(b"\0").split(b":", 1)[0]


def build_reply(asked: DhcpMessage, kind: MessageType, style: Reply, practice: Practice, address: IPv4Address) -> bytes:
    """Return the reply to ``asked`` that gives it ``address`` (0.0.0.0: none, on port 4011)."""
    values = _values(asked, kind, style, practice)
    if not int(address):
        values = {code: value for code, value in values.items() if code in (TYPE, SERVER, CLASS, UUID, BOOT_FILE)}
    if style.short:
        values = _few(values, style.needs)
    values = {code: value for code, value in values.items() if code not in style.without}
    if not style.pads_name:
        values[SERVER] = values.pop(SERVER)
    if not style.type_first:
        values[TYPE] = values.pop(TYPE)
    message = DhcpMessage(
        op=bootp.BOOTREPLY,
        xid=asked.xid,
        chaddr=asked.chaddr,
        htype=asked.htype,
        hlen=asked.hlen,
        flags=asked.flags,
        yiaddr=address,
        siaddr=practice.address if style.siaddr else IPv4Address(0),
        file=_name(asked, style, practice),
        options=Options(values),
    )
    layout = Layout(
        pads_boot_file=style.pads_name, sorts_first=style.type_first and style.pads_name, fills_up=not style.short
    )
    return bootp.build(message, layout=layout)


def build_nak(asked: DhcpMessage, practice: Practice) -> bytes:
    """Return a NAK of a server that ``asked`` has not chosen."""
    options = {TYPE: bytes((MessageType.NAK,)), SERVER: practice.addresses[-1].packed}
    return bootp.build(replace(asked, op=bootp.BOOTREPLY, options=Options(options)))


def for_a_stranger(asked: DhcpMessage) -> DhcpMessage:
    """Return what a client that does not exist would have asked with the same transaction number."""
    return replace(asked, chaddr=FOREIGN.ljust(bootp.CHADDR_SIZE, b"\0"))


def _values(asked: DhcpMessage, kind: MessageType, style: Reply, practice: Practice) -> dict[int, bytes]:
    mask = IPv4Address(0xFFFFFFFF << (32 - practice.prefix) & 0xFFFFFFFF)
    routers = (practice.address, practice.addresses[-1])[: style.routers]
    name = _name(asked, style, practice) + (b"\0" if style.ends_name else b"")
    values = {
        TYPE: bytes((kind,)),
        SERVER: practice.address.packed,
        LEASE: LEASE_SECONDS.to_bytes(4, "big"),
        1: mask.packed,
        ROUTER: b"".join(router.packed for router in routers),
        RENEWAL: (LEASE_SECONDS // 2).to_bytes(4, "big"),
        REBINDING: (LEASE_SECONDS * 7 // 8).to_bytes(4, "big"),
        CLASS: client_name(asked.options.get(CLASS, b"")),
        UUID: asked.options.get(UUID, b""),
        VENDOR: _vendor(style, practice) if style.tags is not Tags.NONE else b"",
        BOOT_SIZE: style.boot_blocks.to_bytes(2, "big") if style.boot_blocks else b"",
        BOOT_FILE: name,
    }
    return {code: value for code, value in values.items() if value}


def _vendor(style: Reply, practice: Practice) -> bytes:
    ports = SWAPPABLE if style.swappable_ports else PALINDROMES
    group = MtftpTags(GROUP, *ports, WAIT, WAIT) if style.tags in (Tags.GROUP, Tags.BARE) else None
    return pxe.build(PxeOptions(discovery_control=None if style.tags is Tags.BARE else _CONTROL, mtftp=group))


def _name(asked: DhcpMessage, style: Reply, practice: Practice) -> bytes:
    if style.tags in (Tags.GROUP, Tags.BARE) and pxe.is_ipxe(asked.options):
        return f"mtftp://{practice.address}:{IPXE}/".encode("ascii") + practice.boot_file
    return practice.boot_file


_LEAST: Final = (TYPE, SERVER, CLASS, VENDOR, BOOT_FILE)
"""What the boot cannot do without; then what some clients want, as much of it as there is room for."""


def _few(values: dict[int, bytes], needs: frozenset[int]) -> dict[int, bytes]:
    """Return so many options that the reply stays shorter than BOOTP."""
    room, kept = _SHORTEST, set[int]()
    for code in (*_LEAST, *sorted(needs), LEASE, 1, RENEWAL, ROUTER):
        size = 2 + len(values.get(code, b"")) + (code == BOOT_FILE)
        if code in values and code not in kept and (code in _LEAST or code in needs or size <= room):
            room -= size
            kept.add(code)
    return {code: value for code, value in values.items() if code in kept}

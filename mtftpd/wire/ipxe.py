"""Option 175, in which iPXE (and gPXE before it) speaks of itself and is spoken to.

Sources: iPXE's ``include/ipxe/dhcp.h`` and ``include/ipxe/features.h``.  The value is a list of sub-options like an
option area, with PAD and END; iPXE itself sends it without END.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from construct import Flag, Int8sb, Int8ub, Int16ub

from mtftpd.errors import Malformed
from mtftpd.wire.fields import Element, TlvList, decode, encode, record, repeated


class SubOption(IntEnum):
    """The sub-options that are read here; 0x10 to 0x4f are features."""

    PRIORITY = 0x01
    NO_PROXY_DHCP = 0xB0
    BUS = 0xB1
    VERSION = 0xEB


class Feature(IntEnum):
    """What an iPXE was built with."""

    PXE_EXTENSIONS = 0x10
    ISCSI = 0x11
    AOE = 0x12
    HTTP = 0x13
    HTTPS = 0x14
    TFTP = 0x15
    FTP = 0x16
    DNS = 0x17
    BZIMAGE = 0x18
    MULTIBOOT = 0x19
    SLAM = 0x1A
    SRP = 0x1B
    NBI = 0x20
    PXE = 0x21
    ELF = 0x22
    COMBOOT = 0x23
    EFI = 0x24
    FCOE = 0x25
    VLAN = 0x26
    MENU = 0x27
    SDI = 0x28
    NFS = 0x29


FEATURES = range(0x10, 0x50)


@dataclass(frozen=True, slots=True)
class Bus:
    """The network card: type of bus (1 is PCI), vendor and device number."""

    type: int
    vendor: int
    device: int


@dataclass(frozen=True, slots=True)
class IpxeOptions:
    """The sub-options of one option 175; what is absent is None or empty.

    ``features`` are the numbers of those that are there, known to `Feature` or not, in the order of the packet.
    ``no_proxy_dhcp`` from a server spares iPXE its wait for proxyDHCP offers (quirk Q58).
    """

    priority: int | None = None
    no_proxy_dhcp: bool | None = None
    bus: Bus | None = None
    version: tuple[int, ...] = ()
    features: tuple[int, ...] = ()
    others: tuple[Element, ...] = ()


SCHEMAS: dict[int, Any] = {
    SubOption.PRIORITY: Int8sb,
    SubOption.NO_PROXY_DHCP: Flag,
    SubOption.BUS: record(Bus, "type" / Int8ub, "vendor" / Int16ub, "device" / Int16ub),
    SubOption.VERSION: repeated(Int8ub),
}
"""The layout of each sub-option's value; a feature is one octet, 1."""

_PRESENT = b"\1"


def parse_untrusted(data: bytes) -> IpxeOptions:
    """Return what is in ``data``, the value of an option 175; raises `Malformed` and nothing else.

    A sub-option that comes again, is not known here or does not have the size of its schema is kept in ``others``:
    the numbers have changed their meaning before.
    """
    known: dict[int, Any] = {}
    features: list[int] = []
    others: list[Element] = []
    for code, octets in decode(TlvList, data, "option 175"):
        if code in FEATURES and octets == _PRESENT and code not in features:
            features.append(code)
        elif code not in SCHEMAS or code in known:
            others.append((code, octets))
        else:
            try:
                known[code] = decode(SCHEMAS[code], octets, "sub-option")
            except Malformed:
                others.append((code, octets))
    return IpxeOptions(
        priority=known.get(SubOption.PRIORITY),
        no_proxy_dhcp=known.get(SubOption.NO_PROXY_DHCP),
        bus=known.get(SubOption.BUS),
        version=tuple(known.get(SubOption.VERSION, ())),
        features=tuple(features),
        others=tuple(others),
    )


def read(data: bytes) -> IpxeOptions | None:
    """Return what is in ``data``, or None when it is malformed."""
    try:
        return parse_untrusted(data)
    except Malformed:
        return None


def build(options: IpxeOptions) -> bytes:
    """Return the value of an option 175, END included; raises ValueError when a value does not fit its schema."""
    values: list[tuple[int, Any]] = [
        (SubOption.PRIORITY, options.priority),
        (SubOption.NO_PROXY_DHCP, options.no_proxy_dhcp),
        (SubOption.BUS, options.bus),
        (SubOption.VERSION, options.version or None),
    ]
    elements = [(code, encode(SCHEMAS[code], value, f"{code}")) for code, value in values if value is not None]
    elements += [(code, _PRESENT) for code in options.features]
    return encode(TlvList, [*elements, *options.others], "option 175")

"""Option 43 in the PXEClient space: schemas of its sub-options, frozen values, reader and builder.

Sources: PXE 2.1 table 2-1 (tags), RFC 2132 8.4 (encapsulation).  Everything is big-endian except the two UDP ports
of tags 2 and 3, which are in "Intel order".  The options that travel beside option 43 are in
`mtftpd.wire.pxe_identity`; its names are offered here too.

What is accepted: 43 with and without its END (quirk Q39); tag 71 of three octets (one octet of layer, EDK1).  A tag
that comes again, a tag without a schema and an incomplete set of tags 1-5 are kept as they are in ``others``.  A cut
tag, and a value that does not fit its schema, is `Malformed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from typing import Any

from construct import Int8ub, Int16ub, Int16ul, Int32ub, PrefixedArray

from mtftpd.wire.fields import CountedText, Element, Ipv4, Text, TlvList, decode, encode, record, repeated
from mtftpd.wire.pxe_identity import Architecture as Architecture
from mtftpd.wire.pxe_identity import ClientClass as ClientClass
from mtftpd.wire.pxe_identity import ClientIdentifier as ClientIdentifier
from mtftpd.wire.pxe_identity import MachineIdentifier as MachineIdentifier
from mtftpd.wire.pxe_identity import NetworkInterface as NetworkInterface
from mtftpd.wire.pxe_identity import architectures as architectures
from mtftpd.wire.pxe_identity import client_identifier as client_identifier
from mtftpd.wire.pxe_identity import is_ipxe as is_ipxe
from mtftpd.wire.pxe_identity import machine_identifier as machine_identifier
from mtftpd.wire.pxe_identity import network_interface as network_interface
from mtftpd.wire.pxe_identity import parse_client_class as parse_client_class
from mtftpd.wire.pxe_identity import user_classes as user_classes

MAXIMUM_SIZE = 255
"""One instance of option 43: EDK1 wants tags 1-5 in one instance, so RFC 3396 does not help."""

WAIT_FOR_EVER = 255
"""`MenuPrompt.timeout`: show the menu at once and wait; 0 takes the first entry without showing anything."""

CREDENTIALS_LAYER = 0x8000
"""The bit of `BootItem.layer` that asks for BIS credentials (PXE 2.1 table 2-1, tag 71)."""


class Tag(IntEnum):
    """The tags of PXE 2.1 table 2-1; 64 to 70 are those of Intel's loader (its sample pxe.h) and are only named."""

    PAD = 0
    MTFTP_IP = 1
    MTFTP_CPORT = 2
    MTFTP_SPORT = 3
    MTFTP_TMOUT = 4
    MTFTP_DELAY = 5
    DISCOVERY_CONTROL = 6
    DISCOVERY_MCAST_ADDR = 7
    BOOT_SERVERS = 8
    BOOT_MENU = 9
    MENU_PROMPT = 10
    MCAST_ADDRS_ALLOC = 11
    CREDENTIAL_TYPES = 12
    NIC_PATH = 64
    MAN_INFO = 65
    OS_INFO = 66
    BOOT_OS_INFO = 67
    PROMPT_INFO = 68
    OS_INFO_2 = 69
    BOOT_OS_INFO_2 = 70
    BOOT_ITEM = 71
    END = 255


class DiscoveryControl(IntEnum):
    """The bits of tag 6."""

    NO_BROADCAST = 0x01
    NO_MULTICAST = 0x02
    LISTED_SERVERS_ONLY = 0x04
    USE_BOOT_FILE = 0x08


MTFTP_TAGS = (Tag.MTFTP_IP, Tag.MTFTP_CPORT, Tag.MTFTP_SPORT, Tag.MTFTP_TMOUT, Tag.MTFTP_DELAY)


@dataclass(frozen=True, slots=True)
class MtftpTags:
    """Tags 1-5: the group, the UDP ports of the client and the server, and the two delays in seconds."""

    group: IPv4Address
    client_port: int
    server_port: int
    timeout: int
    delay: int


@dataclass(frozen=True, slots=True)
class BootServers:
    """One entry of tag 8: a boot server type and who serves it; no address means anyone."""

    type: int
    addresses: tuple[IPv4Address, ...]


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """One entry of tag 9: a boot server type (0 is local boot) and its line in the menu, in Latin-1."""

    type: int
    text: str


@dataclass(frozen=True, slots=True)
class MenuPrompt:
    """Tag 10: seconds until the first entry is taken, and the prompt, in Latin-1."""

    timeout: int
    text: str


@dataclass(frozen=True, slots=True)
class MulticastBlock:
    """Tag 11, for boot servers: ``size`` addresses from ``base``, of which a server may use ``range``."""

    base: IPv4Address
    size: int
    range: int


@dataclass(frozen=True, slots=True)
class BootItem:
    """Tag 71: the boot server type and the layer, whose top bit is `CREDENTIALS_LAYER`."""

    type: int
    layer: int


SCHEMAS: dict[int, Any] = {
    Tag.MTFTP_IP: Ipv4,
    Tag.MTFTP_CPORT: Int16ul,
    Tag.MTFTP_SPORT: Int16ul,
    Tag.MTFTP_TMOUT: Int8ub,
    Tag.MTFTP_DELAY: Int8ub,
    Tag.DISCOVERY_CONTROL: Int8ub,
    Tag.DISCOVERY_MCAST_ADDR: Ipv4,
    Tag.BOOT_SERVERS: repeated(record(BootServers, "type" / Int16ub, "addresses" / PrefixedArray(Int8ub, Ipv4))),
    Tag.BOOT_MENU: repeated(record(MenuEntry, "type" / Int16ub, "text" / CountedText)),
    Tag.MENU_PROMPT: record(MenuPrompt, "timeout" / Int8ub, "text" / Text),
    Tag.MCAST_ADDRS_ALLOC: record(MulticastBlock, "base" / Ipv4, "size" / Int16ub, "range" / Int16ub),
    Tag.CREDENTIAL_TYPES: repeated(Int32ub),
    Tag.BOOT_ITEM: record(BootItem, "type" / Int16ub, "layer" / Int16ub),
}
"""The layout of each tag's value.  The order of the two shorts of tag 11 is not in PXE 2.1; this one is ours."""

SHORT_BOOT_ITEM = record(BootItem, "type" / Int16ub, "layer" / Int8ub)
"""Tag 71 of three octets, as EDK1 knows it: one octet of layer."""


@dataclass(frozen=True, slots=True)
class PxeOptions:
    """The sub-options of one option 43; what is absent is None or empty."""

    mtftp: MtftpTags | None = None
    discovery_control: int | None = None
    discovery_group: IPv4Address | None = None
    boot_servers: tuple[BootServers, ...] = ()
    menu: tuple[MenuEntry, ...] = ()
    prompt: MenuPrompt | None = None
    boot_item: BootItem | None = None
    others: tuple[Element, ...] = ()
    multicast_block: MulticastBlock | None = None
    credential_types: tuple[int, ...] = ()


def parse_untrusted(data: bytes) -> PxeOptions:
    """Return the sub-options in ``data``, the value of an option 43; raises `Malformed` and nothing else."""
    known: dict[int, Any] = {}
    others: list[Element] = []
    for tag, octets in decode(TlvList, data, "option 43"):
        if tag in known or tag not in SCHEMAS:
            others.append((tag, octets))
        else:
            schema = SHORT_BOOT_ITEM if tag == Tag.BOOT_ITEM and len(octets) == 3 else SCHEMAS[tag]
            known[tag] = decode(schema, octets, f"tag {tag}")
    if all(tag in known for tag in MTFTP_TAGS):
        mtftp = MtftpTags(*(known[tag] for tag in MTFTP_TAGS))
    else:
        mtftp = None
        others += [(tag, SCHEMAS[tag].build(known[tag])) for tag in MTFTP_TAGS if tag in known]
    return PxeOptions(
        mtftp=mtftp,
        discovery_control=known.get(Tag.DISCOVERY_CONTROL),
        discovery_group=known.get(Tag.DISCOVERY_MCAST_ADDR),
        boot_servers=tuple(known.get(Tag.BOOT_SERVERS, ())),
        menu=tuple(known.get(Tag.BOOT_MENU, ())),
        prompt=known.get(Tag.MENU_PROMPT),
        boot_item=known.get(Tag.BOOT_ITEM),
        others=tuple(others),
        multicast_block=known.get(Tag.MCAST_ADDRS_ALLOC),
        credential_types=tuple(known.get(Tag.CREDENTIAL_TYPES, ())),
    )


def build(options: PxeOptions) -> bytes:
    """Return the value of one option 43: tag 6, tags 1-5, 7-12, 71, the others, END.

    Raises ValueError when a value does not fit its schema, when a line of the menu is empty (EDK1 refuses the whole
    offer then) and when there are more than 255 octets.
    """
    if not all(entry.text for entry in options.menu):
        raise ValueError("a line of the boot menu is empty")
    mtftp = options.mtftp and (
        options.mtftp.group,
        options.mtftp.client_port,
        options.mtftp.server_port,
        options.mtftp.timeout,
        options.mtftp.delay,
    )
    values: list[tuple[int, Any]] = [
        (Tag.DISCOVERY_CONTROL, options.discovery_control),
        *zip(MTFTP_TAGS, mtftp or (), strict=False),
        (Tag.DISCOVERY_MCAST_ADDR, options.discovery_group),
        (Tag.BOOT_SERVERS, options.boot_servers or None),
        (Tag.BOOT_MENU, options.menu or None),
        (Tag.MENU_PROMPT, options.prompt),
        (Tag.MCAST_ADDRS_ALLOC, options.multicast_block),
        (Tag.CREDENTIAL_TYPES, options.credential_types or None),
        (Tag.BOOT_ITEM, options.boot_item),
    ]
    elements = [(tag, encode(SCHEMAS[tag], value, f"tag {tag}")) for tag, value in values if value is not None]
    data = encode(TlvList, [*elements, *options.others], "option 43")
    if len(data) > MAXIMUM_SIZE:
        raise ValueError(f"option 43 has {len(data)} octets, {MAXIMUM_SIZE} is the most")
    return data

"""From the text of one option to its value: every reader returns the value or raises ValueError with what to do.

The same readers serve flags, environment and configuration file, so that a value means one thing everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from pathlib import Path

from mtftpd.core.link.wire_time import LinkKind, link_named, read_rate
from mtftpd.core.node_settings import IPXE_STAGE
from mtftpd.core.settings import Mode

MAX_BOOT_FILE = 127
"""Octets: the BOOTP file field holds 128 with its NUL (RFC 951 section 3)."""

ARCHITECTURES: dict[str, tuple[int, ...]] = {
    "bios": (0,),
    "uefi-ia32": (6,),
    "uefi-x64": (7, 9),
    "uefi-arm32": (10,),
    "uefi-arm64": (11,),
    "uefi-ia32-http": (15,),
    "uefi-x64-http": (16,),
    "uefi-arm32-http": (18,),
    "uefi-arm64-http": (19,),
    "ipxe": (IPXE_STAGE,),
}
"""Names for values of option 93 (RFC 4578 and its IANA registry); x64 firmware in the field sends 7, some sends 9.
"ipxe" is iPXE of any architecture, so that a ROM can be given iPXE, and iPXE what comes then.
"""

_URI = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_NOT_CLEAN = re.compile(r"[\x00-\x1f\x7f]")
_DURATION = re.compile(r"(\d{1,9})([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_LEASE = 0xFFFFFFFE
"""Seconds: 0xFFFFFFFF would mean for ever (RFC 2131 section 3.3)."""
_SHORTEST_LEASE = 60
MOST_WEIGHT = 100
"""At more, the others would wait for longer than a ROM does."""


@dataclass(frozen=True, slots=True)
class AddressRange:
    """The addresses that DHCP gives out, both ends included."""

    first: IPv4Address
    last: IPv4Address

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a TCP port is opened."""

    address: IPv4Address
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class ImageName:
    """One ``--image NAME=PATH``: the name that clients ask for and the file, as it was written."""

    name: str
    path: str

    def __str__(self) -> str:
        return f"{self.name}={self.path}"


@dataclass(frozen=True, slots=True)
class ImageWeight:
    """One ``--weight NAME=N``."""

    name: str
    weight: int

    def __str__(self) -> str:
        return f"{self.name}={self.weight}"


@dataclass(frozen=True, slots=True)
class ArchitectureFile:
    """One ``--boot-file-for ARCH=NAME``: the values of option 93 that it covers and the boot file."""

    label: str
    numbers: tuple[int, ...]
    boot_file: str

    def __str__(self) -> str:
        return f"{self.label}={self.boot_file}"


def is_uri(boot_file: str) -> bool:
    """Return whether this boot file is a URI, which iPXE follows and no other client can read."""
    return _URI.match(boot_file) is not None


def whole_number(text: str, least: int, most: int, what: str) -> int:
    """Read a decimal number from ``least`` to ``most``."""
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise ValueError(f"is not {what}; give a number from {least} to {most}")
    return int(text)


def port(text: str) -> int:
    """Read a UDP port."""
    return whole_number(text, 1, 65_535, "a UDP port")


def listen(text: str) -> Listen:
    """Read ADDRESS:PORT; every interface only when 0.0.0.0 is given."""
    host, separator, number = text.rpartition(":")
    if not separator:
        raise ValueError("has no port; give ADDRESS:PORT such as 127.0.0.1:9542")
    return Listen(address(host), port(number))


def seconds_on_the_wire(text: str) -> int:
    """Read T4 = T5, one octet each in option 43 tags 4 and 5 (PXE 2.1 table 2-1)."""
    return whole_number(text, 1, 255, "a number of seconds that fits one octet")


def time_to_live(text: str) -> int:
    """Read the TTL of multicast packets."""
    return whole_number(text, 1, 255, "a time to live")


def rollover(text: str) -> int:
    """Read the number that follows block 65,535."""
    return whole_number(text, 0, 1, "the number after block 65535")


def lease_time(text: str) -> int:
    """Read a duration such as ``12h`` into seconds."""
    found = _DURATION.fullmatch(text)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not _SHORTEST_LEASE <= seconds <= _LONGEST_LEASE:
        raise ValueError("is not a lease time; give seconds (at least 60) or a number with m, h or d, such as 12h")
    return seconds


def address(text: str) -> IPv4Address:
    """Read an IPv4 address in dotted-quad form."""
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise ValueError("is not an IPv4 address; give four numbers such as 192.168.1.1") from None


def group(text: str) -> IPv4Address:
    """Read the first multicast group; 224.0.0.0/24 is never forwarded by snooping rules and belongs to routers."""
    value = address(text)
    if not value.is_multicast:
        raise ValueError("is not a multicast address; give one such as 239.1.1.1")
    if value in IPv4Network("224.0.0.0/24"):
        raise ValueError("belongs to the local network control block; give one such as 239.1.1.1")
    return value


def network(text: str) -> IPv4Network:
    """Read a network in CIDR form."""
    try:
        return IPv4Network(text)
    except (AddressValueError, NetmaskValueError):
        raise ValueError("is not an IPv4 network; give one such as 10.2.0.0/16") from None
    except ValueError:
        wider = IPv4Network(text, strict=False)
        raise ValueError(f"has bits set beyond its mask; did you mean {wider}?") from None


def address_range(text: str) -> AddressRange:
    """Read ``FIRST-LAST``."""
    first, dash, last = text.partition("-")
    if not dash:
        raise ValueError("is not a range; give FIRST-LAST such as 192.168.1.100-192.168.1.200")
    value = AddressRange(address(first.strip()), address(last.strip()))
    if value.first > value.last:
        raise ValueError("ends before it begins; swap the two addresses")
    return value


def rate(text: str) -> float:
    """Read a rate in bit/s; 0 is no limit."""
    return read_rate(text)


def link(text: str) -> LinkKind:
    """Read the name of a kind of link."""
    return link_named(text)


def weight(text: str) -> ImageWeight:
    """Read ``NAME=N``."""
    name, equals, number = text.rpartition("=")
    if not (name and equals):
        raise ValueError("is not NAME=N; give one such as compute=3")
    return ImageWeight(boot_file(name), share(number))


def share(text: str) -> int:
    """Read the weight of an image."""
    return whole_number(text, 1, MOST_WEIGHT, "a weight")


def mode(text: str) -> Mode:
    """Read who gives out addresses."""
    try:
        return Mode(text)
    except ValueError:
        raise ValueError("is not a mode; give dhcp, proxy or tftp") from None


def log_format(text: str) -> str:
    """Read the form of log lines."""
    if text not in ("text", "json"):
        raise ValueError("is not a log format; give text or json")
    return text


def clean_text(text: str) -> str:
    """Read text without control characters that is not empty."""
    if not text or _NOT_CLEAN.search(text):
        raise ValueError("is empty or has control characters in it")
    return text


def boot_file(text: str) -> str:
    """Read a name, a path or a URI that fits the file field of DHCP."""
    if len(clean_text(text).encode()) > MAX_BOOT_FILE:
        raise ValueError(f"is longer than the {MAX_BOOT_FILE} octets that fit into a DHCP packet; use a shorter name")
    return text


def path(text: str) -> Path:
    """Read a path of the file system."""
    return Path(clean_text(text))


def image(text: str) -> ImageName:
    """Read ``NAME=PATH``."""
    name, equals, where = text.partition("=")
    if not (name and equals and where):
        raise ValueError("is not NAME=PATH; give one such as compute=images/compute.img")
    return ImageName(boot_file(name), clean_text(where))


def architecture_file(text: str) -> ArchitectureFile:
    """Read ``ARCH=NAME``, where ARCH is a name of `ARCHITECTURES` or a number of option 93."""
    label, equals, name = text.partition("=")
    if not (label and equals and name):
        raise ValueError("is not ARCH=NAME; give one such as uefi-x64=boot/grub.efi")
    numbers = ARCHITECTURES.get(label)
    if numbers is None:
        if not (label.isascii() and label.isdigit() and int(label) <= 0xFFFF):
            raise ValueError(f"names no architecture; give a number or one of {', '.join(ARCHITECTURES)}")
        numbers = (int(label),)
    return ArchitectureFile(label, numbers, boot_file(name))

"""The table of DHCP options: code, name, type of the value; and any value as text.

Names and types follow RFC 2132 (1-76), RFC 3004 (77), RFC 4702 (81), RFC 3046 (82), RFC 4578 (93, 94, 97, 128-135),
RFC 5071 (208-211) and the IANA registry of BOOTP and DHCP parameters for the rest; 175 is iPXE's.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from ipaddress import IPv4Address
from typing import Any, NamedTuple

from mtftpd.errors import Malformed
from mtftpd.wire.fields import PlainTlvList, TlvList, decode


class Kind(Enum):
    """How the octets of a value are read; numbers are big-endian, ``size`` is in octets and 0 where it is open."""

    OCTETS = ("octets", 0)
    TEXT = ("text", 0)
    FLAG = ("flag", 1)
    INT8 = ("8-bit integer", 1)
    INT16 = ("16-bit integer", 2)
    INT32 = ("32-bit integer", 4)
    SIGNED32 = ("signed 32-bit integer", 4)
    ADDRESS = ("IPv4 address", 4)
    ADDRESS_PAIR = ("pair of IPv4 addresses", 8)
    ENCAPSULATED = ("options within the option", 0)
    RELAY = ("sub-options without PAD and END", 0)

    def __init__(self, label: str, size: int) -> None:
        self.label = label
        self.size = size


class OptionType(NamedTuple):
    """One row of the table; ``array`` says that the value holds one or more elements of ``kind``."""

    code: int
    name: str
    kind: Kind
    array: bool = False


def _row(code: int, name: str, kind: Kind) -> OptionType:
    return OptionType(code, name, kind)


def _list(code: int, name: str, kind: Kind) -> OptionType:
    return OptionType(code, name, kind, array=True)


_ROWS = (
    _row(1, "subnet-mask", Kind.ADDRESS),
    _row(2, "time-offset", Kind.SIGNED32),
    _list(3, "routers", Kind.ADDRESS),
    _list(4, "time-servers", Kind.ADDRESS),
    _list(5, "name-servers", Kind.ADDRESS),
    _list(6, "domain-name-servers", Kind.ADDRESS),
    _list(7, "log-servers", Kind.ADDRESS),
    _list(8, "cookie-servers", Kind.ADDRESS),
    _list(9, "lpr-servers", Kind.ADDRESS),
    _list(10, "impress-servers", Kind.ADDRESS),
    _list(11, "resource-location-servers", Kind.ADDRESS),
    _row(12, "host-name", Kind.TEXT),
    _row(13, "boot-file-size", Kind.INT16),
    _row(14, "merit-dump-file", Kind.TEXT),
    _row(15, "domain-name", Kind.TEXT),
    _row(16, "swap-server", Kind.ADDRESS),
    _row(17, "root-path", Kind.TEXT),
    _row(18, "extensions-path", Kind.TEXT),
    _row(19, "ip-forwarding", Kind.FLAG),
    _row(20, "non-local-source-routing", Kind.FLAG),
    _list(21, "policy-filter", Kind.ADDRESS_PAIR),
    _row(22, "max-datagram-reassembly-size", Kind.INT16),
    _row(23, "default-ip-ttl", Kind.INT8),
    _row(24, "path-mtu-aging-timeout", Kind.INT32),
    _list(25, "path-mtu-plateau-table", Kind.INT16),
    _row(26, "interface-mtu", Kind.INT16),
    _row(27, "all-subnets-local", Kind.FLAG),
    _row(28, "broadcast-address", Kind.ADDRESS),
    _row(29, "perform-mask-discovery", Kind.FLAG),
    _row(30, "mask-supplier", Kind.FLAG),
    _row(31, "perform-router-discovery", Kind.FLAG),
    _row(32, "router-solicitation-address", Kind.ADDRESS),
    _list(33, "static-routes", Kind.ADDRESS_PAIR),
    _row(34, "trailer-encapsulation", Kind.FLAG),
    _row(35, "arp-cache-timeout", Kind.INT32),
    _row(36, "ethernet-encapsulation", Kind.FLAG),
    _row(37, "tcp-default-ttl", Kind.INT8),
    _row(38, "tcp-keepalive-interval", Kind.INT32),
    _row(39, "tcp-keepalive-garbage", Kind.FLAG),
    _row(40, "nis-domain", Kind.TEXT),
    _list(41, "nis-servers", Kind.ADDRESS),
    _list(42, "ntp-servers", Kind.ADDRESS),
    _row(43, "vendor-specific", Kind.ENCAPSULATED),
    _list(44, "netbios-name-servers", Kind.ADDRESS),
    _list(45, "netbios-datagram-servers", Kind.ADDRESS),
    _row(46, "netbios-node-type", Kind.INT8),
    _row(47, "netbios-scope", Kind.TEXT),
    _list(48, "x-font-servers", Kind.ADDRESS),
    _list(49, "x-display-managers", Kind.ADDRESS),
    _row(50, "requested-address", Kind.ADDRESS),
    _row(51, "lease-time", Kind.INT32),
    _row(52, "overload", Kind.INT8),
    _row(53, "message-type", Kind.INT8),
    _row(54, "server-identifier", Kind.ADDRESS),
    _list(55, "parameter-request-list", Kind.INT8),
    _row(56, "message", Kind.TEXT),
    _row(57, "max-message-size", Kind.INT16),
    _row(58, "renewal-time", Kind.INT32),
    _row(59, "rebinding-time", Kind.INT32),
    _row(60, "vendor-class", Kind.TEXT),
    _row(61, "client-identifier", Kind.OCTETS),
    _row(64, "nis-plus-domain", Kind.TEXT),
    _list(65, "nis-plus-servers", Kind.ADDRESS),
    _row(66, "tftp-server-name", Kind.TEXT),
    _row(67, "boot-file-name", Kind.TEXT),
    _list(68, "mobile-ip-home-agents", Kind.ADDRESS),
    _list(69, "smtp-servers", Kind.ADDRESS),
    _list(70, "pop3-servers", Kind.ADDRESS),
    _list(71, "nntp-servers", Kind.ADDRESS),
    _list(72, "www-servers", Kind.ADDRESS),
    _list(73, "finger-servers", Kind.ADDRESS),
    _list(74, "irc-servers", Kind.ADDRESS),
    _list(75, "streettalk-servers", Kind.ADDRESS),
    _list(76, "stda-servers", Kind.ADDRESS),
    _row(77, "user-class", Kind.OCTETS),
    _row(80, "rapid-commit", Kind.OCTETS),
    _row(81, "client-fqdn", Kind.OCTETS),
    _row(82, "relay-agent-information", Kind.RELAY),
    _row(91, "client-last-transaction-time", Kind.INT32),
    _list(92, "associated-addresses", Kind.ADDRESS),
    _list(93, "client-architecture", Kind.INT16),
    _row(94, "client-network-interface", Kind.OCTETS),
    _row(97, "client-machine-identifier", Kind.OCTETS),
    _row(108, "ipv6-only-preferred", Kind.INT32),
    _row(114, "captive-portal", Kind.TEXT),
    _row(116, "auto-configure", Kind.FLAG),
    _list(117, "name-service-search", Kind.INT16),
    _row(118, "subnet-selection", Kind.ADDRESS),
    _row(119, "domain-search", Kind.OCTETS),
    _row(121, "classless-static-routes", Kind.OCTETS),
    _row(124, "vendor-identifying-class", Kind.OCTETS),
    _row(125, "vendor-identifying-specific", Kind.OCTETS),
    _row(128, "pxe-vendor-128", Kind.OCTETS),
    _row(129, "pxe-vendor-129", Kind.OCTETS),
    _row(130, "pxe-vendor-130", Kind.OCTETS),
    _row(131, "pxe-vendor-131", Kind.OCTETS),
    _row(132, "pxe-vendor-132", Kind.OCTETS),
    _row(133, "pxe-vendor-133", Kind.OCTETS),
    _row(134, "pxe-vendor-134", Kind.OCTETS),
    _row(135, "pxe-vendor-135", Kind.OCTETS),
    _list(150, "tftp-server-addresses", Kind.ADDRESS),
    _row(175, "ipxe", Kind.ENCAPSULATED),
    _row(208, "pxelinux-magic", Kind.OCTETS),
    _row(209, "pxelinux-configuration-file", Kind.TEXT),
    _row(210, "pxelinux-path-prefix", Kind.TEXT),
    _row(211, "pxelinux-reboot-time", Kind.INT32),
    _row(252, "web-proxy-auto-discovery", Kind.TEXT),
)

OPTIONS = {row.code: row for row in _ROWS}
"""The table by code; a code that is not in it has a value of plain octets."""


def option_name(code: int) -> str:
    """Return the name of option ``code``, or ``option-N`` for one that is not in the table."""
    return OPTIONS[code].name if code in OPTIONS else f"option-{code}"


def render(code: int, value: bytes) -> str:
    """Return the value of option ``code`` for people, in ASCII without control characters; never raises.

    A value whose length does not fit its type is shown as octets: ``0x`` and hexadecimal digits.
    """
    row = OPTIONS.get(code, OptionType(code, "", Kind.OCTETS))
    reader = _OPEN.get(row.kind)
    if reader is not None:
        return reader(value)
    size = row.kind.size
    fits = len(value) % size == 0 and len(value) >= size if row.array else len(value) == size
    if not fits:
        return _octets(value)
    return ",".join(_FIXED[row.kind](value[at : at + size]) for at in range(0, len(value), size))


def _octets(value: bytes) -> str:
    return f"0x{value.hex()}"


def _text(value: bytes) -> str:
    shown = value.rstrip(b"\0").decode("ascii", "backslashreplace")
    return '"' + "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in shown) + '"'


def _elements(schema: Any) -> Callable[[bytes], str]:
    def show(value: bytes) -> str:
        try:
            elements = decode(schema, value, "value")
        except Malformed:
            return _octets(value)
        return " ".join(f"{code}={octets.hex()}" for code, octets in elements)

    return show


def _unsigned(value: bytes) -> str:
    return str(int.from_bytes(value, "big"))


def _signed(value: bytes) -> str:
    return str(int.from_bytes(value, "big", signed=True))


def _address(value: bytes) -> str:
    return str(IPv4Address(value))


def _address_pair(value: bytes) -> str:
    return f"{_address(value[:4])}/{_address(value[4:])}"


_OPEN: dict[Kind, Callable[[bytes], str]] = {
    Kind.OCTETS: _octets,
    Kind.TEXT: _text,
    Kind.ENCAPSULATED: _elements(TlvList),
    Kind.RELAY: _elements(PlainTlvList),
}

_FIXED: dict[Kind, Callable[[bytes], str]] = {
    Kind.FLAG: lambda value: "yes" if value[0] else "no",
    Kind.INT8: _unsigned,
    Kind.INT16: _unsigned,
    Kind.INT32: _unsigned,
    Kind.SIGNED32: _signed,
    Kind.ADDRESS: _address,
    Kind.ADDRESS_PAIR: _address_pair,
}

"""Taking a packet apart, layer by layer, for people: captures, traces and the ``decode`` command.

Nothing here raises: a layer that cannot be read says why, and the layers above it are still given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mtftpd.errors import Malformed
from mtftpd.wire import arp, bootp, ethernet, igmp, ipv4, mtftp, tftp, udp
from mtftpd.wire.ethernet import EtherType
from mtftpd.wire.pcapng import LinkType

TFTP_PORT: Final = 69
DHCP_PORTS: Final = frozenset({67, 68, 4011})
MTFTP_PORTS: Final = mtftp.SERVER_PORTS | mtftp.CLIENT_PORTS

_FIRST_UNPRIVILEGED_PORT: Final = 1_024
_OPCODES: Final = frozenset(opcode.to_bytes(2, "big") for opcode in tftp.Opcode)
_COOKIE: Final = slice(bootp.HEADER_SIZE, bootp.AREA_OFFSET)

_COOKED_SIZE: Final = {LinkType.LINUX_COOKED: (16, 14), LinkType.LINUX_COOKED_2: (20, 0)}
"""Octets of the header, and where in it the EtherType is (tcpdump.org/linktypes)."""

_NULL_SIZE: Final = 4
_VERSION: Final = 4
_FRAMED_TYPES: Final = frozenset({EtherType.IPV4, EtherType.ARP, EtherType.VLAN, EtherType.PROVIDER_VLAN})
_PROTOCOLS: Final[dict[int, str]] = {ipv4.Protocol.ICMP: "ICMP", ipv4.Protocol.TCP: "TCP"}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a packet.

    ``value`` is the frozen dataclass of its module; None when ``problem`` says why it could not be read, or when
    nothing is known of what it holds.  ``octets`` are the layer and what it carries; ``note`` is for people.
    """

    name: str
    octets: bytes
    value: object | None = None
    problem: str = ""
    note: str = ""


def dissect_frame(data: bytes, link_type: int = LinkType.ETHERNET) -> tuple[Layer, ...]:
    """Return the layers of a captured frame, the outermost first, at least one."""
    if link_type == LinkType.ETHERNET:
        return _ethernet(data)
    if link_type in (LinkType.RAW, LinkType.IPV4):
        return _raw(data)
    if link_type == LinkType.NULL:
        return _raw(data[_NULL_SIZE:])
    if link_type in _COOKED_SIZE:
        size, at = _COOKED_SIZE[LinkType(link_type)]
        if len(data) < size:
            return (Layer("Linux cooked", data, problem="the header is cut short"),)
        return (Layer("Linux cooked", data), *_network(int.from_bytes(data[at : at + 2], "big"), data[size:]))
    return (Layer(f"link type {link_type}", data),)


def dissect_unknown(data: bytes) -> tuple[Layer, ...]:
    """Return the layers of octets of which nobody said what they are: a frame, an IPv4 packet or a UDP payload."""
    if int.from_bytes(data[12:14], "big") in _FRAMED_TYPES:
        layers = _ethernet(data)
        if len(layers) > 1 and not layers[1].problem:
            return layers
    if data[:1] and data[0] >> 4 == _VERSION:
        layers = _network(EtherType.IPV4, data)
        if not layers[0].problem:
            return layers
    is_tftp = data[:2] in _OPCODES
    return (dissect_payload(data, TFTP_PORT, 0) if is_tftp else dissect_payload(data, 0, 0),)


def dissect_payload(data: bytes, source_port: int, destination_port: int) -> Layer:
    """Return the layer in a UDP payload, chosen by the ports, else by what it looks like."""
    ports = {source_port, destination_port}
    if ports & DHCP_PORTS or data[_COOKIE] == bootp.MAGIC_COOKIE:
        return _layer("DHCP", data, bootp.parse_untrusted)
    if ports & MTFTP_PORTS:
        return _layer("MTFTP", data, tftp.parse_untrusted)
    if TFTP_PORT in ports:
        return _layer("TFTP", data, tftp.parse_untrusted)
    # The rest of a transfer runs between two ephemeral ports.
    if min(ports) >= _FIRST_UNPRIVILEGED_PORT and data[:2] in _OPCODES:
        layer = _layer("TFTP", data, tftp.parse_untrusted)
        if not layer.problem:
            return layer
    return Layer("payload", data)


def _layer(name: str, data: bytes, read: Callable[[bytes], object]) -> Layer:
    try:
        return Layer(name, data, read(data))
    except Malformed as problem:
        return Layer(name, data, problem=str(problem))


def _lenient(name: str, data: bytes, strict: Callable[[bytes], object], loose: Callable[[bytes], object]) -> Layer:
    """Return the layer even if its checksum is wrong, which ``loose`` does not look at."""
    first = _layer(name, data, strict)
    if not first.problem:
        return first
    second = _layer(name, data, loose)
    return second if second.problem else Layer(name, data, second.value, note=first.problem)


def _ethernet(data: bytes) -> tuple[Layer, ...]:
    layer = _layer("Ethernet", data, ethernet.parse_untrusted)
    if not isinstance(layer.value, ethernet.Frame):
        return (layer,)
    return (layer, *_network(layer.value.type, layer.value.payload))


def _raw(data: bytes) -> tuple[Layer, ...]:
    return _network(EtherType.IPV6 if data and data[0] >> 4 == 6 else EtherType.IPV4, data)


def _network(kind: int, data: bytes) -> tuple[Layer, ...]:
    if kind == EtherType.ARP:
        return (_layer("ARP", data, arp.parse_untrusted),)
    if kind == EtherType.IPV4:
        return _ipv4(data)
    return (Layer("IPv6" if kind == EtherType.IPV6 else f"type {kind:#06x}", data),)


def _ipv4(data: bytes) -> tuple[Layer, ...]:
    layer = _lenient("IPv4", data, ipv4.parse_untrusted, lambda octets: ipv4.parse_untrusted(octets, verify=False))
    packet = layer.value
    if not isinstance(packet, ipv4.Packet):
        return (layer,)
    if packet.is_fragment:
        return (layer, Layer("fragment", packet.payload))
    if packet.protocol == ipv4.Protocol.UDP:
        return (layer, *_udp(packet))
    if packet.protocol == ipv4.Protocol.IGMP:
        strict, loose = igmp.parse_untrusted, lambda octets: igmp.parse_untrusted(octets, verify=False)
        return (layer, _lenient("IGMP", packet.payload, strict, loose))
    name = _PROTOCOLS.get(packet.protocol, f"protocol {packet.protocol}")
    return (layer, Layer(name, packet.payload))


def _udp(packet: ipv4.Packet) -> tuple[Layer, ...]:
    def read(octets: bytes, verify: bool = True) -> udp.Segment:
        return udp.parse_untrusted(octets, packet.source, packet.destination, verify=verify)

    layer = _lenient("UDP", packet.payload, read, lambda octets: read(octets, verify=False))
    segment = layer.value
    if not isinstance(segment, udp.Segment):
        return (layer,)
    if layer.note and udp.is_checksum_unfinished(packet.payload, packet.source, packet.destination):
        layer = Layer("UDP", packet.payload, segment)
    return (layer, dissect_payload(segment.payload, segment.source_port, segment.destination_port))

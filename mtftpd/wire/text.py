"""Packets as text: one line for logs and lists, or everything that is in them.  Nothing here raises.

All text is printable ASCII: what a ROM puts into a name cannot play tricks on a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

from mtftpd.errors import Malformed
from mtftpd.wire import arp, bootp, ethernet, igmp, ipv4, pxe, pxe_identity, tftp, udp
from mtftpd.wire.dissect import Layer, dissect_frame, dissect_payload
from mtftpd.wire.option_types import render
from mtftpd.wire.pcapng import LinkType
from mtftpd.wire.plain import CLASS_OPTION, VENDOR_OPTION, indented, plain_layer, printable

ARCHITECTURE_OPTION = 93
REQUESTED_ADDRESS = 50
SERVER_IDENTIFIER = 54
BOOT_FILE_OPTION = 67

_NO_ADDRESS = IPv4Address(0)


def summary(data: bytes, source_port: int, destination_port: int) -> str:
    """Return one line for a UDP payload; a malformed one says why."""
    return _one_line(dissect_payload(data, source_port, destination_port))


def describe(data: bytes, source_port: int, destination_port: int) -> str:
    """Return all that is in a UDP payload, a field to a line, two spaces for each level."""
    return _all_lines([dissect_payload(data, source_port, destination_port)])


def frame_summary(data: bytes, link_type: int = LinkType.ETHERNET) -> str:
    """Return one line for a captured frame: who to whom, then what."""
    return layers_summary(dissect_frame(data, link_type))


def describe_frame(data: bytes, link_type: int = LinkType.ETHERNET) -> str:
    """Return all that is in a captured frame, a layer after the other."""
    return _all_lines(dissect_frame(data, link_type))


def layers_summary(layers: Sequence[Layer]) -> str:
    """Return one line for a packet that is taken apart already."""
    notes = "".join(f" [{layer.note}]" for layer in layers if layer.note)
    return f"{_who(layers)}{_one_line(layers[-1])}{notes}"


def layers_description(layers: Sequence[Layer]) -> str:
    """Return all that is in a packet that is taken apart already."""
    return _all_lines(layers)


def _all_lines(layers: Sequence[Layer]) -> str:
    lines: list[str] = []
    for layer in layers:
        content = plain_layer(layer, innermost=layer is layers[-1])
        lines.append(f"{content.pop('layer')}, {content.pop('size')} octets")
        lines += indented(content, 1)
    return "\n".join(lines)


def _who(layers: Sequence[Layer]) -> str:
    """Return "source > destination " of the innermost addresses that are known."""
    frame = packet = segment = None
    for layer in layers:
        match layer.value:
            case ethernet.Frame():
                frame = layer.value
            case ipv4.Packet():
                packet = layer.value
            case udp.Segment():
                segment = layer.value
    if packet and segment:
        return f"{packet.source}:{segment.source_port} > {packet.destination}:{segment.destination_port} "
    if packet:
        return f"{packet.source} > {packet.destination} "
    return f"{frame.source.hex(':')} > {frame.destination.hex(':')} " if frame else ""


def _one_line(layer: Layer) -> str:
    if layer.problem:
        return f"{layer.name} malformed: {layer.problem}"
    match layer.value:
        case bootp.DhcpMessage():
            return _dhcp(layer.value)
        case arp.Packet():
            return _arp(layer.value)
        case igmp.Message() | igmp.Query() | igmp.Report():
            return _igmp(layer.value)
        case tftp.Request() | tftp.Data() | tftp.Ack() | tftp.Error() | tftp.OptionAck():
            return f"{layer.name} {_tftp(layer.value)}"
    return f"{layer.name}, {len(layer.octets)} octets"


def _tftp(packet: tftp.Packet) -> str:
    match packet:
        case tftp.Request(opcode, filename, mode, options):
            name = printable(filename.decode("latin-1"))
            return f'{tftp.Opcode(opcode).name} "{name}" {printable(mode)}{_pairs(options)}'
        case tftp.Data(number, payload):
            return f"DATA {number}, {len(payload)} octets"
        case tftp.Ack(number):
            return f"ACK {number}"
        case tftp.Error(code, text):
            return f'ERROR {code} "{printable(text)}"'
    return f"OACK{_pairs(packet.options)}"


def _pairs(options: tftp.Pairs) -> str:
    return "".join(f" {printable(name)}={printable(value)}" for name, value in options)


def _arp(packet: arp.Packet) -> str:
    if packet.operation == arp.Operation.REQUEST:
        asker = packet.sender_hardware.hex(":")
        return f"ARP who has {packet.target_address}? tell {packet.sender_address} at {asker}"
    if packet.operation == arp.Operation.REPLY:
        return f"ARP {packet.sender_address} is at {packet.sender_hardware.hex(':')}"
    return f"ARP operation {packet.operation}"


def _igmp(packet: igmp.Packet) -> str:
    match packet:
        case igmp.Message(kind, group, _):
            return f"IGMP {igmp.Type(kind).name} {group}"
        case igmp.Query(group):
            return f"IGMP QUERY_V3 {group}, {len(packet.sources)} sources"
    return "IGMP REPORT_V3" + "".join(f" {_record(record)}" for record in packet.records)


def _record(record: igmp.Record) -> str:
    known = {kind.value: kind.name for kind in igmp.RecordType}
    return f"{known.get(record.type, record.type)}({record.group}, {len(record.sources)} sources)"


def _dhcp(message: bootp.DhcpMessage) -> str:
    options = message.options
    parts = [_dhcp_name(message), f"xid={message.xid:#010x}", f"client={message.hardware}"]
    addresses = [
        ("ciaddr", message.ciaddr),
        ("yiaddr", message.yiaddr),
        ("siaddr", message.siaddr),
        ("giaddr", message.giaddr),
        ("requested", options.address(REQUESTED_ADDRESS)),
        ("server", options.address(SERVER_IDENTIFIER)),
    ]
    parts += [f"{name}={address}" for name, address in addresses if address not in (None, _NO_ADDRESS)]
    file = message.file or options.get(BOOT_FILE_OPTION, b"").rstrip(b"\0")
    if file:
        parts.append(f'file="{printable(file.decode("latin-1"))}"')
    if CLASS_OPTION in options:
        parts.append(f"class={render(CLASS_OPTION, options[CLASS_OPTION])}")
    parts += [f"arch={number}" for number in pxe_identity.architectures(options.get(ARCHITECTURE_OPTION, b""))[:1]]
    if pxe_identity.is_ipxe(options):
        parts.append("iPXE")
    if VENDOR_OPTION in options and options.get(CLASS_OPTION, b"").startswith(b"PXE"):
        parts += _vendor(options[VENDOR_OPTION])
    return " ".join(parts)


def _dhcp_name(message: bootp.DhcpMessage) -> str:
    kind = message.message_type
    if kind is None:
        return "BOOTP request" if message.op == bootp.BOOTREQUEST else "BOOTP reply"
    known = {each.value: each.name for each in bootp.MessageType}
    return f"DHCP {known.get(kind, f'type {kind}')}"


def _vendor(value: bytes) -> list[str]:
    """Return what matters of option 43: the group, and the boot item that is asked for."""
    try:
        options = pxe.parse_untrusted(value)
    except Malformed as problem:
        return [f"[option 43 malformed: {problem}]"]
    parts: list[Any] = []
    if options.mtftp:
        parts.append(f"group={options.mtftp.group}:{options.mtftp.client_port} port={options.mtftp.server_port}")
    if options.boot_item:
        parts.append(f"item={options.boot_item.type}")
    return parts

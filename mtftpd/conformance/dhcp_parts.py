"""Parts of DHCP messages as the cases look at them: options by name, and octets as they lie on the wire."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Final

from mtftpd.conformance.dhcp_client import DhcpClient
from mtftpd.conformance.findings import Feature
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.mailbox import Reply
from mtftpd.conformance.verdicts import Inconclusive
from mtftpd.wire import pxe
from mtftpd.wire.bootp import AREA_OFFSET, DhcpMessage
from mtftpd.wire.fields import END, PAD, Element, walk

SUBNET_MASK: Final = 1
ROUTER: Final = 3
DNS: Final = 6
BOOT_FILE_SIZE: Final = 13
VENDOR_SPECIFIC: Final = 43
OVERLOAD: Final = 52
RENEWAL: Final = 58
REBINDING: Final = 59
TFTP_SERVER: Final = 66
RELAY_AGENT: Final = 82

HEADERS: Final = 28
"""Octets of IPv4 and UDP in front of a message."""
SNAME: Final = slice(44, 108)
FILE: Final = slice(108, 236)
PXE_CLASS: Final = b"PXEClient"


async def answers(lab: Lab, client: DhcpClient) -> list[Reply[DhcpMessage]]:
    """Return the OFFER to ``client`` and, from a server that gives addresses, the ACK."""
    offer = await client.offer()
    return [offer, await client.accept(offer.value)] if Feature.LEASES in lab.found.features else [offer]


def elements(reply: Reply[DhcpMessage]) -> list[Element]:
    """Return the options of the message's own area, as they lie there: code and value, repeated ones as well."""
    return walk(reply.packet.data[AREA_OFFSET:])


def behind_end(reply: Reply[DhcpMessage]) -> bytes | None:
    """Return what follows END, None when there is no END."""
    area, position = reply.packet.data[AREA_OFFSET:], 0
    while position < len(area):
        code = area[position]
        if code == END:
            return area[position + 1 :]
        position += 1 if code == PAD else 2 + area[position + 1]
    return None


def tags(reply: Reply[DhcpMessage]) -> pxe.PxeOptions:
    """Return the PXE sub-options of a reply; empty ones when it has no option 43.  Raises `Malformed`."""
    return pxe_options(reply.value)


def pxe_options(message: DhcpMessage) -> pxe.PxeOptions:
    """Return the PXE sub-options of a message; empty ones when it has no option 43.  Raises `Malformed`."""
    return pxe.parse_untrusted(message.options.get(VENDOR_SPECIFIC, b""))


def raw_tags(reply: Reply[DhcpMessage]) -> list[Element]:
    """Return the sub-options of option 43 as they lie there."""
    return walk(reply.value.options.get(VENDOR_SPECIFIC, b""))


def network_of(reply: Reply[DhcpMessage], address: str) -> IPv4Network:
    """Return the network that ``address`` is in by the mask of ``reply``; inconclusive without a mask."""
    mask = reply.value.options.address(SUBNET_MASK)
    if mask is None:
        raise Inconclusive("the reply has no subnet mask (option 1)")
    return IPv4Network(f"{address}/{mask}", strict=False)


def raw_message(message: bytes, area: bytes, *, file: bytes = b"") -> bytes:
    """Return a built message with other octets in its option area, END included, and in its file field."""
    header = bytearray(message[:AREA_OFFSET])
    header[FILE] = file.ljust(128, b"\0")
    return bytes(header) + area.ljust(64, b"\0")


def option(code: int, value: bytes) -> bytes:
    """Return one option as it lies on the wire."""
    return bytes((code, len(value))) + value


def in_network(address: IPv4Address, network: IPv4Network) -> bool:
    """Return whether a host can have ``address`` in ``network``."""
    return address in network and address not in (network.network_address, network.broadcast_address)

"""Where a reply goes: RFC 2131 4.1, and the port that asked for PXE.

========  =========================================================================================
RELAY     giaddr is set: to the relay agent's server port
SOURCE    a request on port 4011, or PXE discovery: to where it came from
CIADDR    the client has an address and answers ARP for it: to it
BROADCAST the client asked for it, or there is no other way (no yiaddr, no Ethernet address), and every NAK
UNICAST   else: to yiaddr in a frame to chaddr, because the client does not answer ARP yet
========  =========================================================================================

Nothing goes to an address that is not served (`Settings.serves`): a forged giaddr, ciaddr or source must not aim our
answers at a stranger.
"""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Address
from typing import NamedTuple

from mtftpd.core.nodes.clients import is_ethernet
from mtftpd.core.settings import Ports, Settings
from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.datagram import Endpoint, HardwareAddress, dotted

LIMITED_BROADCAST = "255.255.255.255"
"""Never the broadcast address of the subnet: a client without an address does not know it (quirk Q49)."""

UNSPECIFIED = "0.0.0.0"


MAX_KNOWN = 4_096
"""Addresses whose reach is known: 4,096 * ~150 octets are 0.6 MB; then it is found out again."""


class Delivery(Enum):
    """How a reply travels; the value is the word in reports."""

    RELAY = "relay"
    SOURCE = "source"
    CIADDR = "ciaddr"
    BROADCAST = "broadcast"
    UNICAST = "unicast"


class Route(NamedTuple):
    """A destination, with the link-layer address when ARP cannot find it."""

    delivery: Delivery
    destination: Endpoint
    hardware: HardwareAddress | None = None

    @property
    def address(self) -> str:
        """The address that the client already has, or "" when it has none."""
        return self.destination.address if self.delivery in (Delivery.CIADDR, Delivery.SOURCE) else ""


def reachable(settings: Settings, address: str) -> bool:
    """Return whether ``address`` is one host that may be sent a reply: served, not ours, not a broadcast address."""
    number, link = IPv4Address(address), settings.link
    if number in (link.address, link.network.broadcast_address, link.network.network_address):
        return False
    return not number.is_multicast and settings.serves(address)


class Reach:
    """What is `reachable` for one configuration, remembered: all relayed messages of a storm come from a few agents."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[str, bool] = {}

    def covers(self, address: str) -> bool:
        """Return whether ``address`` may be sent a reply."""
        found = self._known.get(address)
        if found is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            found = self._known[address] = reachable(self._settings, address)
        return found


def route(request: DhcpMessage, yiaddr: IPv4Address, *, ciaddr_counts: bool, ports: Ports) -> Route:
    """Return where the answer to ``request`` goes; ``yiaddr`` is the address that it gives, or 0.0.0.0.

    ``ciaddr_counts`` is False in answers to DISCOVER, where clients leave nonsense in it (quirk Q47).
    """
    if int(request.giaddr):
        return Route(Delivery.RELAY, Endpoint(dotted(request.giaddr), ports.dhcp_server))
    if ciaddr_counts and int(request.ciaddr):
        return Route(Delivery.CIADDR, Endpoint(dotted(request.ciaddr), ports.dhcp_client))
    hardware = request.hardware
    if request.broadcast or not int(yiaddr) or not is_ethernet(hardware):
        return Route(Delivery.BROADCAST, Endpoint(LIMITED_BROADCAST, ports.dhcp_client))
    return Route(Delivery.UNICAST, Endpoint(dotted(yiaddr), ports.dhcp_client), hardware)


def route_to_all(request: DhcpMessage, ports: Ports) -> Route:
    """Return where a NAK or a proxy offer goes: to every client of the segment, or to the relay that will do so."""
    if int(request.giaddr):
        return Route(Delivery.RELAY, Endpoint(dotted(request.giaddr), ports.dhcp_server))
    return Route(Delivery.BROADCAST, Endpoint(LIMITED_BROADCAST, ports.dhcp_client))


def route_to_source(source: Endpoint) -> Route:
    """Return where the answer on port 4011 goes: EDK1 and OVMF ask from port 4011, iPXE from 68."""
    return Route(Delivery.SOURCE, source)

"""A DHCP and PXE client in the states in which tests begin, and short ways to answer it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from mtftpd.rom.actions import Actions
from mtftpd.rom.dhcp import Dhcp, State
from mtftpd.rom.profiles import DhcpProfile, RomPorts
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.pxe import BootServers, MenuEntry, MenuPrompt, PxeOptions
from tests.rom.wire_peer import DIRECT, IDENTITY, PLAIN_DHCP, STATION, dhcp_sent, from_server, reply

OFFER, ACK, NAK = MessageType.OFFER, MessageType.ACK, MessageType.NAK
ALL = Endpoint("255.255.255.255", 67)
ADDRESS = IPv4Address(STATION)


def powered(profile: DhcpProfile = PLAIN_DHCP, **changes: Any) -> tuple[Dhcp, Actions]:
    client = Dhcp(replace(IDENTITY, **changes), profile, RomPorts())
    return client, client.start(0.0)


def give(client: Dhcp, message: DhcpMessage, now: float = 0.0, source: Endpoint | None = None) -> Actions:
    return client.receive(from_server(message, source), now)


def requested(profile: DhcpProfile = PLAIN_DHCP, tags: PxeOptions | None = DIRECT, **header: Any) -> Dhcp:
    """Return a client that asks for the address of a PXE offer."""
    client, _ = powered(profile)
    options = {} if tags else {60: b"PXEClient"}
    give(client, reply(OFFER, options, pxe_options=tags, **header))
    assert client.state is State.REQUEST
    return client


def only_message(actions: Actions) -> tuple[int, Endpoint, DhcpMessage]:
    (message,) = dhcp_sent(actions)
    return message


def menu(control: int, boot_type: int = 7, *servers: BootServers) -> PxeOptions:
    return PxeOptions(
        discovery_control=control,
        discovery_group=IPv4Address("224.0.1.2"),
        boot_servers=servers,
        menu=(MenuEntry(boot_type, "Linux"), MenuEntry(0, "Local")),
        prompt=MenuPrompt(0, "F8"),
    )

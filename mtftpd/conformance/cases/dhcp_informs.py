"""INFORM, which asks for everything but an address; and BOOTP: the families ADR (21 to 24) and BTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

from mtftpd.conformance.dhcp_client import CLIENT_PORT, PLAIN, DhcpClient
from mtftpd.conformance.findings import Feature
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.mailbox import Reply
from mtftpd.conformance.registry import dhcp
from mtftpd.conformance.verdicts import ABSENT, NotApplicable, at_least, check
from mtftpd.wire.bootp import MINIMUM_SIZE, DhcpMessage, MessageType
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.options import LEASE_TIME, Options

LEASES = (Feature.LEASES,)
DHCP_OPTIONS = range(50, 62)


@asynccontextmanager
async def informing(lab: Lab) -> AsyncIterator[tuple[DhcpClient, IPv4Address]]:
    """Yield a client at port 68 of this machine, whose address the target has not given, and that address."""
    async with lab.dhcp() as client:
        mailbox = lab.mailbox(lab.host, CLIENT_PORT)
        try:
            with client.hearing(mailbox):
                yield client, IPv4Address(lab.host.address)
        finally:
            mailbox.close()


@dhcp.case("ADR-21", "ADR-22", "ADR-23", needs=LEASES)
async def an_inform_is_answered_without_a_lease_time(lab: Lab) -> None:
    """The ACK goes to ciaddr, and has neither lease time nor yiaddr."""
    async with lab.dhcp() as client:
        held = (await client.lease()).value.yiaddr
        client.new_exchange()
        inform = client.message(MessageType.INFORM, ciaddr=held, flags=0)
        ack = await client.ask(inform, MessageType.ACK, to=client.way.server)
        check(ack.packet, "destination", str(ack.packet.destination), str(Endpoint(str(held), CLIENT_PORT)))
        check(ack.packet, "option 51 (lease time)", ack.value.options.get(LEASE_TIME), ABSENT)
        check(ack.packet, "yiaddr", str(ack.value.yiaddr), "0.0.0.0")


@dhcp.case("ADR-24", needs=LEASES, alone="port 68")
async def an_inform_needs_no_lease(lab: Lab) -> None:
    """A client whose address the target has not given gets an ACK as well."""
    async with informing(lab) as (client, address):
        inform = client.message(MessageType.INFORM, ciaddr=address, flags=0)
        ack = await client.ask(inform, MessageType.ACK, to=client.way.server)
        check(ack.packet, "option 51 (lease time)", ack.value.options.get(LEASE_TIME), ABSENT)


@asynccontextmanager
async def bootp_client(lab: Lab) -> AsyncIterator[DhcpClient]:
    """Yield a client that sends no options at all."""
    async with lab.dhcp(PLAIN) as client:
        client.options = Options()
        yield client


async def bootp_reply(lab: Lab, client: DhcpClient) -> Reply[DhcpMessage]:
    """Return the BOOTREPLY to a BOOTREQUEST; not applicable where there is none: BOOTP may be left out."""
    client.send(client.message(None))
    reply = await client.hear(lab.target.quiet)
    if reply is None:
        raise NotApplicable("the target does not answer BOOTP clients")
    if int(reply.value.yiaddr):
        client.take(reply.value.yiaddr)
    return reply


@dhcp.case("BTP-01", "BTP-02", "BTP-03")
async def a_bootreply_is_no_dhcp_and_has_300_octets(lab: Lab) -> None:
    """A BOOTREQUEST without options gets 300 octets at least, with none of the options 50 to 61."""
    async with bootp_client(lab) as client:
        reply = await bootp_reply(lab, client)
        check(reply.packet, "UDP payload, octets", len(reply.packet.data), at_least(MINIMUM_SIZE))
        check(reply.packet, "options of DHCP", sorted(set(DHCP_OPTIONS) & set(reply.value.options)), [])


@dhcp.case("BTP-04", needs=LEASES)
async def a_bootp_client_is_answered_at_its_address(lab: Lab) -> None:
    """A BOOTREQUEST with ciaddr is answered there."""
    async with lab.dhcp() as client:
        held = (await client.lease()).value.yiaddr
        client.new_exchange()
        client.options = Options()
        client.send(client.message(None, ciaddr=held, flags=0))
        reply = await client.hear(lab.target.quiet)
        if reply is None:
            raise NotApplicable("the target does not answer BOOTP clients")
        check(reply.packet, "IP destination", reply.packet.destination.address, str(held))

"""Relay agents and their option 82: the family RLY.  The agent is a second machine of ours on the target's link."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from mtftpd.conformance.dhcp_client import BIOS, REQUESTED_ADDRESS, SERVER_PORT, DhcpClient, Rom
from mtftpd.conformance.dhcp_parts import OVERLOAD, RELAY_AGENT, SUBNET_MASK, elements, in_network, option, tags
from mtftpd.conformance.findings import Feature
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.mailbox import Mailbox, Reply
from mtftpd.conformance.registry import dhcp, pxe
from mtftpd.conformance.verdicts import ABSENT, check, given
from mtftpd.wire.bootp import BROADCAST_FLAG, DhcpMessage, MessageType
from mtftpd.wire.datagram import Endpoint

LEASES = (Feature.LEASES,)
CIRCUIT = option(1, b"port 7") + option(2, b"\x02relay")
ODD = option(213, b"\1\2\3") + bytes((1, 200, 7))
"""A sub-option that nobody knows, and one that is longer than what is left."""


@dataclass(frozen=True, slots=True)
class Agent:
    """A relay agent with its port 67, and a client behind it."""

    client: DhcpClient
    mailbox: Mailbox
    address: IPv4Address

    def relayed(self, message: DhcpMessage, agent: bytes = CIRCUIT) -> DhcpMessage:
        """Return ``message`` as the agent passes it on: hops, giaddr and option 82 (none where ``agent`` is empty)."""
        options = message.options.with_(RELAY_AGENT, agent) if agent else message.options
        return replace(message, hops=1, giaddr=self.address, options=options)

    async def ask(self, message: DhcpMessage, *kinds: MessageType, agent: bytes = CIRCUIT) -> Reply[DhcpMessage]:
        """Relay ``message`` and return the answer that comes to the agent."""
        with self.client.hearing(self.mailbox):
            return await self.client.ask(self.relayed(message, agent), *kinds, to=self.client.way.server)

    async def offer(self, agent: bytes = CIRCUIT) -> Reply[DhcpMessage]:
        """Relay a DISCOVER and return the OFFER; without one the case is inconclusive."""
        with given("OFFER through the agent"):
            reply = await self.ask(self.client.message(MessageType.DISCOVER), MessageType.OFFER, agent=agent)
        self.client.note(reply.value)
        return reply


@asynccontextmanager
async def behind_a_relay(lab: Lab, rom: Rom = BIOS) -> AsyncIterator[Agent]:
    """Yield an agent: a machine with a lease, where the target gives addresses, else a port of this machine."""
    async with lab.dhcp() as station, lab.dhcp(rom) as client:
        host = lab.host
        if Feature.LEASES in lab.found.features:
            await station.lease()
            host = station.machine
        mailbox = lab.mailbox(host, SERVER_PORT)
        try:
            yield Agent(client, mailbox, IPv4Address(host.address))
        finally:
            mailbox.close()


@dhcp.case("RLY-01", alone="relay")
async def replies_to_an_agent_go_to_its_port_67(lab: Lab) -> None:
    """The OFFER to a relayed DISCOVER goes to giaddr, port 67."""
    async with behind_a_relay(lab) as agent:
        offer = await agent.ask(agent.client.message(MessageType.DISCOVER), MessageType.OFFER)
        agent.client.note(offer.value)
        wanted = Endpoint(str(agent.address), SERVER_PORT)
        check(offer.packet, "destination", str(offer.packet.destination), str(wanted))
        check(offer.packet, "giaddr", str(offer.value.giaddr), str(agent.address))


@dhcp.case("RLY-02", needs=LEASES)
async def a_relayed_client_gets_an_address_of_its_network(lab: Lab) -> None:
    """Yiaddr is in the network of giaddr, by the mask that is sent."""
    async with behind_a_relay(lab) as agent:
        offer = await agent.offer()
        mask = offer.value.options.address(SUBNET_MASK)
        network = IPv4Network(f"{agent.address}/{mask or 32}", strict=False)
        check(offer.packet, f"yiaddr {offer.value.yiaddr} in {network}", in_network(offer.value.yiaddr, network), True)


@dhcp.case("RLY-03", "RLY-05", alone="relay")
async def option_82_comes_back(lab: Lab) -> None:
    """It is in the OFFER and in the ACK, octet by octet, among the options and not in file or sname."""
    async with behind_a_relay(lab) as agent:
        replies = [await agent.offer()]
        if int(replies[0].value.yiaddr):
            replies.append(await agent.ask(agent.client.selecting(replies[0].value), MessageType.ACK))
            agent.client.take(replies[1].value.yiaddr)
        for reply in replies:
            check(reply.packet, "option 82 (relay agent)", dict(elements(reply)).get(RELAY_AGENT), CIRCUIT)
            check(reply.packet, "option 52 (overload)", dict(elements(reply)).get(OVERLOAD), ABSENT)


@dhcp.case("RLY-04", alone="relay")
async def option_82_is_the_last(lab: Lab) -> None:
    """No option follows it."""
    async with behind_a_relay(lab) as agent:
        offer = await agent.offer()
        check(offer.packet, "last option", elements(offer)[-1][0], RELAY_AGENT)


@dhcp.case("RLY-06", alone="relay")
async def without_option_82_there_is_none_in_the_reply(lab: Lab) -> None:
    """Neither a relayed request without it nor a direct one gets option 82."""
    async with behind_a_relay(lab) as agent:
        offer = await agent.offer(agent=b"")
        check(offer.packet, "option 82 (relay agent)", offer.value.options.get(RELAY_AGENT), ABSENT)
    async with lab.dhcp() as client:
        direct = await client.offer()
        check(direct.packet, "option 82 (relay agent)", direct.value.options.get(RELAY_AGENT), ABSENT)


@dhcp.case("RLY-07", needs=LEASES)
async def a_nak_through_an_agent_is_to_be_broadcast(lab: Lab) -> None:
    """A NAK to giaddr has the broadcast flag, although the client did not set it."""
    async with behind_a_relay(lab) as agent:
        wrong = agent.client.message(MessageType.REQUEST, {REQUESTED_ADDRESS: bytes((203, 0, 113, 9))}, flags=0)
        with given("NAK"):
            nak = await agent.ask(wrong, MessageType.NAK)
        check(nak.packet, "broadcast flag", f"{nak.value.flags & BROADCAST_FLAG:04x}", f"{BROADCAST_FLAG:04x}")


@dhcp.case("RLY-08", needs=LEASES)
async def a_renewal_passes_by_the_agent(lab: Lab) -> None:
    """A client that got its lease through an agent renews it by unicast, without option 82."""
    async with behind_a_relay(lab) as agent:
        client = agent.client
        with given("lease through the agent"):
            offer = await agent.offer()
            ack = await agent.ask(client.selecting(offer.value), MessageType.ACK)
        client.take(ack.value.yiaddr)
        client.new_exchange()
        renewal = client.message(MessageType.REQUEST, ciaddr=client.address, flags=0)
        again = await client.ask(renewal, MessageType.ACK, to=client.way.server)
        check(again.packet, "yiaddr", str(again.value.yiaddr), str(client.address))


@dhcp.case("RLY-09", alone="relay")
async def an_odd_option_82_does_no_harm(lab: Lab) -> None:
    """Unknown sub-options, and one that is cut, do not keep the client from being served."""
    async with behind_a_relay(lab) as agent:
        await agent.offer()
        agent.client.new_exchange()
        await agent.ask(agent.client.message(MessageType.DISCOVER), MessageType.OFFER, agent=ODD)


@dhcp.case("RLY-11", needs=LEASES)
async def an_agent_that_cannot_be_is_not_answered(lab: Lab) -> None:
    """A giaddr that is the broadcast address of the network draws no packet."""
    async with lab.dhcp() as client:
        ack = await client.lease()
        network = IPv4Network(f"{lab.target}/{ack.value.options.address(SUBNET_MASK) or 32}", strict=False)
        client.new_exchange()
        forged = client.message(MessageType.DISCOVER, giaddr=network.broadcast_address, hops=1)
        mailbox = lab.mailbox(client.machine, SERVER_PORT)
        try:
            client.send(forged, client.way.server)
            with client.hearing(mailbox):
                await client.silence(lab.target.quiet, "a request from an agent at the broadcast address")
        finally:
            mailbox.close()


@pxe.case("O43-26", alone="relay")
async def a_relayed_client_is_not_told_of_a_group(lab: Lab) -> None:
    """Tags 1 to 5 are not sent through an agent: the group may not reach its segment."""
    async with behind_a_relay(lab) as agent:
        offer = await agent.offer()
        check(offer.packet, "tags 1 to 5", tags(offer).mtftp, ABSENT)

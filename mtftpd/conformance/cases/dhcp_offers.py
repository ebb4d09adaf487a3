"""Which address is offered, to whom and for how long: the family ADR until the REQUEST."""

from __future__ import annotations

from mtftpd.conformance.dhcp_client import CLIENT_IDENTIFIER, REQUESTED_ADDRESS
from mtftpd.conformance.dhcp_parts import REBINDING, RENEWAL, answers, in_network, network_of
from mtftpd.conformance.findings import Feature
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.registry import dhcp
from mtftpd.conformance.verdicts import at_least, check, other_than
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.options import LEASE_TIME

LEASES = (Feature.LEASES,)


@dhcp.case("ADR-01", needs=LEASES)
async def an_offer_has_an_address_and_a_time(lab: Lab) -> None:
    """Yiaddr is not zero, and option 51 is four octets, more than zero."""
    async with lab.dhcp() as client:
        offer = await client.offer()
        check(offer.packet, "yiaddr", str(offer.value.yiaddr), other_than("0.0.0.0"))
        check(offer.packet, "option 51 (lease time)", offer.value.options.integer(LEASE_TIME) or 0, at_least(1))


@dhcp.case("ADR-02", "ADR-08", needs=LEASES)
async def the_ack_gives_what_was_offered(lab: Lab) -> None:
    """Who accepts an offer gets an ACK with its address and a lease time."""
    async with lab.dhcp() as client:
        offer = await client.offer()
        ack = await client.ask(client.selecting(offer.value), MessageType.ACK)
        client.take(ack.value.yiaddr)
        check(ack.packet, "yiaddr", str(ack.value.yiaddr), str(offer.value.yiaddr))
        check(ack.packet, "option 51 (lease time)", ack.value.options.integer(LEASE_TIME) or 0, at_least(1))


@dhcp.case("ADR-03", needs=LEASES)
async def a_client_is_offered_the_address_that_it_has(lab: Lab) -> None:
    """A DISCOVER of a client with a lease is offered the same address."""
    async with lab.dhcp() as client:
        ack = await client.lease()
        client.new_exchange()
        again = await client.offer()
        check(again.packet, "yiaddr", str(again.value.yiaddr), str(ack.value.yiaddr))


@dhcp.case("ADR-04", needs=LEASES)
async def an_address_that_is_held_is_nobody_elses(lab: Lab) -> None:
    """Another client that asks for it gets another offer, and no ACK for it."""
    async with lab.dhcp() as holder, lab.dhcp() as other:
        held = (await holder.lease()).value.yiaddr
        offer = await other.offer({REQUESTED_ADDRESS: held.packed})
        check(offer.packet, "yiaddr", str(offer.value.yiaddr), other_than(str(held)))
        other.send(other.selecting(offer.value, {REQUESTED_ADDRESS: held.packed}))
        reply = await other.hear(lab.target.quiet)
        if reply is not None and reply.value.message_type == MessageType.ACK:
            check(reply.packet, "yiaddr of an ACK", str(reply.value.yiaddr), other_than(str(held)))


@dhcp.case("ADR-05", needs=LEASES)
async def an_address_that_is_offered_is_not_offered_again(lab: Lab) -> None:
    """A second client that asks for the address that the first was just offered is offered another one."""
    async with lab.dhcp() as first, lab.dhcp() as second:
        offered = (await first.offer()).value.yiaddr
        other = await second.offer({REQUESTED_ADDRESS: offered.packed})
        check(other.packet, "yiaddr", str(other.value.yiaddr), other_than(str(offered)))


@dhcp.case("ADR-25", needs=LEASES)
async def a_repeated_discover_gets_the_same_offer(lab: Lab) -> None:
    """Three DISCOVERs of a client are offered one address."""
    async with lab.dhcp() as client:
        first = await client.offer()
        for _ in range(2):
            client.new_exchange()
            again = await client.offer()
            check(again.packet, "yiaddr", str(again.value.yiaddr), str(first.value.yiaddr))


@dhcp.case("ADR-26", needs=LEASES)
async def times_of_renewal_come_before_the_end(lab: Lab) -> None:
    """T1 (58) < T2 (59) < lease time (51), as far as they are sent."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            lease = reply.value.options.integer(LEASE_TIME)
            t1, t2 = (reply.value.options.integer(code) for code in (RENEWAL, REBINDING))
            times = [each for each in (t1, t2, lease) if each is not None]
            check(reply.packet, "T1, T2 and the lease time ascend", times, sorted(set(times)))


@dhcp.case("ADR-27", "ADR-19", needs=LEASES)
async def a_released_address_is_given_to_its_client_again(lab: Lab) -> None:
    """Who has released an address and asks for it again is offered it, and gets it."""
    async with lab.dhcp() as client:
        released = (await client.lease()).value.yiaddr
        client.release()
        client.new_exchange()
        again = await client.offer({REQUESTED_ADDRESS: released.packed})
        check(again.packet, "yiaddr", str(again.value.yiaddr), str(released))


@dhcp.case("ADR-28", needs=LEASES)
async def a_lease_time_that_is_asked_for_does_not_disturb(lab: Lab) -> None:
    """A DISCOVER that asks for a lease of one hour is answered with some lease time."""
    async with lab.dhcp() as client:
        offer = await client.offer({LEASE_TIME: (3600).to_bytes(4, "big")})
        check(offer.packet, "option 51 (lease time)", offer.value.options.integer(LEASE_TIME) or 0, at_least(1))


@dhcp.case("ADR-29", needs=LEASES)
async def a_machine_keeps_its_address_from_rom_to_system(lab: Lab) -> None:
    """A client that begins to send option 61 is offered the address that its hardware address has."""
    async with lab.dhcp() as client:
        held = (await client.lease()).value.yiaddr
        client.new_exchange()
        system = await client.offer({CLIENT_IDENTIFIER: b"\xff" + client.machine.hardware + b"conformance"})
        check(system.packet, "yiaddr", str(system.value.yiaddr), str(held))


@dhcp.case("ADR-30", needs=LEASES)
async def the_address_belongs_to_the_network(lab: Lab) -> None:
    """Yiaddr is a host in the network that the target is in, by the mask that it sends."""
    async with lab.dhcp() as client:
        offer = await client.offer()
        network = network_of(offer, str(lab.target))
        check(offer.packet, f"yiaddr {offer.value.yiaddr} in {network}", in_network(offer.value.yiaddr, network), True)


@dhcp.case("ADR-07", needs=LEASES)
async def an_address_that_was_turned_down_is_free(lab: Lab) -> None:
    """When a client has taken the offer of another server, the next one may have its address."""
    async with lab.dhcp() as first, lab.dhcp() as second:
        offered = (await first.offer()).value.yiaddr
        first.leave()
        # The refusal is not answered, so only the offer itself shows that it has been heard.
        for _ in range(3):
            offer = await second.offer({REQUESTED_ADDRESS: offered.packed})
            if offer.value.yiaddr == offered:
                return
            second.leave()
            await second.hear(lab.target.quiet)  # An ACK to a refusal (ADR-06) is no answer to the next DISCOVER.
            second.new_exchange()
        check(offer.packet, "yiaddr", str(offer.value.yiaddr), str(offered))

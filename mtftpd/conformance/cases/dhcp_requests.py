"""Who is given an address, who is refused, and what gives it back: the family ADR from the REQUEST on."""

from __future__ import annotations

from mtftpd.conformance.dhcp_client import CLIENT_IDENTIFIER, REQUESTED_ADDRESS
from mtftpd.conformance.findings import Feature
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.registry import dhcp
from mtftpd.conformance.verdicts import check, given, other_than
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.options import SERVER_IDENTIFIER

LEASES = (Feature.LEASES,)


@dhcp.case("ADR-06", needs=LEASES)
async def a_request_to_another_server_is_not_answered(lab: Lab) -> None:
    """Neither ACK nor NAK answers a REQUEST whose option 54 names somebody else."""
    async with lab.dhcp() as client:
        offer = await client.offer()
        client.send(client.selecting(offer.value, {SERVER_IDENTIFIER: bytes((192, 0, 2, 1))}))
        await client.silence(lab.target.quiet, "a REQUEST to another server")


@dhcp.case("ADR-09", needs=LEASES)
async def an_address_that_cannot_be_given_is_refused(lab: Lab) -> None:
    """A REQUEST to this server for an address that another client holds is answered with NAK."""
    async with lab.dhcp() as holder, lab.dhcp() as other:
        held = (await holder.lease()).value.yiaddr
        offer = await other.offer()
        wrong = other.selecting(offer.value, {REQUESTED_ADDRESS: held.packed})
        await other.ask(wrong, MessageType.NAK)


@dhcp.case("ADR-10", needs=LEASES)
async def an_address_of_another_network_is_refused(lab: Lab) -> None:
    """A REQUEST without option 54 for an address of elsewhere is answered with NAK."""
    async with lab.dhcp() as client:
        await client.ask(
            client.message(MessageType.REQUEST, {REQUESTED_ADDRESS: bytes((203, 0, 113, 9))}), MessageType.NAK
        )


@dhcp.case("ADR-11", needs=LEASES)
async def an_unknown_client_is_left_to_its_server(lab: Lab) -> None:
    """Silence answers a REQUEST without option 54 of a client that is not known, for an address that could be."""
    async with lab.dhcp() as former, lab.dhcp() as client:
        address = (await former.lease()).value.yiaddr
        former.leave()
        client.send(client.message(MessageType.REQUEST, {REQUESTED_ADDRESS: address.packed}))
        await client.silence(lab.target.quiet, "a REQUEST of a client that is not known")


@dhcp.case("ADR-12", needs=LEASES)
async def a_client_that_remembers_its_address_gets_it(lab: Lab) -> None:
    """A REQUEST without option 54 for the address that the client holds is answered with ACK."""
    async with lab.dhcp() as client:
        held = (await client.lease()).value.yiaddr
        client.new_exchange()
        reboot = client.message(MessageType.REQUEST, {REQUESTED_ADDRESS: held.packed})
        ack = await client.ask(reboot, MessageType.ACK)
        check(ack.packet, "yiaddr", str(ack.value.yiaddr), str(held))


@dhcp.case("ADR-14", needs=LEASES)
async def a_lease_is_extended_by_broadcast_too(lab: Lab) -> None:
    """A REQUEST with ciaddr that is broadcast is answered with ACK by the server that gave the lease."""
    async with lab.dhcp() as client:
        held = (await client.lease()).value.yiaddr
        client.new_exchange()
        ack = await client.ask(client.message(MessageType.REQUEST, ciaddr=held, flags=0), MessageType.ACK)
        check(ack.packet, "yiaddr", str(ack.value.yiaddr), str(held))


@dhcp.case("ADR-15", "ADR-16", needs=LEASES)
async def a_nak_says_nothing_but_no(lab: Lab) -> None:
    """A NAK has options 53 and 54, no address, no lease time, no boot file and no parameters."""
    async with lab.dhcp() as client:
        with given("NAK"):
            wrong = client.message(MessageType.REQUEST, {REQUESTED_ADDRESS: bytes((203, 0, 113, 9))})
            nak = await client.ask(wrong, MessageType.NAK)
        for name, address in (("ciaddr", nak.value.ciaddr), ("yiaddr", nak.value.yiaddr), ("siaddr", nak.value.siaddr)):
            check(nak.packet, name, str(address), "0.0.0.0")
        check(nak.packet, "option 54", str(nak.value.options.address(SERVER_IDENTIFIER)), str(lab.target))
        check(nak.packet, "boot file", nak.value.file, b"")
        # Table 3 of RFC 2131 leaves a message, the identifiers and the class; RFC 3046 adds option 82.
        extra = set(nak.value.options) - {53, SERVER_IDENTIFIER, 56, 60, CLIENT_IDENTIFIER, 82, 97}
        check(nak.packet, "other options", sorted(extra), [])


@dhcp.case("ADR-17", needs=LEASES)
async def a_declined_address_is_not_offered(lab: Lab) -> None:
    """After a DECLINE neither its sender nor another client is offered the address."""
    async with lab.dhcp() as client, lab.dhcp() as other:
        declined = (await client.lease()).value.yiaddr
        client.new_exchange()
        client.decline()
        for each in (client, other):
            offer = await each.offer({REQUESTED_ADDRESS: declined.packed})
            check(offer.packet, "yiaddr", str(offer.value.yiaddr), other_than(str(declined)))


@dhcp.case("ADR-18", needs=LEASES)
async def decline_and_release_are_not_answered(lab: Lab) -> None:
    """Silence answers both."""
    async with lab.dhcp() as first, lab.dhcp() as second:
        for client, name, end in ((first, "RELEASE", first.release), (second, "DECLINE", second.decline)):
            await client.lease()
            client.new_exchange()
            end()
            await client.silence(lab.target.quiet, name)


@dhcp.case("ADR-20", needs=LEASES)
async def nobody_gives_back_what_another_holds(lab: Lab) -> None:
    """After RELEASE and DECLINE of another client the holder renews its lease, and nobody else is offered it."""
    async with lab.dhcp() as holder, lab.dhcp() as thief, lab.dhcp() as third:
        held = (await holder.lease()).value.yiaddr
        own = {SERVER_IDENTIFIER: lab.target.address.packed}
        thief.send(thief.message(MessageType.RELEASE, own, ciaddr=held, flags=0))
        thief.send(thief.message(MessageType.DECLINE, {**own, REQUESTED_ADDRESS: held.packed}))
        offer = await third.offer({REQUESTED_ADDRESS: held.packed})
        check(offer.packet, "yiaddr of a third client", str(offer.value.yiaddr), other_than(str(held)))
        holder.new_exchange()
        renewal = holder.message(MessageType.REQUEST, ciaddr=held, flags=0)
        await holder.ask(renewal, MessageType.ACK, to=holder.way.server)

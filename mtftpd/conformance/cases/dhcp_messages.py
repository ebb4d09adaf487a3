"""The message itself: who is answered, where answers go, and what bad octets must not do; family MSG."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

from mtftpd.conformance.dhcp_client import CLIENT_IDENTIFIER, CLIENT_PORT, EVERYBODY
from mtftpd.conformance.dhcp_parts import FILE, SNAME, answers
from mtftpd.conformance.findings import Feature
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.registry import dhcp
from mtftpd.conformance.verdicts import check, given
from mtftpd.wire import bootp
from mtftpd.wire.bootp import AREA_OFFSET, BOOTREPLY, MessageType
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.options import SERVER_IDENTIFIER

HLEN: Final = 2
COOKIE: Final = slice(236, 240)
NOT_DEFINED: Final = 99


async def still_answers(lab: Lab) -> None:
    """Fail unless a new client gets an OFFER: what was sent before must have done no harm."""
    async with lab.dhcp() as client:
        reply = await client.ask(client.message(MessageType.DISCOVER), MessageType.OFFER)
        client.note(reply.value)


@dhcp.case("MSG-01")
async def messages_of_servers_are_not_answered(lab: Lab) -> None:
    """Silence answers op 2, and the types OFFER, ACK and NAK."""
    async with lab.dhcp() as client:
        client.send(client.message(MessageType.DISCOVER, op=BOOTREPLY))
        for kind in (MessageType.OFFER, MessageType.ACK, MessageType.NAK):
            client.send(client.message(kind))
        await client.silence(lab.target.quiet, "messages that only servers send")


@dhcp.case("MSG-02")
async def another_cookie_is_no_dhcp(lab: Lab) -> None:
    """A DISCOVER with a wrong magic cookie gets no OFFER."""
    async with lab.dhcp() as client:
        data = bytearray(bootp.build(client.message(MessageType.DISCOVER), max_size=1472))
        data[COOKIE] = b"\x63\x82\x53\x64"
        client.send(bytes(data))
        reply = await client.hear(lab.target.quiet)
        if reply is not None:
            client.note(reply.value)
            check(reply.packet, "message type (53)", reply.value.message_type, None)


@dhcp.case("MSG-03")
async def a_cut_message_does_no_harm(lab: Lab) -> None:
    """After a DISCOVER cut at every length, and one with an option beyond its end, a good one is answered."""
    async with lab.dhcp() as client:
        data = bootp.build(client.message(MessageType.DISCOVER), max_size=1472)
        for length in range(len(data.rstrip(b"\0")) - 1):
            client.send(data[:length])
        client.send(data[:AREA_OFFSET] + bytes((53, 1, 1, 60, 250)) + b"PXEClient")
        await client.hear(lab.target.quiet)  # Some of them may be answered; what is malformed fails.
    await still_answers(lab)


@dhcp.case("MSG-04")
async def replies_have_neither_hops_nor_secs(lab: Lab) -> None:
    """Hops and secs are zero, also where the request had secs."""
    async with lab.dhcp() as client:
        offer = await client.offer(secs=300)
        check(offer.packet, "hops", offer.value.hops, 0)
        check(offer.packet, "secs", offer.value.secs, 0)


@dhcp.case("MSG-05")
async def ciaddr_of_an_offer_is_zero(lab: Lab) -> None:
    """Ciaddr is zero in the OFFER and in the ACK of a client that has no address yet."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            check(reply.packet, "ciaddr", str(reply.value.ciaddr), "0.0.0.0")


@dhcp.case("MSG-06")
async def replies_go_from_port_67_to_port_68(lab: Lab) -> None:
    """OFFER and ACK have these UDP ports."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            check(reply.packet, "source port", reply.packet.source.port, lab.target.dhcp_port)
            check(reply.packet, "destination port", reply.packet.destination.port, CLIENT_PORT)


@dhcp.case("MSG-08")
async def with_the_broadcast_flag_replies_are_broadcast(lab: Lab) -> None:
    """OFFER and ACK go to 255.255.255.255 when the flag is set."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            check(reply.packet, "IP destination", reply.packet.destination.address, EVERYBODY)


@dhcp.case("MSG-09", needs=[Feature.LEASES])
async def without_the_flag_replies_go_to_the_one_client(lab: Lab) -> None:
    """The OFFER goes to yiaddr, in a frame to the hardware address."""
    async with lab.dhcp() as client:
        offer = await client.offer(flags=0)
        check(offer.packet, "IP destination", offer.packet.destination.address, str(offer.value.yiaddr))
        check(offer.packet, "Ethernet destination", offer.packet.hardware[1], client.machine.hardware)


@dhcp.case("MSG-11")
async def reserved_flags_are_ignored(lab: Lab) -> None:
    """A DISCOVER with all flags set is answered."""
    async with lab.dhcp() as client:
        reply = await client.ask(client.message(MessageType.DISCOVER, flags=0xFFFF), MessageType.OFFER)
        client.note(reply.value)


@dhcp.case("MSG-12")
async def a_hardware_address_that_is_too_long_does_no_harm(lab: Lab) -> None:
    """After hlen 17 and 255 a good message is answered."""
    async with lab.dhcp() as client:
        data = bytearray(bootp.build(client.message(MessageType.DISCOVER), max_size=1472))
        for length in (17, 255):
            data[HLEN] = length
            client.send(bytes(data))
    await still_answers(lab)


@dhcp.case("MSG-13", needs=[Feature.LEASES])
async def clients_without_chaddr_are_told_apart(lab: Lab) -> None:
    """Two clients with hlen 0 and different options 61 get different offers, by broadcast."""
    async with lab.dhcp() as first, lab.dhcp() as second:
        offered: list[str] = []
        refusals = []
        for number, client in enumerate((first, second)):
            own = {CLIENT_IDENTIFIER: b"\0conformance" + client.machine.hardware + bytes((number,))}
            client.options = client.options.with_(CLIENT_IDENTIFIER, own[CLIENT_IDENTIFIER])
            discover = client.message(MessageType.DISCOVER, htype=32, hlen=0, chaddr=bytes(16), flags=0)
            reply = await client.ask(discover, MessageType.OFFER)
            check(reply.packet, "IP destination", reply.packet.destination.address, EVERYBODY)
            offered.append(str(reply.value.yiaddr))
            check(reply.packet, "address that the other has not", offered.count(offered[-1]), 1)
            refusal = client.selecting(reply.value, {SERVER_IDENTIFIER: bytes((192, 0, 2, 1))})
            refusals.append(replace(refusal, htype=32, hlen=0, chaddr=bytes(16)))
        for client, refused in zip((first, second), refusals, strict=True):
            client.send(refused)


@dhcp.case("MSG-14")
async def header_fields_hold_text_that_ends(lab: Lab) -> None:
    """Sname and file have a NUL, and are zeros behind it or from the beginning."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            for name, where in (("sname", SNAME), ("file", FILE)):
                field = reply.packet.data[where]
                check(reply.packet, f"a NUL in {name}", 0 in field, True)
                check(reply.packet, f"printable text in {name}", field.partition(b"\0")[0].isascii(), True)


@dhcp.case("MSG-15")
async def a_type_that_is_not_defined_is_not_answered(lab: Lab) -> None:
    """Silence answers message types 0 and 99."""
    async with lab.dhcp() as client:
        data = bootp.build(client.message(MessageType.DISCOVER), max_size=1472)
        for kind in (0, NOT_DEFINED):
            client.send(data[: AREA_OFFSET + 2] + bytes((kind,)) + data[AREA_OFFSET + 3 :])
        await client.silence(lab.target.quiet, "message types that are not defined")


@dhcp.case("MSG-16")
async def clients_at_once_are_told_apart(lab: Lab) -> None:
    """Eight DISCOVERs in a row get eight OFFERs, each for its own transaction and hardware address."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(lab.dhcp()) for _ in range(8)]
        for client in clients:
            client.send(client.message(MessageType.DISCOVER))
        for client in clients:
            reply = await client.expect(MessageType.OFFER)
            client.note(reply.value)
            check(reply.packet, "xid", f"{reply.value.xid:08x}", f"{client.xid:08x}")
            check(reply.packet, "chaddr", reply.value.chaddr[:6], client.machine.hardware)


@dhcp.case("MSG-17", needs=[Feature.LEASES])
async def a_new_transaction_number_in_the_request_is_served(lab: Lab) -> None:
    """A REQUEST with another xid than its DISCOVER gets its ACK, with the new one."""
    async with lab.dhcp() as client:
        offer = await client.offer()
        client.new_exchange()
        ack = await client.ask(client.selecting(offer.value), MessageType.ACK)
        client.take(ack.value.yiaddr)
        check(ack.packet, "xid", f"{ack.value.xid:08x}", f"{client.xid:08x}")


@dhcp.case("MSG-07", "ADR-13", needs=[Feature.LEASES])
async def a_renewal_is_answered_where_the_client_is(lab: Lab) -> None:
    """A REQUEST from ciaddr to the server itself gets an ACK to ciaddr, with that address and a lease time."""
    async with lab.dhcp() as client:
        with given("lease"):
            await client.lease()
        renewal = client.message(MessageType.REQUEST, ciaddr=client.address, flags=0)
        ack = await client.ask(renewal, MessageType.ACK, to=client.way.server)
        check(ack.packet, "destination", str(ack.packet.destination), str(Endpoint(str(client.address), CLIENT_PORT)))
        check(ack.packet, "yiaddr", str(ack.value.yiaddr), str(client.address))
        check(ack.packet, "option 51 (lease time), octets", len(ack.value.options.get(51, b"")), 4)


@dhcp.case("MSG-10", needs=[Feature.LEASES])
async def a_nak_is_broadcast(lab: Lab) -> None:
    """A NAK to a client that has no relay goes to 255.255.255.255, whatever its flags and ciaddr say."""
    async with lab.dhcp() as client:
        with given("NAK"):
            wrong = client.message(MessageType.REQUEST, {50: bytes((203, 0, 113, 9))}, flags=0)
            nak = await client.ask(wrong, MessageType.NAK)
        check(nak.packet, "IP destination", nak.packet.destination.address, EVERYBODY)

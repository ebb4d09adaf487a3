"""Options: their order, their encoding, and what clients may do with them; the family OPT."""

from __future__ import annotations

from collections import Counter
from typing import Final

from mtftpd.conformance.cases.dhcp_messages import still_answers
from mtftpd.conformance.dhcp_client import CLIENT_IDENTIFIER, MAXIMUM_SIZE, PARAMETER_LIST, VENDOR_CLASS, DhcpClient
from mtftpd.conformance.dhcp_parts import (
    BOOT_FILE_SIZE,
    DNS,
    HEADERS,
    OVERLOAD,
    PXE_CLASS,
    REBINDING,
    RENEWAL,
    ROUTER,
    SUBNET_MASK,
    answers,
    behind_end,
    elements,
    option,
    raw_message,
)
from mtftpd.conformance.findings import Feature
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.registry import dhcp
from mtftpd.conformance.verdicts import PRESENT, at_least, at_most, check
from mtftpd.wire import bootp
from mtftpd.wire.bootp import MINIMUM_SIZE, MessageType
from mtftpd.wire.fields import END, PAD
from mtftpd.wire.options import LEASE_TIME, MESSAGE_TYPE, SERVER_IDENTIFIER, build_area

LEASES = (Feature.LEASES,)
PXE = (Feature.PXE,)
DISCOVER: Final = option(MESSAGE_TYPE, bytes((MessageType.DISCOVER,)))
EXACT: Final = {MESSAGE_TYPE: 1, SUBNET_MASK: 4, LEASE_TIME: 4, SERVER_IDENTIFIER: 4, RENEWAL: 4, REBINDING: 4,
                BOOT_FILE_SIZE: 2}  # fmt: skip
FOR_CLIENTS: Final = (50, PARAMETER_LIST, MAXIMUM_SIZE)
UNKNOWN: Final = (43, 81, 116, 145, 224, 254)


async def offer_to(client: DhcpClient, area: bytes, file: bytes = b"") -> None:
    """Send a DISCOVER with ``area`` as its options and fail unless a PXE OFFER comes, which is given back."""
    data = raw_message(bootp.build(client.message(MessageType.DISCOVER), max_size=1472), area, file=file)
    client.send(data)
    reply = await client.expect(MessageType.OFFER)
    client.note(reply.value)
    check(reply.packet, "option 60 (vendor class)", reply.value.options.get(VENDOR_CLASS), PXE_CLASS)


@dhcp.case("OPT-01")
async def options_end_with_end(lab: Lab) -> None:
    """The options of a reply end with END, and zeros alone follow."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            rest = behind_end(reply)
            check(reply.packet, "END (255)", rest, PRESENT)
            check(reply.packet, "octets behind END", (rest or b"").strip(b"\0"), b"")


@dhcp.case("OPT-02")
async def options_have_their_lengths(lab: Lab) -> None:
    """Options of a defined length have it, and lists of addresses a multiple of four."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            for code, value in elements(reply):
                if code in EXACT:
                    check(reply.packet, f"octets of option {code}", len(value), EXACT[code])
                if code in (ROUTER, DNS):
                    check(reply.packet, f"octets of option {code}", len(value), at_least(4))
                    check(reply.packet, f"octets of option {code}, modulo 4", len(value) % 4, 0)


@dhcp.case("OPT-03", needs=PXE)
async def pad_among_the_options_is_skipped(lab: Lab) -> None:
    """A DISCOVER with PAD before and between its options is answered like any."""
    async with lab.dhcp() as client:
        area = b"".join(bytes(3) + option(code, value) for code, value in client.options.items())
        await offer_to(client, bytes(2) + DISCOVER + area + bytes((PAD, END)))


@dhcp.case("OPT-04", needs=PXE)
async def what_follows_end_does_not_count(lab: Lab) -> None:
    """A second message type and class behind END change nothing."""
    async with lab.dhcp() as client:
        area = build_area(client.message(MessageType.DISCOVER).options)
        behind = option(MESSAGE_TYPE, bytes((MessageType.RELEASE,))) + option(VENDOR_CLASS, b"NoBootClient")
        await offer_to(client, area + behind)


@dhcp.case("OPT-05", needs=LEASES)
async def the_mask_stands_before_the_router(lab: Lab) -> None:
    """Option 1 comes before option 3 where both are sent."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            order = [code for code, _ in elements(reply) if code in (SUBNET_MASK, ROUTER)]
            check(reply.packet, "order of options 1 and 3", order, sorted(order))


@dhcp.case("OPT-06", needs=PXE)
async def an_option_in_parts_is_put_together(lab: Lab) -> None:
    """A class in two instances of option 60, with another option between them, is understood."""
    async with lab.dhcp() as client:
        name = client.options[VENDOR_CLASS]
        others = client.options.without(VENDOR_CLASS)
        area = DISCOVER + option(VENDOR_CLASS, name[:5])
        area += b"".join(option(code, value) for code, value in others.items())
        await offer_to(client, area + option(VENDOR_CLASS, name[5:]) + bytes((END,)))


@dhcp.case("OPT-07", "OPT-16")
async def no_option_comes_twice(lab: Lab) -> None:
    """Only a value of more than 255 octets is in several instances, each but the last of which is full."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            found = elements(reply)
            for code, count in Counter(code for code, _ in found).items():
                parts = [len(value) for each, value in found if each == code]
                full = all(length == 255 for length in parts[:-1])
                check(reply.packet, f"instances of option {code}, each but the last full", (count > 1, full),
                      (count > 1, True))  # fmt: skip


@dhcp.case("OPT-08", needs=PXE)
async def options_in_the_file_field_count(lab: Lab) -> None:
    """With option 52 = 1, the class in the field file makes the sender a boot client."""
    async with lab.dhcp() as client:
        here = client.options.without(VENDOR_CLASS)
        area = DISCOVER + option(OVERLOAD, b"\1")
        area += b"".join(option(code, value) for code, value in here.items()) + bytes((END,))
        await offer_to(client, area, option(VENDOR_CLASS, client.options[VENDOR_CLASS]) + bytes((END,)))


@dhcp.case("OPT-09")
async def the_message_type_comes_first(lab: Lab) -> None:
    """Option 53 is the first; 54 and 51 follow."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            order = [code for code, _ in elements(reply)]
            wanted = [code for code in (MESSAGE_TYPE, SERVER_IDENTIFIER, LEASE_TIME) if code in order]
            check(reply.packet, "first options", order[: len(wanted)], wanted)


@dhcp.case("OPT-10", "OPT-17", needs=LEASES)
async def mask_and_router_are_sent(lab: Lab) -> None:
    """A client that asks for them gets a subnet mask and one router at least."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            check(reply.packet, "option 1 (subnet mask)", reply.value.options.get(SUBNET_MASK), PRESENT)
            check(reply.packet, "option 3 (router)", reply.value.options.get(ROUTER), PRESENT)


@dhcp.case("OPT-11")
async def options_for_clients_are_not_sent(lab: Lab) -> None:
    """No reply has option 50, 55 or 57."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            check(reply.packet, "options for clients", [c for c in FOR_CLIENTS if c in reply.value.options], [])


@dhcp.case("OPT-12")
async def the_client_identifier_comes_back(lab: Lab) -> None:
    """Option 61 of the request is in every reply, unchanged."""
    async with lab.dhcp() as client:
        sent = b"\0" + client.machine.hardware + b"conformance"
        client.options = client.options.with_(CLIENT_IDENTIFIER, sent)
        for reply in await answers(lab, client):
            check(reply.packet, "option 61 (client identifier)", reply.value.options.get(CLIENT_IDENTIFIER), sent)


@dhcp.case("OPT-13")
async def a_maximum_below_576_counts_as_576(lab: Lab) -> None:
    """With option 57 = 300 the reply is whole: 300 to 548 octets, with all that identifies it."""
    async with lab.dhcp() as client:
        usual = await client.offer()
        client.new_exchange()
        client.options = client.options.with_(MAXIMUM_SIZE, (300).to_bytes(2, "big"))
        reply = await client.ask(client.message(MessageType.DISCOVER), MessageType.OFFER)
        client.note(reply.value)
        size = len(reply.packet.data)
        check(reply.packet, "UDP payload, octets", size, at_least(MINIMUM_SIZE))
        check(reply.packet, "UDP payload, octets", size, at_most(576 - HEADERS))
        check(reply.packet, "boot file", reply.value.file, usual.value.file)


@dhcp.case("OPT-14")
async def unknown_options_do_no_harm(lab: Lab) -> None:
    """A DISCOVER with options that nobody has defined, and with an odd option 43, is answered."""
    async with lab.dhcp() as client:
        more = {code: bytes((code, 1, 2)) for code in UNKNOWN}
        reply = await client.ask(client.message(MessageType.DISCOVER, more), MessageType.OFFER)
        client.note(reply.value)


@dhcp.case("OPT-15", needs=PXE)
async def a_nul_behind_a_text_does_not_count(lab: Lab) -> None:
    """A class that ends with NUL is the class without it."""
    async with lab.dhcp() as client:
        client.options = client.options.with_(VENDOR_CLASS, client.options[VENDOR_CLASS] + b"\0")
        reply = await client.ask(client.message(MessageType.DISCOVER), MessageType.OFFER)
        client.note(reply.value)
        check(reply.packet, "option 60 (vendor class)", reply.value.options.get(VENDOR_CLASS), PXE_CLASS)


@dhcp.case("OPT-18")
async def a_long_message_type_does_no_harm(lab: Lab) -> None:
    """After a message whose option 53 has two octets, and one where it has none, a good one is answered."""
    async with lab.dhcp() as client:
        data = bootp.build(client.message(MessageType.DISCOVER), max_size=1472)
        for value in (b"\1\1", b""):
            client.send(raw_message(data, option(MESSAGE_TYPE, value) + bytes((END,))))
        await client.hear(lab.target.quiet)
    await still_answers(lab)

"""What every reply to a boot ROM has to be: the family DHCP of specs/dhcp.toml."""

from __future__ import annotations

from mtftpd.conformance.dhcp_client import ARCHITECTURE, INTERFACE, MACHINE, MAXIMUM_SIZE, PLAIN, VENDOR_CLASS
from mtftpd.conformance.dhcp_parts import (
    BOOT_FILE_SIZE,
    FILE,
    HEADERS,
    OVERLOAD,
    PXE_CLASS,
    TFTP_SERVER,
    VENDOR_SPECIFIC,
    answers,
    elements,
    tags,
)
from mtftpd.conformance.findings import Feature
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.registry import dhcp
from mtftpd.conformance.verdicts import (
    ABSENT,
    PRESENT,
    NotApplicable,
    at_least,
    at_most,
    check,
    one_of,
    other_than,
)
from mtftpd.wire.bootp import BOOTREPLY, MINIMUM_SIZE, MessageType
from mtftpd.wire.options import BOOT_FILE, MESSAGE_TYPE, SERVER_IDENTIFIER

BLOCK = 512


@dhcp.case("DHCP-01")
async def pxe_options_are_for_pxe_clients(lab: Lab) -> None:
    """Who is no PXEClient, or spells it in another way, is not answered as one."""
    for other in (None, b"pxeclient:Arch:00000:UNDI:002001", b"\0PXEClient", b"XPXEClient"):
        async with lab.dhcp(PLAIN) as client:
            more: dict[int, bytes] = {} if other is None else {VENDOR_CLASS: other}
            client.send(client.message(MessageType.DISCOVER, more))
            reply = await client.hear(lab.target.quiet)
            if reply is not None:
                client.note(reply.value)
                check(
                    reply.packet, "option 60 (vendor class)", reply.value.options.get(VENDOR_CLASS),
                    other_than(PXE_CLASS),
                )  # fmt: skip


@dhcp.case("DHCP-02")
async def class_is_pxeclient_and_no_more(lab: Lab) -> None:
    """Option 60 of a reply to a boot ROM is the nine octets PXEClient."""
    if lab.found.features.isdisjoint({Feature.PXE, Feature.BOOT_FILE}):
        raise NotApplicable(Feature.PXE.value)
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            check(reply.packet, "option 60 (vendor class)", reply.value.options.get(VENDOR_CLASS), PXE_CLASS)


@dhcp.case("DHCP-03")
async def replies_copy_the_header_of_the_request(lab: Lab) -> None:
    """xid, htype, hlen, all 16 octets of chaddr, giaddr and flags come back as they were."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            message, sent = reply.value, client.message(None)
            check(reply.packet, "op", message.op, BOOTREPLY)
            check(reply.packet, "xid", f"{message.xid:08x}", f"{sent.xid:08x}")
            check(reply.packet, "htype", message.htype, sent.htype)
            check(reply.packet, "hlen", message.hlen, sent.hlen)
            check(reply.packet, "chaddr", message.chaddr, sent.chaddr)
            check(reply.packet, "giaddr", message.giaddr, sent.giaddr)
            check(reply.packet, "flags", f"{message.flags:04x}", f"{sent.flags:04x}")


@dhcp.case("DHCP-04")
async def replies_name_their_type_and_server(lab: Lab) -> None:
    """Every OFFER and ACK has options 53 and 54."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            check(reply.packet, "option 53 (message type)", reply.value.options.get(MESSAGE_TYPE), PRESENT)
            check(reply.packet, "option 54 (server identifier)", reply.value.options.get(SERVER_IDENTIFIER), PRESENT)


@dhcp.case("DHCP-05", needs=[Feature.PXE])
async def machine_identifier_comes_back(lab: Lab) -> None:
    """Option 97 is echoed octet by octet."""
    async with lab.dhcp() as client:
        sent = client.options[MACHINE]
        for reply in await answers(lab, client):
            check(reply.packet, "option 97 (machine identifier)", reply.value.options.get(MACHINE), sent)


@dhcp.case("DHCP-06", needs=[Feature.PXE])
async def roms_older_than_rfc_4578_are_served(lab: Lab) -> None:
    """A boot ROM without options 93, 94 and 97 is answered as one."""
    async with lab.dhcp() as client:
        client.options = client.options.without(ARCHITECTURE, INTERFACE, MACHINE)
        reply = await client.ask(client.message(MessageType.DISCOVER), MessageType.OFFER)
        client.note(reply.value)
        check(reply.packet, "option 60 (vendor class)", reply.value.options.get(VENDOR_CLASS), PXE_CLASS)


@dhcp.case("DHCP-07", needs=[Feature.PROXY])
async def a_proxy_offers_no_address(lab: Lab) -> None:
    """The OFFER of a proxy has yiaddr 0.0.0.0."""
    async with lab.dhcp() as client:
        offer = await client.offer()
        check(offer.packet, "yiaddr", str(offer.value.yiaddr), "0.0.0.0")


@dhcp.case("DHCP-09", needs=[Feature.LEASES])
async def the_ack_repeats_what_the_offer_said(lab: Lab) -> None:
    """Boot file, siaddr and the options 43, 60, 66 and 67 of the ACK are those of the OFFER."""
    async with lab.dhcp() as client:
        offer = await client.offer()
        ack = await client.accept(offer.value)
        check(ack.packet, "boot file in the header", ack.value.file, offer.value.file)
        check(ack.packet, "siaddr", str(ack.value.siaddr), str(offer.value.siaddr))
        for code in (VENDOR_SPECIFIC, VENDOR_CLASS, TFTP_SERVER, BOOT_FILE):
            check(ack.packet, f"option {code}", ack.value.options.get(code), offer.value.options.get(code))


@dhcp.case("DHCP-10")
async def one_address_everywhere(lab: Lab) -> None:
    """Option 54 is the address that the reply comes from; siaddr is that address or zero."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            named = reply.value.options.address(SERVER_IDENTIFIER)
            check(reply.packet, "option 54 (server identifier)", str(named), reply.packet.source.address)
            check(reply.packet, "siaddr", str(reply.value.siaddr), one_of((reply.packet.source.address, "0.0.0.0")))


@dhcp.case("DHCP-11", needs=[Feature.BOOT_FILE])
async def a_boot_file_comes_with_siaddr(lab: Lab) -> None:
    """Siaddr is not zero where a boot file is named."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            check(reply.packet, "siaddr", str(reply.value.siaddr), other_than("0.0.0.0"))


@dhcp.case("DHCP-12")
async def replies_have_300_octets(lab: Lab) -> None:
    """No reply is shorter than a BOOTP message."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            check(reply.packet, "UDP payload, octets", len(reply.packet.data), at_least(MINIMUM_SIZE))


@dhcp.case("DHCP-13")
async def replies_fit_the_size_that_was_named(lab: Lab) -> None:
    """With option 57 of 576 a message has at most 548 octets, and so without option 57."""
    async with lab.dhcp() as client, lab.dhcp() as other:
        client.options = client.options.with_(MAXIMUM_SIZE, (576).to_bytes(2, "big"))
        other.options = other.options.without(MAXIMUM_SIZE)
        for each in (client, other):
            for reply in await answers(lab, each):
                check(reply.packet, "UDP payload, octets", len(reply.packet.data), at_most(576 - HEADERS))


@dhcp.case("DHCP-14")
async def no_fields_are_overloaded(lab: Lab) -> None:
    """Option 52 is not sent to a boot ROM."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            check(reply.packet, "option 52 (overload)", dict(elements(reply)).get(OVERLOAD), ABSENT)


@dhcp.case("DHCP-15", needs=[Feature.BOOT_FILE])
async def the_boot_file_is_in_the_header(lab: Lab) -> None:
    """The name ends with NUL within the header field, and option 67 says the same."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            check(reply.packet, "last octet of the field file", reply.packet.data[FILE][-1], 0)
            name = reply.value.options.get(BOOT_FILE)
            if name is not None:
                check(reply.packet, "option 67 without its NUL", name.rstrip(b"\0"), reply.value.file)
                at = reply.packet.data.index(name, 240) + len(name)
                check(reply.packet, "a NUL at the end of option 67", 0 in (name[-1], reply.packet.data[at]), True)


@dhcp.case("DHCP-16")
async def no_empty_names(lab: Lab) -> None:
    """Options 66 and 67 are absent or have a value."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            for code in (TFTP_SERVER, BOOT_FILE):
                if code in reply.value.options:
                    check(reply.packet, f"octets of option {code}", len(reply.value.options[code]), at_least(1))


@dhcp.case("DHCP-17", needs=[Feature.PXE, Feature.BOOT_FILE, Feature.TFTP])
async def the_size_is_told_to_who_is_told_of_a_group(lab: Lab) -> None:
    """Beside tags 1 to 5 option 13 is the size of the boot file in blocks of 512, rounded up."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            if tags(reply).mtftp is None:
                raise NotApplicable("a BIOS client is told of no group")
            name = reply.value.file.decode("latin-1")
            image = next((each for each in lab.found.images if each.name == name), None)
            if image is None:
                raise NotApplicable(f"{name} cannot be read by TFTP")
            blocks = reply.value.options.integer(BOOT_FILE_SIZE)
            check(reply.packet, "option 13 (boot file size)", blocks, -(-image.size // BLOCK))


@dhcp.case("DHCP-18")
async def clients_without_an_address_are_reached(lab: Lab) -> None:
    """With and without the broadcast flag, the OFFER arrives at a client that has no address."""
    for flags in (0x8000, 0):
        async with lab.dhcp() as client:
            reply = await client.ask(client.message(MessageType.DISCOVER, flags=flags), MessageType.OFFER)
            client.note(reply.value)


@dhcp.case("DHCP-19", needs=[Feature.PXE])
async def a_class_without_pxe_options_leads_to_port_4011(lab: Lab) -> None:
    """Option 60 without option 43 is sent only where port 4011 answers."""
    async with lab.dhcp() as client:
        offer = await client.offer()
        if VENDOR_SPECIFIC not in offer.value.options:
            check(offer.packet, "port 4011 answers", Feature.PORT_4011 in lab.found.features, True)

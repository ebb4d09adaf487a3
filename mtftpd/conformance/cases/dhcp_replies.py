"""What every reply to a boot ROM has to be: the family DHCP of specs/dhcp.toml."""

from __future__ import annotations

from mtftpd.conformance.dhcp_client import BIOS, MACHINE, MAXIMUM_SIZE, VENDOR_CLASS, DhcpClient
from mtftpd.conformance.findings import Feature
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.mailbox import Reply
from mtftpd.conformance.registry import dhcp
from mtftpd.conformance.verdicts import PRESENT, at_least, at_most, check, one_of
from mtftpd.wire.bootp import MINIMUM_SIZE, DhcpMessage
from mtftpd.wire.options import BOOT_FILE, MESSAGE_TYPE, SERVER_IDENTIFIER

TFTP_SERVER = 66
VENDOR_SPECIFIC = 43
HEADERS = 28
"""Octets of IPv4 and UDP in front of a message."""


async def answers(lab: Lab, client: DhcpClient) -> list[Reply[DhcpMessage]]:
    """Return the OFFER to ``client`` and, from a server that gives addresses, the ACK."""
    offer = await client.offer()
    return [offer, await client.accept(offer.value)] if Feature.LEASES in lab.found.features else [offer]


@dhcp.case("DHCP-03")
async def replies_copy_the_header_of_the_request(lab: Lab) -> None:
    """xid, htype, hlen, all 16 octets of chaddr, giaddr and flags come back as they were."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            message, sent = reply.value, client.message(None)
            check(reply.packet, "op", message.op, 2)
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


@dhcp.case("DHCP-05")
async def machine_identifier_comes_back(lab: Lab) -> None:
    """Option 97 is echoed octet by octet."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            check(
                reply.packet,
                "option 97 (machine identifier)",
                reply.value.options.get(MACHINE),
                client.options[MACHINE],
            )


@dhcp.case("DHCP-10")
async def one_address_everywhere(lab: Lab) -> None:
    """Option 54 is the address that the reply comes from; siaddr is that address or zero."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            named = reply.value.options.address(SERVER_IDENTIFIER)
            check(reply.packet, "option 54 (server identifier)", str(named), reply.packet.source.address)
            check(reply.packet, "siaddr", str(reply.value.siaddr), one_of((reply.packet.source.address, "0.0.0.0")))


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


@dhcp.case("DHCP-16")
async def no_empty_names(lab: Lab) -> None:
    """Options 66 and 67 are absent or have a value."""
    async with lab.dhcp(BIOS) as client:
        for reply in await answers(lab, client):
            for code in (TFTP_SERVER, BOOT_FILE):
                if code in reply.value.options:
                    check(reply.packet, f"octets of option {code}", len(reply.value.options[code]), at_least(1))


@dhcp.case("DHCP-02", needs=[Feature.PXE])
async def class_is_pxeclient_and_no_more(lab: Lab) -> None:
    """Option 60 of a reply to a boot ROM is the nine octets PXEClient."""
    async with lab.dhcp() as client:
        for reply in await answers(lab, client):
            check(reply.packet, "option 60 (vendor class)", reply.value.options.get(VENDOR_CLASS), b"PXEClient")

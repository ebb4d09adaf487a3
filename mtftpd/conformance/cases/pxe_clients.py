"""How a boot ROM names itself, and what the target makes of it: the family PXE of specs/pxe.toml."""

from __future__ import annotations

from typing import Final

from mtftpd.conformance.cases.dhcp_messages import still_answers
from mtftpd.conformance.dhcp_client import (
    ARCHITECTURE,
    BIOS,
    CLIENT_PORT,
    EVERYBODY,
    INTERFACE,
    MACHINE,
    PARAMETER_LIST,
    PLAIN,
    VENDOR_CLASS,
    Rom,
)
from mtftpd.conformance.dhcp_parts import PXE_CLASS, REBINDING, RENEWAL, VENDOR_SPECIFIC, answers, tags
from mtftpd.conformance.findings import Feature
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.mailbox import Reply
from mtftpd.conformance.pxe_client import pxe_question
from mtftpd.conformance.registry import pxe
from mtftpd.conformance.verdicts import ABSENT, PRESENT, check, other_than
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.options import LEASE_TIME, SERVER_IDENTIFIER

PROXY: Final = (Feature.PROXY,)
LEASES: Final = (Feature.LEASES,)
X64_AS_DEPLOYED: Final = Rom(7, (3, 0))
X64_AS_PRINTED: Final = Rom(9, (3, 0))
HTTP_X64: Final = b"HTTPClient:Arch:00016:UNDI:003000"


def boots(reply: Reply[DhcpMessage]) -> bool:
    """Return whether a reply names a boot file or a menu."""
    return bool(reply.value.file) or bool(tags(reply).menu)


@pxe.case("PXE-04")
async def one_of_several_architectures_is_enough(lab: Lab) -> None:
    """A client whose option 93 lists an unknown architecture beside its own is told what to boot."""
    async with lab.dhcp() as client:
        usual = await client.offer()
        client.new_exchange()
        client.options = client.options.with_(ARCHITECTURE, bytes((0, BIOS.architecture or 0, 0x77, 0x77)))
        several = await client.ask(client.message(MessageType.DISCOVER), MessageType.OFFER)
        check(several.packet, "boot file", several.value.file, usual.value.file)


@pxe.case("PXE-05")
async def odd_lengths_do_no_harm(lab: Lab) -> None:
    """After options 93 and 94 of odd lengths, a good message is answered."""
    async with lab.dhcp() as client:
        for code, value in ((ARCHITECTURE, b"\0"), (ARCHITECTURE, b"\0\0\7"), (ARCHITECTURE, b""), (INTERFACE, b"\1")):
            client.send(client.message(MessageType.DISCOVER, {code: value}))
        reply = await client.hear(lab.target.quiet)
        if reply is not None:
            client.note(reply.value)
    await still_answers(lab)


@pxe.case("PXE-06")
async def any_machine_identifier_comes_back(lab: Lab) -> None:
    """Option 97 of another type and length is echoed as it came."""
    for value in (b"\x07" + b"short", b"\0" + bytes(range(20))):
        async with lab.dhcp() as client:
            client.options = client.options.with_(MACHINE, value)
            reply = await client.offer()
            check(reply.packet, "option 97 (machine identifier)", reply.value.options.get(MACHINE), value)


@pxe.case("PXE-07", needs=LEASES)
async def equal_uuids_are_not_one_machine(lab: Lab) -> None:
    """Two hardware addresses with one option 97 of all ones both get an address, and not the same."""
    async with lab.dhcp() as first, lab.dhcp() as second:
        for client in (first, second):
            client.options = client.options.with_(MACHINE, b"\0" + b"\xff" * 16)
        one, two = await first.lease(), await second.lease()
        check(two.packet, "yiaddr", str(two.value.yiaddr), other_than(str(one.value.yiaddr)))


@pxe.case("PXE-09")
async def x64_is_known_by_both_of_its_numbers(lab: Lab) -> None:
    """Architectures 7 and 9 are told the same boot file."""
    async with lab.dhcp(X64_AS_DEPLOYED) as deployed, lab.dhcp(X64_AS_PRINTED) as printed:
        usual, other = await deployed.offer(), await printed.offer()
        check(other.packet, "boot file", other.value.file, usual.value.file)


@pxe.case("PXE-11")
async def pxe_options_come_unasked(lab: Lab) -> None:
    """A ROM that asks for options 1 and 3 alone gets the same PXE options as others."""
    async with lab.dhcp() as client:
        usual = await client.offer()
        client.new_exchange()
        client.options = client.options.with_(PARAMETER_LIST, bytes((1, 3)))
        reply = await client.offer()
        for code in (VENDOR_CLASS, VENDOR_SPECIFIC):
            check(reply.packet, f"option {code}", reply.value.options.get(code), usual.value.options.get(code))
        check(reply.packet, "boot file", reply.value.file, usual.value.file)


@pxe.case("PXE-12")
async def http_clients_are_told_no_tftp_file(lab: Lab) -> None:
    """A request of class HTTPClient is told an http URI, or no file at all."""
    async with lab.dhcp(Rom(16, (3, 0))) as client:
        client.options = client.options.with_(VENDOR_CLASS, HTTP_X64)
        client.send(client.message(MessageType.DISCOVER))
        reply = await client.hear(lab.target.quiet)
        if reply is not None and reply.value.file:
            client.note(reply.value)
            check(reply.packet, "scheme of the boot file", reply.value.file.partition(b"://")[0][:4], b"http")


@pxe.case("PXE-13", needs=(Feature.LEASES, Feature.PXE))
async def an_offer_has_everything_in_one_message(lab: Lab) -> None:
    """Address, class, and a boot file or a menu."""
    async with lab.dhcp() as client:
        offer = await client.offer()
        check(offer.packet, "yiaddr", str(offer.value.yiaddr), other_than("0.0.0.0"))
        check(offer.packet, "option 60 (vendor class)", offer.value.options.get(VENDOR_CLASS), PXE_CLASS)
        check(offer.packet, "a boot file or a menu", boots(offer), True)


@pxe.case("PXE-14", needs=PROXY)
async def a_proxy_leaves_other_clients_alone(lab: Lab) -> None:
    """Silence answers the DISCOVER of a client that is no boot ROM."""
    async with lab.dhcp(PLAIN) as client:
        client.send(client.message(MessageType.DISCOVER))
        await client.silence(lab.target.quiet, "a DISCOVER without a class, to a proxy")


@pxe.case("PXE-15", needs=PROXY)
async def the_offer_of_a_proxy_is_broadcast(lab: Lab) -> None:
    """It goes to 255.255.255.255, port 68, also when the broadcast flag is clear."""
    async with lab.dhcp() as client:
        for flags in (0x8000, 0):
            offer = await client.offer(flags=flags)
            check(offer.packet, "destination", str(offer.packet.destination), str(Endpoint(EVERYBODY, CLIENT_PORT)))
            client.new_exchange()


@pxe.case("PXE-16", needs=PROXY)
async def a_proxy_gives_no_address_and_no_time(lab: Lab) -> None:
    """Neither its OFFER nor its ACK on port 4011 has yiaddr or the options 51, 58 and 59."""
    async with lab.dhcp() as client:
        replies = await answers(lab, client)
    if Feature.PORT_4011 in lab.found.features:
        async with pxe_question(lab) as question:
            replies.append(await question.ask())
    for reply in replies:
        check(reply.packet, "yiaddr", str(reply.value.yiaddr), "0.0.0.0")
        for code in (LEASE_TIME, RENEWAL, REBINDING):
            check(reply.packet, f"option {code}", reply.value.options.get(code), ABSENT)


@pxe.case("PXE-17", needs=PROXY)
async def a_proxy_does_not_answer_requests(lab: Lab) -> None:
    """Silence answers the REQUEST by which a client takes the address of another server."""
    async with lab.dhcp() as client:
        offer = await client.offer()
        other = {SERVER_IDENTIFIER: bytes((192, 0, 2, 1)), 50: bytes((192, 0, 2, 77))}
        client.send(client.selecting(offer.value, other))
        await client.silence(lab.target.quiet, "a REQUEST to another server")


@pxe.case("PXE-08", needs=[Feature.BOOT_FILE])
async def every_architecture_that_is_answered_is_told_a_file(lab: Lab) -> None:
    """A BIOS and an x64 EFI client are each told a boot file or a menu, if they are answered."""
    for rom in (BIOS, X64_AS_DEPLOYED):
        async with lab.dhcp(rom) as client:
            client.send(client.message(MessageType.DISCOVER))
            reply = await client.hear(lab.target.patience if rom is BIOS else lab.target.quiet)
            if reply is not None:
                client.note(reply.value)
                check(reply.packet, "a boot file or a menu", boots(reply) or None, PRESENT)

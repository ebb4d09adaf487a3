"""Port 4011 and boot server discovery: the family DSC of specs/pxe.toml."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Final

from mtftpd.conformance.dhcp_client import MACHINE, PLAIN, VENDOR_CLASS
from mtftpd.conformance.dhcp_parts import PXE_CLASS, REBINDING, RENEWAL, VENDOR_SPECIFIC, pxe_options, raw_tags, tags
from mtftpd.conformance.findings import Feature
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.mailbox import Reply
from mtftpd.conformance.pxe_client import PxeQuestion, item, pxe_question
from mtftpd.conformance.registry import pxe
from mtftpd.conformance.verdicts import ABSENT, NotApplicable, at_least, check, one_of, other_than
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.options import LEASE_TIME, SERVER_IDENTIFIER
from mtftpd.wire.pxe import CREDENTIALS_LAYER, DiscoveryControl, Tag

PORT_4011: Final = (Feature.PORT_4011,)
BOOT_SERVER: Final = (Feature.BOOT_SERVER,)
NOBODYS_TYPE: Final = 0x7A5A
"""A type below those that vendors may take (32,768) and above those that PXE 2.1 table 2-1 names."""


def type_of(lab: Lab) -> int:
    """Return a boot server type that the target serves."""
    return lab.found.boot_types[0]


def check_origin(ack: Reply[DhcpMessage], question: PxeQuestion) -> None:
    """Fail unless the ACK comes from where was asked, and goes to where the question came from."""
    check(ack.packet, "source", str(ack.packet.source), str(question.server))
    check(ack.packet, "destination", str(ack.packet.destination), str(question.mailbox.local))


def forbids_broadcast(lab: Lab) -> bool:
    """Return whether the OFFER to a BIOS client says that broadcast discovery is disabled."""
    assert lab.found.offer is not None
    options = pxe_options(lab.found.offer)
    return bool((options.discovery_control or 0) & DiscoveryControl.NO_BROADCAST)


@pxe.case("DHCP-08", needs=PORT_4011)
async def port_4011_answers_to_the_port_of_the_question(lab: Lab) -> None:
    """The ACK has no address, names and comes from the address that was asked, and goes where it was asked from."""
    async with pxe_question(lab) as question:
        ack = await question.ask()
        check(ack.packet, "yiaddr", str(ack.value.yiaddr), "0.0.0.0")
        check(ack.packet, "option 54", str(ack.value.options.address(SERVER_IDENTIFIER)), question.server.address)
        check_origin(ack, question)


@pxe.case("DHCP-20", needs=PORT_4011)
async def port_4011_is_answered_alone_and_as_a_group(lab: Lab) -> None:
    """A question to port 4011 of the target, and of the multicast address in tag 7 if there is one, gets an ACK."""
    async with lab.dhcp() as client:
        group = tags(await client.offer()).discovery_group
    async with pxe_question(lab) as question:
        more = item(type_of(lab)) if Feature.BOOT_SERVER in lab.found.features else None
        await question.ask(more)
        if group is not None:
            question.client.new_exchange()
            await question.ask(more, to=Endpoint(str(group), lab.target.pxe_port))


@pxe.case("DSC-01", needs=BOOT_SERVER)
async def request_and_inform_are_answered(lab: Lab) -> None:
    """A discovery with tag 71 gets an ACK, whether it is a REQUEST or an INFORM."""
    for kind in (MessageType.REQUEST, MessageType.INFORM):
        async with pxe_question(lab) as question:
            await question.ask(item(type_of(lab)), kind=kind)


@pxe.case("DSC-02", needs=BOOT_SERVER)
async def a_boot_server_says_all_that_is_needed(lab: Lab) -> None:
    """The ACK has options 54, 60 = PXEClient and 97 as it came, tag 71, and a boot file."""
    async with pxe_question(lab) as question:
        ack = await question.answer(item(type_of(lab)))
        check(ack.packet, "option 54", str(ack.value.options.address(SERVER_IDENTIFIER)), str(lab.target))
        check(ack.packet, "option 60 (vendor class)", ack.value.options.get(VENDOR_CLASS), PXE_CLASS)
        check(ack.packet, "option 97", ack.value.options.get(MACHINE), question.client.options[MACHINE])
        check(ack.packet, "tag 71 in option 43", Tag.BOOT_ITEM in dict(raw_tags(ack)), True)
        check(ack.packet, "octets of the boot file's name", len(ack.value.file), at_least(1))


@pxe.case("DSC-03", needs=BOOT_SERVER)
async def a_boot_server_answers_the_one_who_asked(lab: Lab) -> None:
    """The ACK goes by unicast to the address and port of the question."""
    async with pxe_question(lab) as question:
        check_origin(await question.ask(item(type_of(lab))), question)


@pxe.case("DSC-04", needs=BOOT_SERVER)
async def a_broadcast_discovery_is_answered_from_a_known_port(lab: Lab) -> None:
    """What was broadcast to port 67 is answered from port 67 or 4011."""
    async with pxe_question(lab) as question:
        everybody = question.client.way.everybody
        reply = await question.hear(question.message(item(type_of(lab))), lab.target.quiet, everybody)
        if reply is None and forbids_broadcast(lab):
            raise NotApplicable("tag 6 says that there is no discovery by broadcast")
        ack = reply or await question.ask(item(type_of(lab)), to=everybody)
        check(ack.packet, "source port", ack.packet.source.port, one_of((lab.target.dhcp_port, lab.target.pxe_port)))
        check(ack.packet, "source address", ack.packet.source.address, str(lab.target))


@pxe.case("DSC-05", needs=BOOT_SERVER)
async def a_boot_server_is_one_of_those_listed(lab: Lab) -> None:
    """Option 54 of the ACK is its source, and is in tag 8 of the OFFER for that type where tag 8 lists addresses."""
    async with lab.dhcp() as client:
        listed = {each.type: each.addresses for each in tags(await client.offer()).boot_servers}
    async with pxe_question(lab) as question:
        ack = await question.answer(item(type_of(lab)))
        named = ack.value.options.address(SERVER_IDENTIFIER)
        check(ack.packet, "option 54", str(named), ack.packet.source.address)
        addresses: Sequence[IPv4Address] = listed.get(type_of(lab), ())
        if addresses:
            check(ack.packet, "option 54 is in tag 8", named in addresses, True)


@pxe.case("DSC-06", "O43-13", needs=BOOT_SERVER)
async def each_type_is_answered_with_its_file(lab: Lab) -> None:
    """Every type of the menu gets an ACK with that type in tag 71, and a boot file."""
    for type_ in lab.found.boot_types:
        async with pxe_question(lab) as question:
            ack = await question.ask(item(type_))
            found = tags(ack).boot_item
            check(ack.packet, "type in tag 71", found.type if found else None, type_)
            check(ack.packet, "octets of the boot file's name", len(ack.value.file), at_least(1))


@pxe.case("O43-14", needs=BOOT_SERVER)
async def other_types_and_credentials_are_not_answered(lab: Lab) -> None:
    """Silence answers a type that nobody serves, and a layer that asks for credentials."""
    async with pxe_question(lab) as question:
        await question.silence(lab.target.quiet, "a type that is not served", item(NOBODYS_TYPE))
        wanted = item(type_of(lab), CREDENTIALS_LAYER)
        await question.silence(lab.target.quiet, "a discovery with credentials", wanted)


@pxe.case("O43-15", needs=(Feature.BOOT_SERVER, Feature.MTFTP))
async def a_boot_server_tells_of_the_group(lab: Lab) -> None:
    """The ACK has tags 1 to 5 when its file is one of which groups are told."""
    async with pxe_question(lab) as question:
        ack = await question.answer(item(type_of(lab)))
        if ack.value.file.decode("latin-1") not in {session.name for session in lab.found.sessions}:
            raise NotApplicable("the file of the boot server has no group that is known")
        check(ack.packet, "tags 1 to 5", tags(ack).mtftp is not None, True)


@pxe.case("O43-16", needs=BOOT_SERVER)
async def a_short_boot_item_is_understood(lab: Lab) -> None:
    """Tag 71 of three octets gets the same type as one of four."""
    async with pxe_question(lab) as question:
        short = bytes((Tag.BOOT_ITEM, 3)) + type_of(lab).to_bytes(2, "big") + b"\0\xff"
        ack = await question.ask({VENDOR_SPECIFIC: short})
        value = dict(raw_tags(ack)).get(Tag.BOOT_ITEM, b"")
        check(ack.packet, "type in tag 71", value[:2], type_of(lab).to_bytes(2, "big"))


@pxe.case("DSC-07", needs=PORT_4011)
async def a_question_without_a_type_gets_the_boot_file(lab: Lab) -> None:
    """The ACK of port 4011 has a boot file, or a menu."""
    async with pxe_question(lab) as question:
        ack = await question.answer()
        check(ack.packet, "a boot file or a menu", bool(ack.value.file) or bool(tags(ack).menu), True)


@pxe.case("DSC-08", needs=PORT_4011)
async def port_4011_is_for_boot_roms(lab: Lab) -> None:
    """A client without the class gets no reply that is for a PXEClient."""
    async with pxe_question(lab) as question:
        question.client.options = PLAIN.options(b"")
        reply = await question.hear(question.message(), lab.target.quiet)
        if reply is not None:
            check(
                reply.packet, "option 60 (vendor class)", reply.value.options.get(VENDOR_CLASS), other_than(PXE_CLASS)
            )


@pxe.case("DSC-09", needs=PORT_4011)
async def port_4011_gives_no_lease(lab: Lab) -> None:
    """Its ACK has neither yiaddr nor a lease time."""
    async with pxe_question(lab) as question:
        ack = await question.answer()
        check(ack.packet, "yiaddr", str(ack.value.yiaddr), "0.0.0.0")
        for code in (LEASE_TIME, RENEWAL, REBINDING):
            check(ack.packet, f"option {code}", ack.value.options.get(code), ABSENT)


@pxe.case("DSC-10", needs=PORT_4011)
async def a_repeated_question_gets_the_same_answer(lab: Lab) -> None:
    """The same message twice gets the same octets twice."""
    async with pxe_question(lab) as question:
        first = await question.answer()
        again = await question.ask()
        check(again.packet, "the second ACK is the first", again.packet.data == first.packet.data, True)


@pxe.case("DSC-11", needs=PORT_4011)
async def port_4011_repeats_who_asked(lab: Lab) -> None:
    """Xid and chaddr of the ACK are those of the question."""
    async with pxe_question(lab) as question:
        ack = await question.answer()
        check(ack.packet, "xid", f"{ack.value.xid:08x}", f"{question.client.xid:08x}")
        check(ack.packet, "chaddr", ack.value.chaddr[:6], question.client.machine.hardware)


@pxe.case("O43-17")
async def a_pxe_server_is_given_groups_or_nothing(lab: Lab) -> None:
    """A request of class PXEServer that is answered gets tags 7 and 11 (PXE 2.1 table 2-8)."""
    async with lab.dhcp(PLAIN) as client:
        client.options = client.options.with_(VENDOR_CLASS, b"PXEServer")
        client.send(client.message(MessageType.INFORM, ciaddr=IPv4Address(lab.host.address)))
        reply = await client.hear(lab.target.quiet)
        if reply is None or VENDOR_SPECIFIC not in reply.value.options:
            raise NotApplicable("the target gives no groups to boot servers")
        found = dict(raw_tags(reply))
        check(reply.packet, "tags 7 and 11", sorted({7, 11} & set(found)), [7, 11])

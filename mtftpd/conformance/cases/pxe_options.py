"""Option 43 as PXE fills it: the family O43 of specs/pxe.toml."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from mtftpd.conformance.dhcp_client import BIOS, UEFI, Rom
from mtftpd.conformance.dhcp_parts import VENDOR_SPECIFIC, answers, elements, raw_tags, tags
from mtftpd.conformance.findings import Feature
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.mailbox import Reply
from mtftpd.conformance.mtftp_client import MtftpClient
from mtftpd.conformance.registry import pxe
from mtftpd.conformance.verdicts import (
    ABSENT,
    PRESENT,
    NotApplicable,
    at_least,
    at_most,
    between,
    check,
    fail,
    other_than,
)
from mtftpd.errors import Malformed
from mtftpd.wire import tftp
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.fields import END, PAD
from mtftpd.wire.pxe import MAXIMUM_SIZE, MTFTP_TAGS, DiscoveryControl, PxeOptions, Tag, build

MENU: Final = (Feature.MENU,)
LINK_LOCAL_GROUPS: Final = IPv4Network("224.0.0.0/24")
BIT_6_TO_10: Final = range(Tag.DISCOVERY_CONTROL, Tag.MENU_PROMPT + 1)


@asynccontextmanager
async def pxe_replies(lab: Lab, rom: Rom = BIOS) -> AsyncIterator[list[tuple[Reply[DhcpMessage], PxeOptions]]]:
    """Yield OFFER and ACK to a client that plays ``rom``, as far as they have option 43, with its sub-options."""
    async with lab.dhcp(rom) as client:
        found = []
        for reply in await answers(lab, client):
            if VENDOR_SPECIFIC in reply.value.options:
                try:
                    found.append((reply, tags(reply)))
                except Malformed as problem:
                    raise fail("option 43", "sub-options whose lengths add up", str(problem), reply.packet) from problem
        if not found:
            raise NotApplicable("no reply has an option 43")
        yield found


@asynccontextmanager
async def groups_told(lab: Lab) -> AsyncIterator[list[Reply[DhcpMessage]]]:
    """Yield the replies to a BIOS client that have any of the tags 1 to 5."""
    async with pxe_replies(lab) as replies:
        found = [reply for reply, _ in replies if {tag for tag, _ in raw_tags(reply)} & set(MTFTP_TAGS)]
        if not found:
            raise NotApplicable("a BIOS client is told of no group")
        yield found


@pxe.case("O43-01")
async def pxe_options_are_in_one_instance(lab: Lab) -> None:
    """Option 43 comes once, has at most 255 octets and ends with 255."""
    async with pxe_replies(lab) as replies:
        for reply, _ in replies:
            instances = [value for code, value in elements(reply) if code == VENDOR_SPECIFIC]
            check(reply.packet, "instances of option 43", len(instances), 1)
            check(reply.packet, "octets of option 43", len(instances[0]), between(1, MAXIMUM_SIZE))
            check(reply.packet, "last octet of option 43", instances[0][-1], END)


@pxe.case("O43-02", needs=[Feature.MTFTP], alone="group")
async def ports_of_a_group_are_little_endian(lab: Lab) -> None:
    """The server port in Intel's order is where opens are answered, not the one in network order."""
    async with groups_told(lab) as replies:
        told = tags(replies[0]).mtftp
        assert told is not None
        swapped = int.from_bytes(told.server_port.to_bytes(2, "little"), "big")
        if swapped == told.server_port:
            return
        async with lab.mtftp() as client:
            client.open()
            if await client.own.next(lab.target.quiet) is not None:
                return
            await _fail_if_swapped(client, swapped, replies[0])


async def _fail_if_swapped(client: MtftpClient, swapped: int, reply: Reply[DhcpMessage]) -> None:
    client.send(tftp.Request(tftp.Opcode.RRQ, client.session.name.encode()), client.server._replace(port=swapped))
    answer = await client.own.next(client.patience)
    if answer is not None:
        raise fail("tag 3 (server port)", f"{swapped} in Intel's order", f"{client.server.port}", reply.packet)


@pxe.case("O43-03")
async def tags_1_to_5_come_together(lab: Lab) -> None:
    """All five are there, or none."""
    async with pxe_replies(lab) as replies:
        for reply, _ in replies:
            found = sorted({tag for tag, _ in raw_tags(reply)} & set(MTFTP_TAGS))
            check(reply.packet, "tags 1 to 5", len(found) in (0, 5), True)


@pxe.case("O43-04")
async def the_group_is_a_multicast_address(lab: Lab) -> None:
    """Tag 1 is in 224.0.0.0/4 and not in 224.0.0.0/24."""
    async with groups_told(lab) as replies:
        for reply in replies:
            group = IPv4Address(dict(raw_tags(reply))[Tag.MTFTP_IP])
            check(reply.packet, f"tag 1 ({group}) is multicast", group.is_multicast, True)
            check(reply.packet, f"tag 1 ({group}) is in {LINK_LOCAL_GROUPS}", group in LINK_LOCAL_GROUPS, False)


@pxe.case("O43-05", "O43-24")
async def nothing_in_tags_1_to_5_is_zero(lab: Lab) -> None:
    """Tags 4 and 5 have one octet; no address, port or time is zero."""
    async with groups_told(lab) as replies:
        for reply in replies:
            values = dict(raw_tags(reply))
            for tag in (Tag.MTFTP_TMOUT, Tag.MTFTP_DELAY):
                check(reply.packet, f"octets of tag {int(tag)}", len(values.get(tag, b"")), 1)
            for tag in MTFTP_TAGS:
                value = values.get(tag, b"")
                check(reply.packet, f"tag {int(tag)}", value, other_than(bytes(len(value))))


@pxe.case("O43-06")
async def both_times_are_the_same(lab: Lab) -> None:
    """Tags 4 and 5 have one value."""
    async with groups_told(lab) as replies:
        for reply in replies:
            values = dict(raw_tags(reply))
            check(reply.packet, "tag 5", values.get(Tag.MTFTP_DELAY), values.get(Tag.MTFTP_TMOUT))


@pxe.case("O43-07")
async def efi_is_not_told_of_a_group_alone(lab: Lab) -> None:
    """An EFI client that gets tags 1 to 5 gets one of the tags 6 to 10 too."""
    async with pxe_replies(lab, UEFI) as replies:
        for reply, options in replies:
            if options.mtftp is not None:
                others = sorted({tag for tag, _ in raw_tags(reply)} & set(BIT_6_TO_10))
                check(reply.packet, "tags 6 to 10 beside tags 1 to 5", len(others), at_least(1))


@pxe.case("O43-08")
async def multicast_discovery_has_an_address(lab: Lab) -> None:
    """Where bit 1 of a BIOS client's tag 6 is clear, tag 7 is there and is a multicast address."""
    async with pxe_replies(lab) as replies:
        for reply, options in replies:
            control = options.discovery_control
            if control is not None and not control & DiscoveryControl.NO_MULTICAST:
                group = options.discovery_group
                check(reply.packet, "tag 7 (discovery group)", group, PRESENT)
                check(reply.packet, f"tag 7 ({group}) is multicast", group is not None and group.is_multicast, True)


@pxe.case("O43-09")
async def limited_discovery_has_a_list(lab: Lab) -> None:
    """Where bits 0 and 1 of tag 6 are both set, or bit 2 is, tag 8 lists a server."""
    both = DiscoveryControl.NO_BROADCAST | DiscoveryControl.NO_MULTICAST
    async with pxe_replies(lab) as replies:
        for reply, options in replies:
            control = options.discovery_control or 0
            if control & DiscoveryControl.LISTED_SERVERS_ONLY or control & both == both:
                check(reply.packet, "entries of tag 8 (boot servers)", len(options.boot_servers), at_least(1))


@pxe.case("O43-10", "PXE-10")
async def a_menu_is_whole(lab: Lab) -> None:
    """Where the boot file is not to be loaded at once, tags 9 and 10 are there, and no line is empty."""
    async with pxe_replies(lab) as replies:
        for reply, options in replies:
            control = options.discovery_control or 0
            if options.discovery_control is None or control & DiscoveryControl.USE_BOOT_FILE:
                if control & DiscoveryControl.USE_BOOT_FILE:
                    check(reply.packet, "boot file (bit 3 of tag 6 is set)", len(reply.value.file), at_least(1))
                continue
            check(reply.packet, "entries of tag 9 (menu)", len(options.menu), at_least(1))
            check(reply.packet, "tag 10 (prompt)", options.prompt, PRESENT)
            for entry in options.menu:
                check(reply.packet, f"text of menu entry {entry.type}", len(entry.text), at_least(1))


@pxe.case("O43-11")
async def a_direct_boot_by_multicast_is_understood_by_all(lab: Lab) -> None:
    """Beside tags 1 to 5, tag 6 is 0x0A."""
    async with groups_told(lab) as replies:
        for reply in replies:
            check(reply.packet, "tag 6 (discovery control)", dict(raw_tags(reply)).get(Tag.DISCOVERY_CONTROL), b"\x0a")


@pxe.case("O43-12", "O43-22", needs=MENU)
async def types_of_the_menu_are_those_of_the_list(lab: Lab) -> None:
    """Every type of tag 8 has a line in tag 9, both in network order, and the addresses are unicast ones."""
    async with pxe_replies(lab) as replies:
        for reply, options in replies:
            lines = {entry.type for entry in options.menu}
            for server in options.boot_servers:
                check(reply.packet, f"type {server.type} of tag 8 is in tag 9", server.type in lines, True)
                for address in server.addresses:
                    check(reply.packet, f"{address} of tag 8 is multicast", address.is_multicast, False)


@pxe.case("O43-19")
async def nothing_follows_end_in_option_43(lab: Lab) -> None:
    """The first END is the last octet; PAD stands alone."""
    async with pxe_replies(lab) as replies:
        for reply, _ in replies:
            value, position = reply.value.options[VENDOR_SPECIFIC], 0
            while position < len(value) and value[position] != END:
                position += 1 if value[position] == PAD else 2 + value[position + 1]
            check(reply.packet, "octets behind END in option 43", value[position + 1 :], b"")


@pxe.case("O43-20")
async def discovery_control_has_four_bits(lab: Lab) -> None:
    """Tag 6 is one octet with bits 4 to 7 clear."""
    async with pxe_replies(lab) as replies:
        for reply, _ in replies:
            value = dict(raw_tags(reply)).get(Tag.DISCOVERY_CONTROL)
            if value is not None:
                check(reply.packet, "octets of tag 6", len(value), 1)
                check(reply.packet, "tag 6 (discovery control)", value[0], at_most(0x0F))


@pxe.case("O43-21", needs=MENU)
async def a_prompt_does_not_end_with_nul(lab: Lab) -> None:
    """Tag 10 is a time and a text, and the text has no NUL at its end."""
    async with pxe_replies(lab) as replies:
        for reply, _ in replies:
            value = dict(raw_tags(reply)).get(Tag.MENU_PROMPT)
            if value is not None:
                check(reply.packet, "octets of tag 10", len(value), at_least(1))
                check(reply.packet, "last octet of tag 10", value[1:][-1:], other_than(b"\0"))


@pxe.case("O43-23")
async def unknown_tags_of_a_client_do_no_harm(lab: Lab) -> None:
    """A DISCOVER whose option 43 has tags of loaders and vendors is answered."""
    async with lab.dhcp() as client:
        more = {VENDOR_SPECIFIC: build(PxeOptions(others=((64, b"nic"), (128, b"\1"), (254, b""))))}
        reply = await client.ask(client.message(MessageType.DISCOVER, more), MessageType.OFFER)
        client.note(reply.value)


@pxe.case("O43-25")
async def ports_read_the_same_in_both_orders(lab: Lab) -> None:
    """The two octets of each port are equal."""
    async with groups_told(lab) as replies:
        for reply in replies:
            values = dict(raw_tags(reply))
            for tag in (Tag.MTFTP_CPORT, Tag.MTFTP_SPORT):
                check(reply.packet, f"tag {int(tag)}", values[tag], values[tag][::-1])


@pxe.case("O43-27")
async def efi_is_told_of_no_group(lab: Lab) -> None:
    """An EFI client of today gets no tags 1 to 5: it has no MTFTP."""
    async with pxe_replies(lab, UEFI) as replies:
        for reply, options in replies:
            check(reply.packet, "tags 1 to 5", options.mtftp, ABSENT)

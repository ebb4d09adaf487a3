"""Opens: who may open how, what is no open, and port 69 beside the session."""

from __future__ import annotations

from typing import Final

import trio

from mtftpd.conformance.findings import Image
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.mtftp_client import BLOCK_SIZE, MtftpClient
from mtftpd.conformance.registry import mtftp as suite
from mtftpd.conformance.tftp_grants import DATA, OACK, ask
from mtftpd.conformance.verdicts import Inconclusive, NotApplicable, check, fail
from mtftpd.errors import Malformed
from mtftpd.wire import pxe, tftp

VENDOR_SPECIFIC: Final = 43
LARGEST_FILE: Final = 65_534 * BLOCK_SIZE + 511
"""Octets: block numbers of 16 bits, from 1, and the last block is not full."""


def image_of(lab: Lab, client: MtftpClient) -> Image:
    """Return the image of the client's session; a case that needs it is inconclusive where TFTP does not bring it."""
    for image in lab.found.images:
        if image.name == client.session.name:
            return image
    raise Inconclusive(f"{client.session.name} cannot be read by TFTP, so its content is not known")


@suite.case("RRQ-01")
async def opens_from_the_client_port_and_any_other(lab: Lab) -> None:
    """An open in mode OcTeT from the client port is answered; so is one from another port."""
    for port in (lab.session.client_port, 0):
        async with lab.mtftp(port=port) as client:
            client.open(mode="OcTeT")
            await client.unicast(tftp.Data, 1)
            await client.multicast(1)


@suite.case("GRP-05")
async def a_file_of_too_many_blocks_has_no_session(lab: Lab) -> None:
    """An open for a file that 65,535 blocks cannot carry draws nothing."""
    for session in lab.found.sessions:
        async with lab.tftp(name=session.name) as asking:
            size = (await ask(asking, (("tsize", "0"),))).number("tsize")
        if size is not None and size > LARGEST_FILE:
            async with lab.mtftp(session=session) as client:
                client.open()
                answer = await client.own.next(lab.target.quiet)
                if answer is None:
                    return
                client.send(tftp.Error(tftp.ErrorCode.NOT_DEFINED, "the case is over"), answer.source)
                raise fail(f"answer to an open for {size} octets", "silence", answer.summary, answer)
    raise NotApplicable(f"the file of no session is known to have more than {LARGEST_FILE} octets")


@suite.case("RRQ-06")
async def a_master_that_opens_again_gets_both_copies(lab: Lab) -> None:
    """An open that is repeated before ACK 1 brings DATA 1 to the opener and to the group once more."""
    async with lab.mtftp() as client:
        await client.become_master()
        # Closer together the second may count as a copy made by the network.
        await trio.sleep(lab.target.quiet / 2)
        client.open()
        await client.unicast(tftp.Data, 1)
        await client.multicast(1)


@suite.case("RRQ-07")
async def a_master_may_change_its_port(lab: Lab) -> None:
    """An open from the master's address and another port brings the current block, not block 1."""
    async with lab.mtftp() as master, lab.mtftp() as again:
        await master.become_master()
        await master.carry_on(3)
        again.open()
        reply = await again.unicast(tftp.Data)
        master.resign()
        check(reply.packet, "number of DATA", reply.value.number, 3)


@suite.case("RRQ-08", "GRP-01")
async def two_sessions_do_not_disturb_each_other(lab: Lab) -> None:
    """Two files are sent at the same time, each to its group and with its content."""
    if len(lab.found.sessions) < 2:
        raise NotApplicable("only one session is known; name one more with --mtftp")
    first, second = lab.found.sessions[:2]
    async with lab.mtftp(session=first) as one, lab.mtftp(session=second) as other:
        for client in (one, other):
            client.open()
            single, copy = await client.unicast(tftp.Data, 1), await client.multicast(1)
            check(copy.packet, "DATA 1", copy.value.payload, image_of(lab, client).content[:BLOCK_SIZE])
            check(single.packet, "DATA 1", single.value.payload, copy.value.payload)
        for number in (2, 3):
            for client in (one, other):
                start = (number - 1) * BLOCK_SIZE
                client.ack(number - 1)
                reply = await client.multicast(number)
                expected = image_of(lab, client).content[start : start + BLOCK_SIZE]
                check(reply.packet, f"DATA {number}", reply.value.payload, expected)


@suite.case("DAT-05")
async def a_pass_of_a_multiple_of_512_ends_with_an_empty_block(lab: Lab) -> None:
    """The last block of a file of n * 512 octets is empty, on the group too."""
    sizes = {image.name: image.size for image in lab.found.images}
    fitting = [each for each in lab.found.sessions if sizes.get(each.name, 1) % BLOCK_SIZE == 0]
    if not fitting:
        raise NotApplicable("the file of no session is a multiple of 512 octets; name one more with --mtftp")
    async with lab.mtftp(session=fitting[0]) as client:
        single, _ = await client.become_master()
        content = single.value.payload + await client.finish()
        check(single.packet, "the content is that of TFTP", content == image_of(lab, client).content, True)


@suite.case("RRQ-09", alone="")
async def what_is_no_open_is_met_with_silence(lab: Lab) -> None:
    """A write request, mode netascii, a cut request and an unknown opcode draw nothing."""
    name = lab.session.name.encode("latin-1")
    async with lab.mtftp() as client:
        client.send(tftp.Request(tftp.Opcode.WRQ, name))
        client.open(mode=tftp.NETASCII)
        client.send(b"\0\1" + name)
        client.send(b"\0\7/\0")
        await client.own.silence(lab.target.quiet, "what is no open")


@suite.case("RRQ-10")
async def a_question_for_the_size_opens_nothing(lab: Lab) -> None:
    """An RRQ with tsize from another port than the client port is answered by OACK, and the group stays silent."""
    async with lab.mtftp() as client:
        request = client.open(options=(("tsize", "0"), ("blksize", "512")))
        answer = await client.own.next(lab.target.patience)
        if answer is None or answer.data[:2] != OACK:
            came = "nothing" if answer is None else answer.summary
            if answer is not None and answer.data[:2] == DATA:
                client.lead(answer)
            raise fail("answer", "OACK", came, answer or request)
        client.send(tftp.Error(tftp.ErrorCode.OPTION_NEGOTIATION, ""), answer.source)
        await client.group.silence(lab.target.quiet, "a question for the size")


@suite.case("RRQ-11")
async def options_from_the_client_port_mean_nothing(lab: Lab) -> None:
    """An open with options from the client port is answered with DATA 1, as if it had none."""
    async with lab.mtftp(port=lab.session.client_port) as client:
        client.open(options=(("blksize", "1432"),))
        reply = await client.unicast(tftp.Data, 1)
        await client.multicast(1)
        check(reply.packet, "octets of DATA 1", len(reply.value.payload) <= BLOCK_SIZE, True)


@suite.case("RRQ-12")
async def an_empty_name_does_no_harm(lab: Lab) -> None:
    """An open without a name gets a block or nothing, no ERROR; the next open is served."""
    async with lab.mtftp() as client:
        client.open("")
        answer = await client.own.next(lab.target.quiet)
        if answer is not None:
            check(answer, "opcode", answer.data[:2], DATA)
            await client.multicast(1)
            client.lead(answer)
    async with lab.mtftp() as client:
        client.open()
        await client.unicast(tftp.Data, 1)
        await client.multicast(1)


@suite.case("RRQ-13")
async def names_are_taken_as_clients_write_them(lab: Lab) -> None:
    """A slash before the name, and an octet 0xFF behind it, do not matter."""
    for name in (f"/{lab.session.name.lstrip('/')}", f"{lab.session.name}\xff"):
        async with lab.mtftp() as client:
            client.open(name)
            await client.unicast(tftp.Data, 1)
            await client.multicast(1)


@suite.case("GRP-02")
async def dhcp_names_the_group_that_is_used(lab: Lab) -> None:
    """The file of the OFFER is sent on the group and ports of its option 43."""
    offer = lab.found.offer
    try:
        tags = None if offer is None else pxe.parse_untrusted(offer.options.get(VENDOR_SPECIFIC, b"")).mtftp
    except Malformed:
        tags = None
    if offer is None or tags is None:
        raise NotApplicable("the target's DHCP answers name no group")
    async with lab.mtftp() as client:
        if client.session.name != offer.file.decode("latin-1"):
            raise NotApplicable("the session that was named is not that of the DHCP answers")
        single, copy = await client.become_master()
        check(copy.packet, "group and client port", str(copy.packet.destination), f"{tags.group}:{tags.client_port}")
        check(single.packet, "DATA 1", single.value.payload, image_of(lab, client).content[:BLOCK_SIZE])


@suite.case("FBK-01", alone="")
async def port_69_has_the_file_of_the_group(lab: Lab) -> None:
    """A plain read request to port 69 brings the file that the session carries."""
    async with lab.tftp(name=lab.session.name) as client:
        request = client.request()
        content = await client.rest()
        known = next((each.content for each in lab.found.images if each.name == lab.session.name), content)
        check(request, "the content is that of an earlier transfer", content == known, True)


@suite.case("FBK-02", alone="")
async def asking_for_the_size_ends_well(lab: Lab) -> None:
    """Tsize 0 gets an OACK; ERROR 8, or ERROR 0, ends that, and an ERROR after it draws no ICMP message."""
    for code in (tftp.ErrorCode.OPTION_NEGOTIATION, tftp.ErrorCode.NOT_DEFINED):
        async with lab.tftp(name=lab.session.name) as client:
            client.request(options=(("tsize", "0"),))
            reply = await client.expect(tftp.OptionAck)
            check(reply.packet, "tsize is a number", dict(reply.value.options).get("tsize", "").isdecimal(), True)
            client.send(tftp.Error(code, ""))
            await trio.sleep(lab.target.quiet / 4)
            client.send(tftp.Error(code, ""))
            await client.silence(lab.target.quiet / 2, f"ERROR {int(code)}")


@suite.case("FBK-03")
async def port_69_serves_during_a_pass(lab: Lab) -> None:
    """While a pass of the file runs, port 69 brings its first blocks."""
    async with lab.mtftp() as master, lab.tftp(name=lab.session.name) as client:
        single, _ = await master.become_master()
        await master.carry_on(2)
        client.request()
        reply = await client.expect(tftp.Data, 1)
        check(reply.packet, "DATA 1", reply.value.payload, single.value.payload)
        client.ack(1)
        await client.expect(tftp.Data, 2)

"""Negotiation of options: RFC 2347, with blksize, tsize and timeout of RFC 2348 and 2349."""

from __future__ import annotations

from typing import Final

import trio

from mtftpd.conformance.lab import Lab
from mtftpd.conformance.packets import Packet
from mtftpd.conformance.registry import EVERYTHING
from mtftpd.conformance.registry import tftp as suite
from mtftpd.conformance.tftp_client import BLOCK_SIZE
from mtftpd.conformance.tftp_grants import DATA, ERROR, OACK, Grant, ask, granted
from mtftpd.conformance.verdicts import ABSENT, NotApplicable, at_most, between, check, fail, given, one_of
from mtftpd.wire import tftp

SIZES: Final = (1024, 512, 256, 128, 64, 32, 8)
"""Block sizes that a file may be a multiple of."""
ETHERNET_BLOCK: Final = 1468
"""1,500 octets without 20 of IPv4, 8 of UDP and 4 of TFTP."""


@suite.case("NEG-01", "NEG-02", "NEG-13")
async def an_oack_has_what_was_asked_for(lab: Lab) -> None:
    """The OACK has options that were asked for and no others, each name and value ended by NUL."""
    async with lab.tftp() as client:
        grant = await granted(client, (("tsize", "0"), ("blksize", "1024")))
        check(grant.packet, "opcode", grant.packet.data[:2], OACK)
        check(grant.packet, "options", sorted(grant.options), ["blksize", "tsize"])
        check(grant.packet, "last octet", grant.packet.data[-1:], b"\0")
        check(grant.packet, "number of strings", grant.packet.data[2:].count(b"\0"), 4)
        check(grant.packet, "all is ASCII", grant.packet.data.isascii(), True)


@suite.case("NEG-02")
async def one_option_alone_is_answered_alone(lab: Lab) -> None:
    """The OACK to tsize has tsize in it and nothing else, and so that to blksize."""
    async with lab.tftp() as client:
        grant = await granted(client, (("tsize", "0"),))
        check(grant.packet, "options", sorted(grant.options), ["tsize"])
    async with lab.tftp() as client:
        grant = await ask(client, (("blksize", "1024"),))
        check(grant.packet, "options that were not asked for", sorted(set(grant.options) - {"blksize"}), [])


@suite.case("NEG-03")
async def unknown_options_are_left_out(lab: Lab) -> None:
    """An option that nobody knows is left out of the OACK, and the one beside it is granted."""
    async with lab.tftp() as client:
        with given("grant of blksize"):
            await granted(client, (("blksize", "1024"),))
    async with lab.tftp() as client:
        grant = await ask(client, (("x-unknown", "7"), ("blksize", "1024")))
        check(grant.packet, "x-unknown", grant.options.get("x-unknown"), ABSENT)
        check(grant.packet, "blksize", grant.options.get("blksize"), "1024")


@suite.case("MUL-11", alone="option multicast")
async def multicast_is_left_out_where_there_is_none(lab: Lab) -> None:
    """A target that does not grant multicast grants the rest, and serves the file by unicast."""
    async with lab.tftp() as client:
        grant = await ask(client, (("multicast", ""), ("tsize", "0")))
        if "multicast" in grant.options:
            raise NotApplicable("the target grants multicast")
        check(grant.packet, "opcode", grant.packet.data[:2], one_of((OACK, DATA)))
        if grant.packet.data[:2] == OACK:
            client.ack(0)
            await client.expect(tftp.Data, 1)


@suite.case("NEG-04")
async def nothing_granted_is_a_plain_transfer(lab: Lab) -> None:
    """A request with an unknown option alone is answered with DATA 1."""
    async with lab.tftp() as client:
        client.request(options=(("x-unknown", "7"),))
        await client.expect(tftp.Data, 1)


@suite.case("NEG-10")
async def no_oack_without_options(lab: Lab) -> None:
    """A request without options is answered with DATA 1."""
    async with lab.tftp() as client:
        client.request()
        await client.expect(tftp.Data, 1)


@suite.case("NEG-05", alone=EVERYTHING)
async def data_waits_for_ack_0(lab: Lab) -> None:
    """After an OACK nothing comes but the OACK, until ACK 0 is sent; then DATA 1 comes."""
    # A server may take the request of another case, from the same address, for this client's that starts again.
    async with lab.tftp() as client:
        grant = await granted(client, (("tsize", "0"),))

        def is_oack(packet: Packet) -> bool:
            return packet.data == grant.packet.data

        await client.mailbox.silence(lab.target.quiet, "OACK without an ACK", is_oack)
        client.ack(0)
        # One more copy of the OACK may be under way.
        first = await client.mailbox.until(lambda packet: None if is_oack(packet) else packet, client.patience)
        if first is None:
            raise fail("answer to ACK 0", "DATA 1", f"nothing within {client.patience:g} s")
        check(first, "opcode and number", first.data[:4], DATA + b"\0\1")


@suite.case("NEG-06")
async def names_of_options_have_no_case(lab: Lab) -> None:
    """TSize is granted where tsize is."""
    async with lab.tftp() as client:
        await granted(client, (("tsize", "0"),))
    async with lab.tftp() as client:
        grant = await ask(client, (("TSize", "0"),))
        check(grant.packet, "tsize", grant.number("tsize"), lab.image.size)


@suite.case("NEG-07")
async def the_order_of_options_does_not_matter(lab: Lab) -> None:
    """Two options in either order are granted in the same way."""
    pairs = (("tsize", "0"), ("blksize", "1024"))
    async with lab.tftp() as client:
        first = await granted(client, pairs)
    async with lab.tftp() as client:
        second = await ask(client, pairs[::-1])
        check(second.packet, "options", dict(second.options), dict(first.options))


@suite.case("NEG-09")
async def error_8_ends_the_negotiation(lab: Lab) -> None:
    """After ERROR 8 in answer to an OACK nothing comes."""
    async with lab.tftp() as client:
        await granted(client, (("tsize", "0"),))
        error = client.send(tftp.Error(tftp.ErrorCode.OPTION_NEGOTIATION, "no, thank you"))

        def was_under_way(packet: Packet) -> bool:
            return packet.time - error.time < lab.target.quiet / 4

        await client.mailbox.silence(lab.target.quiet, "ERROR 8", was_under_way)


@suite.case("NEG-11")
async def an_option_that_comes_twice_does_no_harm(lab: Lab) -> None:
    """Blksize twice, with two values, is granted once, with one of them at most."""
    async with lab.tftp() as client:
        grant = await ask(client, (("blksize", "1024"), ("blksize", "600")))
        check(grant.packet, "blksize", grant.number("blksize"), one_of((None, 1024, 600)))
        check(grant.packet, "how often blksize comes", grant.packet.data.count(b"blksize"), at_most(1))


@suite.case("NEG-12")
async def odd_octets_behind_the_options_do_no_harm(lab: Lab) -> None:
    """Odd octets, or a value that is cut, are answered as if they were not there, or with ERROR; the next is served."""
    plain = tftp.build(tftp.Request(tftp.Opcode.RRQ, lab.image.name.encode("latin-1")))
    async with lab.tftp() as client:
        for tail in (b"\xff\xff\0\x12\x34", b"blksize\0", b"blksize\x0014", b"\0\0\0"):
            async with lab.tftp() as odd:
                odd.mailbox.send(plain + tail, odd.server)
                answer = await odd.mailbox.next(lab.target.quiet)
                if answer is not None and answer.data[:2] not in (DATA, OACK, ERROR):
                    raise fail("answer", "DATA, OACK, ERROR or nothing", answer.summary, answer)
                odd.peer = answer.source if answer is not None and answer.data[:2] != ERROR else None
        client.request()
        await client.expect(tftp.Data, 1)


@suite.case("NEG-14")
async def a_missing_file_is_an_error_with_options_too(lab: Lab) -> None:
    """A request with options for a file that does not exist is answered with ERROR 1, and with no OACK before."""
    async with lab.tftp() as client:
        client.request("there-is-no-such-file", (("tsize", "0"), ("blksize", "1024")))
        reply = await client.expect(tftp.Error)
        check(reply.packet, "error code", reply.value.code, int(tftp.ErrorCode.FILE_NOT_FOUND))


@suite.case("NEG-15")
async def a_lost_oack_comes_again(lab: Lab) -> None:
    """The OACK comes again when the client repeats its request."""
    async with lab.tftp() as client:
        grant = await granted(client, (("tsize", "0"),))
        await trio.sleep(lab.target.quiet)
        client.request(options=(("tsize", "0"),))
        again = await client.mailbox.until(
            lambda packet: packet if packet.data == grant.packet.data else None, lab.target.patience
        )
        if again is None:
            raise fail("answer to the request once more", "the OACK", f"nothing within {lab.target.patience:g} s")


@suite.case("BLK-02")
async def blocks_have_the_size_that_was_granted(lab: Lab) -> None:
    """With blksize 1,024 every block but the last has as many octets, and the file comes whole."""
    async with lab.tftp() as client:
        grant = await granted(client, (("blksize", "1024"),))
        client.ack(0)
        content = await client.rest()
        check(grant.packet, "the content is that of an earlier transfer", content == lab.image.content, True)


@suite.case("BLK-03")
async def no_block_size_out_of_range(lab: Lab) -> None:
    """7 is not granted, and to 65,465 at most 65,464."""
    async with lab.tftp() as client:
        grant = await ask(client, (("blksize", "7"),))
        check(grant.packet, "blksize for 7", grant.options.get("blksize"), ABSENT)
    async with lab.tftp() as client:
        grant = await ask(client, (("blksize", "65465"),))
        if "blksize" in grant.options:
            check(grant.packet, "blksize for 65465", grant.number("blksize"), between(8, tftp.MAX_BLOCK_SIZE))


@suite.case("BLK-04")
async def a_multiple_of_the_block_size_ends_with_an_empty_block(lab: Lab) -> None:
    """The last block of a file of n blocks of the granted size is empty."""
    for size in SIZES:
        for image in lab.found.images:
            if image.size and image.size % size == 0:
                async with lab.tftp(name=image.name) as client:
                    grant = await granted(client, (("blksize", str(size)),))
                    client.ack(0)
                    content = await client.rest()
                    check(grant.packet, "the content is that of an earlier transfer", content == image.content, True)
                return
    raise NotApplicable("the size of no image is a multiple of 8")


@suite.case("BLK-05")
async def a_granted_block_fits_a_frame(lab: Lab) -> None:
    """To blksize 8,192 at most 1,468 is granted: no DATA is fragmented."""
    if lab.target.address.is_loopback:
        raise NotApplicable("on loopback 8,192 octets fit a frame")
    async with lab.tftp() as client:
        grant = await granted(client, (("blksize", "8192"),))
        check(grant.packet, "blksize", grant.number("blksize"), at_most(ETHERNET_BLOCK))


@suite.case("BLK-06")
async def a_block_size_that_is_no_number(lab: Lab) -> None:
    """A blksize that is no number is left out, or refused with ERROR 8."""
    async with lab.tftp() as client:
        _refused(await ask(client, (("blksize", "large"),)), "blksize")


@suite.case("TSZ-01", "TSZ-02")
async def tsize_is_the_size_of_the_file(lab: Lab) -> None:
    """Tsize is answered with the number of octets that are then sent."""
    async with lab.tftp() as client:
        grant = await granted(client, (("tsize", "0"),))
        client.ack(0)
        content = await client.rest()
        check(grant.packet, "tsize", grant.number("tsize"), len(content))


@suite.case("TSZ-03")
async def tsize_does_not_depend_on_what_is_said(lab: Lab) -> None:
    """Tsize 12345 is answered with the size of the file."""
    async with lab.tftp() as client:
        grant = await granted(client, (("tsize", "12345"),))
        check(grant.packet, "tsize", grant.number("tsize"), lab.image.size)


@suite.case("TSZ-04")
async def who_only_asks_for_the_size_is_served_at_once(lab: Lab) -> None:
    """After an OACK that is answered with ERROR 8 the next request is served."""
    async with lab.tftp() as client:
        await granted(client, (("tsize", "0"), ("blksize", "8192")))
        client.send(tftp.Error(tftp.ErrorCode.OPTION_NEGOTIATION, ""))
    async with lab.tftp() as client:
        client.request()
        await client.expect(tftp.Data, 1, seconds=lab.target.patience)


@suite.case("TMO-01")
async def timeout_is_granted_as_it_is_or_not_at_all(lab: Lab) -> None:
    """Timeout 3 is granted as 3, or left out."""
    async with lab.tftp() as client:
        grant = await ask(client, (("timeout", "3"), ("tsize", "0")))
        check(grant.packet, "timeout", grant.options.get("timeout"), one_of((None, "3")))


@suite.case("TMO-02")
async def no_timeout_out_of_range(lab: Lab) -> None:
    """Timeout 0 and 256 are left out, or refused with ERROR 8."""
    for value in ("0", "256"):
        async with lab.tftp() as client:
            _refused(await ask(client, (("timeout", value),)), "timeout")


@suite.case("TMO-03")
async def a_granted_timeout_is_the_longest_wait(lab: Lab) -> None:
    """With timeout 1 the first copy of a block comes within four seconds."""
    image = lab.image_of(least=2 * BLOCK_SIZE)
    async with lab.tftp(name=image.name) as client:
        await granted(client, (("timeout", "1"),))
        with given("transfer"):
            client.ack(0)
            await client.expect(tftp.Data, 1)
            client.ack(1)
            await client.expect(tftp.Data, 2)
        await client.expect(tftp.Data, 2, repeats=True, seconds=4)


def _refused(grant: Grant, name: str) -> None:
    """Fail unless ``name`` was left out or the request was refused with ERROR 8."""
    if grant.is_error:
        code = int.from_bytes(grant.packet.data[2:4], "big")
        check(grant.packet, "error code", code, int(tftp.ErrorCode.OPTION_NEGOTIATION))
    else:
        check(grant.packet, name, grant.options.get(name), ABSENT)

"""Requests and refusals of RFC 1350: what is served, what is not, and what must do no harm."""

from __future__ import annotations

from typing import Final

from mtftpd.conformance.lab import Lab
from mtftpd.conformance.packets import Packet
from mtftpd.conformance.registry import tftp as suite
from mtftpd.conformance.tftp_client import BLOCK_SIZE, TftpClient
from mtftpd.conformance.tftp_grants import DATA, ERROR, OACK
from mtftpd.conformance.verdicts import at_most, check, fail, given
from mtftpd.wire import tftp

LARGEST_REQUEST: Final = 512
"""Octets: RFC 2347, Packet Formats."""

_OUTSIDE: Final = ("../../../../../../etc/passwd", "/etc/passwd", "..\\..\\..\\..\\..\\etc\\passwd", "//etc//passwd")


@suite.case("TFTP-12")
async def a_write_request_is_refused(lab: Lab) -> None:
    """A WRQ is answered with an ERROR."""
    async with lab.tftp() as client:
        client.request("conformance-test-upload", write=True)
        await client.expect(tftp.Error)


@suite.case("TFTP-27")
async def an_error_has_a_code_and_a_text(lab: Lab) -> None:
    """The code of an ERROR is one of 0 to 8, and its text ends with NUL."""
    async with lab.tftp() as client:
        with given("ERROR for a file that is not there"):
            client.request("there-is-no-such-file")
            reply = await client.expect(tftp.Error)
        check(reply.packet, "error code", reply.value.code, at_most(tftp.ErrorCode.OPTION_NEGOTIATION))
        check(reply.packet, "last octet", reply.packet.data[-1:], b"\0")


@suite.case("TFTP-13")
async def netascii_is_whole_or_refused(lab: Lab) -> None:
    """In mode netascii the file comes whole, as it is or with CR LF and CR NUL, or an ERROR comes."""
    image = min((each for each in lab.found.images if each.size), key=lambda each: each.size, default=lab.image)
    async with lab.tftp(name=image.name) as client:
        request = client.request(mode=tftp.NETASCII)
        answer = await client.mailbox.next(lab.target.patience)
        if answer is not None and answer.data[:2] == ERROR:
            return
        if answer is None or answer.data[:4] != b"\0\3\0\1":
            raise fail("answer", "DATA 1 or ERROR", "nothing" if answer is None else answer.summary, answer)
        client.peer = answer.source
        client.ack(1)
        content = answer.data[4:]
        if len(content) == BLOCK_SIZE:
            content = await client.rest(2, so_far=content)
        translated = image.content.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")
        check(request, "content is that of the file, or its translation", content in (image.content, translated), True)


@suite.case("TFTP-14")
async def mode_mail_is_refused(lab: Lab) -> None:
    """A request in mode mail draws no block."""
    async with lab.tftp() as client:
        client.request(mode="mail")
        await _no_block(lab, client, "mode mail")


@suite.case("TFTP-15")
async def the_mode_has_no_case(lab: Lab) -> None:
    """Mode OcTeT is octet."""
    async with lab.tftp() as client:
        client.request(mode="OcTeT")
        await client.expect(tftp.Data, 1)


@suite.case("TFTP-17")
async def an_error_to_the_request_port_draws_nothing(lab: Lab) -> None:
    """An ERROR that comes out of nowhere is not answered."""
    async with lab.tftp() as client:
        client.mailbox.send(tftp.build(tftp.Error(tftp.ErrorCode.NOT_DEFINED, "nothing runs here")), client.server)
        await client.silence(lab.target.quiet, "ERROR")


@suite.case("TFTP-17", "TFTP-18")
async def an_error_ends_a_transfer(lab: Lab) -> None:
    """After an ERROR of the client neither a block nor an ERROR comes."""
    async with lab.tftp() as client:
        with given("transfer"):
            client.request()
            await client.expect(tftp.Data, 1)
        error = client.send(tftp.Error(tftp.ErrorCode.NOT_DEFINED, "no more, please"))

        def was_under_way(packet: Packet) -> bool:
            return packet.time - error.time < lab.target.quiet / 4

        await client.mailbox.silence(lab.target.quiet, "ERROR", was_under_way)


@suite.case("TFTP-24")
async def requests_that_are_cut_do_no_harm(lab: Lab) -> None:
    """A request without a mode, or cut anywhere, draws no block; the next one is served."""
    name = lab.image.name.encode("latin-1")
    async with lab.tftp() as client:
        for data in (b"\0", b"\0\1", b"\0\1" + name, b"\0\1" + name + b"\0", b"\0\1\0\0"):
            async with lab.tftp() as odd:
                odd.mailbox.send(data, odd.server)
                await _no_block(lab, odd, f"a request of {len(data)} octets", lab.target.quiet / 5)
        client.request()
        await client.expect(tftp.Data, 1)


@suite.case("TFTP-22")
async def nothing_outside_the_published_folder(lab: Lab) -> None:
    """No name leads to /etc/passwd."""
    for name in _OUTSIDE:
        async with lab.tftp(name=name) as client:
            client.request()
            answer = await client.mailbox.next(lab.target.quiet)
            if answer is not None and answer.data[:2] == DATA:
                client.peer = answer.source
                if b"root:" in answer.data:
                    raise fail(f"answer to a request for {name}", "ERROR, or nothing", "the file", answer)


@suite.case("TFTP-35")
async def a_leading_slash_does_not_matter(lab: Lab) -> None:
    """A file is found with a slash before its name and without one, and with backslashes for slashes."""
    name = lab.image.name.lstrip("/")
    for spelled in dict.fromkeys((name, f"/{name}", name.replace("/", "\\"))):
        async with lab.tftp() as client:
            client.request(spelled)
            await client.expect(tftp.Data, 1)


@suite.case("TFTP-26")
async def everything_comes_from_the_address_that_was_asked(lab: Lab) -> None:
    """DATA 1 and 2 and an ERROR have the target's address as their source."""
    async with lab.tftp() as client, lab.tftp() as other:
        client.request()
        first = await client.expect(tftp.Data, 1)
        check(first.packet, "source address", first.packet.source.address, str(lab.target))
        other.request("there-is-no-such-file")
        error = await other.expect(tftp.Error)
        check(error.packet, "source address", error.packet.source.address, str(lab.target))


@suite.case("TFTP-31")
async def an_empty_file_is_one_empty_block(lab: Lab) -> None:
    """A file without content is DATA 1 without content."""
    async with lab.tftp(name=lab.image_of(most=0).name) as client:
        client.request()
        reply = await client.expect(tftp.Data, 1)
        check(reply.packet, "octets of DATA 1", len(reply.value.payload), 0)
        client.ack(1)


@suite.case("NEG-08")
async def a_request_of_512_octets_is_served(lab: Lab) -> None:
    """A request that is as large as RFC 2347 lets it be is answered with DATA or OACK."""
    bare = tftp.Request(tftp.Opcode.RRQ, lab.image.name.encode("latin-1"), options=(("x-filler", ""),))
    filler = "x" * (LARGEST_REQUEST - len(tftp.build(bare)))
    async with lab.tftp() as client:
        request = client.request(options=(("x-filler", filler),))
        check(request, "octets of the request", len(request.data), LARGEST_REQUEST)
        answer = await client.mailbox.next(lab.target.patience)
        if answer is None or answer.data[:2] not in (DATA, OACK):
            raise fail("answer", "DATA or OACK", "nothing" if answer is None else answer.summary, answer)
        client.peer = answer.source


async def _no_block(lab: Lab, client: TftpClient, why: str, seconds: float | None = None) -> None:
    """Fail when DATA or OACK comes; an ERROR, or nothing, is right."""
    answer = await client.mailbox.next(seconds or lab.target.quiet)
    if answer is not None and answer.data[:2] in (DATA, OACK):
        client.peer = answer.source
        raise fail(f"answer to {why}", "ERROR, or nothing", answer.summary, answer)

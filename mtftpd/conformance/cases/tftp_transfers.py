"""Transfers by RFC 1350: the family TFTP of specs/tftp.toml."""

from __future__ import annotations

from typing import Final

from mtftpd.conformance.lab import Lab
from mtftpd.conformance.registry import tftp as suite
from mtftpd.conformance.tftp_client import BLOCK_SIZE
from mtftpd.conformance.verdicts import at_most, check, fail, given, other_than
from mtftpd.wire import tftp

WATCHED: Final = 0.4
"""Seconds in which an ACK that does not count is seen to bring nothing."""


@suite.case("TFTP-01")
async def an_rrq_is_answered_with_block_1(lab: Lab) -> None:
    """An RRQ in mode octet is answered with DATA 1, to the port that it came from."""
    async with lab.tftp() as client:
        client.request()
        reply = await client.expect(tftp.Data, 1)
        check(reply.packet, "destination", str(reply.packet.destination), str(client.mailbox.local))


@suite.case("TFTP-02")
async def each_transfer_has_a_port_of_its_own(lab: Lab) -> None:
    """DATA comes from a port that is not the one of requests, and that no other transfer has."""
    async with lab.tftp() as first, lab.tftp() as second:
        first.request()
        second.request()
        with given("transfers"):
            one = await first.expect(tftp.Data, 1)
            two = await second.expect(tftp.Data, 1)
        check(one.packet, "source port", one.packet.source.port, other_than(lab.target.tftp_port))
        check(two.packet, "source port", two.packet.source.port, other_than(one.packet.source.port))


@suite.case("TFTP-03", "TFTP-05")
async def blocks_of_512_in_order_to_the_end(lab: Lab) -> None:
    """Numbers rise from 1 by one, every block has 512 octets but the last, and the content is that of before."""
    async with lab.tftp() as client:
        request = client.request()
        content = await client.rest()
        check(request, "octets of the file", len(content), lab.image.size)
        check(request, "the content is that of an earlier transfer", content == lab.image.content, True)


@suite.case("TFTP-08")
async def a_repeated_ack_draws_no_block(lab: Lab) -> None:
    """ACK 1 twice does not make block 2 come twice: no Sorcerer's Apprentice."""
    async with lab.tftp() as client:
        with given("image of several blocks"):
            check(client.request(), "octets of the image", lab.image.size > 3 * BLOCK_SIZE, True)
            await client.expect(tftp.Data, 1)
            client.ack(1)
            second = await client.expect(tftp.Data, 2)
            client.ack(2)
            await client.expect(tftp.Data, 3)
        client.ack(1)
        client.ack(1)
        # Block 3 may come again of itself; block 2 may not.
        again = await client.mailbox.until(
            lambda packet: packet if packet.data == second.packet.data else None, lab.target.quiet
        )
        if again is not None:
            raise fail("answer to ACK 1 while block 3 waits for its ACK", "not DATA 2", again.summary, again)


@suite.case("TFTP-10")
async def a_stranger_does_not_disturb_a_transfer(lab: Lab) -> None:
    """An ACK from another port is answered with ERROR 5 or ICMP at most, brings no block, and the transfer goes on."""
    async with lab.tftp() as client, lab.tftp() as stranger:
        client.request()
        with given("transfer of three blocks"):
            await client.expect(tftp.Data, 1)
            client.ack(1)
            await client.expect(tftp.Data, 2)
        stranger.send(tftp.Ack(2), client.peer)
        answer = await stranger.mailbox.next(lab.target.quiet)
        if answer is not None and not answer.problem and _code(answer.data) != tftp.ErrorCode.UNKNOWN_TID:
            raise fail("answer to a stranger", "ERROR 5, or nothing", answer.summary, answer)
        moved = await client.mailbox.until(lambda packet: packet if packet.data[2:4] == b"\0\3" else None, WATCHED)
        if moved is not None:
            raise fail("blocks after an ACK of a stranger", "DATA 2 again, or nothing", moved.summary, moved)
        stranger.mailbox.send(tftp.build(tftp.Error(0, "forged")), client.server)
        client.ack(2)
        await client.expect(tftp.Data, 3)


@suite.case("TFTP-11")
async def a_file_that_is_not_there_is_an_error(lab: Lab) -> None:
    """An RRQ for a file that does not exist is answered with ERROR 1."""
    async with lab.tftp() as client:
        client.request("there-is-no-such-file")
        reply = await client.expect(tftp.Error)
        check(reply.packet, "error code", reply.value.code, int(tftp.ErrorCode.FILE_NOT_FOUND))


@suite.case("TFTP-16")
async def an_unknown_opcode_does_no_harm(lab: Lab) -> None:
    """A packet with opcode 9 draws ERROR 4 or nothing, and the next request is answered."""
    async with lab.tftp() as odd, lab.tftp() as client:
        odd.mailbox.send(b"\0\x09odd\0", odd.server)
        answer = await odd.mailbox.next(lab.target.quiet)
        if answer is not None and _code(answer.data) != tftp.ErrorCode.ILLEGAL_OPERATION:
            raise fail("answer to opcode 9", "ERROR 4, or nothing", answer.summary, answer)
        client.request()
        await client.expect(tftp.Data, 1)


@suite.case("TFTP-07")
async def a_block_that_is_not_acknowledged_comes_again(lab: Lab) -> None:
    """DATA 2 is sent again when no ACK comes for it."""
    async with lab.tftp() as client:
        client.request()
        with given("transfer of two blocks"):
            await client.expect(tftp.Data, 1)
            client.ack(1)
            await client.expect(tftp.Data, 2)
        await client.expect(tftp.Data, 2, repeats=True, seconds=2 * lab.target.patience)


@suite.case("BLK-01")
async def a_granted_block_size_is_not_larger(lab: Lab) -> None:
    """The block size of the OACK is at most that of the request, and every block but the last has it."""
    async with lab.tftp() as client:
        reply = await client.negotiate((("blksize", "1428"),))
        size = dict(reply.value.options).get("blksize", "")
        check(reply.packet, "blksize is a number", size.isdigit(), True)
        check(reply.packet, "blksize", int(size), at_most(1428))
        client.ack(0)
        content = await client.rest()
        check(reply.packet, "the content is that of a transfer without options", content == lab.image.content, True)


def _code(data: bytes) -> int | None:
    """Return the code of an ERROR, None for everything else."""
    return int.from_bytes(data[2:4], "big") if data[:2] == b"\0\5" else None

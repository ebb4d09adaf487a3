"""Transfers in trouble: what is lost, doubled or late, slow clients, strangers, and clients that leave."""

from __future__ import annotations

from typing import Final

import trio

from mtftpd.conformance.lab import Lab
from mtftpd.conformance.packets import Packet
from mtftpd.conformance.registry import tftp as suite
from mtftpd.conformance.tftp_client import BLOCK_SIZE, TftpClient
from mtftpd.conformance.verdicts import Inconclusive, at_least, at_most, check, fail, given
from mtftpd.wire import tftp

REPETITIONS: Final = 5
"""Copies of a block within which the time between them has to grow."""
REPETITION_SECONDS: Final = 26.0
"""For that many copies: a server that waits 5 s each time needs 25."""
GROWTH: Final = 1.5
WATCHED: Final = 8.0
"""Seconds in which a first answer is counted that nobody answers."""
PAUSE: Final = 6.0
"""Seconds that a slow client takes over a block: longer than any fixed time-out that servers are known to have."""
FEW: Final = 6
SEVERAL: Final = 8
"""Blocks of a transfer that is looked at for a while."""


@suite.case("TFTP-04")
async def a_multiple_of_512_ends_with_an_empty_block(lab: Lab) -> None:
    """The last block of a file of n * 512 octets is empty."""
    image = lab.image_of(least=BLOCK_SIZE, multiple_of=BLOCK_SIZE)
    async with lab.tftp(name=image.name) as client:
        request = client.request()
        content = await client.rest()
        check(request, "the content is that of an earlier transfer", content == image.content, True)


@suite.case("TFTP-06")
async def no_block_without_the_ack_of_the_one_before(lab: Lab) -> None:
    """DATA 3 waits for ACK 2, as DATA 2 has waited for ACK 1."""
    async with lab.tftp(name=lab.image_of(least=2 * BLOCK_SIZE).name) as client:
        with given("transfer"):
            client.request()
            await client.expect(tftp.Data, 1)
        client.ack(1)
        await client.expect(tftp.Data, 2)
        await client.silence(lab.target.quiet, "DATA 2 without an ACK")
        client.ack(2)
        await client.expect(tftp.Data, 3)


@suite.case("TFTP-09")
async def repetitions_come_more_and_more_slowly(lab: Lab) -> None:
    """The time between copies of DATA 2 grows."""
    async with lab.tftp(name=lab.image_of(least=2 * BLOCK_SIZE).name) as client:
        with given("transfer"):
            client.request()
            await client.expect(tftp.Data, 1)
            client.ack(1)
            copies = [(await client.expect(tftp.Data, 2)).packet]
        gaps: list[float] = []
        with trio.move_on_after(REPETITION_SECONDS):
            while len(gaps) < REPETITIONS and not (len(gaps) > 1 and gaps[-1] >= GROWTH * gaps[0]):
                copies.append((await client.expect(tftp.Data, 2, repeats=True, seconds=REPETITION_SECONDS)).packet)
                gaps.append(copies[-1].time - copies[-2].time)
        if len(gaps) < 2:
            raise Inconclusive(f"{len(gaps)} copies within {REPETITION_SECONDS:g} s")
        check(copies[-1], "seconds since the copy before", round(gaps[-1], 3), at_least(round(GROWTH * gaps[0], 3)))


@suite.case("TFTP-19")
async def a_repeated_request_is_one_transfer(lab: Lab) -> None:
    """The same request twice from the same port draws blocks from one port."""
    async with lab.tftp() as client:
        with given("transfer"):
            client.request()
            first = await client.expect(tftp.Data, 1)
        client.request()

        def elsewhere(packet: Packet) -> Packet | None:
            return packet if packet.source != first.packet.source else None

        other = await client.mailbox.until(elsewhere, lab.target.quiet)
        if other is not None:
            raise fail(
                "source of the answer to the repeated request", str(first.packet.source), str(other.source), other
            )


@suite.case("TFTP-25")
async def two_transfers_side_by_side(lab: Lab) -> None:
    """Two clients that take turns both get their blocks."""
    image = lab.image_of(least=2 * BLOCK_SIZE)
    async with lab.tftp(name=image.name) as one, lab.tftp(name=image.name) as other:
        one.request()
        other.request()
        for number in range(1, min(SEVERAL, image.size // BLOCK_SIZE) + 1):
            for client in (one, other):
                await _take(client, number, image.content)


@suite.case("TFTP-28")
async def an_ack_ahead_skips_nothing(lab: Lab) -> None:
    """After ACK 3 in place of ACK 1 no block behind 2 comes, and then the file comes whole."""
    image = lab.image_of(least=4 * BLOCK_SIZE)
    async with lab.tftp(name=image.name) as client:
        with given("transfer"):
            client.request()
            await client.expect(tftp.Data, 1)
        client.ack(3)
        skipped = await client.mailbox.until(
            lambda packet: packet if packet.data[:2] == b"\0\3" and packet.data[2:4] > b"\0\2" else None,
            lab.target.quiet,
        )
        if skipped is not None:
            raise fail(
                "answer to ACK 3 while block 1 waits for its ACK", "nothing behind DATA 2", skipped.summary, skipped
            )


@suite.case("TFTP-30")
async def who_never_answers_is_not_sent_much(lab: Lab) -> None:
    """The first block comes a few times at most while nothing is heard of the client."""
    async with lab.tftp() as client:
        with given("transfer"):
            client.request()
            first = await client.expect(tftp.Data, 1)
        copies = 1
        with trio.move_on_after(WATCHED):
            while True:
                packet = await client.mailbox.next(WATCHED)
                copies += packet is not None and packet.data == first.packet.data
        check(first.packet, f"copies of DATA 1 in {WATCHED:g} s", copies, at_most(FEW))


@suite.case("TFTP-32")
async def a_slow_client_gets_the_file(lab: Lab) -> None:
    """A client that takes six seconds over a block gets the next one, and the right one."""
    image = lab.image_of(least=2 * BLOCK_SIZE)
    async with lab.tftp(name=image.name) as client:
        with given("transfer"):
            client.request()
            await client.expect(tftp.Data, 1)
            client.ack(1)
            await client.expect(tftp.Data, 2)
        await trio.sleep(PAUSE)
        client.ack(2)
        reply = await client.expect(tftp.Data, 3)
        start = 2 * BLOCK_SIZE
        check(reply.packet, "octets of DATA 3", reply.value.payload, image.content[start : start + BLOCK_SIZE])


@suite.case("TFTP-34")
async def lost_doubled_and_late_packets_cost_time_only(lab: Lab) -> None:
    """With an ACK lost, each ACK sent twice and an old one after it, the file comes whole."""
    image = lab.image_of(least=3 * BLOCK_SIZE)
    async with lab.tftp(name=image.name) as client:
        request = client.request()
        content = b""
        for number in range(1, SEVERAL + 1):
            if number * BLOCK_SIZE > image.size:
                break
            reply = await client.expect(tftp.Data, number)
            content += reply.value.payload
            if number == 2:
                # This ACK is lost, so the block has to come again.
                await client.expect(tftp.Data, number, repeats=True, seconds=2 * lab.target.patience)
            client.ack(number)
            client.ack(number)
            client.ack(number - 1)
        content = await client.rest(len(content) // BLOCK_SIZE + 1, so_far=content)
        check(request, "the content is that of an earlier transfer", content == image.content, True)


@suite.case("TFTP-36")
async def late_packets_draw_no_icmp(lab: Lab) -> None:
    """The last ACK once more, right after the end, draws no ICMP message."""
    image = min(lab.found.images, key=lambda each: each.size)
    async with lab.tftp(name=image.name) as client:
        with given("transfer"):
            client.request()
            await client.rest()
        await trio.sleep(lab.target.quiet / 4)
        client.ack(image.size // BLOCK_SIZE + 1)
        refused = await client.mailbox.until(lambda packet: packet if packet.problem else None, lab.target.quiet)
        if refused is not None:
            raise fail("answer to the last ACK once more", "nothing, or a packet", refused.problem, refused)


async def _take(client: TftpClient, number: int, content: bytes) -> None:
    reply = await client.expect(tftp.Data, number)
    start = (number - 1) * BLOCK_SIZE
    check(reply.packet, f"octets of DATA {number}", reply.value.payload, content[start : start + BLOCK_SIZE])
    client.ack(number)

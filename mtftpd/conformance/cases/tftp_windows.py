"""Windows of blocks: RFC 7440."""

from __future__ import annotations

from typing import Final

import trio

from mtftpd.conformance.lab import Lab
from mtftpd.conformance.packets import Packet
from mtftpd.conformance.registry import tftp as suite
from mtftpd.conformance.tftp_client import BLOCK_SIZE, TftpClient
from mtftpd.conformance.tftp_grants import DATA, ask, granted
from mtftpd.conformance.verdicts import ABSENT, NotApplicable, between, check, fail, given
from mtftpd.wire import tftp

WINDOW: Final = 4
"""Blocks: small, so that the images of a test have several windows."""
ENOUGH: Final = 3 * WINDOW * BLOCK_SIZE
"""Octets of an image with more than two windows."""


@suite.case("WIN-01")
async def a_granted_window_is_not_larger(lab: Lab) -> None:
    """To windowsize 4 at least 1 and at most 4 is granted."""
    async with lab.tftp() as client:
        grant = await granted(client, (("windowsize", str(WINDOW)),))
        check(grant.packet, "windowsize", grant.number("windowsize"), between(1, WINDOW))


@suite.case("WIN-02")
async def no_more_than_a_window_without_an_ack(lab: Lab) -> None:
    """After ACK 0 blocks 1 to 4 come, and none behind them."""
    async with lab.tftp(name=lab.image_of(least=ENOUGH).name) as client:
        window = await _begin(client)
        blocks = await _blocks(client, lab.target.quiet)
        for number, packet in blocks:
            check(packet, "block without an ACK", number, between(1, window))
        check(blocks[-1][1], "blocks that came", sorted({number for number, _ in blocks}), [*range(1, window + 1)])


@suite.case("WIN-03")
async def an_ack_within_a_window_moves_it(lab: Lab) -> None:
    """After ACK 2 of a window 1 to 4 the blocks 3 to 6 come, and none behind them."""
    async with lab.tftp(name=lab.image_of(least=ENOUGH).name) as client:
        window = await _begin(client)
        if window < 3:
            raise NotApplicable(f"the target grants a window of {window} blocks, which has no middle")
        with given("window"):
            await _until_block(client, window)
        client.ack(2)
        numbers = await _until_block(client, window + 2)
        if 3 not in numbers:
            raise fail("blocks after ACK 2", f"3 to {window + 2}", ", ".join(map(str, numbers)))
        for number, packet in await _blocks(client, lab.target.quiet):
            check(packet, "block without an ACK", number, between(3, window + 2))


@suite.case("WIN-04")
async def no_window_out_of_range(lab: Lab) -> None:
    """Windowsize 0 is not granted, and to 65,536 at most 65,535."""
    async with lab.tftp() as client:
        await granted(client, (("windowsize", str(WINDOW)),))
    async with lab.tftp() as client:
        grant = await ask(client, (("windowsize", "0"),))
        check(grant.packet, "windowsize for 0", grant.options.get("windowsize"), ABSENT)
    async with lab.tftp() as client:
        grant = await ask(client, (("windowsize", "65536"),))
        if "windowsize" in grant.options:
            check(grant.packet, "windowsize for 65536", grant.number("windowsize"), between(1, 0xFFFF))


@suite.case("WIN-05")
async def a_file_comes_whole_in_windows(lab: Lab) -> None:
    """With an ACK for each window the file comes whole, and after the ACK of the last block nothing comes."""
    image = lab.image_of(least=ENOUGH, most=128 * BLOCK_SIZE)
    async with lab.tftp(name=image.name) as client:
        window = await _begin(client)
        content = bytearray()
        last = image.size // BLOCK_SIZE + 1
        for number in range(1, last + 1):
            reply = await client.expect(tftp.Data, number)
            content += reply.value.payload
            if number % window == 0 or number == last:
                client.ack(number)
        check(reply.packet, "the content is that of an earlier transfer", bytes(content) == image.content, True)
        await client.silence(lab.target.quiet, "ACK of the last block")


@suite.case("WIN-06")
async def a_window_that_is_not_acknowledged_comes_again(lab: Lab) -> None:
    """Without an ACK block 1 comes again after block 4, and then the others."""
    async with lab.tftp(name=lab.image_of(least=ENOUGH).name) as client:
        window = await _begin(client)
        with given("two windows"):
            await _until_block(client, window)
            # RFC 7440 section 4; before the first ACK a server may wait for the client to ask (R14).
            client.ack(window)
            await _until_block(client, 2 * window)
        numbers = await _until_block(client, window + 1)
        check(client.ack(2 * window), "blocks that come again", numbers[-1], window + 1)


@suite.case("WIN-07")
async def a_window_of_1_is_lock_step(lab: Lab) -> None:
    """With windowsize 1 block 2 waits for ACK 1."""
    async with lab.tftp(name=lab.image_of(least=2 * BLOCK_SIZE).name) as client:
        await granted(client, (("windowsize", "1"),))
        client.ack(0)
        await client.expect(tftp.Data, 1)
        await client.silence(lab.target.quiet, "DATA 1 without an ACK")
        client.ack(1)
        await client.expect(tftp.Data, 2)


@suite.case("WIN-08")
async def copies_of_an_ack_do_not_repeat_a_window(lab: Lab) -> None:
    """ACK 4 three times more, while blocks 9 to 12 wait for theirs, brings none of 5 to 8."""
    async with lab.tftp(name=lab.image_of(least=ENOUGH).name) as client:
        window = await _begin(client)
        with given("three windows"):
            for number in (1, 2, 3):
                await _until_block(client, number * window)
                if number < 3:
                    client.ack(number * window)
        for _ in range(3):
            client.ack(window)
        for number, packet in await _blocks(client, lab.target.quiet):
            check(packet, "block after old copies of an ACK", number, between(2 * window + 1, 3 * window))


@suite.case("WIN-11")
async def a_window_combines_with_other_options(lab: Lab) -> None:
    """windowsize, blksize and tsize are granted together where each is granted alone."""
    pairs = (("tsize", "0"), ("blksize", "1024"), ("windowsize", str(WINDOW)))
    for pair in pairs:
        async with lab.tftp() as client:
            await granted(client, (pair,))
    async with lab.tftp() as client:
        grant = await ask(client, pairs)
        check(grant.packet, "options", sorted(grant.options), sorted(name for name, _ in pairs))


async def _begin(client: TftpClient) -> int:
    """Ask for a window, send ACK 0 and return how many blocks were granted."""
    grant = await granted(client, (("windowsize", str(WINDOW)),))
    client.ack(0)
    return grant.number("windowsize") or 1


async def _blocks(client: TftpClient, seconds: float) -> list[tuple[int, Packet]]:
    """Return the blocks that come within ``seconds``, each with its number."""
    found: list[tuple[int, Packet]] = []
    deadline = trio.current_time() + seconds
    while (packet := await client.mailbox.next(max(0.0, deadline - trio.current_time()))) is not None:
        if packet.data[:2] == DATA:
            found.append((int.from_bytes(packet.data[2:4], "big"), packet))
    return found


async def _until_block(client: TftpClient, last: int) -> list[int]:
    """Return the numbers of the blocks that come, up to the first ``last``; raises `Failed` when it does not come."""
    numbers: list[int] = []
    while last not in numbers:
        packet = await client.mailbox.next(2 * client.patience)
        if packet is None:
            raise fail("blocks", f"block {last}", f"nothing within {2 * client.patience:g} s")
        if packet.data[:2] == DATA:
            numbers.append(int.from_bytes(packet.data[2:4], "big"))
    return numbers

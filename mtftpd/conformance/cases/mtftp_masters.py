"""Masters: whose acknowledgements count, and what becomes of a pass whose master is ill, gone or done."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import trio

from mtftpd.conformance.cases.mtftp_opens import image_of
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.mtftp_client import AGAIN, BLOCK_SIZE, DATA, FINISH_SECONDS, MtftpClient
from mtftpd.conformance.packets import Packet
from mtftpd.conformance.registry import mtftp as suite
from mtftpd.conformance.verdicts import NotApplicable, at_least, check, fail
from mtftpd.wire import tftp

WATCHED: Final = 0.4
"""Seconds in which nothing may follow from an ACK that does not count; a master may be silent for longer."""


@suite.case("ACK-01")
async def only_the_master_acknowledges(lab: Lab) -> None:
    """ACK 2 from another address does not bring block 3."""
    async with lab.other_host() as host, lab.mtftp() as master, lab.mtftp(host) as other:
        await master.become_master()
        await master.carry_on(2)
        forged = other.send(tftp.Ack(2), master.peer)
        await _nothing_but(master, 2, forged)


@suite.case("ACK-02", "ACK-03")
async def an_ack_ahead_counts_for_the_current_block_alone(lab: Lab) -> None:
    """While block 2 is current, ACK 5 brings block 3, and no later one."""
    async with lab.mtftp() as master:
        _of_blocks(lab, master, 7)
        await master.become_master()
        await master.carry_on(2)
        ahead = master.ack(5)
        await master.multicast(3)
        await _nothing_but(master, 3, ahead)


@suite.case("ACK-04")
async def an_old_ack_brings_nothing(lab: Lab) -> None:
    """While block 3 is current, ACK 1 brings neither block 2 nor block 4."""
    async with lab.mtftp() as master:
        _of_blocks(lab, master, 5)
        await master.become_master()
        await master.carry_on(3)
        await _nothing_but(master, 3, master.ack(1))


@suite.case("ACK-05")
async def a_master_that_has_everything_leaves_a_pass_that_goes_on(lab: Lab) -> None:
    """After an ACK of the last block in the middle of a pass the blocks that are left come all the same."""
    async with lab.mtftp() as master:
        last = _of_blocks(lab, master, 6)
        await master.become_master()
        await master.carry_on(3)
        master.ack(last)
        master.resign()
        await _to_the_end(master, 4, last)


@suite.case("ACK-06")
async def an_error_of_the_master_is_not_answered(lab: Lab) -> None:
    """After an ERROR the master hears nothing more that is for it alone."""
    async with lab.mtftp() as master:
        await master.become_master()
        await master.carry_on(2)
        master.send(tftp.Error(tftp.ErrorCode.NOT_DEFINED, "I give up"), master.peer)
        master.resign()
        await master.own.silence(lab.target.quiet, "ERROR of the master")
        await master.idle()


@suite.case("ACK-10")
async def a_pass_outlives_its_master(lab: Lab) -> None:
    """When the master falls silent, the blocks that are left come all the same."""
    async with lab.mtftp() as master:
        last = _of_blocks(lab, master, 5)
        await master.become_master()
        await master.carry_on(2)
        master.resign()
        await _to_the_end(master, 3, last)


@suite.case("ACK-11", "END-02")
async def a_master_that_was_never_heard_ends_nothing_for_ever(lab: Lab) -> None:
    """When the master never acknowledges, the group falls silent, and the next open begins with block 1."""
    async with lab.mtftp() as master:
        await master.become_master()
        master.resign()
        with trio.move_on_after(2 * FINISH_SECONDS) as limit:
            await master.idle()
        if limit.cancelled_caught:
            raise fail(
                "group", "silence", f"blocks for more than {2 * FINISH_SECONDS:g} s", _last_of_group(lab, master)
            )
        again = await _open_until_master(lab, master)
        check(again, "number of DATA", int.from_bytes(again.data[2:4], "big"), 1)


@suite.case("END-02")
async def the_next_open_begins_with_block_1(lab: Lab) -> None:
    """After a pass that its master took to the end, the next open brings DATA 1."""
    async with lab.mtftp() as master:
        await master.become_master()
        await master.finish()
        await master.idle()
        again = await _open_until_master(lab, master)
        check(again, "number of DATA", int.from_bytes(again.data[2:4], "big"), 1)


@suite.case("DAT-09")
async def block_1_waits_after_a_pass_that_ended_early(lab: Lab) -> None:
    """Between a block that is not the last and the next block 1 the group is silent for T + 0.2 s."""
    async with lab.mtftp() as master:
        last = _of_blocks(lab, master, 4)
        await master.become_master()
        await master.carry_on(2)
        master.send(tftp.Error(tftp.ErrorCode.NOT_DEFINED, "I give up"), master.peer)
        master.resign()
        await _open_until_master(lab, master)
        await master.group.next(lab.target.patience)
        blocks = [packet for packet in lab.trace.packets if _is_group_data(master, packet)]
        for earlier, later in pairwise(blocks):
            if _number(later) == 1 and 1 < _number(earlier) < last:
                pause = round(later.time - earlier.time, 2)
                check(later, "seconds of silence before block 1", pause, at_least(master.session.delay + 0.2))


def _of_blocks(lab: Lab, client: MtftpClient, least: int) -> int:
    """Return the number of the last block; where there are fewer than ``least`` the case does not apply."""
    last = image_of(lab, client).size // BLOCK_SIZE + 1
    if last < least:
        raise NotApplicable(f"the file of the session has {last} blocks, fewer than {least}")
    return last


async def _nothing_but(client: MtftpClient, number: int, since: Packet) -> None:
    """Fail when the group brings another block than ``number`` within `WATCHED` after ``since``."""

    def other(packet: Packet) -> Packet | None:
        return packet if _number(packet) != number and 0 <= packet.time - since.time < WATCHED else None

    wrong = await client.group.until(other, WATCHED)
    if wrong is not None:
        raise fail(f"blocks while {number} waits for its ACK", f"DATA {number}, or nothing", wrong.summary, wrong)


async def _to_the_end(client: MtftpClient, first: int, last: int) -> None:
    """Fail unless the group brings the blocks from ``first`` to ``last`` in order."""
    for number in range(first, last + 1):
        await client.multicast(number, seconds=FINISH_SECONDS)


async def _open_until_master(lab: Lab, client: MtftpClient) -> Packet:
    """Open again and again until DATA comes by unicast, and return it; else the group would have rested for ever."""
    with trio.move_on_after(2 * FINISH_SECONDS):
        while True:
            client.open()
            packet = await client.own.next(AGAIN)
            if packet is not None:
                if packet.data[:2] == DATA:
                    client.lead(packet)
                return packet
    raise fail("answer to opens after the pass", "DATA 1", f"nothing within {2 * FINISH_SECONDS:g} s")


def _last_of_group(lab: Lab, client: MtftpClient) -> Packet | None:
    return next((packet for packet in reversed(lab.trace.packets) if _is_group_data(client, packet)), None)


def _is_group_data(client: MtftpClient, packet: Packet) -> bool:
    return not packet.sent and packet.destination.address == client.session.group and packet.data[:2] == b"\0\3"


def _number(packet: Packet) -> int:
    return int.from_bytes(packet.data[2:4], "big")

"""Option multicast of RFC 2090: one master after the other asks for blocks, which go to all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

import trio

from mtftpd.conformance.findings import Image
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.mailbox import Mailbox
from mtftpd.conformance.packets import Packet
from mtftpd.conformance.registry import tftp as suite
from mtftpd.conformance.tftp_client import BLOCK_SIZE, TftpClient
from mtftpd.conformance.tftp_grants import DATA, OACK, granted
from mtftpd.conformance.verdicts import Inconclusive, between, check, fail
from mtftpd.wire import tftp

ALONE: Final = "option multicast"
"""Two cases at a time would be clients of one transfer."""
BLOCKS: Final = 6
"""That the image has at least."""
WATCHED: Final = 0.4
"""Seconds in which an ACK that does not count is seen to bring nothing."""
GIVE_UP: Final = 40.0
"""Seconds after which a client that is gone should be passed over: five copies of an OACK at 5 s each take 30."""


@dataclass(frozen=True, slots=True)
class Member:
    """A client of a multicast transfer, with what its OACK said; ``group`` hears the blocks."""

    client: TftpClient
    group: Mailbox
    oack: Packet
    address: str
    port: int
    is_master: bool

    async def block(self, seconds: float) -> Packet | None:
        """Return the next DATA of the group."""
        return await self.group.until(lambda packet: packet if packet.data[:2] == DATA else None, seconds)

    async def asks(self, number: int) -> Packet:
        """Acknowledge the block before ``number`` and return the DATA that this brings: it must be that one."""
        self.client.ack(number - 1)
        packet = await self.group.until(
            lambda packet: packet if packet.data[:4] == DATA + number.to_bytes(2, "big") else None, self.client.patience
        )
        if packet is None:
            raise fail(f"answer to ACK {number - 1}", f"DATA {number} to the group", "nothing")
        return packet

    async def call(self, seconds: float) -> Packet | None:
        """Return the OACK that makes this client the master, None when none comes within ``seconds``."""

        def wanted(packet: Packet) -> Packet | None:
            return packet if packet.data[:2] == OACK and packet.data.endswith(b",1\0") else None

        return await self.client.mailbox.until(wanted, seconds)


@suite.case("MUL-01", alone=ALONE)
async def the_first_client_is_told_the_group_and_is_master(lab: Lab) -> None:
    """The OACK has a multicast address, a port and 1."""
    async with _member(lab, _image(lab)) as first:
        check(first.oack, "multicast address", IPv4Address(first.address).is_multicast, True)
        check(first.oack, "port", first.port, between(1, 0xFFFF))
        check(first.oack, "mc", first.is_master, True)


@suite.case("MUL-02", alone=ALONE)
async def a_later_client_is_told_the_same_group(lab: Lab) -> None:
    """The OACK to a second client has the address and port of the first one's, and 0."""
    image = _image(lab)
    async with _master(lab, image) as first:
        await first.asks(1)
        async with _member(lab, image) as second:
            check(second.oack, "multicast address", second.address, first.address)
            check(second.oack, "port", second.port, first.port)
            check(second.oack, "mc", second.is_master, False)


@suite.case("MUL-03", alone=ALONE)
async def blocks_go_to_the_group(lab: Lab) -> None:
    """After ACK 0 DATA 1 goes to the group and port of the OACK, with the content of the file."""
    image = _image(lab)
    async with _master(lab, image) as master:
        packet = await master.asks(1)
        check(packet, "destination", str(packet.destination), f"{master.address}:{master.port}")
        check(packet, "octets of DATA 1", packet.data[4:], image.content[:BLOCK_SIZE])


@suite.case("MUL-04", alone=ALONE)
async def an_ack_asks_for_the_next_block(lab: Lab) -> None:
    """ACK 3 brings block 4 after block 1, as a master wants it that has heard 2 and 3 before."""
    async with _master(lab, _image(lab)) as master:
        await master.asks(1)
        await master.asks(4)


@suite.case("MUL-05", alone=ALONE)
async def the_next_client_becomes_master(lab: Lab) -> None:
    """When the master has acknowledged the last block, the second client gets an OACK with 1."""
    image = _image(lab)
    async with _master(lab, image) as first, _member(lab, image) as second:
        await _read_all(first, image)
        if await second.call(lab.target.patience) is None:
            raise fail("packet to the second client", "OACK with 1", f"nothing within {lab.target.patience:g} s")


@suite.case("MUL-06", alone=ALONE)
async def a_client_that_is_gone_is_passed_over(lab: Lab) -> None:
    """When the second client does not answer its OACK with 1, the third gets one."""
    image = _image(lab)
    async with _master(lab, image) as first, _member(lab, image) as second, _member(lab, image) as third:
        await _read_all(first, image)
        if await second.call(lab.target.patience) is None:
            raise Inconclusive("the second client was not made master")
        if await third.call(GIVE_UP) is None:
            raise fail("packet to the third client", "OACK with 1", f"nothing within {GIVE_UP:g} s")


@suite.case("MUL-08", alone=ALONE)
async def who_is_done_is_not_made_master(lab: Lab) -> None:
    """A client that has acknowledged the last block without being master gets no OACK with 1 later."""
    image = _image(lab)
    async with _master(lab, image) as first, _member(lab, image) as second:
        await first.asks(1)
        second.client.ack(_last(image))
        await _read_all(first, image)
        packet = await second.call(lab.target.quiet)
        if packet is not None:
            raise fail("packet to a client that has everything", "silence", packet.summary, packet)


@suite.case("MUL-09", alone=ALONE)
async def only_the_master_moves_the_transfer(lab: Lab) -> None:
    """ACK 1 of a client that is not master does not bring block 2."""
    image = _image(lab)
    async with _master(lab, image) as first, _member(lab, image) as second:
        await first.asks(1)
        forged = second.client.ack(1)
        packet = await first.block(WATCHED)
        if packet is not None and packet.data[2:4] != b"\0\1" and packet.time - forged.time < WATCHED:
            raise fail("answer to an ACK of somebody else", "DATA 1 again, or nothing", packet.summary, packet)


def _image(lab: Lab) -> Image:
    return lab.image_of(least=BLOCKS * BLOCK_SIZE, most=256 * BLOCK_SIZE)


def _last(image: Image) -> int:
    return image.size // BLOCK_SIZE + 1


@asynccontextmanager
async def _member(lab: Lab, image: Image) -> AsyncIterator[Member]:
    """Ask for ``image`` with option multicast; where it is not granted the case does not apply."""
    async with lab.tftp(name=image.name) as client:
        grant = await granted(client, (("multicast", ""),))
        fields = grant.options["multicast"].split(",")
        check(grant.packet, "fields of multicast", len(fields), 3)
        address, port, master = fields
        check(grant.packet, "port is a number", port.isdecimal(), True)
        group = lab.mailbox(lab.host, int(port), address)
        try:
            yield Member(client, group, grant.packet, address, int(port), master == "1")
        finally:
            group.close()


@asynccontextmanager
async def _master(lab: Lab, image: Image) -> AsyncIterator[Member]:
    """Be the first client of a transfer; while an earlier one is being given up the case waits for its turn."""
    deadline = trio.current_time() + GIVE_UP
    while trio.current_time() < deadline:
        async with _member(lab, image) as member:
            if member.is_master:
                yield member
                return
        await trio.sleep(lab.target.quiet)
    raise Inconclusive("another client is master of the file all the time")


async def _read_all(master: Member, image: Image) -> None:
    """Take the transfer to its end, as its master."""
    for number in range(1, _last(image) + 1):
        await master.asks(number)
    master.client.send(tftp.Ack(_last(image)))

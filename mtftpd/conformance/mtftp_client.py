"""A client of multicast TFTP that does one thing at a time: PXE 2.1 section 2.4.10."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self, TypeVar

import trio

from mtftpd.conformance.findings import Session
from mtftpd.conformance.mailbox import Mailbox, Reply
from mtftpd.conformance.packets import Packet
from mtftpd.conformance.verdicts import Failed, Inconclusive, fail, given
from mtftpd.errors import Malformed
from mtftpd.wire import tftp
from mtftpd.wire.datagram import Endpoint

K = TypeVar("K", tftp.Data, tftp.Error)

BLOCK_SIZE: Final = 512
DATA: Final = b"\0\3"
QUIET_MARGIN: Final = 0.3
"""Seconds beyond the delay of the session after which a silent group has no pass any more (PXE 2.1 figure 2-5)."""
FINISH_SECONDS: Final = 20.0
"""How long a case waits for a pass that it has begun."""
RECOVERY_SECONDS: Final = 35.0
"""How long the next case is spared a session that a failure left busy: atftpd gives a master up after 25 s."""
AGAIN: Final = 0.5
"""Seconds between the opens of a client that waits for its turn."""


class MtftpClient:
    """A client of ``session`` with a port of its own and one that hears the group.

    Use it in ``async with``, which takes a pass that this client is master of to its end, so that the next case finds
    the session idle; after a failure, or when it has resigned, it opens until the session answers again.
    """

    def __init__(self, own: Mailbox, group: Mailbox, session: Session, target: str, patience: float) -> None:
        self.own = own
        self.group = group
        self.session = session
        self.server = Endpoint(target, session.server_port)
        self.peer = self.server
        self.patience = patience
        self.block = 0
        self.is_master = False
        self._was_master = False
        self._leaves_it_busy = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with trio.move_on_after(FINISH_SECONDS) as limit:
            limit.shield = True
            if self.is_master and not isinstance(error, trio.Cancelled):
                await self._end_pass()
        if self._was_master and (self._leaves_it_busy or isinstance(error, Failed | Inconclusive)):
            with trio.move_on_after(RECOVERY_SECONDS):
                await self._recover()
        self.own.close()
        self.group.close()

    def open(self, name: str | None = None, options: tftp.Pairs = (), *, mode: str = tftp.OCTET) -> Packet:
        """Send the RRQ that opens a pass."""
        filename = (self.session.name if name is None else name).encode("latin-1")
        return self.send(tftp.Request(tftp.Opcode.RRQ, filename, mode, options))

    def send(self, packet: tftp.Packet | bytes, to: Endpoint | None = None) -> Packet:
        """Send a packet, or any octets, to the server port of the session, or to another address."""
        data = packet if isinstance(packet, bytes) else tftp.build(packet)
        return self.own.send(data, to or self.server)

    def ack(self, number: int) -> Packet:
        """Acknowledge block ``number`` where the blocks come from."""
        return self.send(tftp.Ack(number), self.peer)

    async def unicast(self, kind: type[K], number: int | None = None, *, seconds: float | None = None) -> Reply[K]:
        """Return the next packet to this client alone, which must be of ``kind`` (with ``number``).

        DATA makes this client the master of the pass.
        """
        reply = await _expect(self.own, kind, number, seconds or self.patience)
        if isinstance(reply.value, tftp.Data):
            self.lead(reply.packet)
        return reply

    def lead(self, packet: Packet) -> None:
        """Be the master from now on: ``packet``, with DATA, came for this client alone."""
        self.is_master = self._was_master = True
        self.peer, self.block = packet.source, int.from_bytes(packet.data[2:4], "big")

    async def multicast(self, number: int, *, seconds: float | None = None) -> Reply[tftp.Data]:
        """Return the next DATA of the group; one that repeats the block before ``number`` is passed over."""
        while True:
            reply = await _expect(self.group, tftp.Data, None, seconds or self.patience)
            if reply.value.number != number - 1:
                break
        if reply.value.number != number:
            raise fail("DATA of the group", f"block {number}", f"block {reply.value.number}", reply.packet)
        self.block = number
        return reply

    async def become_master(self) -> tuple[Reply[tftp.Data], Reply[tftp.Data]]:
        """Open the session and return both copies of block 1, unicast and group; else the case is inconclusive."""
        self.open()
        with given("answer to the open"):
            single = await self.unicast(tftp.Data, 1)
            copy = await self.multicast(1)
        return single, copy

    async def carry_on(self, last: int) -> bytes:
        """Acknowledge each block up to ``last`` and return the octets of the blocks that came for it."""
        content = bytearray()
        while self.block < last:
            self.ack(self.block)
            content += (await self.multicast(self.block + 1)).value.payload
        return bytes(content)

    async def finish(self) -> bytes:
        """Acknowledge every block to the end of the pass and return the octets behind the present block."""
        content = bytearray()
        while True:
            self.ack(self.block)
            reply = await self.multicast(self.block + 1)
            content += reply.value.payload
            if len(reply.value.payload) < BLOCK_SIZE:
                self.ack(self.block)
                self.is_master = False
                return bytes(content)

    def resign(self) -> None:
        """Be master no more: the pass, if there is one, is somebody else's, or is left to the target."""
        self.is_master = False
        self._leaves_it_busy = True

    async def idle(self) -> None:
        """Wait until the group has been silent long enough for no pass to be running."""
        silent = self.session.delay + QUIET_MARGIN
        while await self.group.next(silent) is not None:
            pass

    async def _recover(self) -> None:
        packet = None
        while packet is None or packet.data[:2] != DATA:
            self.open()
            packet = await self.own.next(AGAIN)
        self.lead(packet)
        await self._end_pass()

    async def _end_pass(self) -> None:
        try:
            await self.finish()
        except Failed:
            self.send(tftp.Error(tftp.ErrorCode.NOT_DEFINED, "the case is over"), self.peer)
            self._leaves_it_busy = True
            await self.idle()


async def _expect(mailbox: Mailbox, kind: type[K], number: int | None, seconds: float) -> Reply[K]:
    wanted = {tftp.Data: "DATA", tftp.Error: "ERROR"}[kind] + ("" if number is None else f" {number}")
    packet = await mailbox.next(seconds)
    if packet is None:
        raise fail(f"packet to {mailbox.local}", wanted, f"nothing within {seconds:g} s")
    try:
        value = tftp.parse_untrusted(packet.data)
    except Malformed as problem:
        raise fail(f"packet to {mailbox.local}", wanted, f"malformed: {problem}", packet) from problem
    if packet.problem or not isinstance(value, kind) or (number is not None and getattr(value, "number", 0) != number):
        raise fail(f"packet to {mailbox.local}", wanted, packet.summary, packet)
    return Reply(packet, value)

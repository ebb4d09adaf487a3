"""A TFTP client that does one thing at a time, well or ill behaved."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self, TypeVar

from mtftpd.conformance.mailbox import Mailbox, Reply
from mtftpd.conformance.packets import Packet
from mtftpd.conformance.verdicts import Evidence, Failed, fail
from mtftpd.errors import Malformed
from mtftpd.wire import tftp
from mtftpd.wire.datagram import Endpoint

K = TypeVar("K", tftp.Data, tftp.Ack, tftp.Error, tftp.OptionAck)

BLOCK_SIZE: Final = 512


class TftpClient:
    """One transfer from ``server``; ``server`` is the address that requests go to.

    Use it in ``async with``, which closes the port and ends a transfer that is still running with an ERROR.
    """

    def __init__(self, mailbox: Mailbox, server: Endpoint, name: str, patience: float) -> None:
        self.mailbox = mailbox
        self.server = server
        self.name = name
        self.patience = patience
        self.peer: Endpoint | None = None
        self.block_size = BLOCK_SIZE
        self._seen: set[bytes] = set()
        self._ended = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.peer is not None and not self._ended:
            self.send(tftp.Error(tftp.ErrorCode.NOT_DEFINED, "the case is over"))
        self.mailbox.close()

    def request(
        self, name: str | None = None, options: tftp.Pairs = (), *, mode: str = tftp.OCTET, write: bool = False
    ) -> Packet:
        """Send an RRQ (a WRQ with ``write``) for ``name``, or for the image of the case."""
        opcode = tftp.Opcode.WRQ if write else tftp.Opcode.RRQ
        filename = (self.name if name is None else name).encode("latin-1")
        return self.send(tftp.Request(opcode, filename, mode, options), self.server)

    def send(self, packet: tftp.Packet | bytes, to: Endpoint | None = None) -> Packet:
        """Send a packet, or any octets, to the transfer of the target or to another address."""
        data = packet if isinstance(packet, bytes) else tftp.build(packet)
        destination = to or self.peer
        assert destination is not None, "there is no transfer yet"
        if isinstance(packet, tftp.Error):
            self._ended = True
        return self.mailbox.send(data, destination)

    def ack(self, number: int) -> Packet:
        """Acknowledge block ``number``, modulo 65,536."""
        return self.send(tftp.Ack(number & 0xFFFF))

    async def expect(
        self, kind: type[K], number: int | None = None, *, seconds: float | None = None, repeats: bool = False
    ) -> Reply[K]:
        """Return the next packet, which must be of ``kind`` (a DATA or ACK with ``number``).

        A packet that came before is passed over unless ``repeats``: the target may have lost patience.  Raises
        `Failed` when another one comes, or none within ``seconds``, or the patience of the run.
        """
        wanted = _named(kind, number)
        reply = await self.mailbox.until(
            lambda packet: None if packet.data in self._seen and not repeats else packet, seconds or self.patience
        )
        if reply is None:
            raise fail("answer", wanted, f"nothing within {seconds or self.patience:g} s")
        if reply.problem:
            raise fail("answer", wanted, reply.problem, reply)
        try:
            value = tftp.parse_untrusted(reply.data)
        except Malformed as problem:
            raise fail("answer", wanted, f"malformed: {problem}", reply) from problem
        self._seen.add(reply.data)
        if isinstance(value, tftp.Error):
            self._ended = True
        elif self.peer is None:
            self.peer = reply.source
        if not isinstance(value, kind) or (number is not None and getattr(value, "number", None) != number):
            raise fail("answer", wanted, reply.summary, reply)
        return Reply(reply, value)

    async def silence(self, seconds: float, why: str) -> None:
        """Fail when something new comes within ``seconds``; the answer to ``why`` is silence.

        Packets that came before may come again: the target still waits for an answer.
        """
        await self.mailbox.silence(seconds, why, lambda packet: packet.data in self._seen)

    async def rest(self, first: int = 1, *, so_far: bytes = b"", most: int = 1 << 40) -> bytes:
        """Read blocks from ``first`` to the end, acknowledging each, and return the content with ``so_far`` before it.

        Raises `Failed` for a block out of turn or of the wrong size, and when there are more than ``most`` octets.
        """
        content = bytearray(so_far)
        number = first
        while True:
            reply = await self.expect(tftp.Data, number & 0xFFFF)
            # Block numbers come again after 65,536 blocks, so only the last packet can be a repetition.
            self._seen = {reply.packet.data}
            size = len(reply.value.payload)
            if size > self.block_size:
                raise Failed(Evidence("octets of DATA", f"at most {self.block_size}", str(size), packet=reply.packet))
            content += reply.value.payload
            if len(content) > most:
                raise fail("octets of the file", f"at most {most}", "more", reply.packet)
            self.ack(number)
            if size < self.block_size:
                self._ended = True
                return bytes(content)
            number += 1

    async def negotiate(self, options: tftp.Pairs) -> Reply[tftp.OptionAck]:
        """Ask for the image with ``options``, return the OACK and take over its block size; no ACK is sent."""
        self.request(options=options)
        reply = await self.expect(tftp.OptionAck)
        granted = dict(reply.value.options)
        if granted.get("blksize", "").isdigit():
            self.block_size = int(granted["blksize"])
        return reply


def _named(kind: type[object], number: int | None) -> str:
    names = {tftp.Data: "DATA", tftp.Ack: "ACK", tftp.Error: "ERROR", tftp.OptionAck: "OACK"}
    return names[kind] if number is None else f"{names[kind]} {number}"

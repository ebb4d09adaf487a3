"""A TFTP server as small as it can be: RFC 1350, 2347, 2348, 2349 and 7440 as the cases read them.

Every decision is an attribute or a method of a line or a few, so that a mutant of the server is one of them changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import trio

from mtftpd.errors import Malformed
from mtftpd.net.outside import Heard
from mtftpd.wire import tftp
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.tftp import Ack, Data, Error, ErrorCode, Opcode, OptionAck, Request
from tests.conformance.memory_network import MemoryNetwork

PORT = 69
LARGEST_BLOCK = 1468


class Transfer:
    """One file on its way to one client, from one port."""

    waits: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    linger = 10.0

    def __init__(self, server: TftpServer, request: Heard, content: bytes, granted: tftp.Pairs) -> None:
        self.server = server
        self.request = request.data
        self.client = request.source
        self.local = Endpoint(server.address, server.new_port())
        self.content = content
        self.granted = dict(granted)
        self.oack = OptionAck(granted)
        self.block_size = int(self.granted.get("blksize", "512"))
        self.sent: list[tftp.Packet] = []
        self.scope = trio.CancelScope()
        self.into, self.out = trio.open_memory_channel[tftp.Packet](1 << 16)

    async def run(self) -> None:
        with self.scope:
            if not self.negotiates() or await self.exchange([self.oack], -1, 0) == 0:
                await self.blocks()
        self.ended()
        await trio.sleep(self.linger)
        self.server.forget(self)

    async def blocks(self) -> None:
        acked = 0
        while acked < self.last():
            ahead = min(acked + self.window(), self.last())
            answer = await self.exchange([self.data(number) for number in range(acked + 1, ahead + 1)], acked, ahead)
            if answer is None:
                return
            acked = answer

    async def exchange(self, packets: list[tftp.Packet], acked: int, ahead: int) -> int | None:
        """Send ``packets`` until an ACK counts, and return its number; None when the client leaves."""
        for wait in self.waits_for(packets[0]):
            self.send_all(packets)
            with trio.move_on_after(wait):
                while True:
                    answer = await self.out.receive()
                    if isinstance(answer, Error) and self.leaves(answer):
                        return None
                    if isinstance(answer, Ack) and self.counts(answer.number, acked, ahead):
                        return answer.number
                    self.passed_over(answer)
            if self.goes_on_unheard():
                return ahead
        return None

    def send_all(self, packets: list[tftp.Packet]) -> None:
        self.sent = packets
        for packet in packets:
            self.server.send(self.local, self.client, packet)

    def data(self, number: int) -> tftp.Packet:
        return Data(number, self.content[(number - 1) * self.block_size : number * self.block_size])

    def last(self) -> int:
        return len(self.content) // self.block_size + 1

    def window(self) -> int:
        return int(self.granted.get("windowsize", "1"))

    def waits_for(self, first: tftp.Packet) -> tuple[float, ...]:
        limit = float(self.granted.get("timeout", math.inf))
        return tuple(min(wait, limit) for wait in self.waits)

    def leaves(self, error: Error) -> bool:
        return True

    def counts(self, number: int, acked: int, ahead: int) -> bool:
        return acked < number <= ahead

    def passed_over(self, packet: tftp.Packet) -> None:
        """Do nothing about an ACK that does not count."""

    def goes_on_unheard(self) -> bool:
        return False

    def negotiates(self) -> bool:
        return bool(self.granted)

    def ended(self) -> None:
        """Do nothing at the end."""

    def asked_again(self) -> None:
        """Repeat the first packet: the request was repeated."""
        if isinstance(self.sent[0], OptionAck) or self.sent[0] == self.data(1):
            self.send_all(self.sent)


class TftpServer:
    """Serves ``files`` on port 69."""

    transfer_class = Transfer
    error_address = "10.0.0.1"
    missing = ErrorCode.FILE_NOT_FOUND

    def __init__(
        self, network: MemoryNetwork, nursery: trio.Nursery, files: Mapping[str, bytes], address: str = "10.0.0.1"
    ) -> None:
        self.network = network
        self.nursery = nursery
        self.files = files
        self.address = address
        self.transfers: dict[tuple[Endpoint, int], Transfer] = {}
        self.ports = iter(range(50_000, 60_000))
        self.deaf_until = 0.0

    def receive(self, heard: Heard) -> None:
        if heard.destination.port == PORT:
            self.receive_request(heard)
            return
        owner = self.owner(heard)
        if owner is not None:
            owner.into.send_nowait(tftp.parse_untrusted(heard.data))
        elif any(port == heard.destination.port for _, port in self.transfers):
            self.stranger(heard)
        else:
            self.network.refuse(heard)

    def receive_request(self, heard: Heard) -> None:
        try:
            packet = self.understood(heard.data)
        except Malformed:
            self.odd(heard)
            return
        if isinstance(packet, Request) and trio.current_time() >= self.deaf_until:
            self.requested(heard, packet)
        elif isinstance(packet, Error):
            self.error_from_nowhere(heard)

    def requested(self, heard: Heard, request: Request) -> None:
        known = self.known(heard.source)
        if known is not None:
            known.asked_again()
        elif request.opcode == Opcode.WRQ:
            self.write(heard)
        elif self.mode(heard, request) != tftp.OCTET:
            self.other_mode(heard, request)
        else:
            content = self.file(request.filename)
            if content is None:
                self.not_found(heard, request)
            else:
                self.begin(heard, content, self.grants(self.pairs(heard, request), content))

    def begin(self, heard: Heard, content: bytes, granted: tftp.Pairs) -> None:
        transfer = self.transfer_class(self, heard, content, granted)
        self.transfers[heard.source, transfer.local.port] = transfer
        self.nursery.start_soon(transfer.run)

    def forget(self, transfer: Transfer) -> None:
        self.transfers.pop((transfer.client, transfer.local.port), None)

    def send(self, local: Endpoint, client: Endpoint, packet: tftp.Packet) -> None:
        self.network.put(local, client, tftp.build(packet))

    def refuse(self, heard: Heard, code: int, text: str = "no") -> None:
        self.send(Endpoint(self.error_address, self.new_port()), heard.source, Error(code, text))

    def new_port(self) -> int:
        return next(self.ports)

    def owner(self, heard: Heard) -> Transfer | None:
        return self.transfers.get((heard.source, heard.destination.port))

    def known(self, client: Endpoint) -> Transfer | None:
        found = [each for each in self.transfers.values() if each.client == client and each.sent]
        return found[-1] if found else None

    def stranger(self, heard: Heard) -> None:
        self.send(heard.destination, heard.source, Error(ErrorCode.UNKNOWN_TID, "another's port"))

    def understood(self, data: bytes) -> tftp.Packet:
        return tftp.parse_untrusted(data)

    def odd(self, heard: Heard) -> None:
        """Say nothing to what is no TFTP."""

    def error_from_nowhere(self, heard: Heard) -> None:
        """Say nothing to an ERROR."""

    def write(self, heard: Heard) -> None:
        self.refuse(heard, ErrorCode.ACCESS_VIOLATION)

    def mode(self, heard: Heard, request: Request) -> str:
        return request.mode

    def other_mode(self, heard: Heard, request: Request) -> None:
        self.refuse(heard, ErrorCode.ILLEGAL_OPERATION)

    def file(self, name: bytes) -> bytes | None:
        return self.files.get(name.decode("latin-1").replace("\\", "/").lstrip("/"))

    def not_found(self, heard: Heard, request: Request) -> None:
        self.refuse(heard, self.missing)

    def pairs(self, heard: Heard, request: Request) -> tftp.Pairs:
        return request.options

    def grants(self, pairs: tftp.Pairs, content: bytes) -> tftp.Pairs:
        granted: dict[str, str] = {}
        for name, value in pairs:
            answer = self.grant(name, value, content)
            if answer is not None:
                granted.setdefault(name, answer)
        return tuple(granted.items())

    def grant(self, name: str, value: str, content: bytes) -> str | None:
        if name not in OPTIONS or not value.isdecimal():
            return None
        return OPTIONS[name](int(value), content)


OPTIONS: Mapping[str, Callable[[int, bytes], str | None]] = {
    "blksize": lambda value, content: str(min(value, LARGEST_BLOCK)) if value >= 8 else None,
    "tsize": lambda value, content: str(len(content)),
    "timeout": lambda value, content: str(value) if 1 <= value <= 255 else None,
    "windowsize": lambda value, content: str(min(value, 16)) if value >= 1 else None,
}
"""What is granted for a value; None where it is left out."""

"""A server of multicast TFTP as small as it can be: PXE 2.1 section 2.4.10 as the cases read it, with port 69 beside.

Every decision is an attribute or a method of a line or a few, so that a mutant of the server is one of them changed.
"""

from __future__ import annotations

from collections.abc import Mapping

import trio

from mtftpd.errors import Malformed
from mtftpd.net.outside import Heard
from mtftpd.wire import tftp
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.tftp import Ack, Data, Error, Opcode, OptionAck, Request
from tests.conformance.memory_network import MemoryNetwork
from tests.conformance.reference_tftp import PORT, TftpServer

CLIENT_PORT = 1799
SERVER_PORT = 1542
DELAY = 2
BLOCK = 512
OTHER_PORT = 49_000
LEFT = -1
LARGEST = 65_535 * BLOCK - 1


class Pass:
    """The session of one file: idle, or in a pass with a master, or in one that goes on without."""

    waits: tuple[float, ...] = (0.5, 1.0, 2.0)
    source_port = SERVER_PORT

    def __init__(self, server: MtftpServer, group: str, content: bytes) -> None:
        self.server = server
        self.group = Endpoint(group, CLIENT_PORT)
        self.content = content
        self.master: Endpoint | None = None
        self.block = 0
        self.is_running = False
        self.rests_until = 0.0
        self.into, self.out = trio.open_memory_channel[Ack | Error](1 << 16)

    def opened(self, opener: Endpoint) -> None:
        if not self.is_running:
            if trio.current_time() >= self.rests_until:
                self.is_running, self.master, self.block = True, opener, 1
                self.into, self.out = trio.open_memory_channel[Ack | Error](1 << 16)
                self.send_first()
                self.server.nursery.start_soon(self.run)
        elif self.master is not None and opener.address == self.master.address:
            self.opened_again(opener)
        else:
            self.opened_by_another(opener)

    def send_first(self) -> None:
        assert self.master is not None
        self.send(self.master, self.first_block())
        self.send(self.group, self.first_copy())

    def first_block(self) -> Data:
        return self.data(1)

    def first_copy(self) -> Data:
        return self.data(1)

    def opened_again(self, opener: Endpoint) -> None:
        self.master = opener
        self.send(opener, self.data(self.block))
        self.send(self.group, self.data(self.block))

    def opened_by_another(self, opener: Endpoint) -> None:
        """Say nothing to who opens while a pass of another runs."""

    async def run(self) -> None:
        while self.block < self.last() or self.master is not None:
            answer = await self.answer()
            if answer == LEFT or (answer is None and self.was_never_heard()):
                break
            if self.is_over(answer):
                break
            self.block += 1
            self.send(self.group, self.data(self.block))
        if self.block < self.last():
            self.rests_until = trio.current_time() + self.rest()
        self.is_running, self.master = False, None

    async def answer(self) -> int | None:
        """Return the ACK of the current block, `LEFT`, or None when there is no master or it is not heard any more."""
        if self.master is None:
            await trio.sleep(0.1)
            return None
        for wait in self.waits_for_ack():
            with trio.move_on_after(wait):
                while True:
                    event = await self.out.receive()
                    if isinstance(event, Error):
                        return LEFT
                    if self.counts(event.number):
                        return event.number
                    self.old_ack(event.number)
            if self.runs_ahead():
                return self.block
            self.send(self.group, self.data(self.block))
        self.master = None
        return None

    def waits_for_ack(self) -> tuple[float, ...]:
        return self.waits

    def was_never_heard(self) -> bool:
        return self.block == 1

    def is_over(self, answer: int | None) -> bool:
        if answer is not None and answer >= self.last():
            self.master = None
        return self.block >= self.last()

    def counts(self, number: int) -> bool:
        return number >= self.block

    def old_ack(self, number: int) -> None:
        """Do nothing about an ACK of an earlier block."""

    def runs_ahead(self) -> bool:
        return False

    def rest(self) -> float:
        return DELAY + 0.25

    def last(self) -> int:
        return len(self.content) // BLOCK + 1

    def data(self, number: int) -> Data:
        return Data(number, self.content[(number - 1) * BLOCK : number * BLOCK])

    def is_from_master(self, source: Endpoint) -> bool:
        return self.master == source

    def send(self, destination: Endpoint, packet: tftp.Packet) -> None:
        self.server.network.put(Endpoint("10.0.0.1", self.source_port), destination, tftp.build(packet))


class MtftpServer:
    """Serves ``files`` on port 69, and those in ``groups`` to their groups as well."""

    pass_class = Pass
    unicast_class = TftpServer

    def __init__(
        self, network: MemoryNetwork, nursery: trio.Nursery, files: Mapping[str, bytes], groups: Mapping[str, str]
    ) -> None:
        self.network = network
        self.nursery = nursery
        self.unicast = self.unicast_class(network, nursery, self.unicast_files(files))
        self.sessions = {
            name: self.pass_class(self, group, files[name])
            for name, group in groups.items()
            if self.fits(len(files[name]))
        }

    def receive(self, heard: Heard) -> None:
        if heard.destination.port not in (SERVER_PORT, OTHER_PORT):
            if heard.destination.port != PORT or self.serves_unicast():
                self.unicast.receive(heard)
            return
        try:
            packet = tftp.parse_untrusted(heard.data)
        except Malformed:
            return
        if isinstance(packet, Request):
            self.requested(heard, packet)
        elif isinstance(packet, Ack | Error):
            masters = [each for each in self.sessions.values() if each.is_from_master(heard.source)]
            if masters:
                masters[0].into.send_nowait(packet)
            if not masters or isinstance(packet, Error):
                self.stray(heard, packet)

    def requested(self, heard: Heard, request: Request) -> None:
        name = self.name(request.filename)
        session = self.sessions.get(name)
        if request.opcode == Opcode.WRQ or self.mode(heard, request) != tftp.OCTET:
            self.no_open(heard)
        elif session is None:
            self.unknown(heard, name)
        elif self.is_question(heard, request):
            self.reply(heard, OptionAck((("tsize", str(len(session.content))),)))
        elif self.may_open(heard):
            self.nursery.start_soon(self.open_soon, session, heard.source)

    async def open_soon(self, session: Pass, opener: Endpoint) -> None:
        await trio.sleep(0.001)  # so that what came before has been seen to
        session.opened(opener)

    def fits(self, size: int) -> bool:
        return size <= LARGEST

    def unicast_files(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        return files

    def serves_unicast(self) -> bool:
        return True

    def name(self, filename: bytes) -> str:
        return filename.rstrip(b"\xff").decode("latin-1").lstrip("/")

    def mode(self, heard: Heard, request: Request) -> str:
        return request.mode

    def is_question(self, heard: Heard, request: Request) -> bool:
        return bool(request.options) and heard.source.port != CLIENT_PORT

    def may_open(self, heard: Heard) -> bool:
        return True

    def no_open(self, heard: Heard) -> None:
        """Say nothing to what opens nothing."""

    def unknown(self, heard: Heard, name: str) -> None:
        """Say nothing to an open for a file that has no session."""

    def stray(self, heard: Heard, packet: Ack | Error) -> None:
        """Say nothing to an ERROR, nor to an ACK that is not a master's."""

    def reply(self, heard: Heard, packet: tftp.Packet) -> None:
        self.network.put(heard.destination, heard.source, tftp.build(packet))

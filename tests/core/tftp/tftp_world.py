"""A model TFTP client, written from RFC 1350, 1123, 2347 and 7440, and a wire that loses, doubles and reorders.

The client shares no code with the server but the packet formats.  It checks of every block that it accepts that the
server meant the block that the client was waiting for, of the size that it must have.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from random import Random

from mtftpd.core.effects import (
    FIRST_TRANSFER,
    CloseTransfer,
    Drop,
    DropReason,
    Effect,
    Lookup,
    OpenTransfer,
    Release,
    Report,
    Send,
    SendRun,
    Service,
)
from mtftpd.core.images import Image
from mtftpd.core.settings import Catalogue, Link, Settings
from mtftpd.core.tftp.service import TftpService
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import Ack, Error, OptionAck, Pairs, Request, build, parse_untrusted

SERVER = Endpoint("10.0.0.1", 69)
NETWORK = IPv4Network("10.0.0.0/16")


def settings(mtu: int = 1500, rollover: int = 0) -> Settings:
    return Settings(Link("lan0", 2, IPv4Address(SERVER.address), NETWORK, mtu), rollover=rollover)


def server(images: dict[str, Image], mtu: int = 1500, rollover: int = 0) -> TftpService:
    catalogue = Catalogue(tuple(images.values()), dict(images))
    return TftpService(settings(mtu, rollover), catalogue, lambda _address: None)


@dataclass(frozen=True)
class Block:
    """A DATA packet on the wire: its 16-bit number, and what the server meant by it."""

    number: int
    block: int
    length: int


@dataclass(frozen=True)
class Conduct:
    """How the wire behaves: probabilities, and seconds of delay; ``jitter`` above ``delay`` reorders."""

    loss: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.001
    jitter: float = 0.0


@dataclass
class Client:
    """RFC 1350 receiver.

    ``repeats`` is how often it sends something again when nothing comes for ``patience`` seconds.
    ``answers_duplicates`` is RFC 1350's receiver, which is one half of the Sorcerer's Apprentice.
    """

    endpoint: Endpoint
    name: str
    size: int
    options: Pairs = ()
    patience: float = 1.0
    repeats: int = 20
    answers_duplicates: bool = True
    final_ack: bool = True

    tid: int | None = None
    block_size: int = 512
    window: int = 1
    rollover: int = 0
    received: int = 0
    done: bool = False
    errors: list[Error] = field(default_factory=list)
    heard_at: float = 0.0
    _fresh: int = 0
    _left: int = 0

    def start(self, now: float) -> list[tuple[int | None, bytes]]:
        self._left = self.repeats
        self.heard_at = now
        return [(None, build(Request(1, self.name.encode(), "octet", self.options)))]

    def deadline(self) -> float | None:
        return None if self.done or self._left <= 0 else self.heard_at + self.patience

    def tick(self, now: float) -> list[tuple[int | None, bytes]]:
        self.heard_at = now
        self._left -= 1
        if self.tid is None:
            return [(None, build(Request(1, self.name.encode(), "octet", self.options)))]
        self._fresh = 0
        return [self._ack()]

    def take(self, tid: int, packet: Block | bytes, now: float) -> list[tuple[int | None, bytes]]:
        if self.tid is not None and tid != self.tid:
            return [(tid, build(Error(5, "not my server")))]
        if isinstance(packet, Block):
            return self._data(tid, packet, now)
        parsed = parse_untrusted(packet)
        if isinstance(parsed, Error):
            self.errors.append(parsed)
            self.done = True
        elif isinstance(parsed, OptionAck) and self.received == 0:
            self._settle(tid, now)
            for option, value in parsed.options:
                self._grant(option, int(value))
            return [self._ack()]
        return []

    def _grant(self, option: str, value: int) -> None:
        match option:
            case "blksize":
                self.block_size = value
            case "windowsize":
                self.window = value
            case "rollover":
                self.rollover = value
            case "tsize":
                assert value == self.size

    def _settle(self, tid: int, now: float) -> None:
        self.tid = tid
        self.heard_at = now
        self._left = self.repeats

    def _data(self, tid: int, packet: Block, now: float) -> list[tuple[int | None, bytes]]:
        expected = self._number(self.received + 1)
        if self.done or packet.number != expected:
            if packet.number == self._number(self.received) and not self.answers_duplicates:
                return []
            if self.window == 1 and not self.answers_duplicates:
                return []
            self._fresh = 0
            return [self._ack()] if self.received else []
        self._settle(tid, now)
        self.received += 1
        assert packet.block == self.received, f"block {packet.block} under the number of {self.received}"
        assert packet.length == min(self.block_size, self.size - (self.received - 1) * self.block_size)
        self._fresh += 1
        if packet.length < self.block_size:
            self.done = True
            return [self._ack()] if self.final_ack else []
        if self._fresh == self.window:
            self._fresh = 0
            return [self._ack()]
        return []

    def _number(self, block: int) -> int:
        """Count as a client does: one more each time, and from 65,535 to the roll-over value."""
        if block <= 65_535:
            return block
        turn = 65_536 - self.rollover
        return self.rollover + (block - 65_536) % turn

    def _ack(self) -> tuple[int | None, bytes]:
        return (self.tid, build(Ack(self._number(self.received))))


class World:
    """A server, clients and the wire between them, in virtual time."""

    def __init__(self, service: TftpService, conduct: Conduct | None = None, seed: int = 0) -> None:
        self.service = service
        self.conduct = conduct or Conduct()
        self.random = Random(seed)
        self.now = 0.0
        self.clients: dict[Endpoint, Client] = {}
        self.files: dict[str, Image] = {}
        self.open: set[int] = set()
        self.reports: list[Report] = []
        self.drops: Counter[DropReason] = Counter()
        self.released: list[Image] = []
        self.sent_blocks = 0
        self.sent_packets = 0
        self._queue: list[tuple[float, int, Endpoint, int | None, Block | bytes | None]] = []
        self._sequence = 0

    def start(self, client: Client) -> None:
        self.clients[client.endpoint] = client
        self._from_client(client, client.start(self.now))

    def run(self, seconds: float = 600.0) -> None:
        """Run until nothing happens any more, or for so many seconds of virtual time."""
        end = self.now + seconds
        while (when := self._next()) is not None and when <= end:
            self.now = max(self.now, when)
            self._step()

    def _next(self) -> float | None:
        times = [client.deadline() for client in self.clients.values()]
        times.append(self.service.next_deadline())
        if self._queue:
            times.append(self._queue[0][0])
        return min((when for when in times if when is not None), default=None)

    def _step(self) -> None:
        while self._queue and self._queue[0][0] <= self.now:
            _, _, endpoint, socket, packet = heapq.heappop(self._queue)
            if isinstance(packet, bytes) and socket is not None and socket < 0:
                self._arrive(endpoint, ~socket, packet)
            elif packet is not None and socket is not None:
                client = self.clients[endpoint]
                self._from_client(client, client.take(socket, packet, self.now))
        for client in self.clients.values():
            deadline = client.deadline()
            if deadline is not None and deadline <= self.now:
                self._from_client(client, client.tick(self.now))
        deadline = self.service.next_deadline()
        if deadline is not None and deadline <= self.now:
            self.perform(self.service.tick(self.now))

    def _arrive(self, source: Endpoint, socket: int, data: bytes) -> None:
        if socket >= FIRST_TRANSFER and socket not in self.open:
            return
        self.perform(self.service.receive(Datagram(socket, source, SERVER, data), self.now))

    def _from_client(self, client: Client, packets: list[tuple[int | None, bytes]]) -> None:
        for tid, data in packets:
            self._carry(client.endpoint, ~(Service.TFTP if tid is None else tid), data)

    def perform(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case SendRun(socket, destination, image, first, count, block_size, rollover):
                assert socket in self.open
                assert first >= 1
                assert first + count - 1 <= image.blocks(block_size)
                self.sent_blocks += count
                for block in range(first, first + count):
                    length = min(block_size, image.size - (block - 1) * block_size)
                    turn = 65_536 - rollover
                    number = block if block < 65_536 else rollover + (block - 65_536) % turn
                    self._carry(destination, socket, Block(number, block, length))
            case Send(socket, destination, data, _):
                assert socket in self.open or socket == Service.TFTP
                self.sent_packets += 1
                self._carry(destination, socket, data)
            case OpenTransfer(socket, _):
                assert socket not in self.open
                self.open.add(socket)
            case CloseTransfer(socket):
                self.open.remove(socket)
            case Lookup(request, name):
                self.perform(self.service.looked_up(request, self.files.get(name), self.now))
            case Release(image):
                self.released.append(image)
            case Drop(reason):
                self.drops[reason] += 1
            case Report():
                self.reports.append(effect)

    def _carry(self, endpoint: Endpoint, socket: int, packet: Block | bytes) -> None:
        conduct = self.conduct
        copies = 1 + (self.random.random() < conduct.duplicate)
        for _ in range(copies):
            if self.random.random() < conduct.loss:
                continue
            self._sequence += 1
            when = self.now + conduct.delay + self.random.random() * conduct.jitter
            heapq.heappush(self._queue, (when, self._sequence, endpoint, socket, packet))

"""iPXE's ``mtftp://``, written from its ``tftp.c`` and from what the ROM of 2019 was seen to do, and a wire that loses.

It imports nothing of the carousel; it sends packets, and gets block numbers with their sizes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mtftpd.core.effects import Effects, SendRun, Service
from mtftpd.core.images import Image
from mtftpd.core.mtftp.service import MtftpService
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.mtftp import IPXE_GROUP
from tests.core.mtftp.lossy_wire import LossyWire

SILENCE = 0.25
"""Seconds without a block after which it leaves; the reopened request is lost inside it as a rule."""
OPENS = (0.0, 0.25)
GIVES_UP = 0.75


@dataclass(eq=False)
class Ipxe:
    """One download; ``extent`` octets is what it believes the size to be, ``speed`` how long it reads a packet."""

    address: str
    world: World
    start: float
    speed: float = 0.0
    deaf: bool = False
    state: str = "off"
    held: set[int] = field(default_factory=set)
    extent: int = 0
    gap: int = 1
    answers: bool = False
    heard: bool = False
    acks: int = 0
    ended_at: float = 0.0
    queue: int = 0
    read_at: float = 0.0
    _alarm: int = 0

    @property
    def source(self) -> Endpoint:
        return Endpoint(self.address, 1024 + int(self.address.rpartition(".")[2]))

    def power_on(self) -> None:
        self.state = "mtftp"
        for when in OPENS:
            self.world.at(self.start + when, self.ask)
        self.alarm(GIVES_UP)

    def ask(self) -> None:
        if self.state == "mtftp" and not self.heard:
            self.world.to_server(self, b"\0\1kernel\0octet\0")

    def alarm(self, seconds: float) -> None:
        self._alarm += 1
        number = self._alarm
        self.world.at(self.world.now + seconds, lambda: self.leave() if number == self._alarm else None)

    def leave(self) -> None:
        """Turn to port 69: the map of blocks is forgotten, the size is not, and what is in the memory stays."""
        if self.state == "mtftp":
            size = self.world.image.size
            has_holes = not self.held >= set(range(1, -(-size // 512) + 1))
            self.state = "corrupt" if self.extent >= size and has_holes else "unicast"
            self.ended_at = self.world.now
            self.world.service.fetched_by_unicast(self.address, "kernel", self.world.now)

    def arrive(self, block: int, size: int, unicast: bool) -> None:
        """Take a packet into the ring, if there is room."""
        if self.state != "mtftp" or (self.deaf and not unicast) or self.queue >= 8:
            return
        self.queue += 1
        self.read_at = max(self.read_at, self.world.now) + self.speed
        self.world.at(self.read_at, lambda: self.read(block, size, unicast))

    def read(self, block: int, size: int, unicast: bool) -> None:
        self.queue -= 1
        if self.state != "mtftp":
            return
        self.heard = True
        self.answers = self.answers or unicast
        self.held.add(block)
        self.extent = max(self.extent, (block - 1) * 512 + size)
        while self.gap in self.held:
            self.gap += 1
        gap = self.gap
        self.alarm(SILENCE)
        if self.answers:
            self.acks += 1
            self.world.to_server(self, b"\0\4" + (gap - 1).to_bytes(2, "big"))
        if gap - 1 == self.extent // 512 + 1:
            self.state = "done"
            self.ended_at = self.world.now


class World(LossyWire):
    """One server and its clients."""

    LATENCY = 0.0002

    def __init__(self, service: MtftpService, image: Image, loss: float = 0.0, seed: int = 0) -> None:
        super().__init__(service, loss, seed)
        self.image = image
        self.clients: list[Ipxe] = []
        self.to_group: list[int] = []
        self.unicasts = 0
        self.effects: list[Effects] = []

    def add(self, start: float, speed: float = 0.0, *, deaf: bool = False) -> Ipxe:
        client = Ipxe(f"10.0.0.{len(self.clients) + 10}", self, start, speed, deaf)
        self.clients.append(client)
        self.at(start, client.power_on)
        return client

    def to_server(self, client: Ipxe, data: bytes) -> None:
        datagram = Datagram(Service.MTFTP_IPXE, client.source, Endpoint("10.0.0.1", 1759), data)
        self.carry(datagram)

    def perform(self, effects: Effects) -> None:
        self.effects.append(effects)
        for run in effects:
            if isinstance(run, SendRun):
                assert run.socket == Service.MTFTP_IPXE
                for block in range(run.first_block, run.first_block + run.count):
                    self.deliver(run.destination, block)

    def deliver(self, destination: Endpoint, block: int) -> None:
        size = min(512, self.image.size - (block - 1) * 512)
        assert size >= 0
        to_group = destination == IPXE_GROUP
        if to_group:
            self.to_group.append(block)
        else:
            self.unicasts += 1
        for client in self.clients:
            if (to_group or client.source == destination) and not self.lost():
                self.at(self.now + self.LATENCY, lambda c=client: c.arrive(block, size, not to_group))  # type: ignore[misc]

    def run(self, until: float = 600.0) -> None:
        """Let everything happen until every client has ended and the server is idle."""
        while self.step(until):
            pass

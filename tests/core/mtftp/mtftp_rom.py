"""A client of PXE 2.1 figures 2-5 to 2-7, and a wire that loses packets: written from the documents, not from our code.

It imports nothing of the session machine; what it sends are packets, what it gets are block numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mtftpd.core.effects import Effects, SendRun, Service
from mtftpd.core.mtftp.service import MtftpService
from mtftpd.wire.datagram import Datagram, Endpoint
from tests.core.mtftp.lossy_wire import LossyWire

TRIES = 3


@dataclass
class Rom:
    """Listens T, opens three times, acknowledges as master, listens again for what it missed."""

    address: str
    world: World
    start: float
    timer: float = 2.0
    state: str = "off"
    blocks: set[int] = field(default_factory=set)
    acks: int = 0
    opens: int = 0
    tries: int = 0
    newest: int = 0
    before: int = 0
    heard_at: float = 0.0
    protocol_error: bool = False
    """What Intel's EFI client calls it: inside a pass a block lower than the one before."""
    done_at: float = 0.0
    _alarm: int = 0

    def power_on(self) -> None:
        self.listen(self.timer)

    def power_off(self) -> None:
        self.state = "dead"
        self._alarm += 1

    def listen(self, seconds: float) -> None:
        self.state = "listen"
        self.alarm(seconds)

    def missed(self) -> int:
        return max(self.blocks) - min(self.blocks) + 1 - len(self.blocks) if self.blocks else 0

    def alarm(self, seconds: float) -> None:
        self._alarm += 1
        number = self._alarm
        self.world.at(self.world.now + seconds, lambda: self.expire() if number == self._alarm else None)

    def expire(self) -> None:
        if self.state == "listen":
            self.tries = 0
            self.state = "open"
        if self.state == "receive" and self.tries < TRIES:
            self.tries += 1
            self.acknowledge(self.newest)
            self.alarm(self.timer)
        elif self.state == "open" and self.tries == TRIES:
            self.state = "unicast"
        else:
            self.tries = self.tries + 1 if self.state == "open" else 1
            self.state = "open"
            self.opens += 1
            self.world.to_server(self, b"\0\1kernel\0octet\0")
            self.alarm(self.timer)

    def acknowledge(self, block: int) -> None:
        self.acks += 1
        self.world.to_server(self, b"\0\4" + block.to_bytes(2, "big"))

    def receive(self, block: int, unicast: bool) -> None:
        if self.state in ("off", "dead", "done", "unicast"):
            return
        if not unicast:
            self.check_order(block)
        self.blocks.add(block)
        if unicast and self.state == "open":
            self.state = "receive"
        if self.state == "receive":
            self.newest, self.tries = block, 0
            self.acknowledge(block)
        elif self.state == "open":
            self.state = "listen"
        if len(self.blocks) == self.world.last_block and (self.state == "listen" or block == self.world.last_block):
            self.state, self.done_at = "done", self.world.now
            self._alarm += 1
        elif self.state == "receive" and block == self.world.last_block:
            self.listen(max(0.1, self.timer - self.missed()))
        else:
            self.alarm(self.timer)

    def check_order(self, block: int) -> None:
        """Whoever lost the last block of a pass sees the next one begin low, which is the fault of the wire."""
        silence = self.world.now - self.heard_at
        if block < self.before and self.world.ended_at < self.heard_at and silence <= self.timer + 0.1:
            self.protocol_error = True
        self.before = block
        self.heard_at = self.world.now


class World(LossyWire):
    """One server and its clients."""

    LATENCY = 0.0001

    def __init__(self, service: MtftpService, group: Endpoint, last_block: int, loss: float = 0.0, seed: int = 0):
        super().__init__(service, loss, seed)
        self.group = group
        self.last_block = last_block
        self.ended_at = 0.0
        self.roms: list[Rom] = []
        self.on_block: Callable[[int], None] = lambda _block: None
        self.effects: list[tuple[float, Effects]] = []

    def add(self, start: float, timer: float = 2.0) -> Rom:
        rom = Rom(f"10.0.0.{len(self.roms) + 10}", self, start, timer)
        self.roms.append(rom)
        self.at(start, rom.power_on)
        return rom

    def to_server(self, rom: Rom, data: bytes) -> None:
        datagram = Datagram(Service.MTFTP, Endpoint(rom.address, 1799), Endpoint("10.0.0.1", 1542), data)
        self.carry(datagram)

    def perform(self, effects: Effects) -> None:
        self.effects.append((self.now, effects))
        for run in effects:
            if isinstance(run, SendRun):
                for block in range(run.first_block, run.first_block + run.count):
                    self.deliver(run.destination, block)

    def deliver(self, destination: Endpoint, block: int) -> None:
        self.on_block(block)
        if block == self.last_block:
            self.ended_at = self.now + self.LATENCY
        unicast = destination != self.group
        for rom in self.roms:
            if unicast and rom.address != destination.address:
                continue
            if not self.lost():
                self.at(self.now + self.LATENCY, lambda rom=rom: rom.receive(block, unicast))  # type: ignore[misc]

    def run(self, until: float) -> None:
        """Let everything happen that happens before ``until``, or until every client that lives has ended."""
        while any(rom.state not in ("done", "dead", "unicast") for rom in self.roms) and self.step(until):
            pass

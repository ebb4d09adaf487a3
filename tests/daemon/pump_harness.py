"""A server without policy, for tests of the pump: real loopback sockets, a scripted service, a sink that keeps all."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from mtftpd.core.effects import Drop, Effects, Report
from mtftpd.core.images import Image
from mtftpd.core.settings import Link, Ports
from mtftpd.daemon.loop import Pump, PumpedService
from mtftpd.daemon.performer import Outlets
from mtftpd.net.capture import Capture
from mtftpd.net.channels import Channels
from mtftpd.net.images import ImageStore
from mtftpd.net.link_layer import LinkLayer
from mtftpd.wire.datagram import Datagram, Endpoint
from tests.patience import PATIENCE

ANY_PORTS = Ports(dhcp_server=0, dhcp_client=0, pxe=0, tftp=0, mtftp_server=0, mtftp_client=0, mtftp_ipxe=0)


@dataclass
class Records:
    """A sink that keeps everything."""

    reports: list[Report] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    flushed: int = 0
    """How many of the reports were there when a turn ended."""
    written_down: int = 0

    def report(self, report: Report) -> None:
        self.reports.append(report)

    def drop(self, drop: Drop, now: float) -> None:
        assert math.isfinite(now)
        self.drops.append(drop)

    def flush(self) -> None:
        self.flushed = len(self.reports)

    def write_down(self) -> None:
        self.written_down += 1


@dataclass
class Script:
    """A service that answers each datagram with what a test says, and writes down what it was called for."""

    answer: Callable[[Datagram], Effects] = lambda _datagram: ()
    opened: Callable[[int, Image | None], Effects] = lambda _request, _image: ()
    deadlines: list[float] = field(default_factory=list)
    log: list[object] = field(default_factory=list)

    def receive(self, datagram: Datagram, now: float) -> Effects:
        assert abs(now - time.monotonic()) < PATIENCE
        self.log.append(datagram.data)
        return self.answer(datagram)

    def looked_up(self, request: int, image: Image | None, now: float) -> Effects:
        self.log.append(("opened", request, image))
        return self.opened(request, image)

    def congested(self, is_congested: bool, now: float) -> None:
        self.log.append(("congested", is_congested))

    def image_changed(self, image: Image, now: float) -> Effects:
        self.log.append(("changed", image))
        return ()

    def tick(self, now: float) -> Effects:
        assert now >= self.deadlines[0]
        self.log.append("tick")
        self.deadlines.pop(0)
        return ()

    def next_deadline(self) -> float | None:
        return self.deadlines[0] if self.deadlines else None


@dataclass
class Bench:
    """The parts of a server that is not running yet."""

    link: Link
    channels: Channels
    store: ImageStore
    records: Records
    capture: Capture | None = None

    def pump(self, service: PumpedService) -> Pump:
        return Pump(service, Outlets(self.channels, LinkLayer(self.link), self.capture), self.store, self.records)

    @asynccontextmanager
    async def running(self, service: PumpedService) -> AsyncIterator[Pump]:
        pump = self.pump(service)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                assert await nursery.start(pump.run) == self.channels.ports
                yield pump
                nursery.cancel_scope.cancel()

    def port(self, number: int) -> Endpoint:
        return self.channels.by_number[number].local


@asynccontextmanager
async def client() -> AsyncIterator[trio.socket.SocketType]:
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        await opened.bind(("127.0.0.1", 0))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024 * 1024)
        yield opened


def name_of(opened: trio.socket.SocketType) -> Endpoint:
    return Endpoint(*opened.getsockname())


async def until(true: Callable[[], object]) -> None:
    """Wait for what only the pump, on the same thread, can bring about; `Bench.running` has the time limit."""
    while not true():
        await trio.lowlevel.checkpoint()

"""An MTFTP service with one clock and short ways to say what arrives and what left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from mtftpd.core.effects import Drop, DropReason, Effects, Report, ReportKind, SendRun, Service
from mtftpd.core.groups import Groups
from mtftpd.core.images import Image
from mtftpd.core.mtftp.pass_rates import PassRate, PassRates
from mtftpd.core.mtftp.passes import GroupStatistics
from mtftpd.core.mtftp.service import MtftpService
from mtftpd.core.node_settings import Boot
from mtftpd.core.settings import Catalogue, Link, Multicast, Settings
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import Ack, Error, Packet, Request, build

SERVER = "10.0.0.1"
CLIENT_PORT = 1799
GROUP = Endpoint("239.1.1.1", CLIENT_PORT)
SECOND_GROUP = Endpoint("239.1.1.2", CLIENT_PORT)
IPXE_GROUP = Endpoint("239.255.1.1", 3001)
T = 2.0

A = Endpoint("10.0.0.11", CLIENT_PORT)
B = Endpoint("10.0.0.12", CLIENT_PORT)
C = Endpoint("10.0.0.13", 40_000)
"""A client that does not open from the client port, as atftp and iPXE do."""

SETTINGS = Settings(
    Link("eth0", 2, IPv4Address(SERVER), IPv4Network("10.0.0.0/24")),
    boot=Boot("kernel"),
    multicast=Multicast(IPv4Address(GROUP.address), seconds=int(T)),
)

PACED = replace(SETTINGS, faithful=False)
"""With the second gear."""

Sent = tuple[Endpoint, int, int]
"""Destination, first block and count of a `SendRun`."""


def image(blocks: int, key: int = 1, name: str = "kernel") -> Image:
    return Image(key, name, (blocks - 1) * 512 + 100, f"digest of {name} {key}")


def catalogue(*images: Image) -> Catalogue:
    return Catalogue(images, {name: each for each in images for name in (each.name, f"boot/{each.name}")})


class Lab:
    def __init__(
        self,
        *images: Image,
        settings: Settings = SETTINGS,
        offered: Callable[[str], str | None] = lambda _address: None,
        rates: Iterable[PassRate] = (),
    ) -> None:
        self.settings = settings
        self.groups = Groups(settings, catalogue(*images))
        self.service = MtftpService(settings, self.groups, offered, rates=PassRates(rates))
        self.now = 100.0

    def packet(self, source: Endpoint, data: Packet | bytes, socket: int = Service.MTFTP) -> Effects:
        data = data if isinstance(data, bytes) else build(data)
        return self.service.receive(Datagram(socket, source, Endpoint(SERVER, 0), data), self.now)

    def open(
        self,
        source: Endpoint,
        name: bytes = b"kernel",
        options: tuple[tuple[str, str], ...] = (),
        socket: int = Service.MTFTP,
    ) -> Effects:
        return self.packet(source, Request(1, name, "octet", options), socket)

    def ack(self, source: Endpoint, number: int, socket: int = Service.MTFTP) -> Effects:
        return self.packet(source, Ack(number), socket)

    def error(self, source: Endpoint, socket: int = Service.MTFTP) -> Effects:
        return self.packet(source, Error(0, "stop"), socket)

    def tell(self, client: Endpoint, profile: str = "", kind: ReportKind = ReportKind.DHCP_ACKED) -> None:
        """Let DHCP tell ``client`` of the group."""
        detail = (("group", str(GROUP)), ("rom", profile))
        self.service.learn((Report(kind, client.address, None, detail),), self.now)

    def wait(self, seconds: float) -> Effects:
        """Let time pass in one step."""
        self.now += seconds
        return self.service.tick(self.now)

    def until_due(self) -> Effects:
        """Let time pass until the next deadline."""
        when = self.service.next_deadline()
        assert when is not None
        assert when >= self.now
        self.now = when
        return self.service.tick(self.now)

    def run_until(self, end: float) -> list[tuple[float, Effects]]:
        """Tick at every deadline up to ``end`` and return what happened when."""
        happened = []
        while (when := self.service.next_deadline()) is not None and when <= end:
            self.now = max(self.now, when)
            happened.append((self.now, self.service.tick(self.now)))
        self.now = end
        return happened

    def lockstep(self, source: Endpoint, block: int) -> None:
        """Bring a new pass to the point where ``block`` (2 or more) is the newest that was sent."""
        self.open(source)
        for number in range(1, block):
            self.now += 0.001
            assert sent(self.ack(source, number)) == [(GROUP, number + 1, 1)]

    def reconfigure(self, *images: Image, settings: Settings | None = None) -> Effects:
        settings = settings or self.settings
        self.groups = self.groups.reconfigured(settings, catalogue(*images))
        return self.service.reconfigure(settings, self.groups, self.now)

    @property
    def group(self) -> GroupStatistics:
        return self.service.statistics().groups[0]

    @property
    def state(self) -> str:
        return self.group.state


def with_seconds(seconds: int) -> Settings:
    return replace(SETTINGS, multicast=replace(SETTINGS.multicast, seconds=seconds))


def sent(effects: Effects) -> list[Sent]:
    return [(each.destination, each.first_block, each.count) for each in effects if isinstance(each, SendRun)]


def sent_later(happened: Iterable[tuple[float, Effects]]) -> list[tuple[float, Sent]]:
    return [(when, each) for when, effects in happened for each in sent(effects)]


def drops(effects: Effects) -> list[DropReason]:
    return [each.reason for each in effects if isinstance(each, Drop)]


def reports(effects: Effects, kind: ReportKind) -> list[dict[str, str | int]]:
    return [dict(each.detail) for each in effects if isinstance(each, Report) and each.kind is kind]

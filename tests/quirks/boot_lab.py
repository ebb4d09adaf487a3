"""One segment with the real server core and simulated ROMs on it, in virtual time: does the ROM boot?"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from mtftpd.core.effects import Effects, Lookup, OpenTransfer, Report, ReportKind, Send, SendRun, Service
from mtftpd.core.images import Image
from mtftpd.core.node_settings import Boot
from mtftpd.core.service import BootService
from mtftpd.core.settings import Addressing, Catalogue, Link, Mode, Multicast, Settings
from mtftpd.quirks.vocabulary import Mutation
from mtftpd.rom.actions import BROADCAST, Actions, ImageMemory, Phase
from mtftpd.rom.node import Node
from mtftpd.rom.profiles import SPEC, Identity, RomProfile
from mtftpd.wire import bootp
from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress
from tests.rom.interface import Interface

SERVER = IPv4Address("10.0.0.1")
NETWORK = IPv4Network("10.0.0.0/24")
CONTENT = bytes(range(256)) * 40 + b"the end of the image"
"""10,260 octets: 21 blocks of 512, 8 of 1456, all different enough to be told apart."""
NAME = "boot/nbp"
IMAGE = Image(1, NAME, len(CONTENT), "11" * 32)
CATALOGUE = Catalogue((IMAGE,), {NAME: IMAGE})
LATENCY = 0.0005
PATIENCE = 400.0
"""Virtual seconds after which a ROM that is neither done nor dead counts as lost."""

UNICAST = Settings(
    Link("eth1", 2, SERVER, NETWORK),
    mode=Mode.DHCP,
    boot=Boot(NAME),
    addressing=Addressing(IPv4Address("10.0.0.100"), IPv4Address("10.0.0.149")),
)
GROUPS = Settings(
    Link("eth1", 2, SERVER, NETWORK),
    mode=Mode.DHCP,
    boot=Boot(NAME),
    addressing=UNICAST.addressing,
    multicast=Multicast(IPv4Address("239.1.1.1")),
)

Lost = Callable[[Endpoint, Endpoint, bytes], bool]


class Station(Interface):
    """A machine that is to boot from `CONTENT`."""

    @property
    def booted(self) -> bool:
        return self.node.phase is Phase.DONE and self.memory.image(self.node.length) == CONTENT


@dataclass(eq=False)
class Host:
    """A server with its sockets; ``content`` is what its image file holds."""

    settings: Settings
    service: BootService
    ports: dict[int, int]
    ephemeral: int = 40_000


class Segment:
    """A switch with ``servers`` on it; `lost` says which datagrams do not arrive."""

    def __init__(self, *settings: Settings) -> None:
        self.now = 0.0
        self.stations: list[Station] = []
        self.reports: list[Report] = []
        self.lost: Lost = lambda source, destination, data: False
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.hosts = [self._host(each) for each in settings]

    @property
    def service(self) -> BootService:
        return self.hosts[0].service

    def reconfigure(self, settings: Settings) -> None:
        """Let the first server go on with other settings."""
        host = self.hosts[0]
        host.settings = settings
        self._do(host, host.service.reconfigure(settings, CATALOGUE, self.now))

    def add(self, profile: RomProfile, number: int = 1, xid: int = 0x1000, uuid: bytes | None = None) -> Station:
        vendor = bytes((2, 0, 0)) if profile.oui == SPEC.oui else profile.oui
        hardware = HardwareAddress(1, vendor + bytes((0, 0, number)))
        memory = ImageMemory()
        identity = Identity(hardware, bytes((number,)) * 16 if uuid is None else uuid, xid)
        station = Station(hardware, Node(identity, profile, memory), memory)
        self.stations.append(station)
        return station

    def add_machine(self, profile: RomProfile, number: int) -> tuple[Station, ...]:
        """Add a machine with all interfaces of ``profile``, which have one UUID and addresses side by side."""
        uuid = number.to_bytes(16, "big")
        first = number * 8
        return tuple(
            self.add(interface, first + index, (first + index) << 8, uuid)
            for index, interface in enumerate(profile.interfaces())
        )

    def power_on(self, station: Station) -> None:
        station.reset()
        self._perform(station, station.node.power_on(self.now))

    def run(self, seconds: float = PATIENCE) -> None:
        """Let everything happen that happens until all nodes are done or dead, for so many seconds at most."""
        end = self.now + seconds
        while (when := self._next()) is not None and when <= end:
            if all(each.node.phase in (Phase.DONE, Phase.FAILED) for each in self.stations) and not self._events:
                return
            self.now = max(self.now, when)
            self._step()
        self.now = end

    def settle(self, seconds: float) -> None:
        """Let time pass for the server, whose clients are done or dead."""
        end = self.now + seconds
        while (when := self._next()) is not None and when <= end:
            self.now = max(self.now, when)
            self._step()
        self.now = end

    def said(self, kind: ReportKind) -> list[dict[str, str | int]]:
        return [dict(each.detail) for each in self.reports if each.kind is kind]

    def deliver(self, source: Endpoint, port: int, data: bytes) -> None:
        """Send a datagram to the first server from a client that is not simulated."""
        host = self.hosts[0]
        (socket,) = (each for each, number in host.ports.items() if number == port)
        self._reach(host, Datagram(socket, source, Endpoint(str(host.settings.link.address), port), data))

    def ask(self, request: DhcpMessage) -> bytes:
        """Return what the first server answers to a client that is not simulated, b"" for nothing."""
        asked = Datagram(Service.DHCP, Endpoint("0.0.0.0", 68), Endpoint(BROADCAST, 67), bootp.build(request))
        effects = self.service.receive(asked, self.now)
        return next((each.data for each in effects if isinstance(each, Send)), b"")

    # -- the clock

    def _next(self) -> float | None:
        times = [host.service.next_deadline() for host in self.hosts]
        times += [each.node.next_deadline() for each in self.stations]
        if self._events:
            times.append(self._events[0][0])
        return min((when for when in times if when is not None), default=None)

    def _step(self) -> None:
        while self._events and self._events[0][0] <= self.now:
            heapq.heappop(self._events)[2]()
        for host in self.hosts:
            due = host.service.next_deadline()
            if due is not None and due <= self.now:
                self._do(host, host.service.tick(self.now))
        for station in self.stations:
            due = station.node.next_deadline()
            if due is not None and due <= self.now:
                self._perform(station, station.node.tick(self.now))

    def _later(self, what: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + LATENCY, self._count, what))

    # -- from the server

    def _host(self, settings: Settings) -> Host:
        ports = settings.ports
        sockets: dict[int, int] = {
            Service.DHCP: 67, Service.PXE: 4011, Service.TFTP: 69,
            Service.MTFTP: ports.mtftp_server, Service.MTFTP_IPXE: ports.mtftp_ipxe,
        }  # fmt: skip
        swapped = int.from_bytes(ports.mtftp_server.to_bytes(2, "big"), "little")
        if swapped not in sockets.values():
            sockets[Service.MTFTP_SWAPPED] = swapped
        return Host(settings, BootService(settings, CATALOGUE), sockets)

    def _do(self, host: Host, effects: Effects) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self._from_server(host, effect.socket, effect.destination, effect.data, effect.hardware)
                case SendRun():
                    for block in range(effect.first_block, effect.first_block + effect.count):
                        at = (block - 1) * effect.block_size
                        data = b"\0\3" + (block & 0xFFFF).to_bytes(2, "big") + CONTENT[at : at + effect.block_size]
                        self._from_server(host, effect.socket, effect.destination, data)
                case OpenTransfer():
                    host.ephemeral += 1
                    host.ports[effect.socket] = host.ephemeral
                case Lookup():
                    self._do(host, host.service.looked_up(effect.request, None, self.now))
                case Report():
                    self.reports.append(effect)

    def _from_server(
        self,
        host: Host,
        socket: int,
        destination: Endpoint,
        data: bytes,
        hardware: HardwareAddress | None = None,
    ) -> None:
        source = Endpoint(str(host.settings.link.address), host.ports[socket])
        if self.lost(source, destination, data):
            return
        for station in self.stations:
            self._later(lambda station=station: self._arrive(station, source, destination, data, hardware))  # type: ignore[misc]

    def _arrive(
        self, station: Station, source: Endpoint, destination: Endpoint, data: bytes, hardware: HardwareAddress | None
    ) -> None:
        if station.hears(destination, hardware):
            datagram = Datagram(destination.port, source, destination, data)
            self._perform(station, station.node.receive(datagram, self.now))

    # -- from a node

    def _perform(self, station: Station, actions: Actions) -> None:
        for sent in station.perform(actions):
            self._to_servers(sent)

    def _to_servers(self, sent: Datagram) -> None:
        if self.lost(sent.source, sent.destination, sent.data):
            return
        for host in self.hosts:
            if sent.destination.address not in (str(host.settings.link.address), BROADCAST):
                continue
            for socket, port in host.ports.items():
                if port == sent.destination.port:
                    datagram = sent._replace(socket=socket)
                    self._later(lambda host=host, datagram=datagram: self._reach(host, datagram))  # type: ignore[misc]

    def _reach(self, host: Host, datagram: Datagram) -> None:
        self._do(host, host.service.receive(datagram, self.now))


def boots(
    settings: Settings, profile: RomProfile, faults: tuple[Mutation, ...] = (), lost: Lost | None = None
) -> Segment:
    """Return the segment after one node with ``faults`` has tried to boot."""
    from mtftpd.rom.mutations import mutated

    segment = Segment(settings)
    if lost is not None:
        segment.lost = lost
    station = segment.add(mutated(profile, faults))
    segment.power_on(station)
    segment.run()
    return segment

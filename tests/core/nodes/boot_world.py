"""A whole segment in virtual time: one `BootService`, and the nodes of `mtftpd.rom`, which know nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from random import Random

from mtftpd.core.effects import (
    FIRST_TRANSFER,
    CloseTransfer,
    Lookup,
    OpenTransfer,
    Report,
    Send,
    SendRun,
    Service,
)
from mtftpd.core.images import Image
from mtftpd.core.service import BootService
from mtftpd.core.settings import Catalogue, Settings
from mtftpd.rom.actions import Actions, ImageMemory, Phase
from mtftpd.rom.node import Node
from mtftpd.rom.profiles import Identity, RomProfile
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress
from mtftpd.wire.tftp import data_header
from tests.rom.interface import Interface

DELAY = 0.001
SERVER_PORTS = {
    67: Service.DHCP, 4011: Service.PXE, 69: Service.TFTP, 1542: Service.MTFTP, 1759: Service.MTFTP_IPXE
}  # fmt: skip


@dataclass(eq=False)
class Machine(Interface):
    """A machine that dies and is switched on again."""

    is_on: bool = False
    timer: float | None = None

    @property
    def finished(self) -> bool:
        return self.node.phase is Phase.DONE


class World:
    """The wire; ``seed`` decides what is lost, ``contents`` are the octets of each image."""

    def __init__(self, settings: Settings, contents: dict[str, bytes], *, seed: int = 0, loss: float = 0.0) -> None:
        images = tuple(Image(n, name, len(data), f"{n:064x}") for n, (name, data) in enumerate(contents.items(), 1))
        self.contents = dict(zip((image.key for image in images), contents.values(), strict=True))
        self.server = str(settings.link.address)
        self.service = BootService(settings, Catalogue(images, {image.name: image for image in images}))
        self.now = 0.0
        self.machines: list[Machine] = []
        self.reports: list[tuple[float, Report]] = []
        self.on_report: Callable[[Report], None] = lambda _report: None
        self._random = Random(seed)
        self._loss = loss
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = count()
        self._transfers: dict[int, int] = {}
        self._server_timer: float | None = None

    def at(self, when: float, do: Callable[[], None]) -> None:
        heappush(self._heap, (when, next(self._count), do))

    def add_all(self, profile: RomProfile, *, start: float = 0.0) -> tuple[Machine, ...]:
        """Add a machine with all its interfaces: they have one UUID, and addresses side by side."""
        number = len(self.machines) + 1
        return tuple(self.add(each, start=start, place=(number, nic)) for nic, each in enumerate(profile.interfaces()))

    def add(self, profile: RomProfile, *, start: float = 0.0, place: tuple[int, int] | None = None) -> Machine:
        number, nic = place or (len(self.machines) + 1, 0)
        hardware = HardwareAddress(1, bytes((0x52, 0x54, 0, 0, number, nic)))
        identity = Identity(hardware, bytes(12) + number.to_bytes(4, "big"), 0x1000 * number + nic)
        memory = ImageMemory()
        machine = Machine(hardware, Node(identity, profile, memory), memory)
        self.machines.append(machine)
        self.at(start, lambda: self.power_on(machine))
        return machine

    def power_on(self, machine: Machine) -> None:
        self.power_off(machine)
        machine.is_on = True
        self._act(machine, machine.node.power_on(self.now))

    def power_off(self, machine: Machine) -> None:
        machine.is_on = False
        machine.reset()

    def run(self, until: float) -> None:
        while self._heap and self._heap[0][0] <= until:
            self.now, _, do = heappop(self._heap)
            do()
        self.now = until

    # What nodes do

    def _act(self, machine: Machine, actions: Actions) -> None:
        for sent in machine.perform(actions):
            self._to_server(sent.source, sent.destination, sent.data)
        deadline = machine.node.next_deadline()
        if deadline is not None and deadline != machine.timer:
            machine.timer = deadline
            self.at(max(deadline, self.now), lambda: self._tick(machine, deadline))

    def _tick(self, machine: Machine, deadline: float) -> None:
        if machine.is_on and machine.timer == deadline:
            machine.timer = None
            self._act(machine, machine.node.tick(self.now))

    def _lost(self) -> bool:
        return self._loss > 0 and self._random.random() < self._loss

    # What the server does

    def _to_server(self, source: Endpoint, destination: Endpoint, data: bytes) -> None:
        if self._lost():
            return
        socket = SERVER_PORTS.get(destination.port, destination.port)
        self.at(self.now + DELAY, lambda: self._receive(Datagram(socket, source, destination, data)))

    def _receive(self, datagram: Datagram) -> None:
        self._perform(self.service.receive(datagram, self.now))

    def _perform(self, effects: tuple[object, ...]) -> None:
        for effect in effects:
            match effect:
                case Send(socket, destination, data, hardware):
                    self._to_nodes(self._local(socket), destination, data, hardware)
                case SendRun(socket, destination, image, first, number, size, _):
                    content = self.contents[image.key]
                    for block in range(first, first + number):
                        payload = content[(block - 1) * size : block * size]
                        self._to_nodes(self._local(socket), destination, data_header(block) + payload, None)
                case Lookup(request, _):
                    self._perform(self.service.looked_up(request, None, self.now))
                case Report():
                    self.reports.append((self.now, effect))
                    self.on_report(effect)
                case OpenTransfer() | CloseTransfer():
                    pass
        deadline = self.service.next_deadline()
        if deadline is not None and deadline != self._server_timer:
            self._server_timer = deadline
            self.at(max(deadline, self.now), lambda: self._server_tick(deadline))

    def _server_tick(self, deadline: float) -> None:
        if self._server_timer == deadline:
            self._server_timer = None
            self._perform(self.service.tick(self.now))

    def _local(self, socket: int) -> Endpoint:
        for port, number in SERVER_PORTS.items():
            if number == socket:
                return Endpoint(self.server, port)
        assert socket >= FIRST_TRANSFER
        return Endpoint(self.server, socket)  # A transfer's port is the number of its socket.

    def _to_nodes(self, source: Endpoint, destination: Endpoint, data: bytes, hardware: HardwareAddress | None) -> None:
        for machine in self.machines:
            if machine.is_on and machine.hears(destination, hardware) and not self._lost():
                self.at(self.now + DELAY, lambda to=machine: self._deliver(to, source, destination, data))  # type: ignore[misc]

    def _deliver(self, machine: Machine, source: Endpoint, destination: Endpoint, data: bytes) -> None:
        if machine.is_on:
            self._act(machine, machine.node.receive(Datagram(destination.port, source, destination, data), self.now))

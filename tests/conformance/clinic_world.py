"""A machine with a simulated ROM on the clinic's segment, in virtual time, that is switched on again and again."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from ipaddress import IPv4Address

from mtftpd.conformance.clinic.chart import Chart
from mtftpd.conformance.clinic.effects import AskArp, Practice, Save, Say, Send
from mtftpd.conformance.clinic.examination import Examination
from mtftpd.conformance.clinic.probes import PROBES, Probe
from mtftpd.rom.actions import BROADCAST, Actions, ImageMemory, Phase
from mtftpd.rom.node import Node
from mtftpd.rom.profiles import Identity, RomProfile
from mtftpd.wire import arp
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress
from tests.rom.interface import Interface

SERVER = "10.0.0.1"
PRACTICE = Practice(IPv4Address(SERVER), 24, tuple(IPv4Address(f"10.0.0.{last}") for last in (50, 51, 52, 53, 54)))
IMAGE = bytes(range(256)) * 20 + b"the end"
"""5,127 octets: 11 blocks of 512, 4 of 1456."""
LATENCY = 0.0005
OFF = 1.0
"""Seconds that a machine is off between two boots."""
MAX_BOOTS = 120
HERE = bytes.fromhex("020000000001")
"""The hardware address of the clinic."""
Packet = Send | AskArp | arp.Packet | Datagram
QUICK = tuple(probe for probe in PROBES if probe.id != "rollover")
"""All but the one of 65,536 blocks."""


class World:
    """The clinic and one machine."""

    def __init__(
        self,
        rom: RomProfile,
        chart: Chart | None = None,
        probes: Iterable[Probe] = QUICK,
        cut_after: int | None = None,
    ) -> None:
        """Cut the power of the first boot of each probe after so many events; None: never."""
        self.now = 0.0
        self._cut_after = cut_after
        self._cut: set[str] = set()
        self.clinic = Examination(PRACTICE, chart or Chart(), IMAGE, probes)
        self.saves = 0
        self.said: list[str] = []
        self._interfaces = [
            Interface(address, Node(Identity(address, b"0123456789abcdef", 0x1000 + place * 64), part, memory), memory)
            for place, part in enumerate(rom.interfaces())
            for address, memory in [(HardwareAddress(1, rom.oui + bytes((0, 0, place + 1))), ImageMemory())]
        ]
        self._answers_arp = rom.answers_arp
        self._on_the_wire: list[tuple[float, int, Packet]] = []
        self._count = 0
        self._off_until = 0.0

    @property
    def chart(self) -> Chart:
        return self.clinic.chart

    def run(self, boots: int = MAX_BOOTS) -> Chart:
        """Boot until the clinic has seen everything, at most so many times."""
        for _ in range(boots):
            if self.clinic.discharged:
                break
            self._boot()
        return self.chart

    def _boot(self) -> None:
        self.now += OFF
        for each in self._interfaces:
            each.reset()
            self._perform(each, each.node.power_on(self.now))
        steps = 0
        while any(each.node.phase not in (Phase.DONE, Phase.FAILED) for each in self._interfaces):
            self._step()
            steps += 1
            if self._cut_after is not None and steps >= self._cut_after and self._is_first_boot():
                break

    def _is_first_boot(self) -> bool:
        """Return whether no boot of this probe has been cut yet, once it is known which probe that is."""
        visit = self.clinic.visit
        if visit is None or visit.probe in self._cut:
            return False
        self._cut.add(visit.probe)
        return True

    def _step(self) -> None:
        times = [each.node.next_deadline() for each in self._interfaces]
        times += [self.clinic.next_deadline(), self._on_the_wire[0][0] if self._on_the_wire else None]
        self.now = max(self.now, min(when for when in times if when is not None))
        while self._on_the_wire and self._on_the_wire[0][0] <= self.now:
            self._arrive(heapq.heappop(self._on_the_wire)[2])
        due = self.clinic.next_deadline()
        if due is not None and due <= self.now:
            self._do(self.clinic.tick(self.now))
        for each in self._interfaces:
            due = each.node.next_deadline()
            if due is not None and due <= self.now:
                self._perform(each, each.node.tick(self.now))

    def _arrive(self, what: Packet) -> None:
        if isinstance(what, arp.Packet):
            self._do(self.clinic.hear_arp(arp.build(what), self.now))
            return
        if isinstance(what, AskArp):
            self._ask(what)
            return
        if isinstance(what, Datagram):
            self._do(self.clinic.receive(what, self.now))
            return
        source = Endpoint(SERVER, what.port)
        for each in self._interfaces:
            if each.hears(what.destination, what.hardware):
                datagram = Datagram(what.destination.port, source, what.destination, what.data)
                self._perform(each, each.node.receive(datagram, self.now))

    def _ask(self, asked: AskArp) -> None:
        for each in self._interfaces:
            if self._answers_arp and each.address == asked.address:
                own, address = each.hardware.octets, IPv4Address(each.address)
                self._put(arp.Packet(arp.Operation.REPLY, own, address, HERE, PRACTICE.address))

    def _put(self, what: Packet) -> None:
        self._count += 1
        heapq.heappush(self._on_the_wire, (self.now + LATENCY, self._count, what))

    def _do(self, effects: Iterable[object]) -> None:
        for effect in effects:
            if isinstance(effect, Send | AskArp):
                self._put(effect)
            elif isinstance(effect, Save):
                self.saves += 1
            elif isinstance(effect, Say):
                self.said.append(effect.text)

    def _perform(self, interface: Interface, actions: Actions) -> None:
        for datagram in interface.perform(actions):
            if datagram.destination.address in (SERVER, BROADCAST):
                self._put(datagram)

"""Builds a scenario and runs it: the server, the network and the nodes on one clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from math import inf
from random import Random
from typing import Final

from mtftpd.core.images import MTFTP_BLOCK_SIZE, Image
from mtftpd.core.node_settings import Boot
from mtftpd.core.service import BootService
from mtftpd.core.settings import Addressing, Catalogue, Link, Mode, Multicast, Settings
from mtftpd.rom.actions import Enter, Phase
from mtftpd.rom.dhcp import BootPlan
from mtftpd.rom.node import Node
from mtftpd.rom.profiles import Identity, RomProfile
from mtftpd.sim import topology
from mtftpd.sim.chance import Wire
from mtftpd.sim.clock import Clock
from mtftpd.sim.fabric import Fabric, Place
from mtftpd.sim.fleet import Interface, fleet_of, inventory_of
from mtftpd.sim.memory import Content, MarkedMemory
from mtftpd.sim.outcome import NodeOutcome, Outcome, Traffic
from mtftpd.sim.ports import Port, Ring
from mtftpd.sim.scenario import JITTER, Scenario, shares
from mtftpd.sim.segments import SLOWEST, Cable, HubCable, Segment, SwitchCable
from mtftpd.sim.server import Server
from mtftpd.sim.station import Station, Witness
from mtftpd.sim.topology import Kind
from mtftpd.wire.pxe import MtftpTags

SERVER: Final = IPv4Address("10.77.0.1")
_NETWORK: Final = IPv4Network("10.77.0.0/16")
_FIRST: Final = IPv4Address("10.77.1.1")
_LAST: Final = IPv4Address("10.77.254.255")
"""More than the most nodes; a server may leave out .0 and .255, which some ROMs take for networks."""
_GROUP: Final = IPv4Address("239.1.1.1")
_NAME: Final = "image"


@dataclass(slots=True)
class Machine:
    """One node of a simulation and when it was switched on; ``ended`` is negative until it has.

    ``station`` is the interface that boots, which ``others`` do not.
    """

    number: int
    rom: str
    station: Station
    switched_on: float
    others: tuple[Station, ...] = ()
    ended: float = -1.0
    reason: str = "not done in time"


class Simulation:
    """One scenario, ready to run; ``by_packet`` makes an event of every packet for every node, for comparison."""

    def __init__(self, scenario: Scenario, *, by_packet: bool = False) -> None:
        self.scenario = scenario
        self.clock = Clock()
        self.content = Content(scenario.image_size, scenario.seed)
        self.over = 0
        self.service = BootService(*_configuration(scenario, self.content))
        self._segments = [
            Segment(self.clock, plan, self.content, by_packet=by_packet) for plan in scenario.topology.segments
        ]
        cables = [self._cable(segment) for segment in self._segments]
        self.fabric = Fabric(self.clock, scenario.topology, cables, self.content)
        self._server = Server(self.clock, self.service, self.content, self.fabric)
        self.fabric.on_arrival = self._server.arrive
        self.fabric.on_enter = self._entered
        self.machines: list[Machine] = []
        self._by_station: dict[Station, Machine] = {}
        self._build()

    def watch(self, hardware: str, witness: Witness) -> None:
        """Tell ``witness`` of the packets of one node; raises KeyError for an address that no node has."""
        for machine in self.machines:
            if str(machine.station.hardware) == hardware.lower():
                machine.station.witness = witness
                machine.station.rides_alone = True
                return
        raise KeyError(hardware)

    def run(self, progress: Callable[[], None] = lambda: None) -> Outcome:
        """Let time pass until every node has ended, or the limit is reached; ``progress`` is called now and then."""
        step, limit = self.clock.step, self.scenario.limit
        while self.over < len(self.machines) and step(limit):
            if not self.clock.events & 0x3FFF:
                progress()
        return self._outcome()

    def finish(self) -> Outcome:
        """Let the server end the pass that it sends to nobody any longer; `run` does not wait for that."""
        step, limit = self.clock.step, self.scenario.limit
        while any(group.state not in ("idle", "gap") for group in self.service.statistics().mtftp.groups) and step(
            limit
        ):
            pass
        return self._outcome()

    def settle(self) -> None:
        """Bring every node's memory up to now."""
        for segment in self._segments:
            segment.settle()

    # -- building -------------------------------------------------------------------------------------------------

    def _cable(self, segment: Segment) -> Cable:
        if segment.plan.kind is Kind.HUB:
            return HubCable(self.clock, segment, Random(f"{self.scenario.seed}/{segment.plan.name}"))
        return SwitchCable(self.clock, segment)

    def _build(self) -> None:
        scenario = self.scenario
        parts = shares([plan.share for plan in scenario.topology.segments], scenario.nodes)
        cables = [cable for cable, part in zip(self.fabric.cables, parts, strict=True) for _ in range(part)]
        times = scenario.power_on.times(scenario.nodes)
        for chassis, cable, when in zip(fleet_of(scenario), cables, times, strict=True):
            uuid = Random(f"{scenario.seed}/{chassis.interfaces[0].number}").randbytes(16)
            stations = {each.number: self._station(each, uuid, cable) for each in chassis.interfaces}
            station = stations.pop(chassis.boots.number)
            machine = Machine(chassis.number, chassis.rom, station, when, tuple(stations.values()))
            self.machines.append(machine)
            self._by_station[station] = machine
            for each in (*machine.others, station):
                self.clock.at(when, each.power_on)

    def _station(self, interface: Interface, uuid: bytes, cable: Cable) -> Station:
        plan: topology.Segment = cable.segment.plan
        number = interface.number
        chance = Random(f"{self.scenario.seed}/{number}")
        chance.randbytes(16)  # that of the first interface is the UUID of all
        identity = Identity(
            hardware=interface.hardware,
            uuid=uuid,
            xid=number << 12 | chance.randrange(1 << 12),
            port=2070 + chance.randrange(1000),
            jitter=chance.uniform(-JITTER, JITTER),
        )
        memory = MarkedMemory(self.content)
        told = self._told(number, interface.profile) if self.scenario.by_hand else None
        node = Node(identity, interface.profile, memory, told=told)
        port = Port(plan.rate if plan.kind is Kind.SWITCH else 0.0, plan.queue, plan.latency)
        ring = Ring(chance.uniform(1.0, SLOWEST) / plan.speed, plan.ring)
        down = Wire(plan.quality, Random(f"{self.scenario.seed}/{number}/down"))
        station = Station(self.clock, node, memory, (port, down, ring))
        station.hardware = identity.hardware
        self.fabric.plug_in(station, Place(cable, Wire(plan.quality, Random(f"{self.scenario.seed}/{number}/up"))))
        return station

    def _told(self, number: int, profile: RomProfile) -> BootPlan:
        """Return what the user of a program says to it, or to an iPXE."""
        group, ports = self.service.groups.bindings[0].group, self.service.settings.ports
        name = f"mtftp://{SERVER}:{ports.mtftp_ipxe}/{_NAME}" if profile.multicast_group else _NAME
        seconds = self.scenario.timeout
        tags = MtftpTags(IPv4Address(group.address), group.port, ports.mtftp_server, seconds, seconds)
        return BootPlan(_FIRST + number - 1, SERVER, name.encode(), tags)

    # -- the end --------------------------------------------------------------------------------------------------

    def _entered(self, station: Station, entered: Enter) -> None:
        machine = self._by_station.get(station)
        if machine is None or entered.phase not in (Phase.DONE, Phase.FAILED):
            return
        machine.ended = self.clock.now
        machine.reason = entered.detail
        self.over += 1

    def _outcome(self) -> Outcome:
        statistics = self.service.statistics()
        groups, dropped = statistics.mtftp.groups, self.fabric.dropped()
        traffic = Traffic(
            ideal=self.content.size // MTFTP_BLOCK_SIZE + 1,
            group_blocks=self._server.group_blocks,
            first_blocks=self._server.first_blocks,
            repeats=sum(group.repeats for group in groups),
            unicast_blocks=self._server.unicast_blocks,
            passes=sum(group.passes for group in groups),
            masters_lost=sum(group.masters_lost for group in groups),
            dropped_by_switch=dropped["switch"],
            dropped_by_rom=dropped["rom"],
            collisions=sum(cable.collisions for cable in self.fabric.cables),
            server_drops=dict(sorted(self._server.drops.items())),
        )
        nodes = tuple(self._node_outcome(machine) for machine in self.machines)
        return Outcome(
            self.scenario.seed, self.scenario.topology.name, nodes, traffic, self.clock.now, self.clock.events
        )

    def _node_outcome(self, machine: Machine) -> NodeOutcome:
        station = machine.station
        node, memory = station.node, station.memory
        booted = node.phase is Phase.DONE
        return NodeOutcome(
            number=machine.number,
            hardware=str(station.hardware),
            rom=machine.rom,
            booted=booted,
            way=machine.reason if booted else "",
            reason="" if booted else machine.reason,
            fallback=node.fallback,
            right=memory.holds_everything() and node.length == self.content.size,
            ended=machine.ended,
            seconds=machine.ended - machine.switched_on if machine.ended >= 0 else inf,
            dhcp_retries=max(0, station.dhcp_requests - 2),
            opens=node.mtftp.opens if node.mtftp else 0,
            address=station.address,
        )


def _configuration(scenario: Scenario, content: Content) -> tuple[Settings, Catalogue]:
    image = Image(1, _NAME, content.size, content.digest)
    last = _FIRST + scenario.addresses - 1 if scenario.addresses else _LAST
    settings = Settings(
        link=Link("sim", 1, SERVER, _NETWORK),
        mode=Mode.TFTP if scenario.by_hand else Mode.DHCP,
        boot=Boot(default=_NAME),
        addressing=Addressing(_FIRST, last, serve_all=True),
        inventory=inventory_of(scenario),
        multicast=Multicast(base=_GROUP, seconds=scenario.timeout),
        bandwidth=scenario.bandwidth,
        faithful=scenario.faithful,
    )
    return settings, Catalogue((image,), {_NAME: image})

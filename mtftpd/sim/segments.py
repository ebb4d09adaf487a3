"""The two kinds of segment: a switch, where every node has a port, and a hub, where all share one medium.

Both take what comes from the server at the time at which its end arrives, and hand what comes from a node to the
fabric, again at the time at which its end arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from random import Random
from typing import Protocol

from mtftpd.sim import topology
from mtftpd.sim.chance import CALM
from mtftpd.sim.clock import Clock
from mtftpd.sim.medium import Medium, Transmitter
from mtftpd.sim.memory import Content
from mtftpd.sim.ports import BLOCK_OCTETS, BLOCK_SIZE, Flood, Port, wire_octets
from mtftpd.sim.rides import Ride
from mtftpd.sim.station import Station
from mtftpd.sim.topology import Snooping
from mtftpd.wire.datagram import Datagram, Endpoint

Deliver = Callable[[Station, Datagram], None]
SLOWEST: float = 1.05
"""No two ROMs are equally fast: each takes up to so many times what its segment says for a packet."""


class Segment:
    """What both kinds have in common: groups, and the way from the segment to the nodes."""

    def __init__(self, clock: Clock, plan: topology.Segment, content: Content, *, by_packet: bool = False) -> None:
        """``by_packet`` is for tests: nobody rides."""
        self.plan = plan
        self.stations: list[Station] = []
        self.flood = Flood(SLOWEST / plan.speed, plan.ring)
        self._clock = clock
        self._content = content
        self._by_packet = by_packet
        self._rides: dict[Endpoint, Ride] = {}
        per_octet = 8 / plan.rate if plan.kind is topology.Kind.SWITCH else 0.0
        self._spacing = max(SLOWEST / plan.speed, BLOCK_OCTETS * per_octet)

    def to_station(self, station: Station, datagram: Datagram, when: float) -> None:
        """Take a datagram for one node."""
        if station.ride is not None and station.ride.rides(station):
            station.ride.get_off(station, self._clock.now)
        station.offer(datagram, wire_octets(len(datagram.data)), when, self.flood.backlog(when))

    def to_group(self, source: Endpoint, group: Endpoint, block: int, when: float) -> None:
        """Take a block for a group."""
        ride = self._rides.get(group)
        if ride is not None:
            ride.carry(source, block, when, self._clock.now)

    def join(self, station: Station, group: Endpoint, *, reported: bool) -> None:
        """Take a membership report, which takes effect after a while where there is snooping.

        Who listens without one gets what is flooded: everything, unless there are a switch that snoops and a querier.
        """
        ride = self._rides.get(group)
        if ride is None:
            # Between bursts of loss a silence makes a difference, so that blocks before and after it are two runs.
            calm = CALM if self.plan.quality.burst > 1 else inf
            ride = self._rides[group] = Ride(group, self._content, self.flood, self._spacing, calm)
        station.ride = ride
        if self._by_packet:
            station.rides_alone = True
        plan = self.plan
        if plan.snooping is Snooping.OFF or (plan.snooping is Snooping.NO_QUERIER and not reported):
            ride.walkers[station] = None
            return
        if not reported:
            return
        self._clock.at(self._clock.now + plan.join_delay, self._admit, station, ride)
        if plan.snooping is Snooping.NO_QUERIER:
            self._clock.at(self._clock.now + plan.membership, self.leave, station, group)

    def _admit(self, station: Station, ride: Ride) -> None:
        if station.ride is ride:
            ride.walkers[station] = None

    def leave(self, station: Station, group: Endpoint) -> None:
        """Take a report of leaving, or the end of a membership."""
        ride = self._rides[group]
        if station.ride is ride:
            ride.remove(station, self._clock.now)
            station.ride = None

    def settle(self) -> None:
        """Bring every node up to now."""
        for ride in self._rides.values():
            ride.settle_all(self._clock.now)


class Cable(Protocol):
    """How a segment is entered and left."""

    segment: Segment

    def to_station(self, station: Station, datagram: Datagram, when: float) -> None:
        """Take a datagram for one node, whose end is here at ``when``, which is now or later."""

    def to_group(self, source: Endpoint, group: Endpoint, block: int, when: float) -> None:
        """Take a block for a group."""

    def from_station(self, station: Station, datagram: Datagram, deliver: Deliver) -> None:
        """Take a datagram of a node; ``deliver`` is called when its end leaves the segment."""

    @property
    def dropped(self) -> int:
        """Frames that found no room in the segment."""

    @property
    def collisions(self) -> int:
        """Collisions so far."""


class SwitchCable:
    """A switch: it forwards whole frames."""

    collisions = 0

    def __init__(self, clock: Clock, segment: Segment) -> None:
        self.segment = segment
        self.to_station = segment.to_station
        self.to_group = segment.to_group
        self._clock = clock
        self._ports: dict[Station, Port] = {}

    def from_station(self, station: Station, datagram: Datagram, deliver: Deliver) -> None:
        """Send over the node's own cable, which nobody else uses."""
        plan = self.segment.plan
        port = self._ports.get(station)
        if port is None:
            port = self._ports[station] = Port(plan.rate, inf, plan.latency)
        arrival = port.send(self._clock.now, wire_octets(len(datagram.data)))
        self._clock.at(arrival, deliver, station, datagram)

    @property
    def dropped(self) -> int:
        """Frames that found no room at the port of a node."""
        return sum(station.port.dropped for station in self.segment.stations)


class HubCable:
    """A hub: the server, or the cable that leads to it, is one of the stations."""

    def __init__(self, clock: Clock, segment: Segment, chance: Random) -> None:
        self.segment = segment
        self._clock = clock
        self._medium = Medium(clock, segment.plan.rate, chance)
        self._gateway = Transmitter(segment.plan.queue if segment.plan.uplink else inf)
        self._transmitters: dict[Station, Transmitter] = {}

    def to_station(self, station: Station, datagram: Datagram, when: float) -> None:
        """Send it to everybody; one takes it."""
        octets = wire_octets(len(datagram.data))
        self._enter(when, octets, lambda end: self.segment.to_station(station, datagram, end))

    def to_group(self, source: Endpoint, group: Endpoint, block: int, when: float) -> None:
        """Send it to everybody."""
        last = block * BLOCK_SIZE > self.segment._content.size
        octets = wire_octets(4 + self.segment._content.size % BLOCK_SIZE) if last else BLOCK_OCTETS
        self._enter(when, octets, lambda end: self.segment.to_group(source, group, block, end))

    def from_station(self, station: Station, datagram: Datagram, deliver: Deliver) -> None:
        """Send it over the shared medium."""
        transmitter = self._transmitters.get(station)
        if transmitter is None:
            transmitter = self._transmitters[station] = Transmitter(inf)
        self._medium.send(transmitter, wire_octets(len(datagram.data)), lambda end: deliver(station, datagram))

    @property
    def dropped(self) -> int:
        """Frames that found no room, or collided too often."""
        return self._medium.dropped

    @property
    def collisions(self) -> int:
        """Collisions so far."""
        return self._medium.collisions

    def _enter(self, when: float, octets: int, sent: Callable[[float], None]) -> None:
        if when > self._clock.now:
            self._clock.at(when, self._medium.send, self._gateway, octets, sent)
        else:
            self._medium.send(self._gateway, octets, sent)

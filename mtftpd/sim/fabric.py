"""The network of one simulation: the server's cable, its switch, and the segments with their nodes.

From the server everything runs down one cable in one order, so the whole way of a packet is worked out when it is sent;
from the nodes many come together at the server's port, so there each arrival is an event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

from mtftpd.rom.actions import BROADCAST, Enter
from mtftpd.sim.chance import Wire
from mtftpd.sim.clock import Clock
from mtftpd.sim.ports import BLOCK_SIZE, Port, wire_octets
from mtftpd.sim.segments import Cable
from mtftpd.sim.station import Station
from mtftpd.sim.topology import Kind, Topology
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress

if TYPE_CHECKING:
    from mtftpd.sim.memory import Content

_CHADDR: Final = slice(28, 34)
"""Where a DHCP message has the hardware address of its client (RFC 951 section 3)."""


@dataclass(slots=True)
class Place:
    """A node's way to the server: its segment, the faults of its cable that way, and the segment's uplink."""

    cable: Cable
    spoilt: Wire


class Fabric:
    """Carries what the server and the stations send."""

    def __init__(self, clock: Clock, topology: Topology, cables: list[Cable], content: Content) -> None:
        self.lost_up = 0
        self.unreachable = 0
        self.cables = cables
        self.places: dict[Station, Place] = {}
        self.on_enter: Callable[[Station, Enter], None] = lambda station, entered: None
        self.on_arrival: Callable[[Datagram], None] = lambda datagram: None
        self._clock = clock
        self._content = content
        # A hub at the server is its medium; any other way begins with the server's own cable.
        is_hub = any(each.kind is Kind.HUB and not each.uplink for each in topology.segments)
        self._card = Port(0.0 if is_hub else topology.rate, inf)
        self._server_port = Port(0.0 if is_hub else topology.rate, topology.queue)
        self._down = {id(each): self._uplink_of(each) for each in cables}
        self._up = {id(each): self._uplink_of(each) for each in cables}
        self._by_address: dict[str, Station] = {}
        self._by_hardware: dict[bytes, Station] = {}

    @staticmethod
    def _uplink_of(cable: Cable) -> Port | None:
        plan = cable.segment.plan
        return Port(plan.uplink, plan.queue, plan.latency) if plan.uplink else None

    def plug_in(self, station: Station, place: Place) -> None:
        """Add a station."""
        self.places[station] = place
        self._by_hardware[station.hardware.octets] = station
        place.cable.segment.stations.append(station)
        station.uplink = self

    def dropped(self) -> Counter[str]:
        """Return the packets that found no room, by where."""
        ports = [self._server_port, *(port for port in (*self._down.values(), *self._up.values()) if port)]
        rings = sum(station.ring.dropped for station in self.places)
        return Counter(
            switch=sum(port.dropped for port in ports) + sum(cable.dropped for cable in self.cables), rom=rings
        )

    # -- from the server ------------------------------------------------------------------------------------------

    def send(self, datagram: Datagram, hardware: HardwareAddress | None) -> None:
        """Send a datagram of the server.

        A DHCP reply that is broadcast is handed to the node that it names; to all others it is load.
        """
        is_broadcast = datagram.destination.address == BROADCAST
        if is_broadcast:
            station = self._by_hardware.get(datagram.data[_CHADDR])
        elif hardware is not None:
            station = self._by_hardware.get(hardware.octets)
        else:
            station = self._by_address.get(datagram.destination.address)
        left = self._card.send(self._clock.now, wire_octets(len(datagram.data)))
        if is_broadcast:
            for cable in self.cables:
                cable.segment.flood.add(left)
        if station is None:
            self.unreachable += 1
            return
        cable = self.places[station].cable
        arrival = self._enter(cable, left, wire_octets(len(datagram.data)))
        if arrival >= 0:
            cable.to_station(station, datagram, arrival)

    def send_blocks(self, source: Endpoint, group: Endpoint, first: int, count: int) -> None:
        """Send a run of blocks of the server to a group, back to back."""
        for block in range(first, first + count):
            start = (block - 1) * BLOCK_SIZE
            octets = wire_octets(4 + min(BLOCK_SIZE, self._content.size - start))
            left = self._card.send(self._clock.now, octets)
            for cable in self.cables:
                arrival = self._enter(cable, left, octets)
                if arrival >= 0:
                    cable.to_group(source, group, block, arrival)

    def _enter(self, cable: Cable, when: float, octets: int) -> float:
        port = self._down[id(cable)]
        return when if port is None else port.send(when, octets)

    # -- from the nodes -------------------------------------------------------------------------------------------

    def transmit(self, station: Station, datagram: Datagram) -> None:
        """Send a datagram of a node."""
        self.places[station].cable.from_station(station, datagram, self._left_segment)

    def _left_segment(self, station: Station, datagram: Datagram) -> None:
        now, place = self._clock.now, self.places[station]
        if datagram.destination.address == BROADCAST:
            for cable in self.cables:
                cable.segment.flood.add(now)
        copies = place.spoilt.arrivals(now)
        if not copies:
            self.lost_up += 1
        port = self._up[id(place.cable)]
        for late in copies:
            if port is None and not late:
                self._reach_server(datagram)
            else:
                self._clock.at(now + late, self._climb, port, datagram)

    def _climb(self, port: Port | None, datagram: Datagram) -> None:
        arrival = self._clock.now if port is None else port.send(self._clock.now, wire_octets(len(datagram.data)))
        if arrival >= 0:
            self._clock.at(arrival, self._reach_server, datagram)

    def _reach_server(self, datagram: Datagram) -> None:
        arrival = self._server_port.send(self._clock.now, wire_octets(len(datagram.data)))
        if arrival >= 0:
            self._clock.at(arrival, self.on_arrival, datagram)

    # -- what stations tell ---------------------------------------------------------------------------------------

    def join(self, station: Station, group: Endpoint, *, reported: bool) -> None:
        """Take note that a station listens to a group."""
        self.places[station].cable.segment.join(station, group, reported=reported)

    def leave(self, station: Station, group: Endpoint) -> None:
        """Take the end of a membership."""
        self.places[station].cable.segment.leave(station, group)

    def took_address(self, station: Station) -> None:
        """Learn who answers for an address."""
        self._by_address[station.address] = station

    def entered(self, station: Station, entered: Enter) -> None:
        """Pass on that a node moved to another phase."""
        self.on_enter(station, entered)

"""One simulated machine: a ROM with its network card, its cable and its memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from mtftpd.rom.actions import (
    BROADCAST,
    NO_ADDRESS,
    Action,
    Actions,
    Bind,
    Enter,
    Join,
    Leave,
    TakeAddress,
    Transmit,
    Unbind,
)
from mtftpd.sim.clock import Clock, Timer
from mtftpd.sim.ports import BLOCK_OCTETS
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress

if TYPE_CHECKING:
    from mtftpd.rom.node import Node
    from mtftpd.sim.chance import Wire
    from mtftpd.sim.memory import MarkedMemory
    from mtftpd.sim.ports import Port, Ring
    from mtftpd.sim.rides import Ride

DHCP_SERVER: Final = 67

Witness = Callable[[float, str, Endpoint, Endpoint, bytes], None]
"""Told of the packets of one node: when, "sent", "received" or how it was lost, source, destination and payload."""


class Uplink(Protocol):
    """What a station does to its surroundings."""

    def transmit(self, station: Station, datagram: Datagram) -> None:
        """Send a datagram."""

    def join(self, station: Station, group: Endpoint, *, reported: bool) -> None:
        """Listen to a group, and report it or not."""

    def leave(self, station: Station, group: Endpoint) -> None:
        """End membership."""

    def took_address(self, station: Station) -> None:
        """Use another address from now on."""

    def entered(self, station: Station, entered: Enter) -> None:
        """Move to another phase."""


class Station:
    """A node and what belongs to it; ``port`` leads to it, ``wire`` spoils what comes, ``spoilt`` what goes."""

    def __init__(self, clock: Clock, node: Node, memory: MarkedMemory, receiver: tuple[Port, Wire, Ring]) -> None:
        self.node = node
        self.memory = memory
        self.port, self.wire, self.ring = receiver
        self.address = NO_ADDRESS
        self.hardware = HardwareAddress(1, b"")
        self.uplink: Uplink | None = None
        self.rides_alone = not self.wire.keeps_order
        self.witness: Witness | None = None
        self.ride: Ride | None = None
        self._clock = clock
        self._timer = Timer(clock, self._due)
        self._ports: set[int] = set()
        self._groups: set[Endpoint] = set()
        self._expected = 0
        self.dhcp_requests = 0

    def power_on(self) -> None:
        """Switch the machine on, now."""
        self._perform(self.node.power_on(self._clock.now))

    # -- receive --------------------------------------------------------------------------------------------------

    def offer(self, datagram: Datagram, octets: int, when: float, others: float) -> None:
        """Take a frame whose end reaches the segment's end of the cable at ``when``; it may get lost on the way."""
        arrival = self.port.send(when, octets)
        if arrival < 0:
            self._tell(when, "dropped by the switch", datagram)
            return
        copies = self.wire.arrivals(when)
        if not copies:
            self._tell(arrival, "lost", datagram)
        for late in copies:
            if late:
                self._clock.at(arrival + late, self._arrive, datagram, arrival + late, others)
            else:
                self._arrive(datagram, arrival, others)

    def _arrive(self, datagram: Datagram, arrival: float, others: float) -> None:
        done = self.ring.take(arrival, others)
        if done < 0:
            self._tell(arrival, "dropped by the ROM", datagram)
        else:
            self.expect(datagram, done)

    def expect(self, datagram: Datagram, done: float) -> None:
        """Take ``datagram`` out of the ring at ``done``."""
        self._expected += 1
        self._clock.at(done, self._take, datagram)

    def _take(self, datagram: Datagram) -> None:
        self._expected -= 1
        address, port = destination = datagram.destination
        now = self._clock.now
        in_group = destination in self._groups
        is_mine = self.address in (address, NO_ADDRESS) or address == BROADCAST
        if not in_group and not (port in self._ports and is_mine):
            return
        self._tell(now, "received", datagram)
        actions = self.node.receive(datagram, now)
        if actions:
            self._perform(actions)
        self._timer.set(self.node.next_deadline())
        if in_group and not actions and not self._expected and self.ride is not None and not self.rides_alone:
            self.ride.get_on(self)

    # -- riding ---------------------------------------------------------------------------------------------------

    def quiet_until(self, block: int) -> int:
        """Return up to where blocks behind ``block`` need not be looked at one by one."""
        mtftp = self.node.mtftp
        return 0 if mtftp is None or mtftp.over else mtftp.quiet_until(block)

    def hear(self, first: int, last: int, when: float) -> None:
        """Take a run of blocks, the last one at ``when``."""
        assert self.node.mtftp is not None, "only a listener rides"
        self.node.mtftp.hear_run(first, last, self.memory.store, when)

    def hear_map(self, first: int, held: int, count: int, when: float) -> bool:
        """Take ``count`` blocks at once, those in ``held``; False for a ROM that must take one run after the other."""
        assert self.node.mtftp is not None, "only a listener rides"
        return self.node.mtftp.hear_map(first, held, count, self.memory.store_map, when)

    def earliest(self, when: float) -> float:
        """Return when a block that enters the segment at ``when`` has been read if nothing is before it."""
        port = self.port
        return when + BLOCK_OCTETS * port.per_octet + port.latency + self.ring.service

    def is_idle(self, when: float) -> bool:
        """Return whether nothing is before a block that enters the segment at ``when``."""
        return self.port.free_at <= when and self.ring.busy_until <= when

    # -- act ------------------------------------------------------------------------------------------------------

    def _due(self) -> None:
        now = self._clock.now
        if self.ride is not None and self.ride.rides(self):
            self.ride.settle(self, now)
            deadline = self.node.next_deadline()
            if deadline is not None and deadline > now:
                self._timer.set(deadline)
                return
            self.ride.get_off(self, now)
        self._perform(self.node.tick(now))
        self._timer.set(self.node.next_deadline())

    def _perform(self, actions: Actions) -> None:
        for action in actions:
            self._act(action)
        self._timer.set(self.node.next_deadline())

    def _transmit(self, action: Transmit, uplink: Uplink) -> None:
        datagram = Datagram(0, Endpoint(self.address, action.port), action.destination, action.data)
        self._tell(self._clock.now, "sent", datagram)
        if action.destination.port == DHCP_SERVER:
            self.dhcp_requests += 1
        uplink.transmit(self, datagram)

    def _act(self, action: Action) -> None:
        uplink = self.uplink
        assert uplink is not None, "a station is plugged in before it is switched on"
        match action:
            case Transmit():
                self._transmit(action, uplink)
            case Bind(port):
                self._ports.add(port)
            case Unbind(port):
                self._ports.discard(port)
            case Join(group, reported):
                self._groups.add(group)
                uplink.join(self, group, reported=reported)
            case Leave(group):
                self._groups.discard(group)
                uplink.leave(self, group)
            case TakeAddress():
                self.address = action.address
                uplink.took_address(self)
            case _:
                uplink.entered(self, action)

    def _tell(self, when: float, what: str, datagram: Datagram) -> None:
        if self.witness is not None:
            self.witness(when, what, datagram.source, datagram.destination, datagram.data)

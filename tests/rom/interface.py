"""What a simulated ROM has opened on its interface: the part of a test's wire that is the same for every server."""

from __future__ import annotations

from dataclasses import dataclass, field

from mtftpd.rom.actions import (
    BROADCAST,
    NO_ADDRESS,
    Actions,
    Bind,
    ImageMemory,
    Join,
    Leave,
    TakeAddress,
    Transmit,
    Unbind,
)
from mtftpd.rom.node import Node
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress

DIRECTED = "10.0.0.255"
"""All wires of these tests are 10.0.0.0/24."""


@dataclass(eq=False)
class Interface:
    """A node with its memory and its interface."""

    hardware: HardwareAddress
    node: Node
    memory: ImageMemory
    address: str = NO_ADDRESS
    ports: set[int] = field(default_factory=set)
    groups: set[Endpoint] = field(default_factory=set)

    def reset(self) -> None:
        """Forget the address and what is open, as a machine does that is switched off."""
        self.address = NO_ADDRESS
        self.ports.clear()
        self.groups.clear()

    def hears(self, destination: Endpoint, hardware: HardwareAddress | None = None) -> bool:
        """Return whether a datagram gets through; ``hardware`` is where its frame goes, None: where ARP says."""
        if destination in self.groups:
            return True
        if destination.port not in self.ports:
            return False
        if hardware is not None:
            return hardware == self.hardware and self.address in (NO_ADDRESS, destination.address)
        if self.address == NO_ADDRESS:
            return destination.address == BROADCAST
        return destination.address in (self.address, BROADCAST, DIRECTED)

    def perform(self, actions: Actions) -> list[Datagram]:
        """Carry out ``actions`` in order and return what they send; the socket is the port that it is sent to."""
        sent = []
        for action in actions:
            match action:
                case Bind(port):
                    self.ports.add(port)
                case Unbind(port):
                    self.ports.discard(port)
                case Join(group):
                    self.groups.add(group)
                case Leave(group):
                    self.groups.discard(group)
                case TakeAddress(address):
                    self.address = address
                case Transmit(port, destination, data):
                    sent.append(Datagram(destination.port, Endpoint(self.address, port), destination, data))
        return sent

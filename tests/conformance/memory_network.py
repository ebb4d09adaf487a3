"""A network in memory for cases and servers of tests: with an autojump clock, seconds of waiting take no time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address

import trio

from mtftpd.net.outside import Heard
from mtftpd.wire.datagram import Endpoint

EVERYBODY = "255.255.255.255"


class MemoryPort:
    """One UDP port of a host."""

    def __init__(self, host: MemoryHost, number: int, group: str | None) -> None:
        self.host = host
        self.number = number
        self.group = group
        self._into, self._out = trio.open_memory_channel[Heard](1 << 16)

    @property
    def local(self) -> Endpoint:
        return Endpoint(self.host.address, self.number)

    def send(self, data: bytes, destination: Endpoint) -> None:
        hardware = (self.host.hardware, b"")
        self.host.network.server(Heard(trio.current_time(), self.local, destination, data, hardware))

    async def receive(self) -> Heard:
        return await self._out.receive()

    def deliver(self, heard: Heard) -> None:
        self._into.send_nowait(heard)

    def close(self) -> None:
        self.host.ports.remove(self)


@dataclass
class MemoryHost:
    """A host; ``hardware`` is empty for those that have an address from the beginning."""

    network: MemoryNetwork
    address: str
    hardware: bytes = b""
    ports: list[MemoryPort] = field(default_factory=list)

    def open(self, number: int = 0, group: str | None = None) -> MemoryPort:
        self.network.last_port += 1
        port = MemoryPort(self, number or self.network.last_port, group)
        self.ports.append(port)
        return port

    def close(self) -> None:
        if self in self.network.machines:
            self.network.machines.remove(self)


def _nobody(heard: Heard) -> None:
    """Hear what is sent, and say nothing."""


class MemoryNetwork:
    """Clients on one side; on the other ``server``, which is called with every datagram and answers with `put`."""

    def __init__(self, *addresses: str) -> None:
        self.hosts = [MemoryHost(self, address) for address in addresses or ("10.0.0.2", "10.0.0.3")]
        self.machines: list[MemoryHost] = []
        self.server: Callable[[Heard], None] = _nobody
        self.last_port = 40_000

    def machine(self, hardware: bytes) -> MemoryHost:
        machine = MemoryHost(self, "0.0.0.0", hardware)
        self.machines.append(machine)
        return machine

    def put(self, source: Endpoint, destination: Endpoint, data: bytes, hardware: bytes | None = None) -> None:
        """Send from the server: ``hardware`` is that of the one receiver, when it may have no address yet."""
        is_group = IPv4Address(destination.address).is_multicast
        heard = Heard(trio.current_time(), source, destination, data, (b"", hardware or b""))
        for host in (*self.hosts, *self.machines):
            is_addressed = host.address == destination.address or (hardware is not None and host.hardware == hardware)
            for port in list(host.ports):
                is_member = port.group == destination.address if is_group else port.group is None and (
                    is_addressed or destination.address == EVERYBODY
                )  # fmt: skip
                if is_member and port.number == destination.port:
                    port.deliver(heard)

    def refuse(self, heard: Heard) -> None:
        """Answer a datagram with ICMP: there is nobody at its port."""
        problem = Heard(trio.current_time(), heard.destination, heard.source, b"", problem="ICMP port unreachable")
        for host in (*self.hosts, *self.machines):
            for port in list(host.ports):
                if port.local == heard.source:
                    port.deliver(problem)

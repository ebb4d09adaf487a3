"""The seam between the cases and the world: hosts with UDP ports, on a wire that may be a real one or memory.

The clock is that of trio, so that a test with an autojump clock runs cases in no time.  `RealNetwork` is the world;
tests have a network of their own with the same methods.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import Final, Protocol

import trio

from mtftpd.errors import Unavailable
from mtftpd.net import interfaces
from mtftpd.net.outside import Heard, KernelHost
from mtftpd.net.stations import Wire
from mtftpd.wire.datagram import Endpoint

LOOPBACK_HOSTS: Final = 4
"""Addresses that are used when the target is on loopback, where every address of 127/8 is ours."""


class Port(Protocol):
    """A UDP port."""

    @property
    def local(self) -> Endpoint:
        """Its address and number."""
        ...

    def send(self, data: bytes, destination: Endpoint) -> None:
        """Send one datagram, at once."""
        ...

    async def receive(self) -> Heard:
        """Return the next datagram, or ICMP error, that came in."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Host(Protocol):
    """A machine with an address."""

    @property
    def address(self) -> str:
        """The address in dotted-quad text; 0.0.0.0 when it has none yet."""
        ...

    def open(self, number: int = 0, group: str | None = None) -> Port:
        """Open a port, 0 for any; one with ``group`` hears that group and nothing else."""
        ...

    def close(self) -> None:
        """Take the machine off the network."""
        ...


class Machine(Host, Protocol):
    """A host whose hardware address is ours to choose, and whose address is what a DHCP server gives it."""

    hardware: bytes
    address: str


class Network(Protocol):
    """Everything that a case needs of the world."""

    @property
    def hosts(self) -> Sequence[Host]:
        """The hosts that have an address from the beginning, at least one."""
        ...

    def machine(self, hardware: bytes) -> Machine:
        """Return a new host without an address; raises `Unavailable` where there are no frames to send."""
        ...


class RealNetwork:
    """The hosts of this machine, and stations on its interface."""

    def __init__(self, hosts: Sequence[Host], wire: Wire | None, why_not: str = "") -> None:
        self.hosts = hosts
        self._wire = wire
        self._why_not = why_not

    def machine(self, hardware: bytes) -> Machine:
        """Return a station on the interface."""
        if self._wire is None:
            raise Unavailable(self._why_not)
        return self._wire.station(hardware)


@asynccontextmanager
async def real_network(target: IPv4Address, interface: str | None, frames: bool) -> AsyncIterator[RealNetwork]:
    """Open the network on which ``target`` is; with ``frames`` for clients that have no address too.

    ``interface`` is found by the address of the target when it is None.  Raises `Unavailable`, `BadConfig` and
    `MissingCapability`.
    """
    if target.is_loopback:
        hosts = [KernelHost(f"127.0.0.{2 + number}", 1) for number in range(LOOPBACK_HOSTS)]
        yield RealNetwork(hosts, None, "the target is on loopback, where no client is without an address")
        return
    link = interfaces.find(interface or _towards(target))
    own = KernelHost(str(link.address), link.index)
    if not frames:
        yield RealNetwork([own], None, "no packet socket was opened: neither DHCP nor PXE is tested")
        return
    wire = Wire(link.name)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.run)
            yield RealNetwork([own], wire)
            nursery.cancel_scope.cancel()
    finally:
        wire.close()


def _towards(target: IPv4Address) -> str:
    links = [link for link in interfaces.candidates() if target in link.network]
    if len(links) != 1:
        known = ", ".join(link.name for link in links) or "no interface here"
        raise Unavailable(f"--target {target} is on the network of {known}; say which one with --interface")
    if target == links[0].address:
        raise Unavailable(
            f"--target {target} is this machine: frames to oneself do not leave it; run the suite on another machine,"
            " or in a network namespace beside"
        )
    return links[0].name

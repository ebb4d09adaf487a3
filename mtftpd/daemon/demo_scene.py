"""Where a demo takes place: a network namespace with a cable to every node, or loopback with other ports.

`PrivateScene` is as near to a rack as one machine gets: a bridge, one virtual Ethernet card in a namespace of its own
for each node, the real ports.  `LoopbackScene` needs no privilege: every node has an address of 127/8, DHCP is
broadcast on ``lo``, and the ports are free ones above 10,000.
"""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface
from typing import Final, Protocol

from mtftpd.core.settings import Ports
from mtftpd.errors import StartupError, Unavailable
from mtftpd.net.namespaces import enter_new_network, private_network
from mtftpd.net.rom_sockets import Attachment
from mtftpd.net.virtual_links import VirtualLinks
from mtftpd.rom.actions import TakeAddress
from mtftpd.rom.profiles import SPEC
from mtftpd.wire.datagram import HardwareAddress

MAX_NODES: Final = 1_000
"""A Linux bridge has 1,024 ports (BR_MAX_PORTS)."""

_BRIDGE: Final = "segment"
_CARD: Final = "eth0"
_SERVER: Final = IPv4Interface("10.77.0.1/16")
_FIRST_NODE: Final = IPv4Address("10.77.1.1")
_FIRST_LOOPBACK_NODE: Final = IPv4Address("127.1.0.1")
_SPARE: Final = 16
"""Addresses more than nodes: those that end in 0 or 255 are not given out, and 1,000 nodes meet four pairs of them."""
_PALINDROME: Final = 257
"""Ports that are a multiple of it read the same in both byte orders, so that no decoy is needed (quirk Q15)."""
_LOWEST, _HIGHEST = 10_280, 32_639
"""Above the registered ports in daily use, below the kernel's ephemeral ones (32,768)."""


def hardware_of(number: int, oui: bytes = SPEC.oui) -> HardwareAddress:
    """Return the Ethernet address of interface ``number``; the server is number 0."""
    return HardwareAddress(1, oui + number.to_bytes(3, "big"))


def _range(first: IPv4Address, nodes: int) -> str:
    return f"{first}-{first + nodes - 1 + _SPARE}"


class Scene(Protocol):
    """What differs between the places; ``where`` is for people."""

    where: str
    interface: str
    addresses: str
    ports: Ports

    def attach(self, hardware: HardwareAddress) -> Attachment:
        """Plug the interface with this address in; called in a process of its own."""

    def settled(self) -> bool:
        """Return whether everything that was plugged in has a carrier."""

    def close(self) -> None:
        """Leave the place as it was."""


class PrivateScene:
    """A bridge in a new network namespace, in which the calling thread is from now on, until `close`."""

    def __init__(self, nodes: int) -> None:
        self.where = "private network namespaces"
        self.interface = _BRIDGE
        self.addresses = _range(_FIRST_NODE, nodes)
        self.ports = Ports()
        self._stack = ExitStack()
        with ExitStack() as stack:
            stack.enter_context(private_network())
            self._links = stack.enter_context(VirtualLinks())
            self._links.bring_up("lo")
            self._links.add_bridge(_BRIDGE, hardware_of(0).octets)
            self._links.add_address(_BRIDGE, _SERVER)
            self._here = (os.getpid(), socket.if_nametoindex(_BRIDGE))
            self._stack = stack.pop_all()

    def attach(self, hardware: HardwareAddress) -> Attachment:
        """Give the interface a namespace of its own and a card in it."""
        enter_new_network()
        links = VirtualLinks()
        links.add_card(_CARD, hardware.octets, f"port{hardware.octets[-2:].hex()}", self._here)

        def configure(taken: TakeAddress) -> None:
            links.add_address(_CARD, IPv4Interface(f"{taken.address}/{taken.prefix}"))

        return Attachment(_CARD, configure=configure)

    def settled(self) -> bool:
        """Return whether every port of the bridge forwards."""
        return self._links.all_up()

    def close(self) -> None:
        """Go back to the namespace of before; this one ends with the last process in it."""
        self._stack.close()


@dataclass
class LoopbackScene:
    """127/8 for everybody; ``why`` says why nothing better could be had."""

    nodes: int
    why: str = ""
    where: str = field(init=False)
    interface: str = field(init=False, default="lo")
    addresses: str = field(init=False)
    ports: Ports = field(init=False)

    def __post_init__(self) -> None:
        self.where = f"loopback, other ports{f' ({self.why})' if self.why else ''}"
        self.addresses = _range(_FIRST_LOOPBACK_NODE, self.nodes)
        self.ports = Ports(*_free_ports(7))

    def attach(self, hardware: HardwareAddress) -> Attachment:
        """Return how any node hangs on loopback: its address needs no configuration."""
        return Attachment("lo", source="127.0.0.1")

    def settled(self) -> bool:
        """Return True: loopback has no carrier to wait for."""
        return True

    def close(self) -> None:
        """There is nothing to leave."""


def set_scene(nodes: int, *, loopback: bool = False) -> Scene:
    """Return the best place that this process may have."""
    if loopback:
        return LoopbackScene(nodes)
    if os.geteuid() != 0:
        return LoopbackScene(nodes, "not root")
    try:
        return PrivateScene(nodes)
    except StartupError as error:
        return LoopbackScene(nodes, str(error))


def _free_ports(count: int) -> list[int]:
    """Return UDP ports that nobody has; each process starts its search elsewhere, so that two demos do not meet."""
    candidates = list(range(_LOWEST, _HIGHEST + 1, _PALINDROME))
    start = os.getpid() * count % len(candidates)
    found = [port for port in candidates[start:] + candidates[:start] if _is_free(port)][:count]
    if len(found) < count:
        raise Unavailable(f"fewer than {count} of the UDP ports {_LOWEST}, {_LOWEST + _PALINDROME}, ... are free")
    return found


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True

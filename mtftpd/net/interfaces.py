"""Which network interfaces could be served.

netifaces gives names, addresses and masks, and nothing else is taken from it: its ``broadcast`` is the host's own
address when the address was added without one, and an address with a label shows up as an interface of its own,
which no socket can be bound to.  Index, MTU and flags come from the kernel (netdevice(7)).
"""

from __future__ import annotations

import fcntl
import socket
import struct
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface
from typing import Final

import netifaces

from mtftpd.core.settings import Link
from mtftpd.errors import BadConfig, Unavailable
from mtftpd.net.link_speed import link_speed

SIOCGIFFLAGS: Final = 0x8913
SIOCGIFMTU: Final = 0x8921
IFF_UP: Final = 0x1
IFF_LOOPBACK: Final = 0x8
IFF_POINTOPOINT: Final = 0x10
_REQUEST = struct.Struct("16sI20x")
"""struct ifreq: the name, then a union of which flags take two octets and the MTU four, in host order."""


@dataclass(frozen=True, slots=True)
class _Address:
    """One IPv4 address as netifaces names it; ``label`` is the interface's own name or ``name:something``."""

    label: str
    interface: IPv4Interface

    @property
    def name(self) -> str:
        return self.label.partition(":")[0]


def _addresses() -> list[_Address]:
    found = []
    for label in netifaces.interfaces():
        try:
            entries = netifaces.ifaddresses(label).get(netifaces.AF_INET, [])
        except ValueError:  # The interface went away between the two calls.
            continue
        for entry in entries:
            text = f"{entry['addr']}/{entry.get('netmask', '255.255.255.255')}"
            found.append(_Address(label, IPv4Interface(text)))
    # Labelled addresses are secondary ones: the address without a label is what the interface is known by.
    return sorted(found, key=lambda address: (address.name, address.label != address.name))


def _ask(name: str, request: int) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        answer = fcntl.ioctl(asking, request, _REQUEST.pack(name.encode(), 0))
    value: int = _REQUEST.unpack(answer)[1]
    return value


def _flags(name: str) -> int:
    return _ask(name, SIOCGIFFLAGS) & 0xFFFF


def _link(address: _Address) -> Link:
    speed, half_duplex = link_speed(address.name)
    return Link(
        name=address.name,
        index=socket.if_nametoindex(address.name),
        address=address.interface.ip,
        network=address.interface.network,
        mtu=_ask(address.name, SIOCGIFMTU),
        speed=speed,
        half_duplex=half_duplex,
    )


def with_speed(link: Link) -> Link:
    """Return ``link`` with the speed that its interface reports now; as it is, while that is not known."""
    speed, half_duplex = link_speed(link.name)
    return replace(link, speed=speed, half_duplex=half_duplex) if speed else link


def _can_boot_nodes(name: str) -> bool:
    try:
        flags = _flags(name)
    except OSError:
        return False
    return bool(flags & IFF_UP) and not flags & (IFF_LOOPBACK | IFF_POINTOPOINT)


def candidates() -> list[Link]:
    """Return the first IPv4 address of every interface that is up and neither loopback nor a tunnel, by name."""
    firsts: dict[str, _Address] = {}
    for address in _addresses():
        firsts.setdefault(address.name, address)
    return [_link(address) for name, address in firsts.items() if _can_boot_nodes(name)]


def find(name: str) -> Link:
    """Return the link called ``name``: an interface, the label of one of its addresses, or an address of this host.

    Raises `BadConfig` when there is no such interface and `Unavailable` when it is down or has no IPv4 address.
    """
    addresses = _addresses()
    wanted = [a for a in addresses if name in (a.label, a.name)] or [
        a for a in addresses if name == str(a.interface.ip)
    ]
    if not wanted:
        raise _missing(name, sorted({a.name for a in addresses}))
    first = wanted[0]
    if not _flags(first.name) & IFF_UP:
        raise Unavailable(f"--interface {name}: the interface is down; run: ip link set {first.name} up")
    return _link(first)


def _missing(name: str, others: list[str]) -> BadConfig | Unavailable:
    if name in netifaces.interfaces():
        return Unavailable(
            f"--interface {name}: the interface has no IPv4 address; run: ip address add A.B.C.D/N dev {name}"
        )
    listed = ", ".join(others) or "none with an IPv4 address"
    return BadConfig(f"--interface {name}: no such interface or address on this host; there are: {listed}")


def broadcast(link: Link) -> IPv4Address:
    """Return the directed broadcast address of the link, from its mask alone."""
    return link.network.broadcast_address

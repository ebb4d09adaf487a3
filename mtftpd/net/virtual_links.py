"""A small network made of a bridge and pairs of virtual Ethernet cards, through rtnetlink and without the ip tool.

Sources: rtnetlink(7), linux/if_link.h, linux/veth.h.  What is made here lives in the network namespace of the process,
or of the one named by its process id, and goes away with it.
"""

from __future__ import annotations

import os
import socket
import struct
from ipaddress import IPv4Interface
from types import TracebackType
from typing import Final, Self

from mtftpd.errors import Unavailable
from mtftpd.wire import netlink
from mtftpd.wire.netlink import Flag, Message, MessageType

NEWADDR: Final = 20

_LINK: Final = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, device type, index, flags, mask of the flags to change."""
_ADDRESS: Final = struct.Struct("=BBBBi")
"""struct ifaddrmsg: family, prefix length, flags, scope, index."""
_ATTRIBUTE: Final = struct.Struct("=HH")
_NUMBER: Final = struct.Struct("=I")

_IFF_UP: Final = 0x1
_IFLA_ADDRESS: Final = 1
_IFLA_IFNAME: Final = 3
_IFLA_MASTER: Final = 10
_IFLA_LINKINFO: Final = 18
_IFLA_NET_NS_PID: Final = 19
_IFLA_INFO_KIND: Final = 1
_IFLA_INFO_DATA: Final = 2
_VETH_INFO_PEER: Final = 1
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_IFA_BROADCAST: Final = 4
_UP: Final = 6
"""The operational state "up" of RFC 2863: the kernel has noticed the carrier, and a bridge port forwards."""


class VirtualLinks:
    """Makes links in the network namespace that this thread is in when the object is made; a context manager."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def bring_up(self, name: str) -> None:
        """Switch an interface on."""
        body = _LINK.pack(0, 0, socket.if_nametoindex(name), _IFF_UP, _IFF_UP)
        self._do(MessageType.NEWLINK, body, 0, f"switch {name} on")

    def add_bridge(self, name: str, hardware: bytes) -> None:
        """Make a bridge and switch it on; its ports forward as soon as they have a carrier (no spanning tree).

        Without ``hardware`` it would take the lowest address among its ports and change it when that port leaves,
        and whoever has the old one in his ARP cache is cut off.
        """
        up = _LINK.pack(0, 0, 0, _IFF_UP, _IFF_UP)
        body = up + _text(_IFLA_IFNAME, name) + _attribute(_IFLA_ADDRESS, hardware) + _kind("bridge")
        self._do(MessageType.NEWLINK, body, Flag.CREATE | Flag.EXCLUSIVE, f"make the bridge {name}")

    def add_card(self, name: str, hardware: bytes, port: str, bridge: tuple[int, int]) -> None:
        """Make a card called ``name`` here, plugged into a bridge in the namespace of another process.

        ``port`` is the name of the other end there; ``bridge`` is the process id and the bridge's index there.  Both
        ends are switched on: the near one last, because a card whose other end does not exist yet cannot be.
        """
        process, index = bridge
        up = _LINK.pack(0, 0, 0, _IFF_UP, _IFF_UP)
        peer = (
            _LINK.pack(0, 0, 0, 0, 0)
            + _text(_IFLA_IFNAME, name)
            + _attribute(_IFLA_ADDRESS, hardware)
            + _number(_IFLA_NET_NS_PID, os.getpid())
        )
        body = (
            up
            + _text(_IFLA_IFNAME, port)
            + _number(_IFLA_MASTER, index)
            + _number(_IFLA_NET_NS_PID, process)
            + _kind("veth", _attribute(_VETH_INFO_PEER, peer))
        )
        self._do(MessageType.NEWLINK, body, Flag.CREATE | Flag.EXCLUSIVE, f"make the card {name}")
        self.bring_up(name)

    def add_address(self, name: str, address: IPv4Interface) -> None:
        """Give an interface an address with its network, replacing the same address."""
        body = (
            _ADDRESS.pack(socket.AF_INET, address.network.prefixlen, 0, 0, socket.if_nametoindex(name))
            + _attribute(_IFA_LOCAL, address.ip.packed)
            + _attribute(_IFA_ADDRESS, address.ip.packed)
            + _attribute(_IFA_BROADCAST, address.network.broadcast_address.packed)
        )
        self._do(NEWADDR, body, Flag.CREATE | Flag.REPLACE, f"give {name} the address {address}")

    def all_up(self) -> bool:
        """Return whether the kernel has noticed the carrier of every link here but loopback."""
        self._send(MessageType.GETLINK, _LINK.pack(0, 0, 0, 0, 0), Flag.DUMP)
        states: list[bool] = []
        while True:
            for message in self._receive():
                if message.type == MessageType.DONE:
                    return all(states)
                if isinstance(message.body, netlink.Link) and message.body.name != "lo":
                    states.append(message.body.state == _UP)

    def _do(self, kind: int, body: bytes, flags: int, what: str) -> None:
        self._send(kind, body, flags | Flag.ACK)
        for message in self._receive():
            if isinstance(message.body, netlink.Outcome) and message.body.errno:
                raise Unavailable(f"cannot {what}: {os.strerror(message.body.errno)}")

    def _send(self, kind: int, body: bytes, flags: int) -> None:
        self._sequence += 1
        self._socket.send(netlink.build(Message(kind, body, flags | Flag.REQUEST, self._sequence)))

    def _receive(self) -> tuple[Message, ...]:
        return netlink.parse_untrusted(self._socket.recv(1 << 17))


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode("ascii") + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, _NUMBER.pack(value))


def _kind(name: str, data: bytes = b"") -> bytes:
    inner = _text(_IFLA_INFO_KIND, name)
    return _attribute(_IFLA_LINKINFO, inner + _attribute(_IFLA_INFO_DATA, data) if data else inner)

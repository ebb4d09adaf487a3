"""UDP sockets of one boot server: every option that keeps traffic on the one link, and errors that say what to do.

Linux only: the constants below are in no Python module (ip(7), socket(7)).
"""

from __future__ import annotations

import errno
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from mtftpd.core.settings import Link
from mtftpd.errors import MissingCapability, StartupError, Unavailable

IP_PKTINFO: Final = 8
IP_MTU_DISCOVER: Final = 10
IP_PMTUDISC_DONT: Final = 0
IP_MULTICAST_ALL: Final = 49
SO_RCVBUFFORCE: Final = 33
SO_MEMINFO: Final = 55

RECEIVE_BUFFER: Final = 4 * 1024 * 1024
"""Octets per service socket.  The kernel charges 768 to 1,280 for a DHCP packet and doubles what is asked for, so
this holds 6,500 and more of them: 2,000 nodes that were switched on together, three times over."""

_PKTINFO = struct.Struct("@I4s4s")
"""struct in_pktinfo: interface index, local address, destination in the header (ip(7))."""
_MREQN = struct.Struct("@4s4si")
"""struct ip_mreqn: group, local address, interface index (ip(7))."""
_MEMINFO = struct.Struct("@9I")
"""Nine counters of which the last is the number of packets that did not fit into the receive buffer."""

ANY: Final = IPv4Address("0.0.0.0")


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a service socket is for, in the words of the person who has to free its port."""

    what: str
    port: int
    remedy: str


def _open(link: Link) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    # Without DF an answer larger than a hop's MTU is fragmented; ROMs cannot do path MTU discovery.
    opened.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
    opened.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _mreqn(ANY, link))
    return opened


def _mreqn(group: IPv4Address, link: Link) -> bytes:
    return _MREQN.pack(group.packed, link.address.packed, link.index)


def _enlarge(opened: socket.socket) -> None:
    try:
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
    except PermissionError:  # CAP_NET_ADMIN is missing: as much as net.core.rmem_max allows.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)


def _bind_to_device(opened: socket.socket, link: Link) -> None:
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.name.encode() + b"\0")
    except PermissionError:
        # Before Linux 5.7 this needed CAP_NET_RAW; the interface index of each packet is looked at anyway.
        return


def _refused(error: OSError, link: Link, purpose: Purpose) -> StartupError:
    where = f"UDP port {purpose.port} ({purpose.what}) on {link.address}, interface {link.name}"
    if error.errno == errno.EADDRINUSE:
        return Unavailable(
            f"{where}: already in use; see who has it with: ss -lunp 'sport = :{purpose.port}'; then {purpose.remedy}"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return MissingCapability(
            f"{where}: no permission; run as root or give the process CAP_NET_BIND_SERVICE "
            "(systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)"
        )
    if error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
        return Unavailable(f"{where}: the interface or its address is gone; check --interface {link.name}")
    return Unavailable(f"{where}: {error.strerror}")


def _bound(link: Link, address: IPv4Address, purpose: Purpose) -> socket.socket:
    opened = _open(link)
    try:
        opened.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        _enlarge(opened)
        if address == ANY:
            _bind_to_device(opened, link)
        opened.bind((str(address), purpose.port))
    except OSError as error:
        opened.close()
        raise _refused(error, link, purpose) from error
    return opened


def open_broadcast(link: Link, purpose: Purpose, group: IPv4Address | None = None) -> socket.socket:
    """Open a socket that hears unicast, broadcast and ``group`` on the link and nothing from other interfaces.

    What it sends must carry `source_of` the link, because it is bound to no address.
    """
    opened = _bound(link, ANY, purpose)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    if group is not None:
        try:
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, _mreqn(group, link))
        except OSError as error:
            opened.close()
            raise Unavailable(f"discovery group {group} on {link.name}: {error.strerror}") from error
    return opened


def open_unicast(link: Link, purpose: Purpose, ttl: int) -> socket.socket:
    """Open a socket on the server's one address that hears unicast only and may send to groups with ``ttl``."""
    opened = _bound(link, link.address, purpose)
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
    # A listener on this host (the demo, a test) hears the group too; without one the kernel copies nothing.
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    return opened


def open_transfer(link: Link, peer: tuple[str, int]) -> tuple[socket.socket, socket.socket]:
    """Open the two sockets of one transfer on one ephemeral port: for ``peer``, and for strangers.  Raises OSError.

    A connected socket saves the address of each packet both ways, 1 us per block; alone it would have the kernel
    answer strangers with ICMP, where RFC 1350 section 4 wants ERROR 5.
    """
    strangers = _open(link)
    try:
        strangers.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        strangers.bind((str(link.address), 0))
        return _connected(link, strangers.getsockname(), peer), strangers
    except OSError:
        strangers.close()
        raise


def _connected(link: Link, local: tuple[str, int], peer: tuple[str, int]) -> socket.socket:
    opened = _open(link)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind(local)
        opened.connect(peer)
        with suppress(BlockingIOError):  # whatever slipped in between the two calls is from anyone
            while True:
                opened.recv(1)
    except OSError:
        opened.close()
        raise
    return opened


def source_of(link: Link) -> list[tuple[int, int, bytes]]:
    """Return the ancillary data that makes a packet leave by the link with the server's address as its source."""
    return [(socket.IPPROTO_IP, IP_PKTINFO, _PKTINFO.pack(link.index, link.address.packed, ANY.packed))]


ANCILLARY_SPACE: Final = socket.CMSG_SPACE(_PKTINFO.size)


def arrival(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, bytes] | None:
    """Return the index of the interface that a packet came in by and the destination in its IP header, packed."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO and len(data) >= _PKTINFO.size:
            index, _, destination = _PKTINFO.unpack_from(data)
            return index, destination
    return None


def overflowed(opened: socket.socket) -> int:
    """Return how many packets the kernel dropped at this socket, for want of room in its buffer, since it opened."""
    try:
        counters = opened.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _MEMINFO.size)
    except OSError:  # Linux before 4.12.
        return 0
    drops: int = _MEMINFO.unpack(counters)[8]
    return drops

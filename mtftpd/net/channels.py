"""The open sockets of the server by their numbers, and the private epoll that watches them all.

A channel reads without waiting and never raises for what the network did: an ICMP error or a packet from another
interface is counted and gone.
"""

from __future__ import annotations

import resource
import select
import socket
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Final

from mtftpd.core.effects import SendRun, Service
from mtftpd.core.settings import Link, Ports
from mtftpd.errors import StartupError
from mtftpd.net import sockets
from mtftpd.net.alarm import Alarm
from mtftpd.net.bursts import Burster
from mtftpd.net.sockets import Purpose
from mtftpd.wire.datagram import Datagram, Endpoint

MAX_REQUEST: Final = 4_096
"""Octets read from a service socket: DHCP over Ethernet has at most 1,472, a read request 512 (RFC 2347)."""
MAX_ANSWER: Final = 476
"""Octets read from the socket of a transfer: an ACK has 4, an ERROR seldom 100, the rest of a longer text is not
missed.  With the head of a bytes object this is the largest buffer that Python takes from its own pools."""
DESCRIPTORS: Final = 12_288
"""The core has at most 5,000 transfers with two sockets each; files, the journal and the rest fit into what is left."""
LOOPBACK_INDEX: Final = 1
"""The interface index of ``lo`` in every network namespace: what comes in there was sent by this host."""

# Plain numbers: an operator of an enumeration of Python takes 1 us, once for each packet.
_MSG_TRUNC: Final = int(socket.MSG_TRUNC)
_MSG_CONFIRM_ONLY: Final = int(socket.MSG_CONFIRM) | 0x10
"""With MSG_PROBE, which has no name in Python: confirm the route to the peer, and send nothing (udp_sendmsg)."""

_new_datagram = tuple.__new__  # Datagram(...) goes through a Python function; this is three times as fast.


@dataclass(slots=True)
class Errors:
    """What a channel kept from its reader."""

    other_interface: int = 0
    too_long: int = 0
    queued: int = 0
    """Errors that the kernel had for the socket, such as ICMP messages."""


class Channel(ABC):
    """A socket by its number; ``local`` is the server's address and the port bound.

    ``send(data, destination)`` sends one datagram from there; it raises BlockingIOError and OSError.  ``send_to_peer``
    does so to the one peer of a connected socket, and is None for others.
    """

    __slots__ = ("_peer", "backlog", "burster", "errors", "local", "number", "send", "send_to_peer", "socket")

    def __init__(self, number: int, opened: socket.socket, link: Link) -> None:
        self.number = number
        self.socket = opened
        self.local = Endpoint(str(link.address), opened.getsockname()[1])
        self.burster = Burster(opened, link.mtu)
        self.backlog: deque[SendRun] = deque()
        self.errors = Errors()
        self.send: Callable[[bytes | memoryview, Endpoint], object] = opened.sendto
        self.send_to_peer: Callable[[bytes | memoryview], object] | None = None
        self._peer = Endpoint("", 0)

    @abstractmethod
    def receive(self) -> Datagram | None:
        """Return the next datagram; None when there is none, or when there was only an error."""


class TransferChannel(Channel):
    """The connected socket of one transfer."""

    __slots__ = ("_receive", "strangers")

    def __init__(self, number: int, opened: socket.socket, link: Link, strangers: StrangersChannel) -> None:
        super().__init__(number, opened, link)
        self.strangers = strangers
        self._peer = Endpoint(*opened.getpeername())
        self._receive: Callable[[int], bytes] = opened.recv
        self.send_to_peer = opened.send
        self.send = self._send_to_anybody

    def receive(self) -> Datagram | None:
        """Return the next datagram, see `Channel.receive`."""
        try:
            data = self._receive(MAX_ANSWER)
        except BlockingIOError:
            return None
        except OSError:
            self.errors.queued += 1
            return None
        return _new_datagram(Datagram, (self.number, self._peer, self.local, data))

    def _send_to_anybody(self, data: bytes | memoryview, destination: Endpoint) -> None:
        if destination == self._peer:
            self.socket.send(data)
        else:
            self.strangers.send(data, destination)


class ConfirmingChannel(TransferChannel):
    """One that tells the kernel, when a packet has come in, that the client's link-layer address is still right.

    That keeps a neighbour entry alive whose client answers no ARP (quirk Q63), and needs no capability (MSG_CONFIRM).
    It does so for the first packet after each `doubt`: to doubt every second is enough for a kernel that does so after
    5 s (delay_first_probe_time), and costs nothing for each block.
    """

    __slots__ = ()

    def __init__(self, number: int, opened: socket.socket, link: Link, strangers: StrangersChannel) -> None:
        super().__init__(number, opened, link, strangers)
        self.doubt()

    def doubt(self) -> None:
        """Have the next packet confirm the address again."""
        self._receive = self._receive_and_confirm

    def _receive_and_confirm(self, octets: int) -> bytes:
        data = self.socket.recv(octets)
        self._receive = self.socket.recv
        with suppress(OSError):
            self.socket.send(b"", _MSG_CONFIRM_ONLY)
        return data


class StrangersChannel(Channel):
    """Everybody else at the port of a transfer."""

    __slots__ = ()

    def receive(self) -> Datagram | None:
        """Return the next datagram, see `Channel.receive`."""
        try:
            data, source = self.socket.recvfrom(MAX_ANSWER)
        except BlockingIOError:
            return None
        except OSError:
            self.errors.queued += 1
            return None
        return Datagram(self.number, Endpoint(*source), self.local, data)


class ServiceChannel(Channel):
    """A socket that is open as long as the server runs; it knows where each packet was sent to and came in."""

    __slots__ = ("_accepted", "_ancillary", "_destination", "_index", "_recvmsg")

    def __init__(self, number: int, opened: socket.socket, link: Link) -> None:
        super().__init__(number, opened, link)
        self._recvmsg = opened.recvmsg
        self._index = link.index
        self._accepted: list[tuple[int, int, bytes]] = []
        self._destination = self.local
        self._ancillary = sockets.source_of(link)
        if opened.getsockname()[0] == str(sockets.ANY):
            self.send = self._send_from_link

    def receive(self) -> Datagram | None:
        """Return the next datagram, see `Channel.receive`."""
        try:
            data, ancillary, flags, source = self._recvmsg(MAX_REQUEST, sockets.ANCILLARY_SPACE)
        except BlockingIOError:
            return None
        except OSError:
            self.errors.queued += 1
            return None
        # The same way in as the packet before is all there is to know of each ACK of a lock-step pass.
        if ancillary != self._accepted and not self._accept(ancillary):
            self.errors.other_interface += 1
            return None
        if flags & _MSG_TRUNC:
            self.errors.too_long += 1
            return None
        if source != self._peer:
            self._peer = Endpoint(*source)
        return _new_datagram(Datagram, (self.number, self._peer, self._destination, data))

    def _accept(self, ancillary: list[tuple[int, int, bytes]]) -> bool:
        """Take the destination of a packet from its ancillary data; False when it came in by another interface."""
        arrival = sockets.arrival(ancillary)
        if arrival is None or arrival[0] not in (self._index, LOOPBACK_INDEX):
            return False
        self._accepted = ancillary
        self._destination = Endpoint(str(IPv4Address(arrival[1])), self.local.port)
        return True

    def _send_from_link(self, data: bytes | memoryview, destination: Endpoint) -> None:
        self.socket.sendmsg([data], self._ancillary, 0, destination)


@dataclass(frozen=True, slots=True)
class Listening:
    """What the server listens on: ``dhcp`` opens 67 and 4011, ``ttl`` is that of multicast packets."""

    link: Link
    ports: Ports
    dhcp: bool = True
    ttl: int = 1
    discovery_group: IPv4Address | None = None


def swapped(port: int) -> int:
    """Return a port as those read it who take it for the other byte order (quirk Q15)."""
    return (port & 0xFF) << 8 | port >> 8


def _allow_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Channels:
    """All open channels.  ``ports`` holds the ports that were really bound (port 0 lets the kernel choose)."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.epoll = select.epoll()
        self.alarm = Alarm()
        """Wakes whoever waits for the epoll, at a time that is set."""
        self.epoll.register(self.alarm.descriptor, select.EPOLLIN)
        self.by_number: dict[int, Channel] = {}
        self.by_descriptor: dict[int, Channel] = {}
        self.ports = Ports()

    @classmethod
    def open(cls, listening: Listening) -> Channels:
        """Open the service sockets.  Raises `Unavailable` and `MissingCapability`, and then nothing stays open."""
        _allow_descriptors()
        channels = cls(listening.link)
        try:
            channels._open_services(listening)
        except BaseException:
            channels.close()
            raise
        return channels

    def _open_services(self, listening: Listening) -> None:
        link, ports = listening.link, listening.ports
        free = "stop that program"
        if listening.dhcp:
            dhcp = Purpose("DHCP", ports.dhcp_server, f"{free}, or serve files only with --mode tftp")
            pxe = Purpose("PXE boot server discovery", ports.pxe, f"{free}, or serve files only with --mode tftp")
            ports = replace(
                ports,
                dhcp_server=self._add(Service.DHCP, sockets.open_broadcast(link, dhcp)),
                pxe=self._add(Service.PXE, sockets.open_broadcast(link, pxe, listening.discovery_group)),
            )
        files = {
            "tftp": (Service.TFTP, Purpose("TFTP", ports.tftp, free)),
            "mtftp_server": (
                Service.MTFTP,
                Purpose("MTFTP", ports.mtftp_server, f"{free}, or choose another --server-port"),
            ),
            "mtftp_ipxe": (
                Service.MTFTP_IPXE,
                Purpose("MTFTP of iPXE", ports.mtftp_ipxe, f"{free}, or choose another --server-port"),
            ),
        }
        if ports.mtftp_ipxe == ports.mtftp_server != 0:
            del files["mtftp_ipxe"]  # One socket for both: the core then names it MTFTP alone.
        bound = {
            name: self._add(number, sockets.open_unicast(link, purpose, listening.ttl))
            for name, (number, purpose) in files.items()
        }
        self.ports = replace(ports, **bound)
        self._open_decoy(listening.link, listening.ports.mtftp_server)

    def _open_decoy(self, link: Link, mtftp_server: int) -> None:
        port = swapped(mtftp_server)
        bound = {channel.local.port for channel in self.by_number.values()}
        if port in bound or port == mtftp_server:
            return
        # It only tells of ROMs that read a port the wrong way round, so a port that is taken is no reason to stop.
        with suppress(StartupError):
            self._add(Service.MTFTP_SWAPPED, sockets.open_unicast(link, Purpose("MTFTP decoy", port, ""), 1))

    def _add(self, number: int, opened: socket.socket) -> int:
        self._watch(ServiceChannel(number, opened, self.link))
        port: int = opened.getsockname()[1]
        return port

    def _watch(self, channel: Channel) -> None:
        self.by_number[channel.number] = channel
        self.by_descriptor[channel.socket.fileno()] = channel
        self.epoll.register(channel.socket.fileno(), select.EPOLLIN)

    def open_transfer(self, number: int, peer: Endpoint, *, confirms: bool = False) -> bool:
        """Open the sockets of a transfer; False when there is no descriptor or port left.

        One that ``confirms`` keeps the kernel's neighbour entry of ``peer`` alive, see `ConfirmingChannel`.
        """
        try:
            connected, others = sockets.open_transfer(self.link, peer)
        except OSError:
            return False
        strangers = StrangersChannel(number, others, self.link)
        self._watch(strangers)
        kind = ConfirmingChannel if confirms else TransferChannel
        self._watch(kind(number, connected, self.link, strangers))
        return True

    def doubt_peers(self) -> None:
        """Have the next packet of each transfer that confirms do so again; to be called about every second."""
        for channel in self.by_number.values():
            if isinstance(channel, ConfirmingChannel):
                channel.doubt()

    def close_transfer(self, number: int) -> None:
        """Close the socket of a transfer, if it is open."""
        channel = self.by_number.pop(number, None)
        if channel is not None:
            self._forget(channel)
        if isinstance(channel, TransferChannel):
            self._forget(channel.strangers)

    def _forget(self, channel: Channel) -> None:
        del self.by_descriptor[channel.socket.fileno()]
        channel.socket.close()

    def await_room(self, channel: Channel, waiting: bool) -> None:
        """Have the epoll report when ``channel`` can send again, or stop that."""
        events = select.EPOLLIN | (select.EPOLLOUT if waiting else 0)
        self.epoll.modify(channel.socket.fileno(), events)

    def close(self) -> None:
        """Close every socket and the epoll."""
        for number in list(self.by_number):
            self.close_transfer(number)
        self.epoll.close()
        self.alarm.close()

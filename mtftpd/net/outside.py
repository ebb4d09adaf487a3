"""UDP as a tester of other people's servers sees it: every datagram with its time, and ICMP errors as arrivals.

A `KernelHost` is an address of this machine.  Clients without an address are in `mtftpd.net.stations`.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

import trio

from mtftpd.errors import MissingCapability, Unavailable
from mtftpd.net.sockets import IP_MULTICAST_ALL, IP_PKTINFO
from mtftpd.wire.datagram import Endpoint

MAX_DATAGRAM: Final = 65_535
RECEIVE_BUFFER: Final = 4 * 1024 * 1024
"""Octets asked for: a second of a group at 20 Mbit/s while Python decodes something else."""

IP_RECVERR: Final = 11
SO_TIMESTAMPNS: Final = 35
_ERROR_QUEUE: Final = 0x2000
_ICMP_ORIGIN: Final = 2

_MREQN: Final = struct.Struct("@4s4si")
_PKTINFO: Final = struct.Struct("@I4s4s")
_TIMESPEC: Final = struct.Struct("@qq")
_ERROR: Final = struct.Struct("=IBBBBII")
"""struct sock_extended_err: errno, origin, type, code, padding, info, data (ip(7))."""
_SPACE: Final = socket.CMSG_SPACE(_PKTINFO.size) + socket.CMSG_SPACE(_TIMESPEC.size) + 128


@dataclass(frozen=True, slots=True)
class Heard:
    """A datagram that arrived, at ``time`` on the clock of trio.

    ``hardware`` is (source, destination) of its frame where that is known.  When ``problem`` is not empty there was
    no datagram but an error, such as an ICMP message: ``data`` is then what it quotes, if anything.
    """

    time: float
    source: Endpoint
    destination: Endpoint
    data: bytes
    hardware: tuple[bytes, bytes] = (b"", b"")
    problem: str = ""


def stamp_of(ancillary: list[tuple[int, int, bytes]]) -> float:
    """Return when the kernel took a packet in, on the clock of trio."""
    now = trio.current_time()
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            age = time.time() - (seconds + nanoseconds / 1e9)
            # A wall clock that was set in between would make nonsense of it.
            return now - age if 0 <= age < 60 else now
    return now


class KernelPort:
    """One UDP port of this machine; with ``group`` it hears that group and nothing else."""

    def __init__(self, address: str, number: int, index: int, group: str | None = None) -> None:
        self._socket = _open(address, number, index, group)
        self._group = group
        _, bound = self._socket.getsockname()
        self.local = Endpoint(address, bound)

    def send(self, data: bytes, destination: Endpoint) -> None:
        """Send one datagram now; one that the kernel has no room for is lost, as on any network."""
        for _ in range(2):
            try:
                self._socket.sendto(data, destination)
                return
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ECONNREFUSED:  # An earlier ICMP error, which `receive` will tell.
                    raise Unavailable(f"cannot send to {destination}: {error.strerror}") from error

    async def receive(self) -> Heard:
        """Return the next datagram or ICMP error."""
        while True:
            heard = self._try()
            if heard is not None:
                return heard
            await trio.lowlevel.wait_readable(self._socket)

    def _try(self) -> Heard | None:
        refused = self._refusal()
        if refused is not None:
            return refused
        try:
            data, ancillary, _, source = self._socket.recvmsg(MAX_DATAGRAM, _SPACE)
        except OSError:  # Nothing there, or an ICMP error whose details come with the next call.
            return self._refusal()
        destination = self.local.address
        for level, kind, content in ancillary:
            if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
                destination = socket.inet_ntoa(_PKTINFO.unpack_from(content)[2])
        return Heard(stamp_of(ancillary), Endpoint(*source), Endpoint(destination, self.local.port), data)

    def _refusal(self) -> Heard | None:
        try:
            data, ancillary, _, asked = self._socket.recvmsg(MAX_DATAGRAM, _SPACE, _ERROR_QUEUE)
        except OSError:
            return None
        for level, kind, content in ancillary:
            if level == socket.IPPROTO_IP and kind == IP_RECVERR and len(content) >= _ERROR.size:
                _, origin, icmp_type, code, *_ = _ERROR.unpack_from(content)
                if origin == _ICMP_ORIGIN:
                    text = f"ICMP type {icmp_type} code {code} for what was sent to {asked[0]}:{asked[1]}"
                    return Heard(stamp_of(ancillary), Endpoint(*asked), self.local, data, problem=text)
        return None

    def close(self) -> None:
        """Close the port, and leave the group."""
        self._socket.close()


class KernelHost:
    """An address of this machine on the interface with this ``index``."""

    def __init__(self, address: str, index: int) -> None:
        self.address = address
        self._index = index

    def open(self, number: int = 0, group: str | None = None) -> KernelPort:
        """Open a UDP port, 0 for any.

        Raises `Unavailable` when somebody else has it and `MissingCapability` when it is a privileged one.
        """
        return KernelPort(self.address, number, self._index, group)

    def close(self) -> None:
        """Nothing to give back: the address is this machine's own."""


def _open(address: str, number: int, index: int, group: str | None) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        opened.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        opened.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        opened.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
        if group is not None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            request = _MREQN.pack(IPv4Address(group).packed, IPv4Address(address).packed, index)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        opened.bind((group or address, number))
    except OSError as error:
        opened.close()
        where = f"UDP port {number} on {group or address}"
        if error.errno in (errno.EACCES, errno.EPERM):
            raise MissingCapability(f"{where}: no permission; run as root") from error
        raise Unavailable(f"{where}: {error.strerror}") from error
    return opened

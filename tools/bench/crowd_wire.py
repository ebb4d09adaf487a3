"""The real end of `tools.bench.crowd`: a packet socket for what is sent to its nodes, a UDP socket for each group.

Everything that comes in has the time at which the kernel took it, so that a crowd that is behind with its reading
knows when each packet was there.
"""

from __future__ import annotations

import contextlib
import ctypes
import select
import socket
import struct
import time
from typing import Final, NamedTuple

from mtftpd.net import sockets
from mtftpd.wire.datagram import Endpoint

ETH_P_ALL, SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_IGNORE_OUTGOING = 3, 263, 1, 23
SO_ATTACH_FILTER, SO_TIMESTAMPNS = 26, 35
PROMISCUOUS: Final = 1
BUFFER: Final = 64 << 20
"""Octets asked for; the kernel counts 1,280 for a block of 512 and doubles what is asked: 100,000 blocks."""
AT_ONCE: Final = 256
"""Datagrams read from one socket before the others have a turn."""
LONGEST: Final = 2_048
NOT_MULTICAST: Final = ((0x30, 0, 0, 0), (0x15, 1, 0, 0x01), (0x06, 0, 0, 0x40000), (0x06, 0, 0, 0))
"""Classic BPF: load octet 0; if it is that of an IPv4 group, take nothing, else the whole frame."""
_TIMESPEC: Final = struct.Struct("@qq")
_SPACE: Final = socket.CMSG_SPACE(_TIMESPEC.size)


class Arrival(NamedTuple):
    """A whole frame, or a UDP payload that ``source`` sent to ``group``; ``when`` is in seconds on the wire's clock."""

    when: float
    data: bytes
    group: Endpoint | None = None
    source: Endpoint = Endpoint("", 0)


class CrowdWire:
    """The sockets on ``interface``, and the clock, which begins at 0."""

    def __init__(self, interface: str) -> None:
        self._index = socket.if_nametoindex(interface)
        self._poll = select.poll()
        self._groups: dict[int, tuple[socket.socket, Endpoint]] = {}
        self._frames = self._open_frames(interface)
        self._began = time.monotonic()
        self._began_on_wall = time.time()

    def begin(self) -> None:
        """Let it be 0 now."""
        self._began, self._began_on_wall = time.monotonic(), time.time()

    def now(self) -> float:
        """Return the time."""
        return time.monotonic() - self._began

    def send(self, frame: bytes) -> None:
        """Send a whole frame; one that the kernel has no room for is lost."""
        with contextlib.suppress(BlockingIOError, InterruptedError):
            self._frames.send(frame)

    def join(self, group: Endpoint) -> None:
        """Hear ``group``; once more changes nothing."""
        if any(known == group for _, known in self._groups.values()):
            return
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._prepare(opened)
        opened.setsockopt(socket.IPPROTO_IP, sockets.IP_MULTICAST_ALL, 0)
        opened.bind(group)
        member = socket.inet_aton(group.address) + bytes(4) + struct.pack("@i", self._index)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        self._groups[opened.fileno()] = (opened, group)

    def receive(self, milliseconds: int) -> list[Arrival]:
        """Return what has come in, in the order in which it came; wait for it so long."""
        found: list[Arrival] = []
        for descriptor, _ in self._poll.poll(milliseconds):
            group = self._groups.get(descriptor)
            if group is None:
                self._read(found, self._frames, None)
            else:
                self._read(found, *group)
        found.sort(key=_when)
        return found

    def overflowed(self) -> int:
        """Return how many packets found no room in a socket."""
        return sum(sockets.overflowed(each) for each in (self._frames, *(each for each, _ in self._groups.values())))

    def _read(self, found: list[Arrival], opened: socket.socket, group: Endpoint | None) -> None:
        offset = self._began_on_wall
        with contextlib.suppress(BlockingIOError):
            for _ in range(AT_ONCE):
                data, ancillary, _, source = opened.recvmsg(LONGEST, _SPACE)
                seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                when = seconds - offset + nanoseconds / 1e9
                found.append(Arrival(when, data) if group is None else Arrival(when, data, group, Endpoint(*source)))

    def _open_frames(self, interface: str) -> socket.socket:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        code = ctypes.create_string_buffer(b"".join(struct.pack("@HBBI", *line) for line in NOT_MULTICAST))
        program = struct.pack("@HP", len(NOT_MULTICAST), ctypes.addressof(code))
        opened.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        self._prepare(opened)
        opened.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        member = struct.pack("@iHH8s", self._index, PROMISCUOUS, 0, bytes(8))
        opened.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, member)
        opened.bind((interface, ETH_P_ALL))
        return opened

    def _prepare(self, opened: socket.socket) -> None:
        opened.setsockopt(socket.SOL_SOCKET, sockets.SO_RCVBUFFORCE, BUFFER)
        opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._poll.register(opened, select.POLLIN)


def _when(arrival: Arrival) -> float:
    return arrival.when

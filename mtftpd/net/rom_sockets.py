"""One simulated ROM over real sockets: performs the actions of a `Node` and feeds it what arrives.

A process of its own for each node, so there is nothing to be fair to: one poll(2), and no event loop.  Loss is drawn
here, one number per datagram, on the way in and on the way out; the link itself loses nothing.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from mtftpd.net import sockets
from mtftpd.net.rom_runs import RunReader
from mtftpd.rom.actions import (
    BROADCAST,
    NO_ADDRESS,
    Action,
    Actions,
    Bind,
    Enter,
    Join,
    Leave,
    Phase,
    TakeAddress,
    Transmit,
    Unbind,
)
from mtftpd.rom.node import Node
from mtftpd.wire.datagram import Endpoint

MAX_DATAGRAM: Final = 9_216
"""Octets read at once: the largest block that a profile asks for (8,192) with its header."""
DRAIN: Final = 64
"""Datagrams read from one socket before the others have a turn."""
LISTENER_PAUSE: Final = 0.003
"""Seconds that a listener lets blocks gather, because it owes nobody an answer: a hundred processes that wake up for
every block would leave the sender no time.  20,000 blocks a second are 60 in that time, less than any buffer."""
RECEIVE_BUFFER: Final = 4 * 1024 * 1024
"""Octets asked for; a ROM has a small ring instead, but polls it far more often than a process gets its turn."""
REPORT_INTERVAL: Final = 0.25
"""Seconds between two calls of ``on_progress`` while nothing else is told."""

_MREQN: Final = struct.Struct("@4s4si")
_PKTINFO: Final = struct.Struct("@I4s4s")


@dataclass(frozen=True, slots=True)
class Attachment:
    """How a ROM hangs on its network.

    ``source`` is where it sends from as long as it has no address: None on a real link, the loopback address on
    ``lo``.  ``configure`` gives the interface the address that DHCP gave the node.
    """

    interface: str
    source: str | None = None
    configure: Callable[[TakeAddress], None] | None = None


@dataclass(slots=True)
class Traffic:
    """Datagrams of one node: lost were those that were drawn, overflowed those that the kernel had no room for."""

    received: int = 0
    sent: int = 0
    lost_in: int = 0
    lost_out: int = 0
    overflowed: int = 0


@dataclass(slots=True)
class Observer:
    """Who is told: each `Enter` with the time, and from time to time that the node is still at it."""

    on_phase: Callable[[Enter], None]
    on_progress: Callable[[], None]
    lose: Callable[[], bool] | None = None
    traffic: Traffic = field(default_factory=Traffic)


class RomSockets:
    """Runs ``node`` on ``attachment`` until it is done or has failed."""

    def __init__(self, node: Node, attachment: Attachment, observer: Observer) -> None:
        self._node = node
        self._attachment = attachment
        self._observer = observer
        self._index = socket.if_nametoindex(attachment.interface)
        self._address: str | None = None
        self._poll = select.poll()
        self._open: dict[Endpoint | int, socket.socket] = {}
        self._by_descriptor: dict[int, tuple[socket.socket, Endpoint]] = {}

    def run(self, until: float) -> None:
        """Power the node on and serve it until it ends or the monotonic clock says ``until``."""
        node, clock = self._node, time.monotonic
        try:
            self._perform(node.power_on(clock()))
            next_report = clock() + REPORT_INTERVAL
            while node.phase not in (Phase.DONE, Phase.FAILED) and clock() < until:
                deadline = node.next_deadline()
                wait = min(until if deadline is None else deadline, next_report) - clock()
                events = self._poll.poll(max(0.0, wait * 1000))
                if events and node.phase is Phase.LISTEN:
                    time.sleep(LISTENER_PAUSE)
                for descriptor, _ in events:
                    self._drain(descriptor)
                now = clock()
                deadline = node.next_deadline()
                if deadline is not None and now >= deadline:
                    self._perform(node.tick(now))
                if now >= next_report:
                    next_report = now + REPORT_INTERVAL
                    self._observer.on_progress()
        finally:
            for key in list(self._open):
                self._remove(key)

    def _drain(self, descriptor: int) -> None:
        entry = self._by_descriptor.get(descriptor)
        if entry is None:  # Closed by what another socket of this round brought.
            return
        opened, destination = entry
        observer, reader, clock = self._observer, RunReader(self._node, destination), time.monotonic
        lose, traffic, take, receive = observer.lose, observer.traffic, reader.take, opened.recvfrom
        for _ in range(DRAIN):
            try:
                data, source = receive(MAX_DATAGRAM)
            except BlockingIOError:
                break
            if lose is not None and lose():
                traffic.lost_in += 1
                continue
            traffic.received += 1
            actions = take(data, source, clock())
            if actions:
                self._perform(actions)
                if opened.fileno() < 0:
                    return
        reader.flush(clock())

    def _perform(self, actions: Actions) -> None:
        for action in actions:
            if type(action) is Transmit:
                self._transmit(action)
            else:
                self._change(action)

    def _change(self, action: Action) -> None:
        match action:
            case Bind(port):
                self._add(port, Endpoint(self._address or BROADCAST, port))
            case Unbind(port):
                self._remove(port)
            case Join(group):
                self._add(group, group)
            case Leave(group):
                self._remove(group)
            case TakeAddress():
                self._take_address(action)
            case Enter():
                self._observer.on_phase(action)

    def _transmit(self, action: Transmit) -> None:
        observer = self._observer
        if observer.lose is not None and observer.lose():
            observer.traffic.lost_out += 1
            return
        opened = self._open.get(action.port)
        if opened is None:  # The last words of a transfer whose port is closed already.
            return
        with contextlib.suppress(BlockingIOError):
            if self._address is None and self._attachment.source is not None:
                packed = socket.inet_aton(self._attachment.source)
                ancillary = _PKTINFO.pack(self._index, packed, bytes(4))
                opened.sendmsg(
                    [action.data], [(socket.IPPROTO_IP, sockets.IP_PKTINFO, ancillary)], 0, action.destination
                )
            else:
                opened.sendto(action.data, action.destination)
        observer.traffic.sent += 1

    def _take_address(self, action: TakeAddress) -> None:
        has_one = action.address != NO_ADDRESS
        if has_one and self._attachment.configure is not None:
            self._attachment.configure(action)
        self._address = action.address if has_one else None
        for key in [key for key in self._open if isinstance(key, int)]:
            self._remove(key)
            self._add(key, Endpoint(self._address or BROADCAST, key))

    def _add(self, key: Endpoint | int, local: Endpoint) -> None:
        """Open a socket for one port, or for one group and its port."""
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        # Broadcasts and groups reach every node that shares an address space, as on a cable.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        opened.setsockopt(socket.IPPROTO_IP, sockets.IP_MULTICAST_ALL, 0)
        self._enlarge(opened)
        name = self._attachment.interface.encode() + b"\0"
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
        opened.bind(("" if local.address == BROADCAST else local.address, local.port))
        if isinstance(key, Endpoint):
            member = _MREQN.pack(socket.inet_aton(key.address), bytes(4), self._index)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        self._open[key] = opened
        self._by_descriptor[opened.fileno()] = (opened, local)
        self._poll.register(opened, select.POLLIN)

    def _enlarge(self, opened: socket.socket) -> None:
        try:
            opened.setsockopt(socket.SOL_SOCKET, sockets.SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except PermissionError:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)

    def _remove(self, key: Endpoint | int) -> None:
        opened = self._open.pop(key)
        del self._by_descriptor[opened.fileno()]
        self._poll.unregister(opened)
        self._observer.traffic.overflowed += sockets.overflowed(opened)
        opened.close()

"""The server of a simulation: the real `BootService`, with a processor that takes time and no sockets.

Datagrams wait, those of DHCP in a queue of their own, and are answered one after the other; a timer that comes due
waits until they are read.  All of that is as in the shell.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from mtftpd.core.dhcp.message_queue import DhcpQueue
from mtftpd.core.effects import (
    FIRST_TRANSFER,
    CloseTransfer,
    Drop,
    DropArp,
    Effects,
    Lookup,
    OpenTransfer,
    Release,
    Report,
    SaveLease,
    Send,
    SendRun,
    Service,
    StuffArp,
)
from mtftpd.core.tftp.block_numbers import number_on_wire
from mtftpd.sim.clock import Clock, Timer
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress

if TYPE_CHECKING:
    from mtftpd.core.service import BootService
    from mtftpd.sim.memory import Content

DHCP_SECONDS: Final = 300e-6
"""What a DHCP message costs the server: 0.3 ms, as measured of the real one."""
PACKET_SECONDS: Final = 10e-6
"""What any other datagram costs it."""
COMMIT_SECONDS: Final = 5e-3
"""How long an ACK waits until its lease is on the disk."""
FIRST_PORT: Final = 32_768
"""Where the kernel takes the ports of transfers from."""
PORTS: Final = 28_232


class Outlet(Protocol):
    """The network as the server sees it."""

    def send(self, datagram: Datagram, hardware: HardwareAddress | None) -> None:
        """Send one datagram to an address or to everybody."""

    def send_blocks(self, source: Endpoint, group: Endpoint, first: int, count: int) -> None:
        """Send blocks of the image to a group."""


class Server:
    """Runs ``service``, which has ``content`` as its only image."""

    def __init__(self, clock: Clock, service: BootService, content: Content, outlet: Outlet) -> None:
        self.group_blocks = 0
        self.first_blocks = 0
        self.unicast_blocks = 0
        self.drops: Counter[str] = Counter()
        self.reports: Counter[str] = Counter()
        self.no_such_port = 0
        self._clock = clock
        self._service = service
        self._content = content
        self._outlet = outlet
        self._timer = Timer(clock, self._tick)
        self._queue: deque[Datagram] = deque()
        self._calls = DhcpQueue()
        self._working = False
        self._address = str(service.settings.link.address)
        self._groups = {binding.group for binding in service.groups.bindings}
        ports = service.settings.ports
        self._port_of: dict[int, int] = {
            Service.DHCP: ports.dhcp_server,
            Service.PXE: ports.pxe,
            Service.TFTP: ports.tftp,
            Service.MTFTP: ports.mtftp_server,
            Service.MTFTP_IPXE: ports.mtftp_ipxe,
        }
        self._socket_of = {port: socket for socket, port in self._port_of.items()}
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            Send: self._send,
            SendRun: self._send_run,
            OpenTransfer: self._open,
            CloseTransfer: self._close,
            Lookup: self._look_up,
            Release: self._nothing,
            SaveLease: self._nothing,
            StuffArp: self._nothing,
            DropArp: self._nothing,
            Drop: self._count_drop,
            Report: self._count_report,
        }

    # -- receive --------------------------------------------------------------------------------------------------

    def arrive(self, datagram: Datagram) -> None:
        """Take a datagram from the network; its ``socket`` is not known yet."""
        socket = self._socket_of.get(datagram.destination.port)
        if socket is None:
            self.no_such_port += 1
            return
        if socket in (Service.DHCP, Service.PXE):
            drop = self._calls.put(datagram._replace(socket=socket))
            if drop is not None:
                self._count_drop(drop)
        else:
            self._queue.append(datagram._replace(socket=socket))
        if not self._working:
            self._work_on()

    def _work_on(self) -> None:
        """Begin with the next datagram: DHCP goes first, as in the shell."""
        is_dhcp = bool(self._calls)
        datagram = self._calls.take() if is_dhcp else self._queue.popleft()
        self._working = True
        self._clock.at(self._clock.now + (DHCP_SECONDS if is_dhcp else PACKET_SECONDS), self._work, datagram)

    def _work(self, datagram: Datagram) -> None:
        self._working = False
        now = self._clock.now
        self._perform(self._service.receive(datagram, now))
        if self._queue or self._calls:
            self._work_on()
        self._timer.set(self._service.next_deadline())

    def _tick(self) -> None:
        if self._working:
            self._timer.set(self._clock.now + PACKET_SECONDS)
            return
        self._perform(self._service.tick(self._clock.now))
        self._timer.set(self._service.next_deadline())

    # -- effects --------------------------------------------------------------------------------------------------

    def _perform(self, effects: Effects) -> None:
        """Perform ``effects``; what awaits a lease to be durable waits for the next commit (one for many)."""
        if (
            effects
            and isinstance(effects[0], SaveLease)
            and any(e.awaited for e in effects if isinstance(e, SaveLease))
        ):
            rest = tuple(effect for effect in effects if not isinstance(effect, SaveLease))
            self._clock.at(self._clock.now + COMMIT_SECONDS, self._perform, rest)
            return
        for effect in effects:
            self._handlers[type(effect)](effect)

    def _send(self, send: Send) -> None:
        source = Endpoint(self._address, self._port_of[send.socket])
        self._outlet.send(Datagram(0, source, send.destination, send.data), send.hardware)

    def _send_run(self, run: SendRun) -> None:
        source = Endpoint(self._address, self._port_of[run.socket])
        if run.destination in self._groups:
            self.group_blocks += run.count
            self.first_blocks += run.first_block == 1
            self._outlet.send_blocks(source, run.destination, run.first_block, run.count)
            return
        self.unicast_blocks += run.count
        for block in range(run.first_block, run.first_block + run.count):
            data = self._content.packet(block, run.block_size, number_on_wire(block, run.rollover))
            self._outlet.send(Datagram(0, source, run.destination, data), None)

    def _open(self, effect: OpenTransfer) -> None:
        port = FIRST_PORT + (effect.socket - FIRST_TRANSFER) % PORTS
        self._port_of[effect.socket] = port
        self._socket_of[port] = effect.socket

    def _close(self, effect: CloseTransfer) -> None:
        port = self._port_of.pop(effect.socket)
        if self._socket_of[port] == effect.socket:
            del self._socket_of[port]

    def _look_up(self, lookup: Lookup) -> None:
        """Answer that there is no other file than the image."""
        self._perform(self._service.looked_up(lookup.request, None, self._clock.now))

    def _nothing(self, effect: Release | SaveLease | StuffArp | DropArp) -> None:
        """Do nothing: the image stays open, nobody starts again, and this network finds everybody without ARP."""

    def _count_drop(self, drop: Drop) -> None:
        self.drops[drop.reason.value] += 1

    def _count_report(self, report: Report) -> None:
        self.reports[report.kind.value] += 1

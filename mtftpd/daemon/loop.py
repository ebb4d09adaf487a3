"""The pump: datagrams in, effects out, and no policy.

trio waits for one descriptor, the private epoll of all sockets.  Once it wakes, the pump serves from that epoll
itself, without a task switch for each packet, for as long as packets keep coming; it gives trio a turn every `SLICE`.
"""

from __future__ import annotations

import gc
import math
import select
import time
from dataclasses import dataclass
from typing import Final, Protocol

import trio

from mtftpd.core.dhcp.message_queue import DhcpQueue
from mtftpd.core.effects import FIRST_TRANSFER, Effects, SendRun, Service
from mtftpd.core.settings import Ports
from mtftpd.daemon.performer import Opener, Outlets, Performer, Sent, Sink, Tap
from mtftpd.daemon.store import Store
from mtftpd.daemon.write_barrier import WriteBarrier
from mtftpd.net.channels import Channel
from mtftpd.net.images import ImageStore
from mtftpd.net.sockets import overflowed
from mtftpd.wire.datagram import Datagram

SLICE: Final = 0.005
"""Seconds between two turns of trio while packets keep coming."""
LINGER: Final = 0.001
"""Seconds to wait inside the epoll for the next packet, while trio waits too; the answer to a block comes sooner."""
SPIN: Final = 0.0001
"""Seconds to ask the epoll again and again, where the packet before came as soon: a pass whose master answers within
them would spend more time in falling asleep and waking up.  Others never see it, so it costs no idle processor."""
WATCH: Final = 1.0
"""Seconds between two looks at whether the open images and the addresses of clients are still what they were, while
anything happens."""
MAX_EVENTS: Final = 64
"""Sockets served between two looks at the others: 64 blocks of 9 us keep a DHCP packet waiting for 0.6 ms."""
MAX_HEARD: Final = 1_024
"""DHCP messages read in one go: 1,024 of 4 us are less than one slice."""
MAX_DRAIN: Final = 16
"""Datagrams read from one socket before the next one has its turn: 16 DHCP requests of 0.3 ms are one slice."""


class PumpedService(Opener, Protocol):
    """What the pump drives: `mtftpd.core.service.BootService`, or a part of it."""

    def receive(self, datagram: Datagram, now: float) -> Effects:
        """Take one datagram."""

    def tick(self, now: float) -> Effects:
        """Do what is due."""

    def next_deadline(self) -> float | None:
        """Return when `tick` is due next, in seconds of the monotonic clock."""


@dataclass(frozen=True, slots=True)
class Counters:
    """A snapshot of the traffic; octets are those of UDP payloads."""

    received: int
    received_octets: int
    waiting: int
    """DHCP messages that were read and are not answered yet."""
    sent: int
    sent_octets: int
    lost: int
    """Datagrams that could not leave."""
    overflowed: int
    """Datagrams that the kernel dropped because a service socket was not read in time."""
    other_interface: int
    too_long: int
    socket_errors: int
    no_socket: int
    drops: dict[str, int]
    """Packets that got no answer, by reason."""


class Pump:
    """Moves datagrams between the sockets and ``service`` until it is cancelled."""

    def __init__(
        self, service: PumpedService, outlets: Outlets, store: ImageStore, sink: Sink, state: Store | None = None
    ) -> None:
        self._service = service
        self._channels = outlets.channels
        self._capture: Tap | None = outlets.capture
        self._neighbours = outlets.neighbours
        self._store = store
        self._sink = sink
        self._performer = Performer(service, outlets, store, sink)
        self._perform = self._performer.perform
        self.barrier = WriteBarrier(state, self._perform, sink.write_down) if state is not None else None
        if self.barrier is not None:
            self._perform = self.barrier.perform
            self._channels.epoll.register(self.barrier.descriptor, select.EPOLLIN)
        self._alarm = outlets.channels.alarm
        # A deadline was near when somebody last looked, so that the next one may be too: sleep no longer than to it.
        self._tight = False
        self._is_due = False
        self._received = 0
        self._received_octets = 0
        self._brisk = False
        self._parked: trio.CancelScope | None = None
        self._next_look = -math.inf
        self._next_watch = -math.inf
        self._calls = DhcpQueue()
        first = (Service.DHCP, Service.PXE)
        self._urgent = frozenset(
            channel.socket.fileno() for number, channel in self._channels.by_number.items() if number in first
        )

    async def run(self, *, task_status: trio.TaskStatus[Ports] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; ``task_status`` is told the ports that are bound."""
        # What start-up made lives as long as the process: the collector need not walk it again and again (a full
        # collection of 60,000 such objects stops all transfers for 10 ms and more).
        gc.collect()
        gc.freeze()
        task_status.started(self._channels.ports)
        try:
            while True:
                is_busy = self._serve()
                self._sink.flush()
                if is_busy:
                    await trio.lowlevel.checkpoint()
                else:
                    await self._park()
        finally:
            self._sink.flush()

    def perform(self, effects: Effects) -> None:
        """Perform effects that did not come from a datagram, such as those of ``service.reconfigure``.

        To be called after every change of the service from outside, even without an effect: its next deadline may
        have become an earlier one.
        """
        self._perform(effects)
        self._sink.flush()
        if self._parked is not None:
            self._parked.cancel()

    def use_tap(self, tap: Tap | None) -> None:
        """Show ``tap`` every datagram from now on, in place of the one before it."""
        self._capture = tap
        self._performer.use_tap(tap)

    def counters(self) -> Counters:
        """Return what was counted so far."""
        channels = [c for n, c in self._channels.by_number.items() if n < FIRST_TRANSFER]
        sent: Sent = self._performer.sent
        return Counters(
            received=self._received,
            received_octets=self._received_octets,
            waiting=len(self._calls),
            sent=sent.datagrams,
            sent_octets=sent.octets,
            lost=sent.lost,
            overflowed=sum(overflowed(channel.socket) for channel in channels),
            other_interface=sum(channel.errors.other_interface for channel in channels),
            too_long=sum(channel.errors.too_long for channel in channels),
            socket_errors=sum(channel.errors.queued for channel in channels),
            no_socket=sent.no_socket,
            drops=dict(sent.drops),
        )

    def owned_neighbours(self) -> int:
        """Return how many entries of ours the kernel's neighbour table holds."""
        return 0 if self._neighbours is None else len(self._neighbours)

    async def _park(self) -> None:
        """Wait for a datagram or the next deadline, whichever is first; costs nothing meanwhile."""
        if self._capture is not None:
            self._capture.flush()
        deadline = self._service.next_deadline()
        patience = math.inf if deadline is None else max(0.0, deadline - time.monotonic())
        if patience < LINGER:
            self._tight = True  # less than trio can tell apart: the next turn sleeps in the epoll
            await trio.lowlevel.checkpoint()
            return
        with trio.move_on_after(patience) as self._parked:
            await trio.lowlevel.wait_readable(self._channels.epoll.fileno())
        self._parked = None

    def _serve(self) -> bool:
        """Serve for up to `SLICE`; False when nothing came for `LINGER` and nothing is due."""
        clock = time.monotonic
        end = clock() + SLICE
        while True:
            events = self._poll()
            now = clock()
            if now >= self._next_watch:
                self._watch(now)
            heard = bool(events or self._calls)
            if heard:
                self._dispatch(events, 1)
            ticked = (self._is_due or now >= self._next_look or not events) and self._tick_if_due(now, heard)
            if not (events or ticked or self._calls):
                return False
            if now >= end:
                return True

    def _poll(self) -> list[tuple[int, int]]:
        """Return the sockets that can be served, after `LINGER` at the latest."""
        poll, clock = self._channels.epoll.poll, time.monotonic
        events = poll(0, MAX_EVENTS)
        if events or self._calls or self._is_due:
            return events
        began = clock()
        if self._brisk:
            while clock() - began < SPIN:
                if events := poll(0, MAX_EVENTS):
                    return events
        if self._tight:
            self._set_alarm()
        events = poll(LINGER, MAX_EVENTS)
        self._brisk = bool(events) and clock() - began < SPIN
        return events

    def _set_alarm(self) -> None:
        """Have the epoll wake up at the next deadline; trio and the epoll's own time-out have a grain of 1 ms."""
        deadline = self._service.next_deadline()
        if deadline is None:
            self._alarm.stop()
        else:
            self._alarm.set(deadline)

    def _tick_if_due(self, now: float, heard: bool) -> bool:
        self._next_look = now + LINGER
        deadline = self._service.next_deadline()
        if deadline is None or deadline > now:
            self._tight = deadline is not None and deadline - now < LINGER
            self._is_due = False
            return False
        self._tight = True
        if heard:
            # A packet that waits in a socket makes its retransmission needless: read what is there first.
            self._dispatch(self._channels.epoll.poll(0, len(self._channels.by_descriptor) or 1), MAX_DRAIN)
            now = time.monotonic()
        self._perform(self._service.tick(now))
        # A pass without a limit is due again at once: then nobody waits for packets, only looks for them.
        deadline = self._service.next_deadline()
        self._is_due = deadline is not None and deadline <= now
        return True

    def _dispatch(self, events: list[tuple[int, int]], limit: int) -> None:
        """Serve the sockets of ``events``: DHCP first, up to ``limit`` datagrams of each other one."""
        urgent = self._urgent
        for descriptor, _ in events:
            if descriptor in urgent:
                events = self._hear_callers(events)
                break
        if self._calls:
            self._answer_calls()
        self._drain(events, limit)

    def _hear_callers(self, events: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Empty the sockets of DHCP that are in ``events`` and return the others."""
        for descriptor, _ in events:
            if descriptor in self._urgent:
                self._hear(self._channels.by_descriptor[descriptor])
        return [event for event in events if event[0] not in self._urgent]

    def _hear(self, channel: Channel) -> None:
        """Empty the socket of a DHCP service: in a storm the kernel keeps the oldest, and the newest are wanted."""
        for _ in range(MAX_HEARD):
            datagram = channel.receive()
            if datagram is None:
                return
            self._received += 1
            self._received_octets += len(datagram[3])
            if self._capture is not None:
                self._capture.datagram(datagram.source, datagram.destination, datagram.data)
            drop = self._calls.put(datagram)
            if drop is not None:
                self._perform((drop,))

    def _answer_calls(self) -> None:
        receive, perform, clock = self._service.receive, self._perform, time.monotonic
        for _ in range(min(len(self._calls), MAX_DRAIN)):
            perform(receive(self._calls.take(), clock()))

    def _drain(self, events: list[tuple[int, int]], limit: int) -> None:
        """Read and answer up to ``limit`` datagrams of each descriptor in ``events``."""
        receive, perform, clock = self._service.receive, self._perform, time.monotonic
        channels, capture, room = self._channels.by_descriptor, self._capture, select.EPOLLOUT
        send_run = self._performer.send_run
        datagrams = octets = 0
        rounds = range(limit)
        for descriptor, mask in events:
            channel = channels.get(descriptor)
            if channel is None:  # Closed by what an earlier socket of this round brought, or no socket at all.
                if descriptor == self._alarm.descriptor:
                    self._alarm.stop()
                    self._next_look = -math.inf
                elif self.barrier is not None and descriptor == self.barrier.descriptor:
                    self.barrier.settle()
                continue
            if mask & room:
                self._performer.resume(channel)
                self._is_due = True  # a pass may have waited for that
            for _ in rounds:
                datagram = channel.receive()
                if datagram is None:
                    break
                datagrams += 1
                octets += len(datagram[3])
                if capture is not None:
                    capture.datagram(datagram.source, datagram.destination, datagram.data)
                effects = receive(datagram, clock())
                # Nearly every packet asks for the next block, and that waits for no lease.
                if len(effects) == 1 and type(run := effects[0]) is SendRun:
                    send_run(run)
                else:
                    perform(effects)
        self._received += datagrams
        self._received_octets += octets

    def _watch(self, now: float) -> None:
        self._next_watch = now + WATCH
        self._channels.doubt_peers()
        for image in self._store.changed():
            self._performer.image_changed(image)

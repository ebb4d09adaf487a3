"""Performs what the core asks for, in order, without waiting.

What a socket has no room for is kept in order where many listen (`SendRun` from a service socket) and is a lost
packet where one client would ask for it again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

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
    StuffArp,
)
from mtftpd.core.images import Image
from mtftpd.daemon.neighbours import Neighbours
from mtftpd.net.capture import Capture
from mtftpd.net.channels import Channel, Channels
from mtftpd.net.frames import HEADER, Frames
from mtftpd.net.images import ImageChanged, ImageStore
from mtftpd.net.link_layer import LinkLayer
from mtftpd.wire.datagram import Endpoint

LIMITED_BROADCAST: Final = "255.255.255.255"
MAX_BACKLOG: Final = 1_024
"""Runs that wait for room on one socket: 1,024 of 10 words are 80 KiB.  More means that the link is down."""


class Sink(Protocol):
    """Where reports and drops go."""

    def report(self, report: Report) -> None:
        """Take one event."""

    def drop(self, drop: Drop, now: float) -> None:
        """Take one packet that got no answer, at ``now`` (seconds, monotonic)."""

    def flush(self) -> None:
        """Do what is done for all together that came in one turn of the pump, which is over."""

    def write_down(self) -> None:
        """Give the store what is to be kept of what came so far."""


class Tap(Protocol):
    """Is shown every datagram that is received or sent."""

    def datagram(self, source: Endpoint, destination: Endpoint, data: bytes) -> None:
        """Look at one datagram."""

    def flush(self) -> None:
        """Nothing is going on for a while."""


class Opener(Protocol):
    """The part of the service that effects lead back to."""

    def looked_up(self, request: int, image: Image | None, now: float) -> Effects:
        """Take the answer to a `Lookup`."""

    def image_changed(self, image: Image, now: float) -> Effects:
        """End what serves ``image``."""

    def congested(self, is_congested: bool, now: float) -> None:
        """Take note that blocks for groups wait for room in a socket, or that none does any longer."""


@dataclass(slots=True)
class Sent:
    """What left the server, and what did not."""

    datagrams: int = 0
    octets: int = 0
    lost: int = 0
    """Datagrams that the kernel refused or had no room for."""
    no_socket: int = 0
    """Effects for a transfer whose socket could not be opened."""
    drops: Counter[str] = field(default_factory=Counter)
    """Packets that got no answer, by the value of their `DropReason`."""


@dataclass(frozen=True, slots=True)
class Outlets:
    """Everything that bytes can leave by."""

    channels: Channels
    link_layer: LinkLayer
    capture: Capture | None = None
    neighbours: Neighbours | None = None


class Performer:
    """Carries out effects; answers to lookups are fed back to ``service`` at once and their effects performed."""

    def __init__(self, service: Opener, outlets: Outlets, store: ImageStore, sink: Sink) -> None:
        self.sent = Sent()
        self._service = service
        self._outlets = outlets
        self._channels = outlets.channels
        self._by_number = outlets.channels.by_number
        self._store = store
        self._frames = Frames(store)
        self._sink = sink
        self._congested: set[int] = set()
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            SendRun: self._send_run,
            Send: self._send,
            OpenTransfer: self._open_transfer,
            CloseTransfer: self._close_transfer,
            Lookup: self._look_up,
            Release: self._release,
            SaveLease: _keep_in_memory,
            StuffArp: self._neighbour,
            DropArp: self._neighbour,
            Drop: self._drop,
            Report: sink.report,
        }
        self.use_tap(outlets.capture)

    def use_tap(self, tap: Tap | None) -> None:
        """Show ``tap`` what is sent from now on; without one, blocks leave on the shortest way."""
        self._tap = tap
        self.send_run = self._handlers[SendRun] = self._send_run if tap is None else self._send_run_captured

    def perform(self, effects: Effects) -> None:
        """Perform ``effects`` in order."""
        handlers = self._handlers
        for effect in effects:
            handlers[type(effect)](effect)

    def image_changed(self, image: Image) -> None:
        """End what serves ``image`` and forget its packets."""
        self._frames.forget(image)
        self.perform(self._service.image_changed(image, time.monotonic()))

    def resume(self, channel: Channel) -> None:
        """Go on with what waited for room on ``channel``."""
        waiting = list(channel.backlog)
        channel.backlog.clear()
        self._channels.await_room(channel, False)
        for run in waiting:
            self.send_run(run)
        if not channel.backlog and channel.number in self._congested:
            self._congested.remove(channel.number)
            if not self._congested:
                self._service.congested(False, time.monotonic())

    def _send_run(self, run: SendRun) -> None:
        number, destination, image, first, count, block_size, rollover = run
        channel = self._by_number.get(number)
        if channel is None:
            self.sent.no_socket += 1
            return
        if channel.backlog:
            self._queue(channel, run)
            return
        try:
            if count == 1:
                frame = self._frames.view(image, first, block_size, rollover)
                if channel.send_to_peer is not None:
                    channel.send_to_peer(frame)
                else:
                    channel.send(frame, destination)
                sent = self.sent
                sent.datagrams += 1
                sent.octets += len(frame)
            else:
                self._send_burst(channel, run)
        except BlockingIOError:
            self._queue(channel, run)
        except OSError:
            self.sent.lost += count
        except ImageChanged:
            self.image_changed(image)

    def _send_burst(self, channel: Channel, run: SendRun) -> None:
        stride = run.block_size + HEADER
        done = 0
        for frames in self._frames.runs(run.image, run.first_block, run.count, run.block_size, run.rollover):
            octets = channel.burster.send(frames, stride, run.destination)
            left = -(-octets // stride)
            done += left
            self.sent.datagrams += left
            self.sent.octets += octets
            if octets < len(frames):
                self._queue(channel, run._replace(first_block=run.first_block + done, count=run.count - done))
                return

    def _send_run_captured(self, run: SendRun) -> None:
        before = self.sent.datagrams
        self._send_run(run)
        channel, capture = self._by_number.get(run.socket), self._tap
        left = self.sent.datagrams - before
        if channel is None or capture is None or not left:
            return
        stride = run.block_size + HEADER
        for frames in self._frames.runs(run.image, run.first_block, left, run.block_size, run.rollover):
            for start in range(0, len(frames), stride):
                capture.datagram(channel.local, run.destination, bytes(frames[start : start + stride]))

    def _queue(self, channel: Channel, run: SendRun) -> None:
        if channel.number >= FIRST_TRANSFER or len(channel.backlog) >= MAX_BACKLOG:
            self.sent.lost += run.count
            return
        if not channel.backlog:
            self._channels.await_room(channel, True)
            if not self._congested:
                self._service.congested(True, time.monotonic())
            self._congested.add(channel.number)
        channel.backlog.append(run)

    def _send(self, send: Send) -> None:
        channel = self._by_number.get(send.socket)
        if channel is None:
            self.sent.no_socket += 1
            return
        destination = send.destination
        try:
            if send.hardware is not None:
                if not self._outlets.link_layer.send(send.hardware, channel.local, destination, send.data):
                    destination = Endpoint(LIMITED_BROADCAST, destination.port)
                    channel.send(send.data, destination)
            else:
                channel.send(send.data, destination)
        except OSError:
            self.sent.lost += 1
            return
        self.sent.datagrams += 1
        self.sent.octets += len(send.data)
        if self._tap is not None:
            self._tap.datagram(channel.local, destination, send.data)

    def _open_transfer(self, effect: OpenTransfer) -> None:
        neighbours = self._outlets.neighbours
        confirms = neighbours is None or not neighbours.covers(effect.peer.address)
        if not self._channels.open_transfer(effect.socket, effect.peer, confirms=confirms):
            self.sent.no_socket += 1

    def _close_transfer(self, effect: CloseTransfer) -> None:
        self._channels.close_transfer(effect.socket)

    def _look_up(self, lookup: Lookup) -> None:
        image = self._store.lookup(lookup.name)
        self.perform(self._service.looked_up(lookup.request, image, time.monotonic()))

    def _release(self, release: Release) -> None:
        if self._store.release(release.image):
            self._frames.forget(release.image)

    def _neighbour(self, effect: StuffArp | DropArp) -> None:
        if self._outlets.neighbours is not None:
            self._outlets.neighbours.want(effect)

    def _drop(self, drop: Drop) -> None:
        self.sent.drops[drop.reason.value] += 1
        self._sink.drop(drop, time.monotonic())


def _keep_in_memory(_lease: SaveLease) -> None:
    """Do nothing: without a state folder, which `mtftpd.daemon.write_barrier` stands for, the core's table is all."""

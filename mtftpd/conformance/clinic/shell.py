"""The clinic with sockets: one task for each port, one for the timer, and the chart in a file."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

import trio

from mtftpd.conformance.clinic import effects
from mtftpd.conformance.clinic.chart import Chart, from_plain, to_plain
from mtftpd.conformance.clinic.effects import AskArp, Effects, Practice, Send
from mtftpd.conformance.clinic.examination import Examination
from mtftpd.conformance.clinic.probes import Probe
from mtftpd.conformance.clinic.reset_images import image_for
from mtftpd.errors import BadConfig, StartupError, Unavailable
from mtftpd.net import interfaces, sockets
from mtftpd.net.arp_socket import ArpSocket
from mtftpd.net.link_layer import LinkLayer
from mtftpd.net.outside import MAX_DATAGRAM
from mtftpd.wire.datagram import Datagram, Endpoint

ADDRESSES: Final = 5
"""The patient's interfaces, up to four, and somebody who is not there."""


@dataclass
class Surgery:
    """One run: on which interface, whom, what, and where the chart is kept."""

    interface: str
    probes: tuple[Probe, ...]
    hardware: bytes = b""
    first: IPv4Address | None = None
    state: Path | None = None
    image: bytes = b""
    say: Callable[[str], None] = print
    chart: Chart = field(default_factory=Chart)


def load(state: Path | None) -> Chart:
    """Return the chart in the file ``state``; an empty one when there is none.  Raises `BadConfig`."""
    if state is None or not state.exists():
        return Chart()
    try:
        return from_plain(json.loads(state.read_text()))
    except (OSError, ValueError) as error:
        raise BadConfig(f"--state {state}: {error}") from error


def save(chart: Chart, state: Path) -> None:
    """Write ``chart`` so that either the old or the new one is there, whatever happens."""
    beside = state.with_name(state.name + ".new")
    try:
        with beside.open("w") as file:
            json.dump(to_plain(chart), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(state)
    except OSError as error:
        raise Unavailable(f"--state {state}: {error.strerror}") from error


async def examine(surgery: Surgery) -> Chart:
    """Serve the patient until everything has been tried; raises what `mtftpd.net` raises."""
    with trio.open_signal_receiver(2, 15) as signals:
        doors = _Doors(surgery)
        try:
            async with trio.open_nursery() as nursery:
                for port in doors.ports:
                    nursery.start_soon(doors.serve, port)
                nursery.start_soon(doors.keep_time)
                nursery.start_soon(doors.hear_arp)
                nursery.start_soon(_until_signal, signals, nursery.cancel_scope)
                await doors.discharged.wait()
                nursery.cancel_scope.cancel()
        except* StartupError as group:
            raise group.exceptions[0] from None
        finally:
            doors.close()
    return surgery.chart


async def _until_signal(signals: object, scope: trio.CancelScope) -> None:
    async for _ in signals:  # type: ignore[attr-defined]
        scope.cancel()


class _Doors:
    """The sockets of a run, and what comes and goes through them."""

    def __init__(self, surgery: Surgery) -> None:
        self._surgery = surgery
        self._link = interfaces.find(surgery.interface)
        self._practice = practice_of(self._link.address, self._link.network.prefixlen, surgery.first)
        self._frames = LinkLayer(self._link)
        self._arp = ArpSocket(self._link)
        surgery.chart.left_out = {
            probe: needed.reason
            for probe, needed in (("unicast", self._frames), ("arp", self._arp))
            if not needed.available
        }
        self.ports: dict[int, socket.socket] = {}
        self.discharged = trio.Event()
        self._changed = trio.Event()
        self._image_for = -1
        self._examination = self._begin()
        try:
            for port in effects.LISTENS:
                purpose = sockets.Purpose("clinic", port, "stop the boot server that has it")
                self.ports[port] = (
                    sockets.open_broadcast(self._link, purpose) if port == effects.DHCP_SERVER
                    else sockets.open_unicast(self._link, purpose, 1)
                )  # fmt: skip
        except BaseException:
            self.close()
            raise
        if not self._examination.remaining():
            self.discharged.set()

    def _begin(self) -> Examination:
        surgery = self._surgery
        architecture = surgery.chart.architecture
        image = surgery.image or image_for(architecture)
        self._image_for = architecture
        return Examination(self._practice, surgery.chart, image, surgery.probes, surgery.hardware)

    async def serve(self, port: int) -> None:
        """Receive on one port."""
        opened = self.ports[port]
        while True:
            await trio.lowlevel.wait_readable(opened)
            with suppress(BlockingIOError):
                while True:
                    data, ancillary, _, source = opened.recvmsg(MAX_DATAGRAM, sockets.ANCILLARY_SPACE)
                    where = sockets.arrival(ancillary)
                    to = str(self._link.address) if where is None else socket.inet_ntoa(where[1])
                    datagram = Datagram(port, Endpoint(*source), Endpoint(to, port), data)
                    self._perform(self._examination.receive(datagram, trio.current_time()))
                    if self._surgery.chart.architecture != self._image_for:
                        self._examination.serve_image(
                            self._surgery.image or image_for(self._surgery.chart.architecture)
                        )
                        self._image_for = self._surgery.chart.architecture

    async def keep_time(self) -> None:
        """Call the machine when it is due."""
        while True:
            self._changed = trio.Event()
            due = self._examination.next_deadline()
            with trio.move_on_at(float("inf") if due is None else due):
                await self._changed.wait()
            self._perform(self._examination.tick(trio.current_time()))

    async def hear_arp(self) -> None:
        """Receive what is said on the link about addresses."""
        while self._arp.available:
            await trio.lowlevel.wait_readable(self._arp)
            with suppress(OSError):  # Nothing more, or that the link was taken down: the patient may come again.
                while True:
                    self._perform(self._examination.hear_arp(self._arp.receive(), trio.current_time()))

    def _perform(self, wanted: Effects) -> None:
        for effect in wanted:
            match effect:
                case Send():
                    self._send(effect)
                case AskArp(address):
                    with suppress(OSError):  # It will be asked again.
                        self._arp.ask(IPv4Address(address))
                case effects.Say(text):
                    self._surgery.say(text)
                case effects.Save() if self._surgery.state is not None:
                    save(self._surgery.chart, self._surgery.state)
                case effects.Discharge():
                    self.discharged.set()
        self._changed.set()

    def _send(self, effect: Send) -> None:
        source = Endpoint(str(self._link.address), effect.port)
        with suppress(OSError):  # What cannot be sent is lost, as on any network.
            if effect.hardware is not None and self._frames.send(
                effect.hardware, source, effect.destination, effect.data
            ):
                return
            ancillary = sockets.source_of(self._link) if effect.port == effects.DHCP_SERVER else []
            self.ports[effect.port].sendmsg([effect.data], ancillary, 0, effect.destination)

    def close(self) -> None:
        """Close everything."""
        self._frames.close()
        self._arp.close()
        for opened in self.ports.values():
            opened.close()


def practice_of(address: IPv4Address, prefix: int, first: IPv4Address | None) -> Practice:
    """Return where the clinic is; without ``first`` it gives out the last addresses of the network, from above."""
    if first is None:
        last = int(address) | (1 << (32 - prefix)) - 1
        free = [IPv4Address(number) for number in range(last - 1, last - 3 - ADDRESSES, -1)]
        free = [each for each in free if each != address][:ADDRESSES]
    else:
        free = [first + number for number in range(ADDRESSES)]
        if address in free:
            raise BadConfig(f"--address {first}: {address} is this machine")
    return Practice(address, prefix, tuple(free))

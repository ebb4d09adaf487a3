"""The running server: one nursery with the pump, the control socket, the watch over files, and signals."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from mtftpd.core.service import BootService
from mtftpd.daemon.control import Control
from mtftpd.daemon.gate import Gate
from mtftpd.daemon.journal import Pairs, say
from mtftpd.daemon.loop import Pump
from mtftpd.daemon.notify import notify, watchdog_seconds
from mtftpd.daemon.plain import plain
from mtftpd.daemon.reload import Reloader
from mtftpd.daemon.settings import rate_text
from mtftpd.daemon.status import Status
from mtftpd.daemon.store import Store
from mtftpd.net.capture import Capture

DRAIN_SECONDS = 30.0
"""How long running transfers may go on after a signal to stop: an image of 30 MiB at 10 Mbit/s takes 25."""
LOOK_SECONDS = 1.0
"""Between two looks at files, and between two writes of the capture to its file."""
DRAIN_STEP = 0.1
STATUS_SECONDS = 10.0
"""Between two lines for ``systemctl status``; less where the watchdog wants to hear more often."""

_STOP = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_STOP, signal.SIGHUP, signal.SIGUSR1)

Task = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Machinery:
    """What serves, all of it open and ready."""

    service: BootService
    gate: Gate
    pump: Pump
    status: Status
    capture: Capture | None
    state: Store | None
    tasks: tuple[Task, ...] = ()
    """What else runs until the server stops: events, hooks, metrics."""


class Server:
    """Runs the machinery until a signal stops it."""

    def __init__(self, machinery: Machinery, reloader: Reloader, control: Path | None) -> None:
        self._machinery = machinery
        self._reloader = reloader
        self._capture_failed = False
        self._asked, self._to_do = trio.open_memory_channel[None](1)
        # Made here and not when running, so that a socket that is taken is told before the server says it is ready.
        self._control = Control(control, machinery.status.commands()) if control is not None else None

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; the second one ends running transfers."""
        with trio.open_signal_receiver(*_SIGNALS) as signals:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._machinery.pump.run)
                if self._control is not None:
                    nursery.start_soon(self._control.serve)
                for task in self._machinery.tasks:
                    nursery.start_soon(task)
                nursery.start_soon(self._keep_telling_systemd)
                nursery.start_soon(self._keep_watching)
                nursery.start_soon(self._keep_flushing)
                nursery.start_soon(self._reload_when_asked)
                self._say_ready()
                await self._obey(signals)
                nursery.cancel_scope.cancel()
        say(logging.INFO, "stopped")

    def _say_ready(self) -> None:
        settings = self._reloader.assembly.settings
        link = settings.link
        say(
            logging.INFO,
            "ready",
            (("interface", link.name), ("address", str(link.address)), ("mode", settings.mode.value),
             ("images", len(self._reloader.assembly.catalogue.images)),
             ("rate", rate_text(self._reloader.assembly.config, link))),
        )  # fmt: skip
        notify("READY=1", f"STATUS=serving {link.name} ({link.address})")

    async def _obey(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number in _STOP:
                await self._drain(signals)
                return
            if number == signal.SIGHUP:
                notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
                with suppress(trio.WouldBlock):  # One that has not begun yet will see what this one was sent for.
                    self._asked.send_nowait(None)
            else:
                self._log_state()

    async def _reload_when_asked(self) -> None:
        """Reload apart from the signals: reading large images takes its time, and a signal to stop must not wait."""
        async for _ in self._to_do:
            await self._reloader.reload()
            notify("READY=1")

    async def _drain(self, signals: AsyncIterator[int]) -> None:
        """Let what runs come to its end, for a limited time; another signal to stop cuts it short."""
        notify("STOPPING=1")
        self._machinery.gate.shut()
        say(logging.INFO, "stopping", (("running", self._running()), ("limit", int(DRAIN_SECONDS))))
        with trio.move_on_after(DRAIN_SECONDS):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_on_stop, signals, nursery.cancel_scope)
                while self._running():  # noqa: ASYNC110 - a snapshot of the core, which has no events
                    await trio.sleep(DRAIN_STEP)
                nursery.cancel_scope.cancel()
        if left := self._running():
            say(logging.WARNING, "transfers-cut", (("running", left),))

    def _running(self) -> int:
        """Return how many transfers and passes have not come to their end."""
        statistics = self._machinery.service.statistics()
        transfers = len(statistics.tftp.transfers) + statistics.multicast.clients
        return transfers + sum(group.block > 0 for group in statistics.mtftp.groups)

    async def _keep_telling_systemd(self) -> None:
        """Say in one line how it goes, and prove to the watchdog that this loop turns; silent without systemd."""
        interval = min(STATUS_SECONDS, watchdog_seconds() / 2)
        while True:
            notify(f"STATUS={self._machinery.status.line()}", "WATCHDOG=1")
            await trio.sleep(interval)

    async def _keep_watching(self) -> None:
        while True:
            await trio.sleep(LOOK_SECONDS)
            await self._reloader.watch()

    async def _keep_flushing(self) -> None:
        while True:
            await trio.sleep(LOOK_SECONDS)
            self._machinery.status.sample()
            self._flush_capture()
            self._look_after_state()

    def _flush_capture(self) -> None:
        capture = self._machinery.capture
        if capture is not None and not self._capture_failed:
            capture.flush()
            self._capture_failed = bool(capture.failure)
            if self._capture_failed:
                say(logging.ERROR, "capture-ended", text=f"the capture cannot be written: {capture.failure}")

    def _look_after_state(self) -> None:
        state, barrier = self._machinery.state, self._machinery.pump.barrier
        if state is not None and barrier is not None:
            state.look()
            barrier.look(time.monotonic())
            self._machinery.pump.perform(())

    def _log_state(self) -> None:
        for part, values in plain(self._machinery.status.status({})).items():
            say(logging.INFO, "state", (("part", part), *_flat(values)))


async def _cancel_on_stop(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for number in signals:
        if number in _STOP:
            scope.cancel()
            return


def _flat(value: Any, name: str = "") -> Pairs:
    """Return numbers and texts of a snapshot as pairs; of a list, how many there are."""
    return tuple(_pairs(value, name))


def _pairs(value: Any, name: str) -> Iterator[tuple[str, str | int]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _pairs(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        yield name or "count", len(value)
    else:
        yield name or "value", value if isinstance(value, int) else str(value)

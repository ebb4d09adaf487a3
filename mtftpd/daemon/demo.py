"""``mtftpd demo``: the real server and simulated ROMs, every one a process, on a network that nothing leaves.

All processes are forked from this one before anything starts a thread or trio, so that a node costs milliseconds.
They are in process groups of their own (an interrupt reaches only this process, which then ends them by their ids)
and die with it, however it ends.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import select
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from mtftpd.daemon import demo_server
from mtftpd.daemon.demo_node import NodeTask, run_node, too_late
from mtftpd.daemon.demo_results import DemoResult, NodeRecord, summarise
from mtftpd.daemon.demo_scene import Scene, set_scene
from mtftpd.errors import Unavailable
from mtftpd.net.namespaces import end_with_parent
from mtftpd.rom.profiles import SPEC, RomProfile

DEFAULT_NODES: Final = 24
DEFAULT_SIZE: Final = 4 * 1024 * 1024
LIMIT: Final = 300.0
"""Seconds until the nodes that have not ended are ended."""
_STARTING: Final = 90.0
"""Seconds until all nodes are plugged in and the server listens; 1,000 nodes take 20, SHA-256 alone 2 per GiB."""
_STEP: Final = 0.1
_GRACE: Final = 2.0
"""Seconds beyond the limit for the nodes to say themselves that their time is over."""
_PATIENCE: Final = 3.0
"""Seconds between SIGTERM and SIGKILL for the server."""


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """What to show; ``image`` None makes a random one; ``loss`` is a fraction, drawn from ``seed`` by each node.

    ``fleet`` is a ROM for each node, by default ``nodes`` times ``profile``.  ``server`` and ``sections`` are what the
    configuration of the server has besides.
    """

    nodes: int = DEFAULT_NODES
    image: Path | None = None
    loss: float = 0.0
    seed: int = 1
    profile: RomProfile = SPEC
    loopback: bool = False
    limit: float = LIMIT
    fleet: tuple[RomProfile, ...] = ()
    server: Mapping[str, Any] = field(default_factory=dict)
    sections: str = ""

    def tasks(self) -> Iterator[tuple[NodeTask, bool]]:
        """Yield the work of each interface, and whether its machine boots from it."""
        first = 1
        for rom in self.fleet or (self.profile,) * self.nodes:
            for number, profile in enumerate(rom.interfaces(), first):
                yield NodeTask(number, first, profile, self.loss, self.seed, self.limit), profile.boots
            first += rom.nics


class Demo:
    """One demo, as a context manager that leaves no process, namespace or file behind.

    ``records`` are those of the interfaces that machines boot from; the others only call.
    """

    def __init__(self, settings: DemoSettings) -> None:
        self._tasks = list(settings.tasks())
        self._interfaces = {task.number: NodeRecord(task.number) for task, _ in self._tasks}
        self.records = [self._interfaces[task.number] for task, boots in self._tasks if boots]
        self._settings = settings
        self._stack = ExitStack()
        self._processes: dict[int, NodeRecord | None] = {}
        self._started = 0.0
        self._unread = b""
        self._gate_is_open = False

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mtftpd-demo-")))
            self._image = (self._settings.image or self._make_image()).resolve()
            self._digest, self.size = _measure(self._image)
            self._scene: Scene = set_scene(len(self.records), loopback=self._settings.loopback)
            stack.callback(self._scene.close)
            self._pipe, self._pipe_end = os.pipe()
            self._gate, self._gate_end = os.pipe()
            for descriptor in (self._pipe, self._pipe_end, self._gate):
                stack.callback(os.close, descriptor)
            stack.callback(self._open_gate)
            stack.callback(self._end_processes)
            gc.freeze()
            stack.callback(gc.unfreeze)
            self._start_processes()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def where(self) -> str:
        """Where it takes place, for people."""
        return self._scene.where

    @property
    def elapsed(self) -> float:
        """Seconds since the nodes were switched on."""
        return time.monotonic() - self._started if self._started else 0.0

    def prepare(self) -> None:
        """Wait until everything is plugged in and the server listens; nothing is switched on yet."""
        for _ in self._wait_for_everybody():
            pass

    def ask(self, command: str) -> dict[str, Any]:
        """Return what the server answers to a command of its control socket."""
        answer = demo_server.ask(self._folder, command)
        if answer is None:
            raise Unavailable(f"the server ended before the demo did:\n{self._last_words()}")
        return answer

    def run(self) -> Iterator[list[NodeRecord]]:
        """Yield the records that changed, again and again (perhaps none), until every node has ended."""
        yield from self._wait_for_everybody()
        self._started = time.monotonic()
        self._open_gate()
        end = self._started + self._settings.limit + _GRACE
        while not all(record.ended for record in self.records) and time.monotonic() < end:
            yield self._listen()
        for record in self.records:
            if not record.ended:
                record.fail(too_late(self._settings.limit, record.phase))

    def result(self) -> DemoResult:
        """Return what came of it; asks the server for its counters."""
        return summarise(self.records, self.ask("status"), digest=self._digest, size=self.size, started=self._started)

    # -- starting -------------------------------------------------------------------------------------------------

    def _make_image(self) -> Path:
        folder = self._folder / "root"
        folder.mkdir()
        image = folder / demo_server.IMAGE_NAME
        image.write_bytes(os.urandom(DEFAULT_SIZE))
        return image

    def _start_processes(self) -> None:
        settings = self._settings
        configuration = demo_server.write_configuration(
            self._folder, self._image, self._scene, settings.server, settings.sections
        )
        log = demo_server.log_file(self._folder)
        self._server = self._fork(partial(demo_server.run_server, configuration, log))
        self._processes[self._server] = None
        for task, _ in self._tasks:
            process = self._fork(partial(run_node, task, self._scene, self._pipe_end, self._gate))
            self._processes[process] = self._interfaces[task.number]

    def _open_gate(self) -> None:
        """Let the nodes start: all of them read from the gate, and wake up when its last writing end is closed."""
        if not self._gate_is_open:
            self._gate_is_open = True
            os.close(self._gate_end)

    def _fork(self, main: Callable[[], int]) -> int:
        parent = os.getpid()
        process = os.fork()
        if process:
            return process
        status = 1
        try:
            os.setpgid(0, 0)
            os.close(self._gate_end)
            end_with_parent()
            if os.getppid() == parent:
                status = main()
        finally:
            # Nothing of the parent may run here: not its handlers, not its exits, not its buffers.
            os._exit(status)

    def _wait_for_everybody(self) -> Iterator[list[NodeRecord]]:
        end = time.monotonic() + _STARTING
        while True:
            changed = self._listen()
            yield changed
            if self._server not in self._processes:
                raise Unavailable(f"the server did not start:\n{self._last_words()}")
            plugged_in = all(record.attached or record.ended for record in self._interfaces.values())
            ready = plugged_in and self._scene.settled()
            if ready and demo_server.ask_status(self._folder) is not None:
                return
            if time.monotonic() > end:
                raise Unavailable(f"not ready after {_STARTING:.0f} s:\n{self._last_words()}")

    # -- listening ------------------------------------------------------------------------------------------------

    def _listen(self) -> list[NodeRecord]:
        """Wait a moment for lines of the nodes and return the records that they change."""
        changed: dict[int, NodeRecord] = {}
        if select.select([self._pipe], [], [], _STEP)[0]:
            self._unread += os.read(self._pipe, 1 << 16)
            *lines, self._unread = self._unread.split(b"\n")
            for line in lines:
                told: dict[str, Any] = json.loads(line)
                record = self._interfaces[told["node"]]
                record.take(told)
                changed[record.number] = record
        else:
            for record in self._reap():
                changed[record.number] = record
        return list(changed.values())

    def _reap(self) -> list[NodeRecord]:
        """Take note of processes that ended; a node that said nothing of its end has crashed."""
        crashed = []
        for process, record in list(self._processes.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if not ended:
                continue
            del self._processes[process]
            if record is not None and not record.ended:
                record.fail(f"its process ended with status {os.waitstatus_to_exitcode(status)}")
                crashed.append(record)
        return crashed

    def _last_words(self) -> str:
        log = demo_server.log_file(self._folder)
        return "\n".join(log.read_text(errors="replace").splitlines()[-5:]) if log.exists() else "it logged nothing"

    # -- ending ---------------------------------------------------------------------------------------------------

    def _end_processes(self) -> None:
        """End the nodes at once and the server by its own way of stopping, if that does not take long."""
        self._reap()
        for process in self._processes:
            os.kill(process, signal.SIGTERM if process == self._server else signal.SIGKILL)
        end = time.monotonic() + _PATIENCE
        while self._processes and time.monotonic() < end:
            self._reap()
            time.sleep(0.01)
        for process in list(self._processes):
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            del self._processes[process]


def _measure(image: Path) -> tuple[str, int]:
    """Return the SHA-256 and the size of a file."""
    try:
        with image.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return digest, stream.tell()
    except OSError as error:
        raise Unavailable(f"--image {image}: {error.strerror}; name a file that can be read") from None

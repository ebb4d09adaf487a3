"""A running server and the passes that it sends at no rate limit; see `tools.bench.throughput`."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtftpd.daemon.client import Client, CommandFailed
from tools.bench import peers
from tools.bench.__main__ import image
from tools.bench.meter import Meter
from tools.lab.segment import Segment

PART = 33_553_919
"""Octets of the largest file that 65,535 blocks of 512 carry: 128 MiB are four of them."""
BLOCK_SIZE = 512
CLIENT_PORT = 1799
PATIENCE = 60.0
STREAM = (sys.executable, "-m", "tools.bench.stream")
RECEIVER = (sys.executable, "-m", "tools.bench.receiver")


@dataclass(slots=True)
class Passes:
    """A server with ``files`` (name -> group), and where it tells its ``events`` and takes orders (``control``)."""

    files: dict[str, str]
    events: Path
    control: Path
    meter: Meter
    seen: list[dict[str, Any]] = field(default_factory=list)

    def start(self, group: str) -> None:
        """Begin a pass; in the moment after the one before it clients may still ask, so the server says no."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with Client(self.control) as client:
                    client.ask("start-session", group=group)
                return
            except CommandFailed:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def ended(self, count: int) -> list[dict[str, Any]]:
        """Wait until ``count`` passes have ended since the last call, and return what the server says of them."""
        deadline = time.monotonic() + PATIENCE
        while True:
            lines = [json.loads(line) for line in self.events.read_text().splitlines()]
            found = [line for line in lines if line["event"] == "pass-ended"][len(self.seen) :]
            if len(found) >= count:
                self.seen += found
                return found
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(found)} of {count} passes have ended after {PATIENCE:.0f} s")
            time.sleep(0.05)


@contextlib.contextmanager
def serving(segment: Segment, folder: Path, parts: int) -> Iterator[Passes]:
    """Run a server of ``parts`` files whose listeners keep up with anything."""
    files = {f"part{number}": f"239.1.1.{number}" for number in range(1, parts + 1)}
    sections = []
    for number, (name, group) in enumerate(files.items()):
        # Each a little shorter than the one before: the same content would have the same group.
        image(folder / "root" / name, PART - number)
        sections.append(f'[[image]]\npath = "{name}"\ngroup = "{group}"\npace = "none"\n')
    config, events, control = folder / "paced.toml", folder / "events", folder / "control"
    events.unlink(missing_ok=True)
    config.write_text("\n".join(sections))
    command = [sys.executable, "-m", "mtftpd", "serve", "--config", str(config), "--interface", "eth0", "--mode",
               "tftp", "--root", str(folder / "root"), "--rate", "none", "--events", str(events), "--control",
               str(control)]  # fmt: skip
    with peers.running(segment, command, 69) as meter:
        yield Passes(files, events, control, meter)


class Members:
    """``receivers`` that listen to ``groups`` and have room for a whole file, which they read when it is over."""

    def __init__(self, segment: Segment, groups: Iterable[str], receivers: int) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._running = [
            segment.start(segment.client(number), *RECEIVER, "join", *groups, **pipes)
            for number in range(1, receivers + 1)
        ]
        for process in self._running:
            assert process.stdout is not None
            process.stdout.readline()

    def ask(self, name: str) -> None:
        """Have the first of them ask for a file."""
        self._tell(self._running[0], name)

    def read(self) -> int:
        """Have them read, one after the other, and return how many packets the one with the fewest had."""
        least = []
        for process in self._running:
            self._tell(process, "read")
            assert process.stdout is not None
            least.append(int(process.stdout.readline()))
        return min(least)

    def close(self) -> None:
        """End them."""
        for process in self._running:
            process.communicate(timeout=PATIENCE)

    def _tell(self, process: subprocess.Popen[bytes], text: str) -> None:
        assert process.stdin is not None
        process.stdin.write(f"{text}\n".encode())
        process.stdin.flush()


def ours(passes: Passes, members: Members, times: int) -> dict[str, Any]:
    """Send the first file ``times`` times, and return how long the passes took."""
    used, seconds, sent, came = 0.0, 0.0, 0, 0
    group = f"{next(iter(passes.files.values()))}:{CLIENT_PORT}"
    for _ in range(times):
        before = passes.meter.seconds()
        passes.start(group)
        (ended,) = passes.ended(1)
        used += passes.meter.seconds() - before
        seconds += ended["milliseconds"] / 1000
        sent += ended["sent"]
        came += members.read()
    return {"seconds": seconds, "blocks": sent, "least_heard": came / sent, "cpu_seconds": used}


def stream(segment: Segment, members: Members, sender: str, block_size: int, group: str, times: int) -> dict[str, Any]:
    """Send as much to ``group`` with a sender of `tools.bench.stream`, as many times."""
    seconds, sent, came = 0.0, 0, 0
    for _ in range(times):
        seen = json.loads(segment.run(segment.server, *STREAM, sender, str(PART), str(block_size), group))
        seconds += seen["seconds"]
        sent += seen["blocks"]
        came += members.read()
    return {"seconds": seconds, "blocks": sent, "least_heard": came / sent}

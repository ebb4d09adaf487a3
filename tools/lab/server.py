"""The server under test: ``mtftpd serve`` as a process of its own, in the server namespace of a segment."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.lab.segment import Segment, stop

READY_SECONDS = 240.0


class Server:
    """A running mtftpd: its process, its control socket and what it logged (JSON lines)."""

    def __init__(self, process: subprocess.Popen[bytes], control: Path, log: Path) -> None:
        self.process = process
        self.control = control
        self.log = log

    def events(self) -> list[dict[str, Any]]:
        """Return everything that was logged so far; a line that is being written is left for the next time."""
        complete, _, _ = self.log.read_text().rpartition("\n")
        return [json.loads(line) for line in complete.splitlines() if line.startswith("{")]

    def ask(self, command: str) -> dict[str, Any]:
        """Send one command to the control socket and return the answer."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(READY_SECONDS)
            client.connect(str(self.control))
            client.sendall(json.dumps({"command": command}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(client.makefile("rb").readline())
        return answer

    def memory(self) -> int:
        """Return the resident memory in bytes."""
        return self._status("VmRSS:")

    def peak_memory(self) -> int:
        """Return the largest resident memory that it ever had, in bytes."""
        return self._status("VmHWM:")

    def _status(self, field: str) -> int:
        for line in Path(f"/proc/{self._pid()}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the server is gone")

    def _pid(self) -> int:
        return self.process.pid  # ``ip netns exec`` replaces itself by the program


@contextlib.contextmanager
def serving(segment: Segment, *options: str | Path, prefix: Sequence[str] = ()) -> Iterator[Server]:
    """Run ``mtftpd serve`` with these options until the block ends; it is ready when the block begins.

    ``prefix`` is a command that runs the rest of its arguments, such as one that gives up rights.
    """
    with tempfile.TemporaryDirectory(prefix="mtftpd-lab-") as folder:
        control, log = Path(folder, "control.sock"), Path(folder, "log")
        notify = Path(folder, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, log.open("wb") as errors:
            ready.bind(str(notify))
            ready.settimeout(READY_SECONDS)
            process = segment.start(
                segment.server, *prefix, sys.executable, "-m", "mtftpd", "serve", "--interface", "eth0", "--log-format",
                "json", "--control", control, "--state", Path(folder, "state"), *options,
                stderr=errors, stdout=errors, env={**os.environ, "NOTIFY_SOCKET": str(notify)},
            )  # fmt: skip
            try:
                _wait_until_ready(ready, process, log)
                yield Server(process, control, log)
            finally:
                stop(process)


def _wait_until_ready(ready: socket.socket, process: subprocess.Popen[bytes], log: Path) -> None:
    try:
        while b"READY=1" not in ready.recv(4096):
            pass
    except TimeoutError:
        status = process.poll()
        raise RuntimeError(f"the server did not get ready (exit status {status}): {log.read_text()}") from None

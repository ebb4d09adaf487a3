"""``--events FILE``: every report of the core as one JSON object a line, for programs.

A line has ``time`` (UTC), ``event`` (a `ReportKind` value), ``address`` and ``hardware`` where they are known, then
the values of the report under their names.  Lines are collected and written by a worker thread, so that a disk that
hangs delays no packet.
"""

from __future__ import annotations

import json
import logging
import os
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

import trio

from mtftpd.core.effects import Report
from mtftpd.daemon.journal import say
from mtftpd.errors import Unavailable

MAX_WAITING = 65_536
"""Lines that wait for the disk: 65,536 * ~500 octets are 33 MB; what comes after them is counted and lost."""
WRITE_SECONDS = 0.2


class Events:
    """Appends to ``path``, which is opened at once so that a path that cannot be used is told before serving."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: deque[str] = deque()
        self._lost = 0
        self._failed = False
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise Unavailable(f"--events {path}: {error.strerror}; name a file that can be written") from None

    def report(self, report: Report) -> None:
        """Take one event."""
        if len(self._waiting) >= MAX_WAITING:
            self._lost += 1
            return
        self._waiting.append(line_of(report, datetime.now(UTC)))

    async def run(self) -> None:
        """Write what has come in, until cancelled; nothing that was taken before is left out."""
        try:
            while True:
                await trio.sleep(WRITE_SECONDS)
                if self._waiting:
                    await trio.to_thread.run_sync(self._write, self._take())
                self._tell()
        finally:
            self._write(self._take())
            os.close(self._descriptor)

    def _take(self) -> bytes:
        lines = "".join(self._waiting)
        self._waiting.clear()
        return lines.encode()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            if not self._failed:
                say(logging.ERROR, "events-lost", text=f"--events {self._path}: {error.strerror}")
            self._failed = True
        else:
            self._failed = False

    def _tell(self) -> None:
        if self._lost:
            say(logging.ERROR, "events-lost", (("count", self._lost),))
            self._lost = 0


def line_of(report: Report, moment: datetime) -> str:
    """Return the line of one report."""
    line: dict[str, str | int] = {
        "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z",
        "event": report.kind.value,
    }
    if report.address:
        line["address"] = report.address
    if report.hardware is not None:
        line["hardware"] = str(report.hardware)
    for name, value in report.detail:
        line.setdefault(name, value)
    return json.dumps(line) + "\n"

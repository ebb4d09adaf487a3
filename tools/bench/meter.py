"""Processor time of a server with all its children, counted by a control group of its own."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from pathlib import Path
from types import TracebackType

CONTROL_GROUPS = Path("/sys/fs/cgroup")
PATIENCE = 10.0
_serial = itertools.count()


class Meter:
    """A control group; what is started through `enter` is counted, forked children included.

    A forking TFTP server cannot be measured by its process times: children that the parent never waits for vanish.
    """

    def __init__(self) -> None:
        name = f"mtftpd-bench-{os.getpid()}-{next(_serial)}"
        first_version = CONTROL_GROUPS / "cpuacct"
        self._folder = (first_version if first_version.is_dir() else CONTROL_GROUPS) / name

    def __enter__(self) -> Meter:
        self._folder.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_children()
        self._folder.rmdir()

    def _end_children(self) -> None:
        """End what a forking server has left behind: a group with processes cannot be removed."""
        deadline = time.monotonic() + PATIENCE
        while left := (self._folder / "cgroup.procs").read_text().split():
            if time.monotonic() > deadline:
                raise RuntimeError(f"processes that do not end: {', '.join(left)}")
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
            time.sleep(0.05)

    def enter(self) -> None:
        """Move the calling process into the group: for ``preexec_fn``."""
        (self._folder / "cgroup.procs").write_text(str(os.getpid()))

    def seconds(self) -> float:
        """Return the processor seconds used so far."""
        usage = self._folder / "cpuacct.usage"
        if usage.exists():
            return int(usage.read_text()) / 1e9
        fields = dict(line.split() for line in (self._folder / "cpu.stat").read_text().splitlines())
        return int(fields["usage_usec"]) / 1e6

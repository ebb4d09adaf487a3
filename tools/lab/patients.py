"""The clinic (`mtftpd conformance rom`) as a process on a segment, and guests that it examines."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.lab import guests
from tools.lab.segment import Segment

SECONDS = 400.0
"""For the few boots of one test; on a quiet machine one takes 4 to 7 s."""
Report = dict[str, Any]


def start(segment: Segment, folder: Path, *probes: str, prefix: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """Start the clinic with all ``probes``, or those named; what it knows, says and reports is in ``folder``."""
    chosen = [word for probe in probes for word in ("--probe", probe)]
    with (folder / "report.json").open("wb") as out, (folder / "said").open("wb") as said:
        return segment.start(
            segment.server, *prefix, sys.executable, "-m", "mtftpd", "conformance", "rom", "--interface", "eth0",
            "--json", "--state", folder / "chart.json", *chosen, stdout=out, stderr=said, stdin=subprocess.DEVNULL,
        )  # fmt: skip


def report_of(clinic: subprocess.Popen[bytes], folder: Path) -> Report:
    """Return the report of a clinic that has everything that it wants to know."""
    assert clinic.wait(SECONDS) == 0, (folder / "said").read_text()
    report: Report = json.loads((folder / "report.json").read_text())
    return report


def examine(segment: Segment, folder: Path, firmware: str, *probes: str, seconds: float = SECONDS) -> Report:
    """Let the clinic examine a guest, switch it on again whenever it is off or has given up, and return the report."""
    clinic = start(segment, folder, *probes)
    deadline = time.monotonic() + seconds
    while clinic.poll() is None:
        guest = guests.boot(segment, 1, folder, firmware=firmware)
        while clinic.poll() is None and guest.process.poll() is None and not guest.gave_up:
            if time.monotonic() > deadline:
                raise TimeoutError((folder / "said").read_text() + guest.console().decode("latin-1"))
            time.sleep(0.05)
        guest.stop()
    return report_of(clinic, folder)

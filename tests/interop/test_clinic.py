"""The clinic with real ROMs, a stock iPXE and OVMF, over as many boots as it has probes; the machines reset themselves.

What must come out was measured before there was a clinic: iPXE hears its group and goes to port 69 when its opens are
not answered; EDK2 asks port 4011 when there is no option 43, and does not read what is said of a group.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mtftpd.conformance.clinic.chart import Chart, to_plain
from tools.lab import guests
from tools.lab.segment import Segment

SECONDS = 400
"""For all boots of one test; on a quiet machine one takes 3 to 10 s."""


def examine(segment: Segment, folder: Path, firmware: str, *probes: str) -> dict[str, Any]:
    """Let the clinic examine a guest, switch it on again whenever it has switched itself off, and return the report."""
    chosen = [word for probe in probes for word in ("--probe", probe)]
    with (folder / "report.json").open("wb") as out, (folder / "said").open("wb") as said:
        clinic = segment.start(
            segment.server, sys.executable, "-m", "mtftpd", "conformance", "rom", "--interface", "eth0", "--json",
            "--state", folder / "chart.json", *chosen, stdout=out, stderr=said, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + SECONDS
        while clinic.poll() is None:
            guest = guests.boot(segment, 1, folder, firmware=firmware)
            while clinic.poll() is None and guest.process.poll() is None:
                assert time.monotonic() < deadline, (folder / "said").read_text() + guest.console().decode("latin-1")
                time.sleep(0.05)
            guest.stop()
    assert clinic.returncode == 0, (folder / "said").read_text()
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def known(folder: Path, **facts: Any) -> None:
    """Leave the chart of an examination that was stopped: what its first boots showed need not be shown again."""
    chart = to_plain(Chart()) | facts
    (folder / "chart.json").write_text(json.dumps(chart))


def test_ipxe_hears_its_group_and_falls_back_when_nobody_answers(tmp_path: Path) -> None:
    known(tmp_path, modes={"careful": True}, asked={"blksize": 1432, "tsize": 0})
    with Segment("cli", taps=1) as segment:
        report = examine(segment, tmp_path, "bios", "group-only", "group-silent")
    assert report["profile"] == "ipxe"
    assert report["modes"]["group-only"] is True
    assert {outcome["probe"] for outcome in report["outcomes"]} == {"group-only", "group-silent"}
    assert report["patience"] is not None
    assert {"no_fallback", "no_igmp", "no_multicast"}.isdisjoint(report["findings"])
    assert "Q59" in report["quirks"]


def test_ovmf_asks_port_4011_and_reads_no_group(tmp_path: Path) -> None:
    known(tmp_path, cure="options", findings=["needs_options"], modes={"careful": False}, architecture=7)
    with Segment("clo", taps=1) as segment:
        report = examine(segment, tmp_path, "uefi", "no-43", "group-only")
    assert report["profile"] == "edk2-now"
    assert {outcome["probe"] for outcome in report["outcomes"]} == {"no-43", "group-only"}
    assert {"asks_4011", "no_multicast"} <= set(report["findings"])
    assert {"need_43_6", "reject_43_1_5"}.isdisjoint(report["findings"])
    assert "multicast = false" in report["node"]

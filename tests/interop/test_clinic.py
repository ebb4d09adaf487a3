"""The clinic with real ROMs, a stock iPXE and OVMF, over as many boots as it has probes; the machines reset themselves.

What must come out was measured before there was a clinic: iPXE hears its group and goes to port 69 when its opens are
not answered; EDK2 asks port 4011 when there is no option 43, and does not read what is said of a group.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtftpd.conformance.clinic.chart import Chart, to_plain
from mtftpd.conformance.clinic.effects import OTHER
from tools.lab import guests
from tools.lab.segment import Segment

SECONDS = 400
"""For all boots of one test; on a quiet machine one takes 3 to 10 s."""


def examine(segment: Segment, folder: Path, firmware: str, *probes: str) -> dict[str, Any]:
    """Let the clinic examine a guest, switch it on again whenever it is off or has given up, and return the report."""
    clinic = started(segment, folder, *probes)
    deadline = time.monotonic() + SECONDS
    while clinic.poll() is None:
        guest = guests.boot(segment, 1, folder, firmware=firmware)
        while clinic.poll() is None and guest.process.poll() is None and not guest.gave_up:
            assert time.monotonic() < deadline, (folder / "said").read_text() + guest.console().decode("latin-1")
            time.sleep(0.05)
        guest.stop()
    return report_of(clinic, folder)


def started(segment: Segment, folder: Path, *probes: str, prefix: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """Start the clinic; what it says is in ``said`` of ``folder``, its report in ``report.json``."""
    chosen = [word for probe in probes for word in ("--probe", probe)]
    with (folder / "report.json").open("wb") as out, (folder / "said").open("wb") as said:
        return segment.start(
            segment.server, *prefix, sys.executable, "-m", "mtftpd", "conformance", "rom", "--interface", "eth0",
            "--json", "--state", folder / "chart.json", *chosen, stdout=out, stderr=said, stdin=subprocess.DEVNULL,
        )  # fmt: skip


def report_of(clinic: subprocess.Popen[bytes], folder: Path) -> dict[str, Any]:
    """Return the report of a clinic that has everything that it wants to know."""
    assert clinic.wait(SECONDS) == 0, (folder / "said").read_text()
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def known(folder: Path, **facts: Any) -> None:
    """Leave the chart of an examination that was stopped: what its first boots showed need not be shown again."""
    chart = to_plain(Chart()) | facts
    (folder / "chart.json").write_text(json.dumps(chart))


def test_ipxe_hears_its_group_and_falls_back_when_nobody_answers(tmp_path: Path) -> None:
    known(tmp_path, modes={"careful": True}, asked={"blksize": 1432, "tsize": 0})
    with Segment("cli", taps=1) as segment:
        report = examine(segment, tmp_path, "bios", "group-only", "group-silent", "arp")
    assert report["profile"] == "ipxe"
    assert report["modes"]["group-only"] is True
    assert {outcome["probe"] for outcome in report["outcomes"]} == {"group-only", "group-silent", "arp"}
    assert report["patience"] is not None
    assert {"no_fallback", "no_igmp", "no_multicast", "arp_silent"}.isdisjoint(report["findings"])
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


def test_a_rom_that_answers_no_arp_is_served_and_found_out(tmp_path: Path) -> None:
    known(tmp_path, modes={"careful": True})
    with Segment("cla", clients=1, addressed=False) as segment:
        clinic = started(segment, tmp_path, "arp")
        wait_until_open(segment, clinic)
        told = segment.run(segment.client(1), sys.executable, "-m", "tools.lab.deaf_rom", "nbp", str(SECONDS), "0")
        report = report_of(clinic, tmp_path)
    assert report["findings"] == ["arp_silent"]
    assert "arp-silent" in report["records"]
    assert json.loads(told)["asked"] > 0


def test_without_the_capability_for_frames_what_needs_them_is_left_out(tmp_path: Path) -> None:
    known(tmp_path, modes={"careful": True})
    with Segment("clf", clients=1) as segment:
        prefix = ("setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", "--")
        report = report_of(started(segment, tmp_path, "arp", "unicast", prefix=prefix), tmp_path)
    assert report["left-out"] == dict.fromkeys(("arp", "unicast"), "CAP_NET_RAW is missing")
    assert not report["outcomes"]
    assert {"arp", "unicast"}.isdisjoint(report["to-do"])


def wait_until_open(segment: Segment, clinic: subprocess.Popen[bytes]) -> None:
    """Wait until the ports of the clinic are open, the last of which is for what comes from a port of its own."""
    deadline = time.monotonic() + SECONDS
    while str(OTHER) not in segment.run(segment.server, "ss", "-Hlun"):
        assert clinic.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)

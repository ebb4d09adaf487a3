"""The clinic with real ROMs, a stock iPXE and OVMF, over as many boots as it has probes; the machines reset themselves.

A few of the probes, those that take the fewest boots; ``specs/real-roms.md`` has what came out of all.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mtftpd.conformance.clinic.chart import Chart, from_plain, to_plain
from mtftpd.conformance.clinic.effects import OTHER
from tools.lab.patients import SECONDS, Report, examine, report_of, start
from tools.lab.segment import Segment
from tools.real_roms import cell, columns


def check_table(report: Report, rom: str, *probes: str) -> None:
    """Fail unless the probes that were made, and no others, show what the table says of ``rom``, but for numbers."""
    chart = from_plain(report)
    assert set(chart.outcomes) == set(probes)
    shown = {probe: re.sub(r"[\d.]+", "N", cell(chart, probe)) for probe in probes}
    assert shown == {probe: re.sub(r"[\d.]+", "N", columns()[rom][probe]) for probe in probes}


def known(folder: Path, **facts: Any) -> None:
    """Leave the chart of an examination that was stopped: what its first boots showed need not be shown again."""
    chart = to_plain(Chart()) | facts
    (folder / "chart.json").write_text(json.dumps(chart))


def test_ipxe_hears_its_group_and_falls_back_when_nobody_answers(tmp_path: Path) -> None:
    known(tmp_path, modes={"careful": True}, asked={"blksize": 1432, "tsize": 0})
    with Segment("cli", taps=1) as segment:
        report = examine(segment, tmp_path, "bios", "group-only", "group-silent")
    check_table(report, "iPXE", "group-only", "group-silent")
    assert report["profile"] == "ipxe"
    assert report["modes"]["group-only"] is True
    assert report["patience"] is not None
    assert "Q59" in report["quirks"]


def test_ovmf_asks_port_4011_and_reads_no_group(tmp_path: Path) -> None:
    known(tmp_path, cure="options", findings=["needs_options"], modes={"careful": False}, architecture=7)
    with Segment("clo", taps=1) as segment:
        report = examine(segment, tmp_path, "uefi", "no-43", "group-only", "arp")
    check_table(report, "OVMF", "no-43", "group-only", "arp")
    assert report["profile"] == "edk2-now"
    assert {"asks_4011", "no_multicast"} <= set(report["findings"])
    assert {"need_43_6", "reject_43_1_5"}.isdisjoint(report["findings"])
    assert "multicast = false" in report["node"]


def test_a_rom_that_answers_no_arp_is_served_and_found_out(tmp_path: Path) -> None:
    known(tmp_path, modes={"careful": True})
    with Segment("cla", clients=1, addressed=False) as segment:
        clinic = start(segment, tmp_path, "arp")
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
        report = report_of(start(segment, tmp_path, "arp", "unicast", prefix=prefix), tmp_path)
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

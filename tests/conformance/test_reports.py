"""The reports of a run with one case of every end: JUnit, JSON, the page and the captures."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from trio.testing import MockClock

from mtftpd.conformance.ladder import ladder
from mtftpd.conformance.packets import FIRST, LAST, Trace
from mtftpd.conformance.report_files import junit, pcapng, write
from mtftpd.conformance.report_page import page
from mtftpd.conformance.results import Report, plain
from mtftpd.conformance.runner import run_cases
from mtftpd.errors import Unavailable
from mtftpd.wire.captures import CaptureReader
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.pcapng import Captured
from mtftpd.wire.text import frame_summary
from tests.conformance.memory_network import MemoryNetwork
from tests.conformance.test_runner import (
    SERVER,
    SmallServer,
    cannot_begin,
    case,
    fails,
    has_no_image,
    hears_nothing,
    is_wrong_itself,
    make_lab,
    passes,
    report_of,
)


async def run_one_of_each() -> Report:
    network = MemoryNetwork()
    SmallServer(network)
    functions = (passes, fails, cannot_begin, has_no_image, is_wrong_itself)
    made = report_of(*map(case, functions), case(hears_nothing, "TFTP-02"))
    await run_cases(made, lambda found: make_lab(network, found), lambda result: None)
    made.interrupted = "SIGINT"
    return made


async def test_junit_has_a_test_case_for_each_case(autojump_clock: MockClock) -> None:
    report = await run_one_of_each()
    top = ET.fromstring(junit(report))
    (suite,) = top
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("tftp", "6", "2")
    assert (suite.get("errors"), suite.get("skipped")) == ("1", "2")
    (failure,) = suite.findall("testcase[@name='fails']/failure")
    assert failure.get("message") == "packet 2: answer: expected OACK, got TFTP DATA 1, 512 octets"
    assert failure.text is not None
    for said in ("TFTP-01 MUST", "RFC 1350", 'RRQ "boot.img"', "number: 1"):
        assert said in failure.text


async def test_json_has_evidence_and_packets(autojump_clock: MockClock) -> None:
    report = await run_one_of_each()
    data = json.loads(json.dumps(plain(report)))
    (failed,) = (each for each in data["cases"] if each["case"] == "fails")
    assert failed["evidence"] == {
        "field": "answer", "expected": "OACK", "got": "TFTP DATA 1, 512 octets",
        "source": "RFC 1350 sections 2 and 4", "packet": 2,
    }  # fmt: skip
    assert [packet["number"] for packet in failed["packets"]] == [1, 2, 3]
    assert data["conforms"] is False
    assert data["requirements"] == {"TFTP-01": "fail", "TFTP-02": "fail"}


class Page(HTMLParser):
    """Collects what a page refers to, and checks that its elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in ("meta", "br", "line", "polygon"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "polygon"):
            assert self.open.pop() == tag


async def test_the_page_stands_alone_and_tells_everything(autojump_clock: MockClock) -> None:
    report = await run_one_of_each()
    text = page(report)
    parsed = Page()
    parsed.feed(text)
    assert parsed.open == []
    assert all(reference.startswith("#") for reference in parsed.references)
    assert "script" not in parsed.tags
    assert parsed.tags.count("svg") == 2, "a ladder for each failure"
    for said in ("at least one MUST failed", "interrupted: SIGINT", "TFTP-01", "RFC 1350 sections 2 and 4",
                 "KeyError", "2. TFTP DATA 1, 512 octets", 'class="bad"', "no transfer: "):  # fmt: skip
        assert said in text


async def test_names_from_the_network_cannot_break_the_page(autojump_clock: MockClock) -> None:
    network = MemoryNetwork()
    network.server = lambda heard: network.put(
        Endpoint(SERVER, 5000), heard.source, b"\0\5\0\1<script>alert(1)</script>]]>\x01\0"
    )
    report = report_of(case(fails))
    await run_cases(report, lambda found: make_lab(network, found), lambda result: None)
    assert "<script>" not in page(report)
    assert ET.fromstring(junit(report)) is not None


async def test_the_capture_of_a_case_has_its_packets(autojump_clock: MockClock) -> None:
    report = await run_one_of_each()
    octets = pcapng(next(result for result in report.results if result.case.name == "fails"))
    reader = CaptureReader()
    frames = [record for record in reader.feed(octets) if isinstance(record, Captured)]
    reader.finish()
    assert [frame_summary(frame.data).partition(" TFTP ")[2][:9] for frame in frames] == [
        'RRQ "boot', "DATA 1, 5", 'ERROR 0 "',
    ]  # fmt: skip
    assert b"expected OACK" in octets


def test_of_a_long_case_the_beginning_and_the_end_are_kept() -> None:
    trace = Trace(0.0)
    ends = (Endpoint(SERVER, 1), Endpoint("10.0.0.2", 2))
    for number in range(5_000):
        trace.add(float(number), ends, b"", sent=True)
    numbers = [packet.number for packet in trace.packets]
    assert numbers == [*range(1, FIRST + 1), *range(5_001 - LAST, 5_001)]


def test_packets_are_shown_in_the_order_of_time() -> None:
    trace = Trace(10.0)
    ends = (Endpoint(SERVER, 1), Endpoint("10.0.0.2", 2))
    for time in (10.0, 12.0, 11.0):
        trace.add(time, ends, b"", sent=False)
    assert [(packet.number, packet.time) for packet in trace.packets] == [(1, 0.0), (3, 1.0), (2, 2.0)]
    assert " more<" not in ladder(trace.packets, SERVER)


def test_a_ladder_says_what_it_leaves_out() -> None:
    trace = Trace(0.0)
    ends = (Endpoint(SERVER, 1), Endpoint("10.0.0.2", 2))
    for number in range(5_000):
        trace.add(float(number), ends, b"", sent=True)
    drawn = ladder(trace.packets, SERVER, trace.packets[500])
    gaps = [int(gap) for gap in re.findall(r">(\d+) more<", drawn)]
    assert sum(gaps) + drawn.count('class="label"') == 5_000
    assert drawn.count('class="bad"') == 1


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a", b"1")
    write(tmp_path / "a", b"2")
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"2"]
    with pytest.raises(Unavailable, match="missing"):
        write(tmp_path / "missing" / "a", b"")

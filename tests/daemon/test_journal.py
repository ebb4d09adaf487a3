from __future__ import annotations

import io
import json
import logging
import os
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.effects import Drop, DropReason, Report, ReportKind
from mtftpd.daemon import journal
from mtftpd.daemon.journal import DROP_INTERVAL, MAX_DROP_LINES, MAX_SOURCES, Journal, JsonLines, TextLines
from mtftpd.wire.datagram import Endpoint, HardwareAddress

CLIENT = Endpoint("10.0.0.5", 2070)
DONE = Report(
    ReportKind.TFTP_DONE, "10.0.0.5", HardwareAddress(1, bytes(6)), (("file", "a b"), ("size", 512), ("name", "x"))
)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Collect what is logged, as text without the time."""
    found: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(self.format(record).partition(" ")[2])

    handler = Collect()
    handler.setFormatter(TextLines())
    former = journal.LOGGER.level
    journal.LOGGER.addHandler(handler)
    journal.LOGGER.setLevel(logging.INFO)
    yield found
    journal.LOGGER.removeHandler(handler)
    journal.LOGGER.setLevel(former)


def record(level: int, text: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("mtftpd", level, "file", 1, text, (), None)
    made.__dict__.update(extra)
    return made


def test_a_report_is_one_line_and_counted(lines: list[str]) -> None:
    log = Journal()
    log.report(DONE)
    log.report(Report(ReportKind.PASS_ABORTED))
    assert lines == [
        'info tftp-done address=10.0.0.5 hardware=00:00:00:00:00:00 file="a b" size=512 name=x',
        "warning pass-aborted",
    ]
    assert log.reports == {ReportKind.TFTP_DONE: 1, ReportKind.PASS_ABORTED: 1}


def test_drops_are_counted_always_and_said_once_a_minute(lines: list[str]) -> None:
    log = Journal()
    for second in range(3):
        log.drop(Drop(DropReason.MALFORMED, CLIENT, "too short"), 100.0 + second)
    log.drop(Drop(DropReason.MALFORMED, CLIENT._replace(address="10.0.0.6")), 103.0)
    log.drop(Drop(DropReason.STALE_ACK, CLIENT), 104.0)
    log.drop(Drop(DropReason.MALFORMED, CLIENT), 100.0 + DROP_INTERVAL)
    assert lines == [
        'info drop malformed source=10.0.0.5:2070 detail="too short"',
        "info drop malformed source=10.0.0.6:2070",
        "info drop stale-ack source=10.0.0.5:2070",
        "info drop malformed source=10.0.0.5:2070 suppressed=2",
    ]
    assert log.drops == {DropReason.MALFORMED: 5, DropReason.STALE_ACK: 1}


def test_forged_sources_neither_flood_the_log_nor_fill_the_memory(lines: list[str]) -> None:
    log = Journal()
    for number in range(MAX_SOURCES * 2):
        log.drop(Drop(DropReason.MALFORMED, Endpoint(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1)), 5.0)
    assert len(lines) == MAX_DROP_LINES
    assert log.drops[DropReason.MALFORMED] == MAX_SOURCES * 2
    assert len(log._silent_until) == MAX_SOURCES
    log.drop(Drop(DropReason.MALFORMED, CLIENT), 6.0)
    assert len(lines) == MAX_DROP_LINES + 1


def test_json_lines() -> None:
    line = json.loads(JsonLines().format(record(logging.INFO, "", event="tftp-done", kind="report", pairs=DONE.detail)))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {"level": "info", "event": "tftp-done", "kind": "report", "file": "a b", "size": 512, "name": "x"}
    line = json.loads(JsonLines().format(record(logging.ERROR, "odd")))
    assert (line["event"], line["text"]) == ("log", "odd")


def test_values_cannot_replace_the_frame_of_a_line() -> None:
    pairs = (("event", "forged"), ("time", "now"))
    line = json.loads(JsonLines().format(record(logging.INFO, "", event="true", pairs=pairs)))
    assert line["event"] == "true"
    assert line["time"] != "now"


@given(value=st.text(max_size=300), text=st.text(max_size=50))
def test_nothing_forges_a_line(value: str, text: str) -> None:
    made = record(logging.INFO, "", event="e", pairs=(("file", value), ("size", 1)))
    made.msg = text
    for formatter in (TextLines(), TextLines(is_journal=True), JsonLines()):
        line = formatter.format(made)
        assert line.isascii()
        assert line.isprintable()
    assert json.loads(JsonLines().format(made))["file"] == value[: journal.MAX_VALUE]


def test_an_exception_stays_on_one_line() -> None:
    made = record(logging.ERROR, "broken")
    try:
        raise RuntimeError("why")
    except RuntimeError as error:
        made.exc_info = (RuntimeError, error, error.__traceback__)
    line = TextLines().format(made)
    assert "RuntimeError: why" in line
    assert "\n" not in line


def test_the_journal_gets_priorities_and_no_time() -> None:
    assert TextLines(is_journal=True).format(record(logging.WARNING, "x", event="e")) == "<4>e x"
    assert "\x1b[33mwarning\x1b[0m" in TextLines(is_coloured=True).format(record(logging.WARNING, "x"))
    assert "\x1b" not in TextLines(is_coloured=True).format(record(logging.INFO, "x"))


def test_configure_chooses_the_form(root_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    journal.configure("json", stream)
    journal.say(logging.INFO, "ready", (("images", 1),))
    assert json.loads(stream.getvalue())["event"] == "ready"
    reading, writing = os.pipe()
    with os.fdopen(reading) as reader, os.fdopen(writing, "w") as writer:
        status = os.fstat(writer.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        journal.configure("text", writer)
        journal.say(logging.INFO, "ready")
        assert reader.readline() == "<6>ready\n"


def test_lines_of_the_core_are_written_together_and_in_order(
    root_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MAX_HELD", 2)
    stream = io.StringIO()
    journal.configure("text", stream)
    log = Journal()

    def written() -> list[str]:
        return [line.split(" ")[2] for line in stream.getvalue().splitlines()]

    log.report(DONE)
    assert written() == []
    log.flush()
    assert written() == ["tftp-done"]
    log.report(DONE)
    journal.say(logging.INFO, "ready")
    assert written() == ["tftp-done", "tftp-done", "ready"]
    log.report(DONE)
    log.report(Report(ReportKind.PASS_ABORTED))
    assert written()[3:] == ["tftp-done", "pass-aborted"]
    for _ in range(3):
        log.report(DONE)
    assert len(written()) == 8, "no more than two wait"


def test_a_log_that_cannot_be_written_stops_nobody(root_logger: logging.Logger) -> None:
    stream = io.StringIO()
    journal.configure("text", stream)
    log = Journal()
    log.report(DONE)
    stream.close()
    log.flush()
    assert log.reports == {ReportKind.TFTP_DONE: 1}


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    primary, secondary = os.openpty()
    with os.fdopen(primary), os.fdopen(secondary, "w") as terminal:
        monkeypatch.delenv("NO_COLOR", raising=False)
        assert journal._dress(terminal) == (False, True)
        monkeypatch.setenv("NO_COLOR", "1")
        assert journal._dress(terminal) == (False, False)

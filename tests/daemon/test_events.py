from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.effects import Drop, DropReason, Report, ReportKind
from mtftpd.daemon import events as module
from mtftpd.daemon.events import Events, line_of
from mtftpd.daemon.sinks import Sinks
from mtftpd.errors import Unavailable
from mtftpd.wire.datagram import Endpoint, HardwareAddress
from tests.daemon.pump_harness import Records
from tests.daemon.waiting import eventually, lines_of
from tests.patience import PATIENCE

MAC = HardwareAddress(1, bytes.fromhex("5254000a0b0c"))
DONE = Report(ReportKind.NODE_STATE, "10.0.0.9", MAC, (("state", "done"), ("event", "forged")))


def test_a_line_has_time_event_and_values() -> None:
    line = line_of(DONE, datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC))
    assert json.loads(line) == {
        "time": "2026-01-02T03:04:05.678Z", "event": "node-state", "address": "10.0.0.9",
        "hardware": "52:54:00:0a:0b:0c", "state": "done",
    }  # fmt: skip


@given(st.lists(st.tuples(st.text(), st.one_of(st.text(), st.integers())), max_size=5))
def test_whatever_the_network_says_stays_one_line(detail: list[tuple[str, str | int]]) -> None:
    line = line_of(Report(ReportKind.ALARM, detail=tuple(detail)), datetime.now(UTC))
    assert line.count("\n") == 1
    assert line.isascii()
    assert json.loads(line)["event"] == "alarm"


async def test_events_reach_the_file_in_order_and_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text("before\n")
    records = Records()
    events = Events(path)
    sinks = Sinks(records, (events,))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(events.run)
        for number in range(3):
            sinks.report(DONE._replace(address=str(number)))
        with trio.fail_after(PATIENCE):
            await eventually(lambda: len(lines_of(path)) == 4)
        sinks.report(DONE._replace(address="last"))
        nursery.cancel_scope.cancel()
    before, *lines = path.read_text().splitlines()
    assert before == "before"
    assert [json.loads(line)["address"] for line in lines] == ["0", "1", "2", "last"]
    sinks.drop(Drop(DropReason.NOT_PXE, Endpoint("10.0.0.9", 68)), 1.0)
    assert (len(records.reports), len(records.drops)) == (4, 1)


def test_a_disk_that_hangs_costs_events_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    events = Events(tmp_path / "events")
    for _ in range(5):
        events.report(DONE)
    assert len(events._waiting) == 2
    assert events._lost == 3


def test_a_path_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"--events .*: Is a directory; name a file"):
        Events(tmp_path)

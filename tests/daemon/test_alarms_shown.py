"""Every kind of alarm is in the status, on its page, among the events and in the metrics."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from mtftpd.cli.status import MAX_ALARMS, _alarms
from mtftpd.core.nodes.alarms import AlarmKind, Alarms
from mtftpd.daemon.events import line_of
from mtftpd.daemon.metrics import FAMILIES, _at, _lines, _samples
from mtftpd.daemon.plain import plain
from mtftpd.daemon.status import alarm_views

ALARMS = next(family for family in FAMILIES if family.name == "alarms")


def metrics(alarms: Alarms) -> list[str]:
    values = plain({"nodes": alarm_views(alarms.statistics(), 1.0)})
    return _lines(ALARMS, _samples(ALARMS, _at(values, ALARMS.path)))


@pytest.mark.parametrize("kind", AlarmKind, ids=lambda kind: kind.value)
def test_an_alarm_is_shown_everywhere_while_it_lasts(kind: AlarmKind) -> None:
    alarms = Alarms()
    alarms.raise_alarm(kind, "10.0.0.9", "the reason", 0.0)
    alarms.raise_alarm(kind, "10.0.0.9", "the reason", 0.5)
    views = plain(alarm_views(alarms.statistics(), 1.0))
    assert [(each["kind"], each["count"], each["age"], each["since"]) for each in views["alarms"]] == [
        (kind.value, 2, 0.5, 1.0)
    ]
    assert "alarm: the reason (2 x, 0 s ago)" in _alarms(views)
    assert f'mtftpd_alarms{{kind="{kind.value}"}} 1' in metrics(alarms)
    alarms.over(kind, "10.0.0.9")
    began, ended = (json.loads(line_of(report, datetime.now(UTC))) for report in alarms.reports)
    assert (began["event"], began["alarm"]) == ("alarm", kind.value)
    assert (ended["event"], ended["alarm"], ended["count"]) == ("alarm-over", kind.value, 2)
    assert _alarms(plain(alarm_views(alarms.statistics(), 1.0))) == []
    assert f'mtftpd_alarms{{kind="{kind.value}"}} 0' in metrics(alarms)


def test_other_servers_are_listed_and_a_page_has_room_for_nodes() -> None:
    alarms = Alarms()
    for number in range(12):
        alarms.raise_alarm(AlarmKind.FOREIGN_SERVER, f"10.0.0.{number:03}", "text\x1b[2J", 0.0)
    lines = _alarms(plain(alarm_views(alarms.statistics(), 0.0)))
    assert lines[0] == f"{12 - MAX_ALARMS} older alarms: mtftpd status --json"
    assert lines[-1].startswith("other DHCP servers: 10.0.0.000, 10.0.0.001")
    assert len(lines) == MAX_ALARMS + 2
    assert all(line.isprintable() for line in lines)

"""Lease times outlive clock steps and boots."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.daemon.store import sqlite as store_module
from mtftpd.daemon.store import writer as writer_module
from mtftpd.daemon.store.sqlite import SqliteStore
from mtftpd.daemon.store.timescale import STEP, Timescale, this_moment
from tests.daemon.store.test_sqlite import bound, key

SECONDS = st.floats(-1e9, 1e9)


def test_this_machine() -> None:
    now = this_moment()
    assert abs(time.monotonic() + now.offset - time.time()) < STEP
    assert now.boot == this_moment().boot != ""


@given(SECONDS, SECONDS, st.floats(0.0, 1e9))
def test_on_one_boot_the_wall_clock_does_not_matter(offset: float, step: float, later: float) -> None:
    stored = Timescale("a", offset, 1000.0)
    now = Timescale("a", offset + step, 1000.0 + step + later)
    assert stored.resumed(now).offset == offset
    assert stored.step_to(now) == (pytest.approx(step, abs=1e-3) if abs(now.offset - offset) > STEP else 0.0)


@given(SECONDS, SECONDS, st.floats(-1e9, 1e9))
def test_after_another_boot_the_wall_clock_counts_unless_it_is_behind(old: float, new: float, passed: float) -> None:
    now = Timescale("b", new, 5e9 + passed)
    resumed = Timescale("a", old, 5e9).resumed(now)
    assert resumed.boot == "b"
    # The wall time that it reads now: never before what was written last.
    assert resumed.offset - new + now.seen == pytest.approx(max(5e9, now.seen))


class Clocks:
    """The machine's clocks, with hands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.boot, self.offset, self.passed = "first", 1_700_000_000.0, 0.0
        monkeypatch.setattr(store_module, "this_moment", self.read)
        monkeypatch.setattr(writer_module, "this_moment", self.read)

    def read(self) -> Timescale:
        return Timescale(self.boot, self.offset, self.offset + 1000.0 + self.passed)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def left(store: SqliteStore) -> float:
    """Return when the one lease ends on the monotonic clock."""
    (lease,) = store.leases()
    return round(lease.expires, 3)


@pytest.mark.parametrize("step", [3600.0, -3600.0, -1_699_999_000.0])
def test_a_step_while_it_runs(tmp_path: Path, clocks: Clocks, step: float) -> None:
    with closing(SqliteStore(tmp_path)) as store:
        store.save_lease(bound(1, key(1), 5000.0))
        store.wait()
        clocks.offset += step
        commits = store.health().commits
        store.look()
        while store.health().commits == commits:
            time.sleep(0.001)
        store.save_lease(bound(2, key(2), 6000.0))
    assert ends(tmp_path) == [5000.0, 6000.0]
    # Another boot: the monotonic clock begins again, and the wall clock says that 100 s have passed.
    clocks.boot, clocks.offset, clocks.passed = "second", clocks.offset + 900.0, -800.0
    assert ends(tmp_path) == [4100.0, 5100.0]


def ends(folder: Path) -> list[float]:
    with closing(SqliteStore(folder)) as store:
        return [round(lease.expires, 3) for lease in store.leases()]


def test_a_step_between_two_runs_of_one_boot(tmp_path: Path, clocks: Clocks) -> None:
    with closing(SqliteStore(tmp_path)) as store:
        store.save_lease(bound(1, key(1), 5000.0))
    for step in (86_400.0, -90_000.0, 0.0):
        clocks.offset += step
        with closing(SqliteStore(tmp_path)) as store:
            assert left(store) == 5000.0
            store.look()


def test_a_clock_that_lost_its_battery(tmp_path: Path, clocks: Clocks) -> None:
    """The wall clock says 1970: the lease lasts as long as it did at the last write."""
    with closing(SqliteStore(tmp_path)) as store:
        store.save_lease(bound(1, key(1), 5000.0))
    clocks.boot, clocks.offset, clocks.passed = "second", 0.0, -990.0  # Ten seconds after the boot.
    with closing(SqliteStore(tmp_path)) as store:
        assert left(store) == 10.0 + (5000.0 - 1000.0)
        store.look()
    clocks.offset = 1_700_100_000.0  # NTP has come.
    with closing(SqliteStore(tmp_path)) as store:
        assert left(store) == 4010.0


def test_small_corrections_are_no_steps(tmp_path: Path, clocks: Clocks) -> None:
    with closing(SqliteStore(tmp_path)) as store:
        store.wait()
        commits = store.health().commits
        clocks.offset += STEP * 0.9
        store.look()
        store.save_lease(bound(1, key(1), 5000.0))
        store.wait()
        assert store.health().commits == commits + 1
    assert replace(clocks.read(), offset=0.0).step_to(Timescale("x", STEP, 0.0)) == 0.0

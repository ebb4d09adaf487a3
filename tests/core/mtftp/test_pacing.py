"""The pacer: never faster than its rate, bursts only where the timer grain asks for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.mtftp.pacing import (
    CALLS_TOGETHER,
    FASTEST,
    LARGEST_BURST,
    SLOWEST,
    TIMER_GRAIN,
    UNKNOWN,
    Pace,
    Pacer,
    doubted,
    interval_after,
    stated_pace,
)


@pytest.mark.parametrize(
    ("answer_time", "interval"),
    [(None, UNKNOWN), (0.0, FASTEST), (0.0004, 0.0008), (0.05, 0.1), (5.0, SLOWEST)],
)
def test_blocks_leave_at_half_the_speed_of_the_master_within_limits(answer_time: float | None, interval: float) -> None:
    assert interval_after(answer_time) == pytest.approx(interval)


def test_the_slowest_pace_keeps_ipxe_and_the_fastest_fits_100_megabit() -> None:
    assert SLOWEST < 0.25
    assert 8 * (512 + 4 + 8 + 20 + 18 + 8 + 12) / FASTEST < 100e6


def test_a_slow_rom_gets_one_block_at_a_time() -> None:
    pacer = Pacer(0.001, start=10.0)
    assert pacer.deadline == 10.0
    assert pacer.take(9.999) == 0
    assert pacer.take(10.0) == 1
    assert pacer.deadline == pytest.approx(10.001)
    assert pacer.take(10.5) == 1
    assert pacer.deadline == pytest.approx(10.501)


def test_what_falls_due_within_one_grain_leaves_together() -> None:
    pacer = Pacer(0.00025, start=0.0)
    assert pacer.deadline == pytest.approx(0.00075)
    assert pacer.take(0.0006) == 3
    assert pacer.deadline == pytest.approx(0.0015)


@given(
    st.floats(FASTEST, SLOWEST),
    st.lists(st.floats(0.0, 0.3), min_size=1, max_size=60),
)
def test_never_ahead_of_the_rate_and_never_a_large_burst(interval: float, delays: list[float]) -> None:
    """However late the caller is, blocks so far <= elapsed / interval + 1, and each portion is small."""
    pacer = Pacer(interval, start=0.0)
    now, total = 0.0, 0
    for delay in delays:
        now += delay
        portion = pacer.take(now)
        total += portion
        assert portion <= min(LARGEST_BURST, max(1.0, TIMER_GRAIN / interval))
        assert total <= now / interval + 1 + 1e-6


@given(st.floats(FASTEST, SLOWEST))
def test_a_punctual_caller_keeps_the_rate(interval: float) -> None:
    pacer = Pacer(interval, start=0.0)
    now, total = 0.0, 0
    for _ in range(100):
        now = pacer.deadline
        portion = pacer.take(now)
        assert portion >= 1
        total += portion
    assert total == pytest.approx(now / interval + 1, abs=LARGEST_BURST)


@pytest.mark.parametrize(("block_size", "together"), [(512, 64), (1408, 46), (65_464, 1)])
def test_without_a_limit_whole_system_calls_leave_and_more_may_at_once(block_size: int, together: int) -> None:
    pace = stated_pace(0.0, block_size)
    assert pace == (0.0, CALLS_TOGETHER * together)
    pacer = Pacer(pace.interval, 5.0, pace.burst)
    assert pacer.take(4.9) == 0
    for now in (5.0, 5.0, 5.1):
        assert pacer.deadline <= now
        assert pacer.take(now) == pace.burst


def test_a_stated_rate_is_that_of_the_wire_in_bursts_of_one_grain_of_the_timer() -> None:
    pace = stated_pace(200e6, 512)
    assert pace.interval == pytest.approx(582 * 8 / 200e6)
    assert pace.burst == 64
    assert Pacer(pace.interval, 0.0, pace.burst).burst == int(TIMER_GRAIN / pace.interval)
    assert Pacer(stated_pace(10e9, 512).interval, 0.0, 64).burst == 64


def test_a_stated_pace_that_failed_many_is_no_more_than_that_of_a_rom() -> None:
    assert doubted(stated_pace(0.0, 512), 0.5) == Pace(2 * FASTEST, LARGEST_BURST)
    assert doubted(stated_pace(1e6, 512), 0.5).interval == pytest.approx(2 * 582 * 8 / 1e6)

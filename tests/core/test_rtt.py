"""RFC 6298 arithmetic, by hand for the first samples and as properties for the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.rtt import CAP, FLOOR, INITIAL, RoundTrip

SAMPLES = st.lists(st.floats(0.0, 10.0), min_size=1, max_size=50)


def test_before_any_sample_the_initial_timeout_holds() -> None:
    trip = RoundTrip()
    assert trip.smoothed is None
    assert trip.timeout() == INITIAL


def test_first_sample_gives_three_round_trips() -> None:
    """RFC 6298 2.2: SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 * RTTVAR."""
    trip = RoundTrip()
    trip.sample(0.1)
    assert trip.smoothed == 0.1
    assert trip.timeout() == pytest.approx(0.3)


def test_second_sample_is_smoothed() -> None:
    """RFC 6298 2.3: RTTVAR = 3/4 * 0.05 + 1/4 * |0.1 - 0.2|, then SRTT = 7/8 * 0.1 + 1/8 * 0.2."""
    trip = RoundTrip()
    trip.sample(0.1)
    trip.sample(0.2)
    assert trip.smoothed == pytest.approx(0.1125)
    assert trip.deviation == pytest.approx(0.0625)
    assert trip.timeout() == pytest.approx(0.1125 + 4 * 0.0625)
    trip.sample(0.1)
    assert trip.smoothed == pytest.approx(0.1125 - 0.0125 / 8)


def test_repetitions_wait_twice_as_long_each_up_to_the_cap() -> None:
    trip = RoundTrip(floor=0.02, cap=0.1)
    trip.sample(0.0001)
    assert [trip.timeout(attempt) for attempt in range(4)] == [0.02, 0.04, 0.08, 0.1]


@given(SAMPLES, st.integers(0, 5))
def test_always_within_the_limits(samples: list[float], attempt: int) -> None:
    trip = RoundTrip()
    for seconds in samples:
        trip.sample(seconds)
    assert FLOOR <= trip.timeout(attempt) <= CAP
    assert trip.smoothed is not None
    assert min(samples) - 1e-9 <= trip.smoothed <= max(samples) + 1e-9


@given(st.floats(0.0, 1.0))
def test_a_steady_round_trip_is_learnt(seconds: float) -> None:
    trip = RoundTrip()
    for _ in range(100):
        trip.sample(seconds)
    assert trip.smoothed == pytest.approx(seconds)
    assert trip.timeout() == pytest.approx(max(FLOOR, seconds), rel=0.01)


def test_a_timer_that_rings_too_early_waits_longer_and_one_that_is_right_less_again() -> None:
    trip = RoundTrip(floor=FLOOR / 8)
    trip.sample(0.0)
    waits = []
    for _ in range(4):
        waits.append(trip.timeout())
        trip.was_hasty()
    assert waits == pytest.approx([FLOOR / 8, FLOOR / 4, FLOOR / 2, FLOOR])
    assert trip.timeout() == FLOOR
    for _ in range(30):
        trip.was_right()
    assert trip.timeout() == FLOOR / 8


def test_whoever_waits_for_longer_than_the_floor_is_never_too_hasty() -> None:
    trip = RoundTrip(floor=2 * FLOOR)
    trip.sample(0.0)
    trip.was_hasty()
    trip.was_right()
    assert trip.timeout() == 2 * FLOOR

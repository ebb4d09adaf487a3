from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.sim.chance import CALM, Hits, Quality, Wire

PACKETS = 200_000


@given(
    rate=st.sampled_from([0.0, 0.01, 0.3, 1.0]),
    burst=st.sampled_from([1.0, 3.0]),
    parts=st.lists(st.integers(0, 40), max_size=20),
    seed=st.integers(0, 99),
)
def test_any_division_of_a_stream_is_hit_at_the_same_places(
    rate: float, burst: float, parts: list[int], seed: int
) -> None:
    whole, divided, single = (Hits(Random(seed), rate, burst) for _ in range(3))
    expected = whole.take(sum(parts))
    found, start = [], 0
    for part in parts:
        found += [start + offset for offset in divided.take(part)]
        start += part
    assert found == expected
    assert [offset for offset in range(sum(parts)) if single.next()] == expected


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05, 0.5])
@pytest.mark.parametrize("burst", [1.0, 4.0, 20.0])
def test_the_rate_and_the_length_of_bursts_are_what_was_asked_for(rate: float, burst: float) -> None:
    hit = Hits(Random(7), rate, burst).take(PACKETS)
    bursts = 1 + sum(after != before + 1 for before, after in pairwise(hit))
    # Four standard deviations of a count whose independent units are bursts.
    assert abs(len(hit) - rate * PACKETS) < 4 * burst * (2 * rate * PACKETS / burst) ** 0.5
    if burst > 1:
        assert len(hit) / bursts == pytest.approx(burst, rel=0.3)
    else:
        assert len(hit) / bursts == pytest.approx(1 / (1 - rate), rel=0.1)


def test_losing_everything_and_nothing() -> None:
    assert Hits(Random(1), 1.0).take(5) == [0, 1, 2, 3, 4]
    assert Hits(Random(1), 0.0).take(5) == []
    assert Hits(Random(1), 1.0, 4.0).take(3)


def test_a_renewed_state_is_hit_with_the_mean_rate() -> None:
    hits = Hits(Random(3), 0.2, 10.0)
    lost = 0
    for _ in range(10_000):
        hits.renew()
        lost += hits.next()
    assert lost == pytest.approx(2_000, rel=0.1)


def test_a_burst_does_not_outlast_a_silence() -> None:
    """A client that repeats a request every few seconds meets the mean loss each time, not the same burst."""
    dense = Wire(Quality(loss=0.1, burst=50.0), Random(1))
    sparse = Wire(Quality(loss=0.1, burst=50.0), Random(1))
    in_a_row = {"dense": 0, "sparse": 0}
    for name, wire, step in (("dense", dense, CALM / 2), ("sparse", sparse, CALM * 2)):
        lost = [not wire.arrivals(number * step) for number in range(20_000)]
        in_a_row[name] = sum(a and b for a, b in pairwise(lost))
        assert sum(lost) == pytest.approx(2_000, rel=0.35)
    assert in_a_row["dense"] > 4 * in_a_row["sparse"]


def test_a_good_wire_delivers_once_and_at_once() -> None:
    wire = Wire(Quality(), Random(1))
    assert {wire.arrivals(0.0) for _ in range(100)} == {(0.0,)}


def test_a_bad_wire_does_everything() -> None:
    wire = Wire(Quality(loss=0.2, duplicate=0.2, reorder=0.2, delay=0.5), Random(1))
    assert not Quality(duplicate=0.1).keeps_order
    assert {wire.arrivals(0.0) for _ in range(500)} == {(), (0.0,), (0.5,), (0.0, 0.0), (0.5, 0.5)}

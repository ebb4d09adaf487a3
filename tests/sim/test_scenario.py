from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.sim.amounts import fraction, mixture, octets, rate
from mtftpd.sim.scenario import PowerOn, Scenario, dealt, power_on, shares


@pytest.mark.parametrize(
    ("text", "value"), [("1000", 1000), ("4M", 4 << 20), ("64k", 65536), ("1.5K", 1536), (" 1G ", 1 << 30)]
)
def test_sizes(text: str, value: int) -> None:
    assert octets(text) == value


@pytest.mark.parametrize(("text", "value"), [("1G", 1e9), ("100M", 1e8), ("9600", 9600.0)])
def test_rates(text: str, value: float) -> None:
    assert rate(text) == value


@pytest.mark.parametrize(("text", "value"), [("1%", 0.01), ("0.1", 0.001), ("0", 0.0), ("50%", 0.5)])
def test_fractions(text: str, value: float) -> None:
    assert fraction(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "x", "-1", "4T", "1e9"])
def test_what_is_no_amount(text: str) -> None:
    for reader in (octets, rate):
        with pytest.raises(ValueError, match="is not"):
            reader(text)


@pytest.mark.parametrize("text", ["", "x%", "51%", "-1%", "nan"])
def test_what_is_no_fraction(text: str) -> None:
    with pytest.raises(ValueError, match=r"percentage|between"):
        fraction(text)


def test_a_rate_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing would ever arrive"):
        rate("0")


def test_mixtures() -> None:
    assert mixture("spec") == (("spec", 100.0),)
    assert mixture("spec=60%, edk1=40") == (("spec", 60.0), ("edk1", 40.0))
    for text in ("", "spec=", "=5%", "spec=0", "spec=101%", "a=1,,b=2", "a=x"):
        with pytest.raises(ValueError, match="NAME=PERCENT"):
            mixture(text)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6), st.integers(0, 500))
def test_shares_are_whole_and_nearest(weights: list[float], count: int) -> None:
    parts = shares(weights, count)
    assert sum(parts) == count
    for weight, part in zip(weights, parts, strict=True):
        assert abs(part - weight / sum(weights) * count) < 1


@given(st.integers(0, 200))
def test_cards_are_dealt_in_proportion(count: int) -> None:
    names = dealt((("a", 60.0), ("b", 40.0)), count, Random(1))
    assert Counter(names)["a"] == shares([60, 40], count)[0]
    assert len(names) == count


def test_ways_to_switch_on() -> None:
    assert power_on("at-once").times(3) == [0, 0, 0]
    assert power_on("staggered:30").times(3) == [0, 10, 20]
    assert power_on("rolling:2/5").times(5) == [0, 0, 5, 5, 10]
    assert power_on("rolling:2/5") == PowerOn(together=2, every=5.0)
    shown = [str(power_on(text)) for text in ("at-once", "staggered:30", "rolling:2/5")]
    assert shown == ["all at once", "one by one over 30 s", "2 each 5 s"]
    for text in ("", "later", "at-once:1", "staggered", "staggered:0", "staggered:x", "rolling:0/1", "rolling:5"):
        with pytest.raises(ValueError, match="no way to switch on"):
            power_on(text)


@pytest.mark.parametrize(("nodes", "size"), [(0, 1), (20_001, 1), (1, 0), (1, 33_553_920)])
def test_limits(nodes: int, size: int) -> None:
    with pytest.raises(ValueError, match="give 1 to"):
        Scenario(nodes, size)

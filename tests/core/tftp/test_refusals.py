"""ERRORs of one address: a burst, then a rate; nothing that is said to others counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.tftp.refusals import BURST, MAX_ADDRESSES, PER_SECOND, Refusals


def test_a_burst_and_then_a_rate() -> None:
    refusals = Refusals()
    assert [refusals.may_tell("10.0.0.1", 5.0) for _ in range(BURST + 3)] == [True] * BURST + [False] * 3
    assert [refusals.may_tell("10.0.0.1", 5.0 + 1 / PER_SECOND) for _ in range(2)] == [True, False]
    assert refusals.may_tell("10.0.0.2", 5.0)
    later = 5.0 + (BURST + 1) / PER_SECOND
    assert [refusals.may_tell("10.0.0.1", later) for _ in range(BURST + 1)] == [True] * BURST + [False]


@given(st.lists(st.floats(0, 3), max_size=400))
def test_never_more_than_burst_and_rate_in_any_stretch_of_time(pauses: list[float]) -> None:
    refusals, now, told = Refusals(), 0.0, []
    for pause in pauses:
        now += pause
        if refusals.may_tell("10.0.0.1", now):
            told.append(now)
    for first, begin in enumerate(told):
        for last in range(first, len(told)):
            assert last - first + 1 <= BURST + PER_SECOND * (told[last] - begin) + 1e-6


@pytest.mark.parametrize("extra", [0, 1])
def test_only_so_many_addresses_are_remembered(extra: int) -> None:
    refusals = Refusals()
    for _ in range(BURST):
        refusals.may_tell("first", 0.0)
    for number in range(MAX_ADDRESSES - 1 + extra):
        refusals.may_tell(str(number), 0.0)
    assert refusals.may_tell("first", 0.0) is bool(extra)

"""Roll-over arithmetic against plain counting (quirk Q95)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.tftp.block_numbers import block_meant, number_on_wire


@pytest.mark.parametrize("rollover", [0, 1])
def test_numbers_are_what_counting_gives(rollover: int) -> None:
    number = 0
    for block in range(200_000):
        assert number_on_wire(block, rollover) == number
        number = rollover if number == 65_535 else number + 1


@given(st.integers(0, 10**7), st.integers(0, 200), st.sampled_from((0, 1)))
def test_a_number_means_the_last_block_that_had_it(newest: int, age: int, rollover: int) -> None:
    block = max(newest - age, 0)
    assert block_meant(number_on_wire(block, rollover), newest, rollover) == block


@given(st.integers(0, 0xFFFF), st.integers(0, 300_000), st.sampled_from((0, 1)))
def test_no_number_means_a_block_that_was_not_sent(number: int, newest: int, rollover: int) -> None:
    block = block_meant(number, newest, rollover)
    assert -1 <= block <= newest
    assert block == -1 or number_on_wire(block, rollover) == number


def test_zero_comes_once_with_roll_over_to_one() -> None:
    assert block_meant(0, 5, 1) == 0
    assert block_meant(0, 65_535, 1) == -1
    assert block_meant(0xFFFF, 0, 1) == -1
    assert block_meant(0, 65_536, 0) == 65_536

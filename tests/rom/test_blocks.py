"""What a client remembers: PXE 2.1 figure 2-5 for the map, Intel's EFI client for the last gap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.rom.blocks import BLOCK_SIZE, BlockMap, LastGap, Step


def feed(blocks: BlockMap | LastGap, numbers: list[int], total: int) -> list[Step]:
    return [blocks.add(number, 100 if number == total else BLOCK_SIZE) for number in numbers]


@pytest.mark.parametrize(
    ("heard", "missed"),
    [
        ([], 0),
        ([13], 0),
        ([13, 14, 17], 2),
        ([1, 2, 3], 0),
        ([5, 1], 3),
        ([13, 14, 17, 15], 1),
        ([13, 14, 17, 15, 16], 0),
        ([13, 13, 17], 3),
    ],
)
def test_missed_counts_holes_after_the_first_block(heard: list[int], missed: int) -> None:
    blocks = BlockMap()
    feed(blocks, heard, total=99)
    assert blocks.missed == missed


@given(st.sets(st.integers(1, 60), min_size=1), st.randoms())
def test_missed_is_the_same_in_every_order(numbers: set[int], chance: object) -> None:
    order = sorted(numbers)
    chance.shuffle(order)  # type: ignore[attr-defined]
    blocks = BlockMap()
    feed(blocks, order, total=99)
    assert blocks.missed == len(set(range(min(numbers), max(numbers) + 1)) - numbers)


@given(st.integers(1, 40), st.data())
def test_the_map_is_complete_exactly_when_every_block_came(total: int, data: st.DataObject) -> None:
    blocks = BlockMap()
    held: set[int] = set()
    for number in data.draw(st.lists(st.integers(1, total), max_size=120)):
        step = blocks.add(number, 7 if number == total else BLOCK_SIZE)
        expected = Step.HELD if number in held else Step.NEW
        held.add(number)
        complete = len(held) == total
        assert step is (Step.COMPLETE if complete and expected is Step.NEW else expected)
        assert blocks.complete == complete
        if complete:
            assert blocks.length == (total - 1) * BLOCK_SIZE + 7


@pytest.mark.parametrize(
    ("first", "second"),
    [((5, 100), (3, 100)), ((5, 100), (5, 512)), ((5, 100), (6, 512)), ((6, 512), (5, 100))],
    ids=["two ends", "an end that is none", "behind the end", "an end before the highest"],
)
def test_what_cannot_be_the_same_image(first: tuple[int, int], second: tuple[int, int]) -> None:
    blocks = BlockMap()
    assert blocks.add(*first) is Step.NEW
    assert blocks.add(*second) is Step.BROKEN


def test_the_map_forgets_nothing_between_passes() -> None:
    blocks = BlockMap()
    feed(blocks, [3, 4], total=4)
    heard = [blocks.heard]
    blocks.begin()
    assert [*heard, blocks.heard] == [True, False]
    assert feed(blocks, [1, 2], total=4) == [Step.NEW, Step.COMPLETE]


def test_the_last_gap_needs_an_end_and_a_beginning_without_gaps() -> None:
    blocks = LastGap()
    blocks.begin()
    assert feed(blocks, [3, 4, 6, 7, 8], total=8) == [Step.NEW] * 4 + [Step.PASS_OVER]
    assert blocks.missed == 1
    blocks.begin()
    assert feed(blocks, [1, 2, 3, 4, 5], total=8) == [Step.NEW] * 4 + [Step.COMPLETE]
    assert blocks.complete
    assert blocks.length == 7 * BLOCK_SIZE + 100


def test_a_gap_in_the_beginning_moves_the_target_down() -> None:
    blocks = LastGap()
    blocks.begin()
    feed(blocks, [6, 7, 8], total=8)
    blocks.begin()
    assert feed(blocks, [1, 2, 4, 5], total=8)[-1] is Step.PASS_OVER
    blocks.begin()
    assert feed(blocks, [1, 2, 3], total=8) == [Step.NEW, Step.NEW, Step.COMPLETE]


@given(st.lists(st.sets(st.integers(1, 12)), max_size=6))
def test_the_last_gap_is_never_complete_without_every_block(passes: list[set[int]]) -> None:
    blocks = LastGap()
    held: set[int] = set()
    for heard in passes:
        blocks.begin()
        for number in sorted(heard):
            step = blocks.add(number, 0 if number == 12 else BLOCK_SIZE)
            held.add(number)
            if step is Step.COMPLETE:
                assert held == set(range(1, 13))
                return
            if step is Step.PASS_OVER:
                break


def test_order_matters_without_a_map() -> None:
    blocks = LastGap()
    blocks.begin()
    assert feed(blocks, [4, 4, 3], total=9) == [Step.NEW, Step.HELD, Step.BROKEN]


def test_lock_step_has_no_gaps() -> None:
    blocks = LastGap()
    blocks.begin()
    feed(blocks, [6, 7, 8], total=8)
    blocks.begin(strict=True)
    assert feed(blocks, [1, 2, 4], total=8) == [Step.NEW, Step.NEW, Step.BROKEN]


def test_two_blocks_heard_while_opening_count() -> None:
    blocks = LastGap()
    blocks.begin(2)
    assert feed(blocks, [2, 3, 4], total=4) == [Step.HELD, Step.NEW, Step.COMPLETE]

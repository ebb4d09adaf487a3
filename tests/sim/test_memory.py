from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mtftpd.sim.memory import UNIT, Content, MarkedMemory

SIZE = 5_000
CONTENT = Content(SIZE, 3)


def data(offset: int, octets: int) -> bytes:
    return b"\0\3\0\0" + CONTENT.octets[offset : offset + octets]


@given(st.lists(st.integers(1, CONTENT.units), max_size=30))
def test_blocks_of_the_unit_size_are_marked_exactly(blocks: list[int]) -> None:
    memory = MarkedMemory(CONTENT)
    for block in blocks:
        memory.write((block - 1) * UNIT, CONTENT.packet(block, UNIT, block))
    assert memory.marks() == sum(1 << block - 1 for block in set(blocks))
    assert memory.holds_everything() == (set(blocks) == set(range(1, CONTENT.units + 1)))
    assert memory.wrong == 0


@given(st.integers(8, SIZE + 100))
def test_an_image_that_comes_in_order_is_whole_at_its_last_block_and_not_before(block_size: int) -> None:
    memory = MarkedMemory(CONTENT)
    for block in range(1, -(-SIZE // block_size) + 1):
        assert not memory.holds_everything()
        memory.write((block - 1) * block_size, CONTENT.packet(block, block_size, block & 0xFFFF))
    assert memory.holds_everything()
    assert memory.marks() == (1 << CONTENT.units) - 1


@given(st.integers(0, SIZE - 1), st.integers(0, 599))
def test_one_wrong_octet_is_noticed(where: int, at: int) -> None:
    memory = MarkedMemory(CONTENT)
    memory.store(0, SIZE)
    assert memory.holds_everything()
    packet = bytearray(data(where, 600))
    position = 4 + at % (len(packet) - 4)
    packet[position] ^= 1
    memory.write(where, bytes(packet))
    assert memory.wrong == 1
    assert not memory.holds_everything()
    assert not memory.marks() >> (where // UNIT) & 1


def test_what_lies_beyond_the_image_is_wrong() -> None:
    memory = MarkedMemory(CONTENT)
    memory.write(SIZE, b"\0\3\0\0x")
    assert memory.wrong == 1


def test_a_run_equals_its_blocks() -> None:
    one, other = MarkedMemory(CONTENT), MarkedMemory(CONTENT)
    for block in (3, 4, 5):
        one.write((block - 1) * UNIT, CONTENT.packet(block, UNIT, block))
    other.store(2 * UNIT, 3 * UNIT)
    assert one.marks() == other.marks() == 0b11100


@given(
    before=st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 2_000)), max_size=4),
    units=st.sets(st.integers(0, CONTENT.units - 2), min_size=1),
)
def test_a_map_equals_its_blocks(before: list[tuple[int, int]], units: set[int]) -> None:
    one, other = MarkedMemory(CONTENT), MarkedMemory(CONTENT)
    for memory in (one, other):
        for offset, octets in before:
            memory.store(offset, octets)
    first = min(units)
    for unit in sorted(units):
        one.store(unit * UNIT, UNIT)
    other.store_map(first * UNIT, sum(1 << unit - first for unit in units))
    assert one.marks() == other.marks()
    assert one.holds_everything() == other.holds_everything()


def test_packets_carry_what_the_standard_says() -> None:
    assert CONTENT.packet(1, 512, 1)[:4] == b"\0\3\0\1"
    assert CONTENT.packet(10, 512, 10)[4:] == CONTENT.octets[9 * 512 :]
    assert Content(1024, 1).packet(3, 512, 3) == b"\0\3\0\3"
    assert Content(100, 1).digest == Content(100, 1).digest != Content(100, 2).digest

"""The bounded table, and what of it has changed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.learning.memory import Memory

MOST = 3


def test_the_oldest_goes_first_and_a_replacement_is_no_younger() -> None:
    memory: Memory[str, int] = Memory(2)
    memory.put("a", 1)
    memory.put("b", 2)
    memory.replace("a", 3)
    assert memory.values() == (3, 2)
    memory.put("c", 4)
    assert (memory.get("a"), memory.values()) == (None, (2, 4))
    memory.put("b", 5)
    assert memory.values() == (4, 5)


def test_what_is_not_known_is_neither_replaced_nor_forgotten() -> None:
    memory: Memory[str, int] = Memory(2)
    memory.replace("a", 1)
    memory.forget("a")
    assert (memory.values(), memory.take_changed()) == ((), ())


@given(st.lists(st.tuples(st.sampled_from(("put", "replace", "forget")), st.integers(0, 5))))
def test_whoever_writes_down_every_change_has_the_table(steps: list[tuple[str, int]]) -> None:
    memory: Memory[int, tuple[int, int]] = Memory(MOST)
    written: dict[int, tuple[int, int]] = {}

    def write() -> None:
        for value, held in memory.take_changed():
            if held:
                written[value[0]] = value
            else:
                del written[value[0]]

    for number, (what, key) in enumerate(steps):
        if what == "put":
            memory.put(key, (key, number))
        elif what == "replace":
            memory.replace(key, (key, number))
        elif what == "forget":
            memory.forget(key)
        write()
        assert sorted(written.values()) == sorted(memory.values())
        assert len(written) <= MOST


def test_changes_that_nobody_takes_do_not_pile_up() -> None:
    memory: Memory[int, int] = Memory(MOST)
    for number in range(10 * MOST):
        memory.put(number, number)
    assert len(memory.take_changed()) == MOST
    assert memory.take_changed() == ()

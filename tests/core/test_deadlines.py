"""The timer heap against the obvious model: a dictionary that is searched."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mtftpd.core.deadlines import Deadlines

KEYS = st.integers(0, 5)
TIMES = st.integers(0, 40).map(float)


class AgainstDictionary(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.deadlines: Deadlines[int] = Deadlines()
        self.model: dict[int, float] = {}

    @rule(key=KEYS, when=TIMES)
    def set(self, key: int, when: float) -> None:
        self.deadlines.set(key, when)
        self.model[key] = when

    @rule(key=KEYS)
    def clear(self, key: int) -> None:
        self.deadlines.clear(key)
        self.model.pop(key, None)

    @rule(now=TIMES)
    def due(self, now: float) -> None:
        keys = self.deadlines.due(now)
        times = [self.model.pop(key) for key in keys]
        assert times == sorted(times)
        assert all(when <= now for when in times)
        assert all(when > now for when in self.model.values())

    @rule()
    def next(self) -> None:
        assert self.deadlines.next() == min(self.model.values(), default=None)

    @invariant()
    def same_size(self) -> None:
        assert len(self.deadlines) == len(self.model)


TestAgainstDictionary = AgainstDictionary.TestCase


@given(st.lists(TIMES, min_size=1))
def test_each_key_comes_due_once(times: list[float]) -> None:
    deadlines: Deadlines[int] = Deadlines()
    for key, when in enumerate(times):
        deadlines.set(key, when)
    keys = deadlines.due(max(times))
    assert sorted(keys) == list(range(len(times)))
    assert deadlines.due(max(times)) == []
    assert deadlines.next() is None


def test_ties_come_in_the_order_in_which_they_were_set() -> None:
    deadlines: Deadlines[str] = Deadlines()
    for key in "cab":
        deadlines.set(key, 1.0)
    assert deadlines.due(1.0) == ["c", "a", "b"]


def test_a_cleared_key_may_be_set_again() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.set("a", 5.0)
    deadlines.clear("a")
    assert deadlines.next() is None
    deadlines.set("a", 7.0)
    assert deadlines.due(6.0) == []
    assert deadlines.due(7.0) == ["a"]


def test_moving_later_adds_nothing_to_the_heap_and_moving_earlier_is_bounded() -> None:
    deadlines: Deadlines[str] = Deadlines()
    for step in range(10_000):
        deadlines.set("later", float(step))
        deadlines.set("earlier", float(-step))
    assert len(deadlines._heap) <= 2 * 2 + 64
    assert deadlines.next() == -9_999.0
    assert deadlines.due(0.0) == ["earlier"]
    assert deadlines.due(9_999.0) == ["later"]


def test_keys_that_come_and_go_leave_nothing_behind() -> None:
    deadlines: Deadlines[int] = Deadlines()
    for key in range(10_000):
        deadlines.set(key, 1e9)
        deadlines.clear(key)
        deadlines.set(-1, float(-key))
    assert len(deadlines._heap) <= 2 * 2 + 64
    assert len(deadlines) == 1
    assert deadlines.due(0.0) == [-1]

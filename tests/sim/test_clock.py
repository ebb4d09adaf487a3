from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mtftpd.sim.clock import Clock, Timer


def run(clock: Clock) -> None:
    while clock.step():
        pass


@given(st.lists(st.integers(0, 20)))
def test_calls_happen_in_order_and_ties_in_the_order_of_asking(times: list[int]) -> None:
    clock, seen = Clock(), list[tuple[float, int]]()
    for number, when in enumerate(times):
        clock.at(when, lambda number=number: seen.append((clock.now, number)))
    run(clock)
    assert seen == sorted((float(when), number) for number, when in enumerate(times))
    assert clock.events == len(times)


def test_what_is_asked_for_too_late_happens_now() -> None:
    clock, seen = Clock(), list[float]()
    clock.at(5.0, lambda: clock.at(3.0, lambda: seen.append(clock.now)))
    run(clock)
    assert seen == [5.0]


def test_nothing_happens_beyond_the_limit() -> None:
    clock = Clock()
    clock.at(2.0, lambda: None)
    assert not clock.step(until=1.0)
    assert clock.step(until=2.0)


@given(st.lists(st.one_of(st.none(), st.integers(1, 50)), min_size=1))
def test_a_timer_rings_once_and_for_its_last_setting(settings: list[int | None]) -> None:
    clock, rings = Clock(), list[float]()
    timer = Timer(clock, lambda: rings.append(clock.now))
    for when in settings:
        timer.set(when)
    run(clock)
    assert rings == ([] if settings[-1] is None else [settings[-1]])


def test_a_timer_that_is_moved_while_it_waits() -> None:
    clock, rings = Clock(), list[float]()
    timer = Timer(clock, lambda: rings.append(clock.now))
    timer.set(4.0)
    clock.at(1.0, timer.set, 9.0)
    clock.at(5.0, timer.set, 6.0)
    run(clock)
    assert rings == [6.0]

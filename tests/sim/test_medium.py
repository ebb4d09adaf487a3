from __future__ import annotations

from functools import partial
from itertools import groupby
from math import inf
from random import Random

import pytest

from mtftpd.sim.clock import Clock
from mtftpd.sim.medium import ATTEMPT_LIMIT, Medium, Transmitter

FRAME = 1538
RATE = 1e7


def _note(order: list[int], number: int, _end: float) -> None:
    order.append(number)


def saturated(stations: int, frames: int) -> tuple[Medium, list[int], float]:
    """Give every station many frames at once; return the order in which they left and the time that it took."""
    clock, order = Clock(), list[int]()
    medium = Medium(clock, RATE, Random(5))
    for number in range(stations):
        sender = Transmitter(inf)
        for _ in range(frames):
            medium.send(sender, FRAME, partial(_note, order, number))
    while clock.step():
        pass
    return medium, order, clock.now


def test_one_station_has_the_whole_rate() -> None:
    medium, order, took = saturated(1, 100)
    assert order == [0] * 100
    assert medium.collisions == 0
    assert took == pytest.approx(100 * FRAME * 8 / RATE)


def test_two_stations_share_and_who_wins_goes_on_winning() -> None:
    medium, order, took = saturated(2, 500)
    assert medium.collisions > 50
    assert order.count(0) + order.count(1) + medium.dropped == 1000
    runs = [len(list(run)) for _, run in groupby(order)]
    assert max(runs) > 10, "the capture effect"
    assert took == pytest.approx(1000 * FRAME * 8 / RATE, rel=0.3)


def test_many_stations_still_get_something_through() -> None:
    medium, order, _ = saturated(100, 5)
    assert len(order) + medium.dropped == 500
    assert len(set(order)) > 90


def test_a_frame_that_collides_too_often_is_dropped() -> None:
    class AlwaysZero(Random):
        def randrange(self, *_: object) -> int:
            return 0

    clock = Clock()
    medium = Medium(clock, RATE, AlwaysZero())
    for _ in range(2):
        medium.send(Transmitter(inf), FRAME, lambda end: None)
    while clock.step():
        pass
    assert medium.collisions == ATTEMPT_LIMIT
    assert medium.dropped == 2


def test_a_full_queue_takes_no_more() -> None:
    medium = Medium(Clock(), RATE, Random(1))
    sender = Transmitter(2 * FRAME)
    assert [medium.send(sender, FRAME, lambda end: None) for _ in range(3)] == [True, True, False]
    assert medium.dropped == 1


def test_who_comes_while_the_medium_is_busy_waits() -> None:
    clock, ends = Clock(), list[float]()
    medium = Medium(clock, RATE, Random(1))
    first, second = Transmitter(inf), Transmitter(inf)
    medium.send(first, FRAME, ends.append)
    clock.at(FRAME * 4 / RATE, medium.send, second, FRAME, ends.append)
    while clock.step():
        pass
    assert ends == pytest.approx([FRAME * 8 / RATE, FRAME * 16 / RATE])
    assert medium.collisions == 0

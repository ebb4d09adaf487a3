from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mtftpd.sim.ports import BLOCK_OCTETS, Flood, Port, Ring, wire_octets


def test_octets_of_time_on_an_ethernet() -> None:
    assert wire_octets(4) == 84
    assert wire_octets(516) == BLOCK_OCTETS == 582
    assert wire_octets(1472) == 1538


def test_a_port_sends_one_frame_after_the_other() -> None:
    port = Port(1e6, 1e9, 0.5)
    assert port.send(1.0, 125) == pytest.approx(1.501)
    assert port.send(1.0, 125) == pytest.approx(1.502)
    assert port.send(9.0, 125) == pytest.approx(9.501)


def test_a_wire_without_a_rate_takes_no_time() -> None:
    port = Port(0.0, 10, 0.25)
    assert [port.send(1.0, 1500) for _ in range(3)] == [1.25] * 3


@given(st.lists(st.integers(64, 1538), min_size=1, max_size=60), st.integers(1538, 9000))
@example([64, 64, 455, 459, 1538, 126], 2706)
def test_a_port_drops_what_its_queue_has_no_room_for(sizes: list[int], queue: int) -> None:
    """At one instant the queue takes frames until they do not fit; one that is sent at once needs no room.

    An octet takes a second here, so that the arithmetic is exact where a frame fits to the last octet.
    """
    port = Port(8.0, queue)
    waiting = dropped = 0
    for size in sizes:
        fits = waiting == 0 or waiting + size <= queue
        assert (port.send(0.0, size) >= 0) == fits
        waiting += size if fits else 0
        dropped += not fits
    assert port.dropped == dropped


@given(st.lists(st.floats(0, 0.02), min_size=1, max_size=60), st.integers(1, 5))
def test_a_ring_holds_so_many_and_no_more(gaps: list[float], size: int) -> None:
    """Against a queue that is written out: packets that are not read yet when another arrives."""
    ring, service = Ring(0.01, size), 0.01
    unread: list[float] = []
    now = 0.0
    for gap in gaps:
        now += gap
        unread = [done for done in unread if done > now]
        done = ring.take(now)
        if done < 0:
            assert len(unread) >= size
        else:
            assert done == pytest.approx(max([now, *unread]) + service)
            assert len(unread) <= size
            unread.append(done)


def test_broadcasts_to_others_keep_a_rom_busy() -> None:
    flood, ring = Flood(0.01, 4), Ring(0.01, 4)
    for _ in range(2):
        flood.add(1.0)
    assert flood.backlog(1.0) == pytest.approx(0.02)
    assert ring.take(1.0, flood.backlog(1.0)) == pytest.approx(1.03)
    for _ in range(10):
        flood.add(1.0)
    assert flood.backlog(1.0) == pytest.approx(0.04)
    assert ring.take(1.0, flood.backlog(1.0)) == -1
    assert ring.dropped == 1
    assert flood.backlog(2.0) == 0

"""Whole boots by iPXE's group: everybody has the right image, from it or from port 69, and nobody a wrong one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtftpd.core.images import Image
from mtftpd.core.mtftp.listeners import UNICASTS
from mtftpd.core.mtftp.pass_rates import PassRate
from tests.core.mtftp.ipxe_client import World
from tests.core.mtftp.mtftp_lab import PACED, Lab


def world(octets: int, loss: float = 0.0, seed: int = 0, rates: tuple[PassRate, ...] = ()) -> World:
    shown = Image(1, "kernel", octets, "digest")
    return World(Lab(shown, settings=PACED, rates=rates).service, shown, loss, seed)


def judge(happened: World) -> None:
    """What must hold whatever is lost."""
    size = happened.image.size
    assert all(block * 512 < size for block in happened.to_group), "nothing that tells the size goes to the group"
    for client in happened.clients:
        assert client.state in ("done", "unicast")
        if client.state == "done":
            assert client.held == set(range(1, size // 512 + 2))
    assert happened.service.next_deadline() is None


@given(
    octets=st.one_of(st.integers(1, 60_000), st.integers(1, 100).map(lambda blocks: blocks * 512)),
    starts=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=12),
    loss=st.sampled_from([0.0, 0.01, 0.05, 0.3]),
    seed=st.integers(0, 1 << 16),
    speed=st.sampled_from([0.0, 0.0005, 0.005]),
)
@settings(max_examples=40, deadline=None)
def test_nobody_ever_boots_a_wrong_image(
    octets: int, starts: list[float], loss: float, seed: int, speed: float
) -> None:
    happens = world(octets, loss, seed)
    for start in starts:
        happens.add(start, speed)
    happens.run()
    judge(happens)
    if not loss and speed < 0.002:
        assert all(client.state == "done" for client in happens.clients)


@pytest.mark.parametrize("clients", [8, 16])
@pytest.mark.parametrize("loss", [0.0, 0.01])
def test_all_of_many_that_come_within_three_seconds_are_served_by_the_group(clients: int, loss: float) -> None:
    happens = world(150_000, loss, seed=3)
    for number in range(clients):
        happens.add(3.0 * number / clients, speed=0.0002)
    happens.run()
    judge(happens)
    assert [client.state for client in happens.clients].count("done") >= clients - (1 if loss else 0)
    images = len(happens.to_group) / 293
    assert images < clients, "late ones share turns"


def test_a_slow_listener_slows_the_turn_down_and_gets_it_all() -> None:
    happens = world(200_000, rates=(PassRate("ipxe-mtftp", 0.0002, factor=1.0),))
    happens.add(0.0, speed=0.002)
    happens.add(0.1, speed=0.002)
    happens.run()
    judge(happens)
    assert [client.state for client in happens.clients] == ["done", "done"]


def test_a_client_that_never_hears_the_group_is_left_to_port_69_soon() -> None:
    happens = world(200_000)
    deaf = happens.add(0.0, deaf=True)
    happens.run()
    assert deaf.state == "unicast"
    assert deaf.ended_at < 5.0
    assert happens.unicasts <= UNICASTS + 1

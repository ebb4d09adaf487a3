"""Addresses for a short time: let go in time, kept by a request, taken back under pressure."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from mtftpd.core.addresses import holds as module
from mtftpd.core.addresses.holds import HOLD_SECONDS, Hold, Holds
from mtftpd.core.addresses.leases import ClientKey
from mtftpd.wire.datagram import HardwareAddress

GROUP = "239.1.1.1:1799"


class Desk:
    """Some holds; ``sending`` are the groups of which a pass runs, ``wrong`` the numbers that do not boot."""

    def __init__(self) -> None:
        self.sending: set[str] = set()
        self.wrong: set[int] = set()
        self.holds = Holds(self.sending.__contains__)

    def give(self, number: int, now: float = 0.0, *, is_short: bool = True, group: str = "", at: int = 0) -> str:
        key = ClientKey(1, bytes((number,)))
        address = f"10.0.0.{at or number}"
        self.holds.note(Hold(key, HardwareAddress(*key[:2]), address, group, now), is_short=is_short)
        return address

    def expire(self, now: float) -> list[int]:
        return [hold.hardware.octets[0] for hold in self.holds.expire(now)]

    def make_room(self, now: float, network: str = "10.0.0.0/24") -> int | None:
        hold = self.holds.make_room(IPv4Network(network), lambda nic: nic.octets[0] in self.wrong, now - 10.0)
        return None if hold is None else hold.hardware.octets[0]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_nothing_follows_and_it_is_let_go(desk: Desk) -> None:
    desk.give(1)
    assert desk.holds.next_deadline() == HOLD_SECONDS
    assert desk.expire(HOLD_SECONDS - 1) == []
    assert desk.expire(HOLD_SECONDS) == [1]
    assert (len(desk.holds), desk.holds.next_deadline()) == (0, None)


def test_who_asks_for_a_file_keeps_its_address(desk: Desk) -> None:
    desk.holds.confirm(desk.give(1))
    desk.holds.confirm("10.9.9.9")
    assert desk.expire(1000.0) == []


def test_a_listener_says_nothing(desk: Desk) -> None:
    desk.give(1, group=GROUP)
    desk.sending.add(GROUP)
    assert desk.expire(HOLD_SECONDS) == []
    desk.sending.clear()
    assert desk.expire(2 * HOLD_SECONDS) == [1]


def test_what_was_given_for_long_becomes_a_hold_when_another_one_boots(desk: Desk) -> None:
    desk.give(1, is_short=False)
    assert desk.holds.next_deadline() is None
    desk.holds.shorten(HardwareAddress(1, b"\2"), 5.0)
    desk.holds.shorten(HardwareAddress(1, b"\1"), 5.0)
    desk.holds.shorten(HardwareAddress(1, b"\1"), 50.0)
    assert desk.holds.next_deadline() == 5.0 + HOLD_SECONDS


def test_an_interface_has_one_hold_and_an_address_as_well(desk: Desk) -> None:
    desk.give(1)
    desk.give(1, 20.0)
    assert len(desk.holds) == 1
    assert desk.holds.next_deadline() == 20.0 + HOLD_SECONDS
    desk.give(2)
    desk.give(3, at=2)
    assert len(desk.holds) == 2
    assert desk.expire(1000.0) == [3, 1]


def test_room_is_made_by_those_that_do_not_boot_first(desk: Desk) -> None:
    desk.give(1)
    desk.give(2, 1.0)
    desk.wrong.add(2)
    assert desk.make_room(2.0, "10.0.1.0/24") is None
    assert desk.make_room(2.0) == 2
    assert desk.make_room(9.0) is None
    assert desk.make_room(10.0) == 1
    assert desk.make_room(10.0) is None


def test_room_is_not_made_by_listeners_nor_by_who_is_not_held(desk: Desk) -> None:
    desk.give(1, group=GROUP)
    desk.give(2, is_short=False)
    desk.sending.add(GROUP)
    assert desk.make_room(30.0) is None
    desk.sending.clear()
    assert desk.make_room(30.0) == 1


def test_the_oldest_becomes_an_ordinary_lease_when_there_are_too_many(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_HOLDS", 3)
    for number in range(1, 6):
        desk.give(number)
    assert len(desk.holds) == 3
    assert desk.expire(HOLD_SECONDS) == [3, 4, 5]

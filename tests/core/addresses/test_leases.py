"""The lease table step by step: its states, its caps, its snapshots, and the addresses of one node."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from math import inf

import pytest

from mtftpd.core.addresses import leases
from mtftpd.core.addresses.leases import DECLINE_SECONDS, OFFER_HOLD_SECONDS, Lease, LeaseState, LeaseTable
from mtftpd.core.addresses.pool import Pool
from tests.core.addresses.lease_lab import address, bound, key, offered, pool


@pytest.mark.parametrize(
    ("network", "first", "last", "expected"),
    [
        ("10.0.0.0/24", "10.0.0.0", "10.0.0.3", ["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
        ("10.0.0.0/24", "10.0.0.254", "10.0.1.9", ["10.0.0.254"]),
        # Quirk Q32: some Windows generations cannot use .0 and .255 in any subnet.
        ("10.0.0.0/23", "10.0.0.253", "10.0.1.2", ["10.0.0.253", "10.0.0.254", "10.0.1.1", "10.0.1.2"]),
        ("10.0.0.8/31", "10.0.0.8", "10.0.0.9", ["10.0.0.8", "10.0.0.9"]),
        ("10.0.0.8/30", "10.0.0.8", "10.0.0.11", ["10.0.0.9", "10.0.0.10"]),
        ("10.0.0.0/24", "10.0.0.9", "10.0.0.7", []),
        ("10.0.0.0/24", "11.0.0.9", "12.0.0.7", []),
    ],
)
def test_only_addresses_that_hosts_can_use_are_given(network: str, first: str, last: str, expected: list[str]) -> None:
    table = LeaseTable(Pool(IPv4Network(network), IPv4Address(first), IPv4Address(last)))
    given = [offered(table, number) for number in range(6)]
    assert [str(each) for each in given if each is not None] == expected


def test_our_own_address_is_never_given() -> None:
    table = LeaseTable(pool(100, 102, frozenset({address(101)})))
    assert [offered(table, n, wanted=address(101)) for n in range(3)] == [address(100), address(102), None]


def test_a_client_is_offered_the_same_address_again() -> None:
    table = LeaseTable(pool())
    first = offered(table, 1)
    assert offered(table, 2) != first
    assert offered(table, 1, now=5.0, wanted=address(103)) == first


def test_an_offer_holds_its_address_for_a_short_time_only() -> None:
    table = LeaseTable(pool(100, 100))
    assert offered(table, 1, now=0.0) == address(100)
    assert table.next_deadline() == OFFER_HOLD_SECONDS
    assert offered(table, 2, now=OFFER_HOLD_SECONDS - 0.1) is None
    assert offered(table, 2, now=OFFER_HOLD_SECONDS) == address(100)


def test_a_repeated_discover_does_not_shorten_a_lease() -> None:
    table = LeaseTable(pool())
    assert bound(table, 1, 100, until=3600.0)
    lease = table.reserve(key(1), None, 10.0)
    assert lease is not None
    assert (lease.state, lease.expires) == (LeaseState.BOUND, 3600.0)


def test_a_client_gets_its_former_address_while_others_are_free() -> None:
    table = LeaseTable(pool(100, 102))
    for number in (1, 2):
        assert offered(table, number) is not None
        table.cancel(key(number), 1.0)
    assert offered(table, 3, now=2.0) == address(102), "an address that nobody ever had comes first"
    assert offered(table, 2, now=2.0) == address(101), "then everybody's own"
    assert offered(table, 4, now=2.0) == address(100), "then the one that was freed longest ago"
    assert offered(table, 1, now=2.0) is None


def test_a_wish_is_granted_when_the_address_is_free() -> None:
    table = LeaseTable(pool())
    assert offered(table, 1, wanted=address(102)) == address(102)
    assert offered(table, 2, wanted=address(102)) == address(100)
    assert offered(table, 3, wanted=address(50)) == address(101)
    assert offered(table, 4) == address(103), "the counter passes over what was given on request"


def test_only_the_holder_or_the_first_comer_can_bind() -> None:
    table = LeaseTable(pool())
    assert offered(table, 1) == address(100)
    assert not bound(table, 2, 100), "held by another"
    assert not bound(table, 1, 101), "it holds another"
    assert bound(table, 1, 100)
    assert not bound(table, 3, 50), "not in the range"
    assert bound(table, 3, 103), "free, though never offered: the offer may have been made before a restart"
    table.release(key(1), address(100), 1.0)
    assert bound(table, 1, 102, now=1.0), "what it had is free, and so is what it asks for"
    assert bound(table, 4, 100, now=1.0)
    assert table.live(key(4), 1.0) is not None
    assert table.at(address(101), 1.0) is None


def test_a_lease_ends_and_the_client_is_remembered() -> None:
    table = LeaseTable(pool())
    assert bound(table, 1, 102, until=10.0)
    assert table.live(key(1), 9.9) is not None
    table.expire(10.0)
    assert table.live(key(1), 10.0) is None
    assert offered(table, 1, now=11.0) == address(102)
    held = table.at(address(102), 11.0)
    assert held is not None
    assert held.state is LeaseState.OFFERED


def test_cancel_and_release_concern_only_the_holder() -> None:
    table = LeaseTable(pool())
    table.cancel(key(1), 0.0)
    assert not table.release(key(1), address(100), 0.0)
    assert bound(table, 1, 100)
    table.cancel(key(1), 1.0)
    assert table.live(key(1), 1.0) is not None, "cancel ends offers, not leases"
    assert not table.release(key(2), address(100), 1.0)
    assert not table.release(key(1), address(101), 1.0)
    assert table.release(key(1), address(100), 1.0)
    assert not table.release(key(1), address(100), 1.0)


def test_a_declined_address_rests_and_returns() -> None:
    table = LeaseTable(pool(100, 101))
    assert not table.decline(key(1), address(100), 0.0)
    assert offered(table, 1) == address(100)
    assert not table.decline(key(1), address(101), 0.0)
    assert table.decline(key(1), address(100), 1.0)
    assert not bound(table, 1, 100, now=2.0)
    assert offered(table, 1, now=2.0) == address(101)
    assert offered(table, 2, now=2.0) is None
    assert offered(table, 2, now=1.0 + DECLINE_SECONDS) is not None


def test_declining_cannot_use_up_a_range() -> None:
    table = LeaseTable(pool(100, 107))
    for number in range(40):
        given = offered(table, number, now=float(number))
        assert given is not None
        assert table.decline(key(number), given, float(number))
    resting = [each for each in table.snapshot() if each.state is LeaseState.DECLINED]
    assert len(resting) == 8 // leases.RESTRICTED_SHARE


def test_leases_for_ever_cannot_use_up_a_range() -> None:
    table = LeaseTable(pool(100, 107))
    assert bound(table, 1, 100, until=inf)
    assert bound(table, 1, 100, until=inf), "a repeated request is not another lease"
    assert bound(table, 2, 101, until=inf)
    assert not bound(table, 3, 102, until=inf)
    assert bound(table, 3, 102, until=60.0)
    assert table.live(key(1), 1e9) is not None
    assert bound(table, 1, 100, until=60.0), "and DHCP turns it into a lease that ends"
    assert bound(table, 4, 103, until=inf)
    assert table.release(key(4), address(103), 1.0)
    assert bound(table, 5, 104, until=inf)


def test_the_number_of_records_is_limited() -> None:
    table = LeaseTable(pool(100, 120), limit=3)
    assert [offered(table, n) for n in range(4)] == [address(100), address(101), address(102), None]
    assert not bound(table, 9, 110)
    table.cancel(key(1), 1.0)
    assert offered(table, 5, now=1.0) == address(101)
    assert len(table) == 3
    assert len(LeaseTable(pool(100, 120), (*table.snapshot(), Lease(key(9), address(119))), limit=3)) == 3


def test_without_a_pool_nothing_is_given() -> None:
    table = LeaseTable(None, (Lease(key(1), address(100)),))
    assert offered(table, 1) is None
    assert offered(table, 1, wanted=address(100)) is None
    assert not bound(table, 1, 100)
    assert (len(table), table.next_deadline(), table.snapshot()) == (0, None, ())


def test_a_snapshot_gives_the_same_table_again() -> None:
    table = LeaseTable(pool(100, 107))
    for number, state in enumerate(["bound", "offered", "released", "declined", "for ever", "released"]):
        given = offered(table, number)
        assert given is not None
        if state == "bound":
            table.bind(key(number), given, 3600.0, 0.0)
        elif state == "for ever":
            table.bind(key(number), given, inf, 0.0)
        elif state == "released":
            table.release(key(number), given, 0.0)
        elif state == "declined":
            table.decline(key(number), given, 0.0)
    again = LeaseTable(pool(100, 107), table.snapshot())
    assert again.snapshot() == table.snapshot()
    assert again.next_deadline() == table.next_deadline()
    for number in (20, 21, 22, 23):
        assert offered(again, number) == offered(table, number)
    for number, last in ((20, 106), (21, 107)):
        assert bound(again, number, last, until=inf) == bound(table, number, last, until=inf)
    smaller = LeaseTable(pool(101, 101), table.snapshot())
    assert [each.address for each in smaller.snapshot()] == [address(101)]


def test_a_snapshot_shares_nothing_with_the_table() -> None:
    table = LeaseTable(pool())
    assert bound(table, 1, 100)
    before = table.snapshot()
    table.release(key(1), address(100), 1.0)
    assert before[0].state is LeaseState.BOUND


# Addresses of one node


def test_a_fixed_address_is_for_one_node_alone() -> None:
    table = LeaseTable(pool(100, 102), (), {address(101): frozenset({key(1)}), address(7): frozenset({key(2)})})
    assert offered(table, 9, wanted=address(101)) == address(100)
    assert offered(table, 8, wanted=address(7)) == address(102)
    assert offered(table, 7) is None
    for number, last in ((1, 101), (2, 7)):
        lease = table.reserve(key(number), address(100), 0.0, address(last))
        assert lease is not None
        assert lease.address == address(last)
        assert table.bind(key(number), address(last), inf, 0.0, address(last)) is not None
    assert not bound(table, 9, 101)
    assert not bound(table, 9, 7)
    assert table.release(key(2), address(7), 1.0)
    assert offered(table, 9, wanted=address(7)) == address(100)
    assert not table.reserve(key(7), None, 1.0)


def test_who_had_the_address_before_keeps_it_until_the_end_and_no_longer() -> None:
    before = LeaseTable(pool(100, 102))
    assert bound(before, 9, 100, until=50.0)
    table = LeaseTable(pool(100, 102), before.snapshot(), {address(100): frozenset({key(1)})})
    meanwhile = table.reserve(key(1), None, 1.0, address(100))
    assert meanwhile is not None
    assert meanwhile.address == address(101)
    assert not bound(table, 9, 100, now=2.0), "it is refused when it wants to go on"
    assert offered(table, 9, now=3.0) == address(102), "it begins anew, and gets another one"
    moved = table.reserve(key(1), None, 4.0, address(100))
    assert moved is not None
    assert moved.address == address(100)


def test_the_system_of_a_node_that_is_known_by_its_uuid_keeps_the_address() -> None:
    table = LeaseTable(pool(100, 102), (), {address(7): frozenset()})
    assert table.bind(key(1), address(7), 60.0, 0.0, address(7)) is not None
    assert bound(table, 1, 7, until=90.0), "without a UUID it is who has the address already"
    assert offered(table, 1) == address(7)
    assert not bound(table, 2, 7)
    again = LeaseTable(pool(100, 102), table.snapshot(), {address(7): frozenset()})
    assert bound(again, 1, 7, now=10.0, until=90.0)


def test_the_limit_is_for_those_without_an_address_of_their_own() -> None:
    table = LeaseTable(pool(100, 103), (), {address(7): frozenset({key(1)})}, limit=1)
    assert offered(table, 2) is not None
    lease = table.reserve(key(1), None, 0.0, address(7))
    assert lease is not None
    assert lease.address == address(7)
    assert offered(table, 3) is None

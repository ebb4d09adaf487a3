from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.dhcp.message_queue import DhcpQueue
from mtftpd.core.effects import DropReason, Service
from mtftpd.wire.datagram import Datagram, Endpoint

ANYBODY = Endpoint("255.255.255.255", 67)
NOBODY = Endpoint("0.0.0.0", 68)


def message(node: int, number: int, relay: int = 0, socket: int = Service.DHCP, options: bytes = bytes(4)) -> Datagram:
    chaddr = (b"\x02\0\0\0" + node.to_bytes(2, "big")).ljust(16, b"\0")
    data = number.to_bytes(24, "big") + relay.to_bytes(4, "big") + chaddr + bytes(196) + options
    return Datagram(socket, NOBODY, ANYBODY, data)


def test_the_newest_message_of_a_node_has_the_turn_of_the_one_before() -> None:
    queue = DhcpQueue()
    assert queue.put(message(1, 1)) is None
    assert queue.put(message(2, 1)) is None
    drop = queue.put(message(1, 2))
    assert drop is not None
    assert (drop.reason, drop.source, drop.detail) == (DropReason.SUPERSEDED, NOBODY, "02:00:00:00:00:01")
    assert len(queue) == 2
    assert [queue.take(), queue.take()] == [message(1, 2), message(2, 1)]
    with pytest.raises(KeyError):
        queue.take()


def test_another_relay_and_another_port_ask_another_question() -> None:
    queue = DhcpQueue()
    asked = [message(1, 1), message(1, 1, relay=9), message(1, 1, socket=Service.PXE)]
    assert [queue.put(each) for each in asked] == [None] * 3
    assert [queue.take() for _ in asked] == asked


@pytest.mark.parametrize("options", ["350104", "350107", "0000 0c026162 350104 ff"])
def test_what_a_client_gives_back_is_heard_before_what_it_asks_next(options: str) -> None:
    queue = DhcpQueue()
    statement = message(1, 2, options=bytes.fromhex(options))
    assert queue.put(message(1, 1)) is None
    drop = queue.put(statement)
    assert drop is not None
    assert drop.reason is DropReason.SUPERSEDED, "it has given up what it asked before"
    assert queue.put(message(1, 3)) is None
    assert queue.put(message(1, 4)) is not None
    assert [queue.take(), queue.take()] == [statement, message(1, 4)]


def test_everything_that_a_client_gives_back_is_heard() -> None:
    queue = DhcpQueue(most=2)
    given = [message(1, number, options=bytes.fromhex("350107")) for number in (1, 2, 3)]
    drops = [queue.put(each) for each in given]
    assert [drop and drop.reason for drop in drops] == [None, None, DropReason.DHCP_QUEUE_FULL]
    assert [queue.take(), queue.take()] == given[1:]


@pytest.mark.parametrize("options", ["", "35", "3501", "0c05 350104", "ff 350104", "00" * 64 + "350104", "350101"])
def test_what_says_no_such_thing_is_a_question(options: str) -> None:
    queue = DhcpQueue()
    assert queue.put(message(1, 1, options=bytes.fromhex(options))) is None
    assert queue.put(message(1, 2)) is not None
    assert len(queue) == 1


def test_nodes_without_a_hardware_address_are_told_apart_by_their_transaction() -> None:
    queue = DhcpQueue()
    nodes = [message(0, 1)._replace(data=number.to_bytes(8, "big") + bytes(232)) for number in (1, 2)]
    assert [queue.put(each) for each in nodes] == [None, None]
    assert [queue.take(), queue.take()] == nodes


def test_when_there_are_too_many_nodes_the_oldest_is_dropped() -> None:
    queue = DhcpQueue(most=2)
    assert [queue.put(message(node, 1)) for node in (1, 2)] == [None, None]
    drop = queue.put(message(3, 1))
    assert drop is not None
    assert (drop.reason, drop.detail) == (DropReason.DHCP_QUEUE_FULL, "02:00:00:00:00:01")
    assert [queue.take(), queue.take()] == [message(2, 1), message(3, 1)]


def test_what_is_too_short_to_have_a_node_is_told_apart_by_its_source() -> None:
    queue = DhcpQueue()
    one, other = (Datagram(Service.DHCP, Endpoint("10.0.0.7", port), ANYBODY, b"x") for port in (68, 69))
    assert queue.put(one) is None
    assert queue.put(other) is None
    assert queue.put(one) is not None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), max_size=60))
def test_nothing_disappears_without_a_drop_and_each_node_waits_once(steps: list[tuple[bool, int]]) -> None:
    queue = DhcpQueue(most=4)
    put = dropped = taken = 0
    newest: dict[int, int] = {}
    for number, (takes, node) in enumerate(steps):
        if takes and len(queue):
            datagram = queue.take()
            taken += 1
            assert newest[datagram.data[33]] == int.from_bytes(datagram.data[:24], "big")
        else:
            newest[node] = number
            put += 1
            dropped += queue.put(message(node, number)) is not None
    assert put == taken + dropped + len(queue)
    assert len(queue) <= 4


REQUEST = bytes.fromhex("350103")


def test_who_has_an_offer_goes_before_all_who_only_begin() -> None:
    queue = DhcpQueue()
    began = [message(node, 1) for node in (1, 2, 3)]
    asks = [message(node, 1, options=REQUEST) for node in (4, 5)]
    for each in (*began, *asks):
        assert queue.put(each) is None
    drop = queue.put(message(2, 2, options=REQUEST))
    assert drop is not None
    assert drop.reason is DropReason.SUPERSEDED
    assert [queue.take() for _ in range(5)] == [*asks, message(2, 2, options=REQUEST), began[0], began[2]]


def test_who_begins_again_has_given_up_what_it_requested() -> None:
    queue = DhcpQueue()
    assert queue.put(message(1, 1, options=REQUEST)) is None
    drop = queue.put(message(1, 2))
    assert drop is not None
    assert (drop.reason, queue.take(), len(queue)) == (DropReason.SUPERSEDED, message(1, 2), 0)


def test_of_too_many_those_who_begin_are_dropped_first() -> None:
    queue = DhcpQueue(most=2)
    asked = message(1, 1, options=REQUEST)
    for each in (asked, message(2, 1)):
        assert queue.put(each) is None
    drop = queue.put(message(3, 1, options=REQUEST))
    assert drop is not None
    assert (drop.reason, drop.detail) == (DropReason.DHCP_QUEUE_FULL, "02:00:00:00:00:02")
    assert queue.take() == asked


def test_a_crowd_is_answered_from_its_end_until_it_is_small_enough() -> None:
    queue = DhcpQueue(patient=3)
    for node in range(1, 6):
        assert queue.put(message(node, 1)) is None
    assert queue.put(message(2, 2)) is not None, "who asks again is the last to come"
    assert [queue.take() for _ in range(5)] == [message(2, 2), *(message(node, 1) for node in (5, 1, 3, 4))]


GIVES_UP_AFTER = 1_000


@pytest.mark.parametrize("clients", [2_000, 10_000])
def test_four_times_as_many_questions_as_can_be_answered_leave_the_rate_as_it_is(clients: int) -> None:
    """One exchange takes a millisecond; a client takes no OFFER for what it asked longer than a second ago."""
    queue = DhcpQueue()
    asked = completed = 0
    for now in range(6_000):
        for _ in range(4):
            asked += 1
            queue.put(message(asked % clients, now))
        for _ in range(2):
            taken = queue.take()
            node = int.from_bytes(taken.data[32:34], "big")
            began = int.from_bytes(taken.data[:24], "big")
            if taken.data[-3:] == REQUEST:
                completed += 1
            elif now - began < GIVES_UP_AFTER:
                queue.put(message(node, began, options=REQUEST))
    assert completed >= 0.8 * 6_000

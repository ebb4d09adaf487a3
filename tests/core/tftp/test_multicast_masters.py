"""Option multicast on port 69 (RFC 2090): one master after the other, gaps alone again, and every way out."""

from __future__ import annotations

import pytest

from mtftpd.core.effects import DropReason, Effects, Send, SendRun
from mtftpd.core.tftp.multicast import FIRST_SECONDS, SILENT_SECONDS, TABLE, State
from mtftpd.wire import tftp
from mtftpd.wire.tftp import Error, build
from tests.core.tftp.tftp_multicast_lab import BLOCKS, MULTICAST, Desk, blocks, calls, client, dropped, ends


def test_an_ack_asks_for_any_block() -> None:
    desk = Desk()
    desk.asks(client(1))
    assert [blocks(desk.acks(client(1), number)) for number in (0, 3, 1)] == [[1], [4], [2]]


def test_a_copy_of_an_ack_brings_nothing_and_one_that_comes_later_the_block_again() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.acks(client(1), 0)
    desk.acks(client(1), 1)
    assert dropped(desk.acks(client(1), 1)) == [DropReason.STALE_ACK]
    desk.now += 0.019
    assert blocks(desk.acks(client(1), 1)) == [2]


def test_an_ack_beyond_the_end_or_of_somebody_else_moves_nothing() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))
    assert dropped(desk.acks(client(1), BLOCKS + 1)) == [DropReason.STALE_ACK]
    assert dropped(desk.acks(client(2), 0)) == [DropReason.NOT_THE_MASTER]


def test_a_block_without_an_answer_is_repeated_more_and_more_slowly() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.acks(client(1), 0)
    desk.acks(client(1), 1)
    assert blocks(desk.waits(0.2)) == [2, 2, 2]
    assert blocks(desk.waits(2)) == [2, 2, 2]


def test_the_next_client_is_master_when_the_first_has_everything_and_only_gaps_are_sent_again() -> None:
    desk = Desk()
    for number in (1, 2, 3):
        desk.asks(client(number))
    for number in range(BLOCKS):
        desk.acks(client(1), number)
    effects = desk.acks(client(1), BLOCKS)
    assert ends(effects) == [("10.0.1.1", "complete")]
    assert calls(effects) == ["10.0.1.2"]
    assert blocks(desk.acks(client(2), 3)) == [4]
    effects = desk.acks(client(2), BLOCKS)
    assert calls(effects) == ["10.0.1.3"]
    assert ends(desk.acks(client(3), BLOCKS)) == [("10.0.1.3", "complete")]
    statistics = desk.service.statistics().multicast
    assert (statistics.done, statistics.failed, statistics.clients, statistics.transfers) == (3, 0, 0, ())
    assert (statistics.blocks, statistics.repeats) == (BLOCKS + 1, 1)


def test_a_listener_that_has_everything_is_never_made_master() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))
    assert ends(desk.acks(client(2), BLOCKS)) == [("10.0.1.2", "complete")]
    effects = desk.acks(client(1), BLOCKS)
    assert calls(effects) == []
    assert desk.service.statistics().multicast.clients == 0


def test_a_request_that_is_repeated_is_answered_the_same_way() -> None:
    desk = Desk()
    first = [effect for effect in desk.asks(client(1)) if isinstance(effect, Send)]
    assert list(desk.asks(client(1))) == first
    assert desk.service.statistics().multicast.clients == 1


def test_nothing_is_repeated_before_the_first_client_has_answered() -> None:
    desk = Desk()
    desk.asks(client(1))
    assert ends(desk.waits(29)) == []
    effects = desk.waits(2)
    assert ends(effects) == [("10.0.1.1", "first packet never answered")]
    assert not [effect for effect in effects if isinstance(effect, Send | SendRun)]
    assert desk.service.next_deadline() is None or desk.service.statistics().multicast.transfers == ()


def test_a_first_client_that_does_not_answer_does_not_hold_the_others_up() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))
    assert calls(desk.waits(FIRST_SECONDS)) == ["10.0.1.2"]
    assert blocks(desk.acks(client(2), 0)) == [1]


def test_a_silent_master_goes_behind_the_others_and_is_asked_again() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))
    desk.acks(client(1), 0)
    assert "10.0.1.2" in calls(desk.waits(SILENT_SECONDS + 1))
    assert dropped(desk.acks(client(1), 1)) == [DropReason.NOT_THE_MASTER]
    assert calls(desk.acks(client(2), BLOCKS)) == ["10.0.1.1"]
    assert blocks(desk.acks(client(1), 1)) == [2]


def test_a_master_that_gets_nowhere_is_passed_over_although_it_speaks() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))
    desk.acks(client(1), 0)
    effects: Effects = ()
    while desk.now < SILENT_SECONDS + 1 and desk.master() == "10.0.1.1":
        for number in (3, 2):
            if not calls(effects):
                effects = desk.acks(client(1), number)
    assert calls(effects) == ["10.0.1.2"]


def test_who_does_not_answer_as_the_next_master_is_gone_the_second_time() -> None:
    desk = Desk()
    for number in (1, 2, 3):
        desk.asks(client(number))
    desk.acks(client(1), BLOCKS)
    effects = desk.waits(30)
    assert calls(effects)[:4] == ["10.0.1.2", "10.0.1.3", "10.0.1.3", "10.0.1.2"]
    assert set(ends(effects)) == {(f"10.0.1.{n}", "does not answer as the next master") for n in (2, 3)}


def test_alone_a_client_that_was_heard_has_as_long_as_in_a_unicast_transfer() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))
    desk.acks(client(2), 0)
    desk.acks(client(1), BLOCKS)
    assert ends(desk.waits(50)) == []
    assert blocks(desk.acks(client(2), 2)) == [3]
    assert ends(desk.waits(50)) == []
    assert ends(desk.waits(20)) == [("10.0.1.2", "client is silent")]


def test_option_timeout_limits_the_wait() -> None:
    desk = Desk()
    desk.asks(client(1), (*MULTICAST, ("timeout", "1")))
    desk.acks(client(1), 0)
    desk.waits(10)
    assert len(blocks(desk.waits(10))) == 10


def test_an_error_ends_it_for_its_client_alone() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))
    effects = desk.says(client(1), build(Error(0, "no")))
    assert ends(effects) == [("10.0.1.1", "aborted by client: 0 no")]
    assert calls(effects) == ["10.0.1.2"]


def test_an_error_instead_of_an_answer_may_be_a_size_probe() -> None:
    desk = Desk()
    desk.asks(client(1), (*MULTICAST, ("tsize", "0")))
    assert ends(desk.says(client(1), build(Error(8, "done")))) == [("10.0.1.1", "size probe")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"\0", DropReason.MALFORMED), (build(tftp.Data(1, b"x")), DropReason.UNEXPECTED)],
)
def test_what_is_neither_ack_nor_error_is_dropped(data: bytes, reason: DropReason) -> None:
    desk = Desk()
    desk.asks(client(1))
    assert dropped(desk.says(client(1), data)) == [reason]


def test_a_deadline_that_has_moved_does_nothing() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.acks(client(1), 0)
    assert desk.service.tick(desk.now) == ()


def test_the_table_has_an_end_without_ways_out() -> None:
    assert TABLE[State.OVER] == {}
    assert set(TABLE) == set(State)

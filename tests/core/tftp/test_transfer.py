"""The machine of one transfer, one rule after the other, with explicit times."""

from __future__ import annotations

from itertools import pairwise

import pytest

from mtftpd.core.effects import ReportKind, Send, SendRun
from mtftpd.core.images import Image
from mtftpd.core.rtt import FLOOR, INITIAL
from mtftpd.core.tftp.negotiation import Granted
from mtftpd.core.tftp.states import TABLE, Event, State
from mtftpd.core.tftp.transfer import (
    CARRIED_SECONDS,
    GIVE_UP_SECONDS,
    HALF_OPEN_SECONDS,
    LAST_GRACE_SECONDS,
    LINGER_SECONDS,
    MAX_REPEATS,
    Asked,
    Outcome,
    Transfer,
)
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.tftp import Ack, Error, OptionAck, build

PEER = Endpoint("10.0.0.7", 2070)
OPTIONS = (("blksize", "1024"), ("tsize", "102400"))


def transfer(
    blocks: int = 100, window: int = 1, timeout: int | None = None, options: tuple[tuple[str, str], ...] = OPTIONS
) -> Transfer:
    image = Image(1, "nbp", 1024 * (blocks - 1))
    granted = Granted(1024, window, timeout, 0, options)
    return Transfer(1000, Asked(PEER, "nbp", options, 0), image, granted, 0.0)


def run(first: int, count: int, machine: Transfer) -> SendRun:
    return SendRun(1000, PEER, machine.image, first, count, 1024, 0)


def started(blocks: int = 100, window: int = 1, timeout: int | None = None) -> Transfer:
    """Return a transfer whose first window left at 0.01, after a round trip of 10 ms."""
    machine = transfer(blocks, window, timeout)
    machine.first_reply()
    assert machine.acknowledge(0, 0.01) == run(1, min(window, blocks), machine)
    return machine


def acknowledge(machine: Transfer, block: int, now: float) -> SendRun | None:
    """Do as the service does: the fast way when that ACK is awaited."""
    return machine.advance(now) if machine.awaited == block else machine.acknowledge(block, now)


def repetitions(machine: Transfer) -> list[float]:
    """Let every deadline pass unanswered; return when something was sent again."""
    times = []
    while machine.outcome is None:
        now = machine.deadline
        if machine.timeout(now) is not None:
            times.append(now)
    return times


def test_table_has_every_state_and_no_way_out_of_the_end() -> None:
    assert set(TABLE) == set(State)
    assert TABLE[State.LINGER] == {}
    reached = {target for row in TABLE.values() for target in row.values()}
    assert reached == set(State) - {State.OFFERED, State.FIRST}
    assert {event for row in TABLE.values() for event in row} == set(Event)


def test_oack_comes_before_data() -> None:
    machine = transfer()
    assert machine.first_reply() == Send(1000, PEER, build(OptionAck(OPTIONS)))
    assert machine.half_open
    assert machine.acknowledge(0, 0.01) == run(1, 1, machine)
    assert machine.state is State.SENDING


def test_without_options_data_comes_at_once() -> None:
    machine = transfer(options=())
    assert machine.first_reply() == run(1, 1, machine)
    assert machine.state is State.FIRST
    assert machine.acknowledge(1, 0.01) == run(2, 1, machine)


@pytest.mark.parametrize("options", [OPTIONS, ()])
def test_nothing_is_repeated_before_the_first_answer(options: tuple[tuple[str, str], ...]) -> None:
    """Ruling 14."""
    machine = transfer(options=options)
    assert machine.deadline == HALF_OPEN_SECONDS
    assert machine.timeout(HALF_OPEN_SECONDS) is None
    assert machine.outcome == Outcome(ReportKind.TFTP_FAILED, "first packet never answered", linger=False)


def test_a_repeated_request_gets_the_same_first_reply_and_more_time() -> None:
    machine = transfer()
    assert machine.repeat_first_reply(4.0) == machine.first_reply()
    assert machine.deadline == 4.0 + HALF_OPEN_SECONDS


def test_lock_step_to_the_end() -> None:
    machine = started(blocks=40)
    for block in range(1, 40):
        assert acknowledge(machine, block, 0.01 * block) == run(block + 1, 1, machine)
    assert machine.state is State.LAST
    assert machine.acknowledge(40, 1.0) is None
    assert machine.outcome == Outcome(ReportKind.TFTP_DONE, "complete")
    assert machine.deadline == 1.0 + LINGER_SECONDS
    assert machine.resent == 0


def test_one_block_needs_one_answer() -> None:
    machine = transfer(blocks=1, options=())
    assert machine.acknowledge(1, 0.01) is None
    assert machine.outcome == Outcome(ReportKind.TFTP_DONE, "complete")
    machine = started(blocks=1)
    assert machine.state is State.LAST


@pytest.mark.parametrize("window", [1, 4, 16])
def test_most_acks_take_the_fast_way(window: int) -> None:
    machine = started(blocks=5000, window=window)
    fast = 0
    for block in range(window, 4000, window):
        fast += machine.awaited == block
        assert acknowledge(machine, block, 0.01 + 0.001 * block) == run(block + 1, window, machine)
    assert fast >= 0.85 * (4000 // window)


@pytest.mark.parametrize("number", [0, 3, 4, 6, 7, 100, 65_535])
def test_any_other_ack_means_nothing(number: int) -> None:
    """Quirks Q89 to Q91: neither a send nor a new timer."""
    machine = started()
    for block in range(1, 5):
        acknowledge(machine, block, 0.02)
    assert machine.sent == 5
    deadline = machine.deadline
    assert machine.acknowledge(number, 0.021) is None
    assert machine.deadline == deadline
    assert machine.outcome is None
    assert machine.acknowledge(5, 0.03) == run(6, 1, machine)


def test_timer_is_a_few_round_trips() -> None:
    """Ruling 13: 10 ms of round trip make 30 ms at first, 20 ms is the floor."""
    machine = started(blocks=1000)
    assert machine.deadline == pytest.approx(0.01 + 0.03)
    now = 0.01
    for block in range(1, 500):
        now += 0.001
        acknowledge(machine, block, now)
    assert machine.wait == FLOOR


def test_round_trip_is_never_negative() -> None:
    machine = transfer()
    machine.acknowledge(0, -0.001)
    assert machine.rtt.smoothed == 0.0


def test_repeated_first_reply_is_no_sample() -> None:
    machine = transfer()
    machine.repeat_first_reply(3.0)
    machine.acknowledge(0, 3.001)
    assert machine.rtt.smoothed is None
    assert machine.wait == INITIAL


def test_a_late_answer_to_the_first_reply_is_no_sample() -> None:
    """A ROM whose ACK 0 got lost twice sends it every 4 s: the third one says nothing of the round trip.

    With 8 s taken for one, DATA 1 was repeated after 4 s, when the ROM had just given up.
    """
    machine = transfer()
    machine.first_reply()
    assert machine.acknowledge(0, 8.0) == run(1, 1, machine)
    assert machine.rtt.smoothed is None
    assert machine.deadline == 8.0 + INITIAL
    machine.acknowledge(1, 8.004)
    assert machine.rtt.smoothed == pytest.approx(0.004)


def test_repetitions_slow_down_and_last_long_enough() -> None:
    """Quirk Q92: at least 25 s; quirk Q102: flash writers pause; two quick ones, then half a second and more."""
    times = repetitions(started())
    gaps = [after - before for before, after in zip([0.01, *times], times, strict=False)]
    assert gaps[:6] == pytest.approx([0.03, 0.06, 0.5, 1.0, 2.0, 4.0])
    assert set(map(round, gaps[5:])) == {4}
    assert 25.0 < times[-1] < GIVE_UP_SECONDS + 5.0


def test_silence_is_a_failure_in_mid_file() -> None:
    machine = started()
    repetitions(machine)
    assert machine.outcome == Outcome(ReportKind.TFTP_FAILED, "client fell silent")
    assert machine.state is State.LINGER


def test_a_server_that_was_stopped_itself_does_not_give_up() -> None:
    """Reliability row R19: what counts is how often the client was asked, not the clock."""
    machine = started()
    assert machine.timeout(3600.0) == run(1, 1, machine)
    assert machine.timeout(7200.0) == run(1, 1, machine)
    assert machine.acknowledge(1, 7200.1) == run(2, 1, machine)
    machine = started(blocks=1)
    assert machine.timeout(3600.0) == run(1, 1, machine)


def test_timeout_option_is_the_longest_wait() -> None:
    """RFC 2349."""
    times = repetitions(started(timeout=1))
    gaps = [after - before for before, after in pairwise(times)]
    assert max(gaps) == pytest.approx(1.0)
    assert times[-1] > 25.0


def test_last_window_is_repeated_three_times_and_then_it_is_done() -> None:
    """Quirk Q87."""
    machine = started(blocks=1)
    times = repetitions(machine)
    assert times == pytest.approx([0.04, 0.54, 2.54])
    assert machine.outcome == Outcome(ReportKind.TFTP_DONE, "last block not acknowledged")
    assert machine.sent_at == pytest.approx(2.54 + LAST_GRACE_SECONDS)


def test_after_a_repetition_the_wait_stays_until_a_clean_sample() -> None:
    """RFC 6298 section 3: else a client slower than the timer is never measured, and gets everything twice."""
    machine = started()
    machine.timeout(machine.deadline)
    machine.acknowledge(1, 0.05)
    assert machine.wait == pytest.approx(0.06)
    smoothed = machine.rtt.smoothed
    assert machine.acknowledge(2, 0.10) == run(3, 1, machine)
    assert machine.rtt.smoothed != smoothed


def test_a_client_that_got_slow_is_learnt() -> None:
    """From 1 ms to 200 ms: after a few blocks nothing is sent twice any more."""
    machine = started(blocks=200)
    now = 0.011
    for block in range(1, 60):
        acknowledge(machine, block, now)
        now += 0.001
    for block in range(60, 160):
        answer = machine.sent_at + 0.2
        while machine.deadline < answer:
            assert machine.timeout(machine.deadline) is not None
        before = machine.resent
        assert acknowledge(machine, block, answer) is not None
    assert before == machine.resent
    assert machine.resent < 20


def test_a_long_pause_is_soon_forgotten() -> None:
    machine = started()
    while machine.deadline < 20.0:
        machine.timeout(machine.deadline)
    assert machine.acknowledge(1, 20.0) == run(2, 1, machine)
    assert machine.wait == CARRIED_SECONDS
    machine.acknowledge(2, 20.01)
    assert machine.wait < 0.1


def test_client_that_asks_again_gets_the_block_before_the_timer() -> None:
    """ACK 0 again, while we wait ever longer: not an apprentice, because nothing is out that was sent lately."""
    machine = started()
    assert machine.acknowledge(0, 0.02) is None
    machine.timeout(0.04)
    assert machine.acknowledge(0, 0.05) is None
    assert machine.acknowledge(0, 0.08) == run(1, 1, machine)
    assert machine.acknowledge(1, 0.09) == run(2, 1, machine)
    assert machine.acknowledge(1, 0.2) is None


def test_asking_again_and_again_has_an_end() -> None:
    machine = started()
    machine.timeout(0.04)
    now, sent = 0.04, 0
    for _ in range(1000):
        now += 1.0
        sent += machine.acknowledge(0, now) is not None
    assert sent == MAX_REPEATS - 1


def test_ack_inside_a_window_goes_back() -> None:
    """RFC 7440 section 4."""
    machine = started(window=4)
    assert machine.acknowledge(2, 0.02) == run(3, 4, machine)
    assert (machine.retransmissions, machine.resent) == (1, 2)
    assert machine.acknowledge(6, 0.03) == run(7, 4, machine)


def test_going_back_once_in_a_round_trip_is_enough() -> None:
    machine = started(window=4)
    assert machine.acknowledge(1, 0.020) == run(2, 4, machine)
    assert machine.acknowledge(2, 0.021) is None
    assert machine.base == 3
    assert machine.timeout(machine.deadline) == run(3, 3, machine)
    assert machine.acknowledge(3, 0.2) == run(4, 4, machine)


def test_window_is_repeated_as_a_whole() -> None:
    machine = started(blocks=6, window=4)
    assert machine.timeout(machine.deadline) == run(1, 4, machine)
    assert machine.acknowledge(4, 0.06) == run(5, 2, machine)
    assert machine.state is State.LAST
    assert machine.acknowledge(5, 0.08) == run(6, 1, machine)
    assert machine.state is State.LAST
    assert machine.acknowledge(6, 0.09) is None
    assert machine.resent == 4 + 1


@pytest.mark.parametrize(("window", "every", "lossy"), [(4, 2, True), (4, 100, False), (1, 2, False)])
def test_clients_that_lose_windows_are_known(window: int, every: int, lossy: bool) -> None:
    """Quirk Q96."""
    machine = started(blocks=1000, window=window)
    for turn in range(1, 101):
        if turn % every == 0:
            machine.timeout(machine.deadline)
        acknowledge(machine, machine.sent, machine.deadline)
    assert machine.lossy is lossy


@pytest.mark.parametrize("code", [0, 5, 8])
def test_size_probe(code: int) -> None:
    """Quirk Q82: ERROR right behind the OACK, from a client that asked for the size."""
    machine = transfer()
    machine.abort(Error(code, "User aborted the transfer"), 0.01)
    assert machine.outcome == Outcome(ReportKind.TFTP_DONE, "size probe", probe=True)


@pytest.mark.parametrize(
    ("machine", "error", "end"),
    [
        (transfer(), Error(3, "Disk full"), "aborted by client: 3 Disk full"),
        (transfer(options=OPTIONS[:1]), Error(8, "no\n"), "aborted by client: 8 no?"),
        (transfer(options=()), Error(0, ""), "aborted by client: 0"),
        (started(), Error(0, "TFTP Aborted"), "aborted by client: 0 TFTP Aborted"),
        (started(blocks=1), Error(8, ""), "aborted by client: 8"),
    ],
)
def test_error_of_the_client(machine: Transfer, error: Error, end: str) -> None:
    machine.abort(error, 0.5)
    assert machine.outcome == Outcome(ReportKind.TFTP_FAILED, end)
    assert machine.deadline == 0.5 + LINGER_SECONDS


def test_giving_up_says_why() -> None:
    machine = started()
    assert machine.give_up("file changed", 0.5) == Send(1000, PEER, build(Error(0, "file changed")))
    assert machine.outcome == Outcome(ReportKind.TFTP_FAILED, "file changed")


def test_no_ack_is_awaited_twice() -> None:
    machine = started(window=4)
    for block in (4, 8, 12, 16):
        assert acknowledge(machine, block, 0.02) is not None
        assert machine.awaited != block
        assert machine.acknowledge(block, 0.02) is None
    assert build(Ack(16))[2:] == b"\0\x10"

"""The session of one group, requirement by requirement: explicit times, whole conversations, the ids in the names."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from mtftpd.core.effects import DropReason, ReportKind, SendRun, Service
from mtftpd.core.mtftp.states import TABLE, Event, Gap, Idle, Quiet
from mtftpd.core.mtftp.timing import ECHO_AFTER, GAP, GATHER, IPXE_PATIENCE, QUIET
from mtftpd.wire.datagram import Endpoint
from tests.core.mtftp_lab import (
    GROUP,
    IPXE_GROUP,
    SECOND_GROUP,
    A,
    B,
    C,
    Lab,
    T,
    drops,
    image,
    reports,
    sent,
    sent_later,
    with_seconds,
)

FLOOR = 0.02


def test_a_whole_pass_of_three_blocks() -> None:
    """RRQ-02, RRQ-03, RRQ-04, DAT-01, DAT-04, END-01."""
    lab = Lab(image(3))
    opened = lab.open(A)
    assert sent(opened) == [(A, 1, 1), (GROUP, 1, 1)]
    assert sent(lab.ack(A, 1)) == [(GROUP, 2, 1)]
    assert sent(lab.ack(A, 2)) == [(GROUP, 3, 1)]
    ended = lab.ack(A, 3)
    assert sent(ended) == []
    [report] = reports(ended, ReportKind.PASS_ENDED)
    assert report == {
        "image": "kernel",
        "group": str(GROUP),
        "master": str(A),
        "outcome": "acknowledged",
        "block": 3,
        "ideal": 3,
        "sent": 3,
        "repeats": 0,
        "stalls": 0,
        "ignored": 0,
        "milliseconds": 0,
    }
    [started] = reports(opened, ReportKind.PASS_STARTED)
    assert started == {"image": "kernel", "group": str(GROUP), "master": str(A), "blocks": 3, "known": 1}


def test_rrq_04_everything_leaves_from_the_socket_that_was_asked() -> None:
    lab = Lab(image(2))
    runs = [*lab.open(A), *lab.ack(A, 1)]
    assert {each.socket for each in runs if isinstance(each, SendRun)} == {Service.MTFTP}
    lab.ack(A, 2)
    lab.open(C, socket=Service.MTFTP_IPXE)
    runs = [*lab.wait(GATHER), *lab.ack(C, 1, socket=Service.MTFTP_IPXE)]
    assert {each.socket for each in runs if isinstance(each, SendRun)} == {Service.MTFTP_IPXE}
    assert sent(tuple(runs)) == [(C, 1, 1), (IPXE_GROUP, 1, 1), (IPXE_GROUP, 2, 1)]


def test_dat_05_a_single_block_is_a_whole_pass() -> None:
    lab = Lab(image(1))
    lab.open(A)
    assert [report["outcome"] for report in reports(lab.ack(A, 1), ReportKind.PASS_ENDED)] == ["acknowledged"]
    assert lab.state == "gap"


class TestOpens:
    def test_rrq_05_an_open_during_a_pass_is_met_with_silence(self) -> None:
        lab = Lab(image(9))
        lab.open(A)
        assert drops(lab.open(B)) == [DropReason.PASS_RUNNING]
        lab.ack(A, 1)
        assert drops(lab.open(B)) == [DropReason.PASS_RUNNING]
        assert sent(lab.open(B)) == []
        assert lab.group.ignored == 3
        assert lab.group.master == str(A)

    def test_rrq_06_the_master_that_asks_again_gets_both_copies_of_block_1(self) -> None:
        lab = Lab(image(9))
        lab.open(A)
        lab.wait(T + 0.1)
        assert sent(lab.open(A)) == [(A, 1, 1), (GROUP, 1, 1)]
        lab.wait(T + 0.1)
        assert sent(lab.open(A)) == [(A, 1, 1), (GROUP, 1, 1)]
        assert sent(lab.ack(A, 1)) == [(GROUP, 2, 1)]

    def test_rrq_07_the_master_may_come_back_on_another_port_and_gets_the_current_block(self) -> None:
        lab = Lab(image(9))
        lab.lockstep(A, 5)
        moved = Endpoint(A.address, 2222)
        assert sent(lab.open(moved)) == [(moved, 5, 1), (GROUP, 5, 1)]
        assert drops(lab.ack(A, 5)) == [DropReason.NOT_THE_MASTER]
        assert sent(lab.ack(moved, 5)) == [(GROUP, 6, 1)]

    def test_rrq_07_before_the_first_ack_as_well(self) -> None:
        lab = Lab(image(9))
        lab.open(A)
        moved = Endpoint(A.address, 2222)
        assert sent(lab.open(moved)) == [(moved, 1, 1), (GROUP, 1, 1)]
        assert sent(lab.ack(moved, 1)) == [(GROUP, 2, 1)]

    def test_rrq_08_two_images_are_sent_independently(self) -> None:
        lab = Lab(image(3), image(3, key=2, name="initrd"))
        lab.open(A)
        assert sent(lab.open(B, b"initrd")) == [(B, 1, 1), (SECOND_GROUP, 1, 1)]
        assert sent(lab.ack(B, 1)) == [(SECOND_GROUP, 2, 1)]
        assert sent(lab.ack(A, 1)) == [(GROUP, 2, 1)]

    def test_rrq_14_a_first_open_from_another_port_gathers_openers(self) -> None:
        lab = Lab(image(3))
        assert lab.open(C) == ()
        lab.wait(0.1)
        assert drops(lab.open(B)) == [DropReason.PASS_RUNNING]
        assert lab.open(C) == ()
        started = lab.until_due()
        assert lab.now == pytest.approx(100.0 + GATHER)
        assert GATHER <= 0.2
        assert sent(started) == [(C, 1, 1), (GROUP, 1, 1)]
        assert [report["known"] for report in reports(started, ReportKind.PASS_STARTED)] == [2]

    def test_rrq_14_whoever_asks_twice_while_gathering_is_answered_at_its_last_port(self) -> None:
        lab = Lab(image(3))
        lab.open(C)
        moved = Endpoint(C.address, 40_001)
        lab.open(moved)
        assert sent(lab.until_due()) == [(moved, 1, 1), (GROUP, 1, 1)]

    def test_an_opener_in_error_is_no_longer_waited_for(self) -> None:
        lab = Lab(image(3))
        lab.open(C)
        lab.open(B)
        assert drops(lab.error(C)) == [DropReason.UNEXPECTED]
        assert lab.state == "gather"
        assert sent(lab.until_due()) == [(B, 1, 1), (GROUP, 1, 1)]

    def test_without_openers_gathering_ends(self) -> None:
        lab = Lab(image(3))
        lab.open(C)
        lab.error(C)
        assert lab.state == "idle"
        assert lab.service.next_deadline() is None

    def test_openers_are_remembered_up_to_a_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mtftpd.core.mtftp.session.MAX_WAITING", 2)
        lab = Lab(image(3))
        for host in range(20, 25):
            lab.open(Endpoint(f"10.0.0.{host}", 40_000))
        [report] = reports(lab.until_due(), ReportKind.PASS_STARTED)
        assert report["known"] == 2

    def test_waiting_clients_are_remembered_up_to_a_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mtftpd.core.mtftp.passes.MAX_WAITING", 2)
        lab = Lab(image(2))
        lab.open(A)
        for host in range(20, 25):
            lab.open(Endpoint(f"10.0.0.{host}", CPORT))
        lab.ack(A, 1)
        lab.ack(A, 2)
        [report] = reports(lab.open(Endpoint("10.0.0.20", CPORT)), ReportKind.PASS_STARTED)
        assert report["known"] == 2
        assert lab.group.ignored == 5


CPORT = A.port


class TestAcks:
    def test_ack_01_only_the_address_and_port_of_the_master_count(self) -> None:
        lab = Lab(image(9))
        lab.open(A)
        for stranger in (B, Endpoint(A.address, A.port + 1)):
            assert drops(lab.ack(stranger, 1)) == [DropReason.NOT_THE_MASTER]
        assert lab.group.block == 1

    @pytest.mark.parametrize("number", [2, 5, 8])
    def test_ack_02_and_03_an_ack_ahead_acknowledges_the_current_block_and_skips_none(self, number: int) -> None:
        lab = Lab(image(9))
        lab.lockstep(A, 2)
        for block in range(3, number + 2):
            assert sent(lab.ack(A, number)) == [(GROUP, block, 1)]
        assert drops(lab.ack(A, number)) == [DropReason.STALE_ACK]

    def test_ack_02_the_first_ack_may_be_ahead_too(self) -> None:
        lab = Lab(image(9))
        lab.open(A)
        assert sent(lab.ack(A, 6)) == [(GROUP, 2, 1)]

    @pytest.mark.parametrize("number", [0, 1, 3])
    def test_ack_04_a_stale_ack_makes_nothing_leave_and_moves_no_timer(self, number: int) -> None:
        lab = Lab(image(9))
        lab.lockstep(A, 5)
        due = lab.service.next_deadline()
        lab.now += 0.001
        assert drops(lab.ack(A, number)) == [DropReason.STALE_ACK]
        assert lab.service.next_deadline() == due

    def test_ack_04_both_copies_of_block_1_acknowledged_is_one_block_2(self) -> None:
        """iPXE does that; atftpd then sends everything twice."""
        lab = Lab(image(9))
        lab.open(A)
        assert sent(lab.ack(A, 1)) == [(GROUP, 2, 1)]
        assert drops(lab.ack(A, 1)) == [DropReason.STALE_ACK]
        assert drops(lab.ack(A, 0)) == [DropReason.STALE_ACK]

    def test_ack_0_before_the_first_is_stale(self) -> None:
        lab = Lab(image(9))
        lab.open(A)
        assert drops(lab.ack(A, 0)) == [DropReason.STALE_ACK]

    def test_ack_05_a_master_that_has_everything_is_let_go_and_the_rest_is_sent(self) -> None:
        lab = Lab(image(9))
        lab.lockstep(A, 5)
        lost = lab.ack(A, 9)
        [report] = reports(lost, ReportKind.MASTER_LOST)
        assert (report["why"], report["block"]) == ("complete", 5)
        assert drops(lab.ack(A, 9)) == [DropReason.NOT_THE_MASTER]
        later = sent_later(lab.run_until(lab.now + 1))
        assert [run for _, run in later] == [(GROUP, block, 1) for block in range(6, 10)]

    def test_ack_05_even_with_its_first_ack(self) -> None:
        lab = Lab(image(4))
        lab.open(A)
        lab.now += 0.001
        assert sent(lab.ack(A, 4)) == []
        later = sent_later(lab.run_until(lab.now + 1))
        assert [run for _, run in later] == [(GROUP, 2, 1), (GROUP, 3, 1), (GROUP, 4, 1)]

    def test_ack_06_an_error_ends_the_role_without_an_answer(self) -> None:
        lab = Lab(image(5))
        lab.lockstep(A, 3)
        effects = lab.error(A)
        assert [report["why"] for report in reports(effects, ReportKind.MASTER_LOST)] == ["error"]
        assert sent(effects) == []
        later = sent_later(lab.run_until(lab.now + 1))
        assert [run for _, run in later] == [(GROUP, 4, 1), (GROUP, 5, 1)]

    def test_ack_06_before_the_first_ack_with_nobody_else_the_pass_ends(self) -> None:
        lab = Lab(image(5))
        lab.open(A)
        effects = lab.error(A)
        assert [report["outcome"] for report in reports(effects, ReportKind.PASS_ENDED)] == ["deserted"]
        assert lab.state == "quiet"

    def test_ack_06_before_the_first_ack_the_pass_goes_on_for_others_that_are_known(self) -> None:
        lab = Lab(image(3))
        lab.open(A)
        lab.open(B)
        lab.error(A)
        later = sent_later(lab.run_until(lab.now + 1))
        assert [run for _, run in later] == [(GROUP, 2, 1), (GROUP, 3, 1)]

    def test_ack_07_strays_are_dropped(self) -> None:
        lab = Lab(image(5))
        lab.open(A)
        assert drops(lab.error(B)) == [DropReason.NOT_THE_MASTER]
        assert drops(lab.ack(B, 1)) == [DropReason.NOT_THE_MASTER]

    def test_acks_beyond_the_image_mean_nothing(self) -> None:
        lab = Lab(image(5))
        lab.open(A)
        assert drops(lab.ack(A, 6)) == [DropReason.UNEXPECTED]
        lab.ack(A, 1)
        assert drops(lab.ack(A, 6)) == [DropReason.UNEXPECTED]
        assert lab.group.block == 2

    def test_ack_09_a_repeated_ack_of_the_predecessor_gets_the_block_again(self) -> None:
        lab = Lab(image(9))
        lab.lockstep(A, 5)
        lab.run_until(lab.now + 0.2)
        assert lab.group.repeats == 2
        assert sent(lab.ack(A, 4)) == [(GROUP, 5, 1)]
        assert drops(lab.ack(A, 4)) == [DropReason.STALE_ACK]
        assert sent(lab.ack(A, 5)) == [(GROUP, 6, 1)]

    def test_ack_09_not_before_its_time(self) -> None:
        lab = Lab(image(9))
        lab.lockstep(A, 5)
        lab.run_until(lab.now + 0.2)
        lab.ack(A, 4)
        lab.now += ECHO_AFTER * 0.99
        assert drops(lab.ack(A, 4)) == [DropReason.STALE_ACK]
        lab.now += ECHO_AFTER * 0.02
        assert sent(lab.ack(A, 4)) == [(GROUP, 5, 1)]

    def test_ack_09_three_times_at_most(self) -> None:
        lab = Lab(image(9))
        lab.lockstep(A, 5)
        lab.run_until(lab.now + 0.2)
        echoes = []
        for _ in range(5):
            echoes += sent(lab.ack(A, 4))
            lab.now += 0.15
        assert echoes == [(GROUP, 5, 1)] * 3


class TestRepetition:
    def test_ack_08_two_timer_repetitions_a_block_that_follow_the_round_trip(self) -> None:
        lab = Lab(image(9))
        lab.lockstep(A, 5)
        start = lab.now
        later = sent_later(lab.run_until(start + 0.99))
        assert [run for _, run in later] == [(GROUP, 5, 1)] * 2
        assert [when - start for when, _ in later] == pytest.approx([FLOOR, 3 * FLOOR])
        assert lab.group.repeats == 2
        assert lab.group.stalls == 1

    def test_ack_08_a_slow_master_is_waited_for_longer(self) -> None:
        lab = Lab(image(9))
        lab.open(A)
        for number in range(1, 6):
            lab.now += 0.05
            lab.ack(A, number)
        when = lab.service.next_deadline()
        assert when is not None
        assert when - lab.now > 0.05

    def test_karn_an_ack_after_a_repetition_is_not_timed(self) -> None:
        lab = Lab(image(9))
        lab.lockstep(A, 5)
        lab.run_until(lab.now + 0.9)
        lab.ack(A, 5)
        assert lab.service.next_deadline() == pytest.approx(lab.now + FLOOR)

    def test_block_1_is_not_repeated_by_a_timer(self) -> None:
        lab = Lab(image(9))
        lab.open(A)
        assert sent_later(lab.run_until(lab.now + 10)) == []

    def test_ack_10_a_silent_master_is_left_behind_and_the_rest_is_paced(self) -> None:
        lab = Lab(image(12))
        lab.lockstep(A, 5)
        lab.open(B)
        start = lab.now
        happened = lab.run_until(start + 3)
        [(when, _)] = [(when, each) for when, each in happened if reports(each, ReportKind.MASTER_LOST)]
        assert when - start == pytest.approx(min(T / 2, 1.0))
        paced = [(when, run) for when, run in sent_later(happened) if run[1] > 5]
        blocks = [6, 6, 7, 7, 8, 9, 10, 11, 12]  # two of them as if the master were still there
        assert [run for _, run in paced] == [(GROUP, block, 1) for block in blocks]
        gaps = [after - before for (before, _), (after, _) in pairwise(paced)]
        assert all(0.001 < gap < 0.25 for gap in gaps)
        [end] = [report for _, each in happened for report in reports(each, ReportKind.PASS_ENDED)]
        assert (end["outcome"], end["sent"], end["repeats"]) == ("unacknowledged", 16, 4)

    def test_ack_10_at_the_last_block_the_pass_is_over(self) -> None:
        lab = Lab(image(5))
        lab.lockstep(A, 5)
        [end] = [r for _, each in lab.run_until(lab.now + 1.01) for r in reports(each, ReportKind.PASS_ENDED)]
        assert end["outcome"] == "unacknowledged"
        assert lab.state == "gap"

    def test_ack_10_on_a_fast_link_several_blocks_leave_together(self) -> None:
        lab = Lab(image(200))
        lab.open(A)
        for number in range(1, 100):
            lab.now += 0.00005
            lab.ack(A, number)
        lab.open(B)
        runs = [run for _, run in sent_later(lab.run_until(lab.now + 3)) if run[1] > 100]
        assert [first for _, first, _ in runs[4:7]] == [103, 111, 119]
        assert max(count for _, _, count in runs) == 8
        assert sum(count for _, _, count in runs) == 100 + 2, "two of them in two copies"

    def test_ack_11_nobody_else_known_the_pass_ends(self) -> None:
        """The rest would take 200 s at the pace of this master; after 3 * (T + 0.1) s it is given up."""
        lab = Lab(image(1000))
        lab.open(A)
        for number in range(1, 6):
            lab.now += 0.2
            lab.ack(A, number)
        start = lab.now
        happened = lab.run_until(start + 60)
        [(when, end)] = [(when, r) for when, each in happened for r in reports(each, ReportKind.PASS_ENDED)]
        assert end["outcome"] == "deserted"
        assert when - start == pytest.approx(3 * (T + 0.1))
        assert lab.state == "idle"

    def test_ack_11_an_open_during_the_rest_keeps_it_going(self) -> None:
        lab = Lab(image(60))
        lab.open(A)
        for number in range(1, 6):
            lab.now += 0.2
            lab.ack(A, number)
        lab.run_until(lab.now + 3)
        assert lab.state == "paced"
        assert drops(lab.open(B)) == [DropReason.PASS_RUNNING]
        ended = [r for _, each in lab.run_until(lab.now + 60) for r in reports(each, ReportKind.PASS_ENDED)]
        assert [end["outcome"] for end in ended] == ["unacknowledged"]

    def test_a_deadline_that_is_not_reached_does_nothing(self) -> None:
        lab = Lab(image(3))
        lab.lockstep(A, 2)
        session = next(iter(lab.service._sessions.values()))
        assert session.tick(lab.now) == ()


class TestFirstBlockUnanswered:
    def test_q108_block_2_never_leaves_before_ack_1(self) -> None:
        """EFI that holds only the unicast copy would store block 2 over block 1."""
        lab = Lab(image(5))
        lab.open(A)
        lab.open(B)
        happened = lab.run_until(lab.now + 60)
        assert sent_later(happened) == []
        [(when, end)] = [(when, r) for when, each in happened for r in reports(each, ReportKind.PASS_ENDED)]
        assert end["outcome"] == "unanswered"
        assert when == pytest.approx(100 + T + QUIET)
        assert lab.state == "idle"
        assert lab.service.next_deadline() is None

    def test_on_the_group_of_ipxe_it_does_for_others_that_are_known(self) -> None:
        """iPXE takes blocks in any order, but leaves for good after 0.25 s of silence."""
        lab = Lab(image(5))
        lab.open(C, socket=Service.MTFTP_IPXE)
        lab.open(B, socket=Service.MTFTP_IPXE)
        lab.until_due()
        start = lab.now
        happened = lab.run_until(start + 5)
        later = sent_later(happened)
        assert [run for _, run in later] == [(IPXE_GROUP, block, 1) for block in range(2, 6)]
        assert later[0][0] - start < 0.25
        assert later[0][0] - start >= IPXE_PATIENCE

    def test_on_the_group_of_ipxe_another_open_is_enough(self) -> None:
        lab = Lab(image(5))
        lab.open(C, socket=Service.MTFTP_IPXE)
        lab.until_due()
        lab.now += 0.15
        lab.open(B, socket=Service.MTFTP_IPXE)
        assert sent_later(lab.run_until(lab.now + 0.1)) != []

    def test_on_the_group_of_ipxe_alone_it_ends(self) -> None:
        lab = Lab(image(5))
        lab.open(C, socket=Service.MTFTP_IPXE)
        lab.until_due()
        assert sent_later(lab.run_until(lab.now + 5)) == []

    def test_dat_08_on_the_group_of_ipxe_no_silence_reaches_250_ms(self) -> None:
        """The master dies in mid-pass; its listeners would leave with a hole, and boot garbage."""
        lab = Lab(image(40))
        lab.open(C, socket=Service.MTFTP_IPXE)
        lab.until_due()
        for number in range(1, 20):
            lab.now += 0.03
            lab.ack(C, number, socket=Service.MTFTP_IPXE)
        times = [lab.now, *(when for when, _ in sent_later(lab.run_until(lab.now + 1.5)))]
        assert max(after - before for before, after in pairwise(times)) < 0.25


class TestBetweenPasses:
    def test_dat_10_an_open_in_the_gap_begins_the_next_pass_at_once(self) -> None:
        lab = Lab(image(2))
        lab.lockstep(A, 2)
        lab.ack(A, 2)
        assert lab.state == "gap"
        lab.now += 0.1
        assert sent(lab.open(C)) == [(C, 1, 1), (GROUP, 1, 1)]
        assert lab.group.passes == 2

    def test_dat_10_the_gap_lets_efi_open_and_keeps_ipxe(self) -> None:
        assert 0.15 <= GAP <= 0.2

    def test_end_02_after_the_gap_the_next_open_begins_with_block_1(self) -> None:
        lab = Lab(image(2))
        lab.lockstep(A, 2)
        lab.ack(A, 2)
        lab.until_due()
        assert lab.now == pytest.approx(100.001 + GAP)
        assert lab.state == "idle"
        assert lab.service.next_deadline() is None
        assert sent(lab.open(B)) == [(B, 1, 1), (GROUP, 1, 1)]

    def test_end_03_clients_that_opened_in_vain_are_known_to_the_next_pass(self) -> None:
        lab = Lab(image(2))
        lab.lockstep(A, 2)
        lab.open(B)
        lab.ack(A, 2)
        [report] = reports(lab.open(C), ReportKind.PASS_STARTED)
        assert report["known"] == 2

    def test_dat_09_after_an_incomplete_pass_the_group_is_silent_for_longer_than_t(self) -> None:
        lab = Lab(image(9))
        lab.lockstep(A, 5)
        [report] = reports(lab.service.image_changed(image(9), lab.now), ReportKind.PASS_ABORTED)
        assert (report["outcome"], report["block"]) == ("image changed", 5)
        lab.reconfigure(replace(image(9), key=2))
        start = lab.now
        lab.wait(T + 0.15)
        assert drops(lab.open(B)) == [DropReason.QUIET]
        lab.until_due()
        assert lab.now - start == pytest.approx(T + QUIET)
        assert sent(lab.open(B)) == [(B, 1, 1), (GROUP, 1, 1)]
        assert lab.group.ignored == 1

    def test_t_is_what_the_tags_say(self) -> None:
        lab = Lab(image(9), settings=with_seconds(5))
        lab.lockstep(A, 5)
        lab.service.image_changed(image(9), lab.now)
        start = lab.now
        lab.until_due()
        assert lab.now - start == pytest.approx(5 + QUIET)


def test_every_state_can_be_reached_and_left() -> None:
    reached = {state for row in TABLE.values() for state in row.values()}
    assert reached == set(TABLE)
    assert all(TABLE.values())
    assert TABLE[Gap][Event.CHANGED] is TABLE[Idle][Event.CHANGED] is Quiet

"""What a pass repeats, requirement by requirement: how often, how soon, and when block 1 has no answer."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from mtftpd.core.effects import DropReason, ReportKind, Service
from mtftpd.core.groups import Groups
from mtftpd.core.link.budget import LinkBudget
from mtftpd.core.mtftp.pass_rates import PassRates
from mtftpd.core.mtftp.session import Session
from mtftpd.core.mtftp.timing import HASTE, IPXE_PATIENCE, QUIET
from mtftpd.core.rtt import FLOOR
from mtftpd.core.settings import Bandwidth, Settings
from tests.core.mtftp.mtftp_lab import (
    GROUP,
    IPXE_GROUP,
    PACED,
    SETTINGS,
    A,
    B,
    C,
    Lab,
    T,
    catalogue,
    drops,
    image,
    reports,
    sent,
    sent_later,
)

LIMITED = replace(PACED, bandwidth=Bandwidth(1e8))


class TestRepetition:
    def test_ack_08_two_timer_repetitions_a_block_that_follow_the_round_trip(self) -> None:
        lab = Lab(image(9), settings=PACED)
        lab.lockstep(A, 5)
        start = lab.now
        later = sent_later(lab.run_until(start + 0.99))
        assert [run for _, run in later] == [(GROUP, 5, 1)] * 2
        first, second = (when - start for when, _ in later)
        assert HASTE <= first < 3 * HASTE, "the master of this lab answers within a millisecond"
        assert second - first == pytest.approx(FLOOR), "a burst of loss does not take all copies"
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

    @pytest.mark.parametrize("settings", [SETTINGS, LIMITED], ids=["faithful", "limit"])
    def test_no_haste_where_only_lock_step_is_wanted_or_blocks_wait_for_their_turn(self, settings: Settings) -> None:
        groups = Groups(settings, catalogue(image(9)))
        budget = LinkBudget(settings.bandwidth)
        session = Session(groups.bindings[0], budget, rates=None if settings.faithful else PassRates())
        session.open(A, 0.0)
        for number in range(1, 5):
            session.acked(number, number / 1000)
        assert session.deadline == pytest.approx(0.004 + FLOOR)

    def test_a_timer_that_rang_too_early_waits_longer_from_then_on(self) -> None:
        lab = Lab(image(60), settings=PACED)
        lab.lockstep(A, 5)
        waits = []
        for block in range(5, 50):
            (repeated,) = sent(lab.until_due())
            assert repeated == (GROUP, block, 1)
            assert sent(lab.ack(A, block)) == [(GROUP, block + 1, 1)]
            assert drops(lab.ack(A, block)) == [DropReason.STALE_ACK]
            when = lab.service.next_deadline()
            assert when is not None
            waits.append(when - lab.now)
        assert waits == sorted(waits)
        assert waits[0] < 3 * HASTE
        assert waits[-1] == pytest.approx(FLOOR)
        for block in range(50, 60):
            lab.until_due()
            assert sent(lab.ack(A, block)) == [(GROUP, block + 1, 1)] * (block < 60)
        when = lab.service.next_deadline()
        assert when is not None
        assert when - lab.now < FLOOR / 2, "blocks that were really lost make it hasty again"

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

    def test_ack_11_who_dhcp_told_of_the_group_is_somebody_else(self) -> None:
        """All others have heard the pass from its beginning, so that none of them had a reason to open."""
        lab = Lab(image(60))
        lab.tell(A)
        lab.tell(B)
        lab.open(A)
        for number in range(1, 6):
            lab.now += 0.2
            lab.ack(A, number)
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

"""The second gear, seen from the wire: when a pass has no master, how it goes on, and when it ends."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from mtftpd.core.effects import DropReason, Report, ReportKind, Sender
from mtftpd.core.mtftp.gears import MAX_UNASKED
from mtftpd.core.mtftp.pass_rates import PassRate
from mtftpd.core.mtftp.session import Session
from mtftpd.core.mtftp.timing import GAP, GATHER, QUIET
from mtftpd.wire.datagram import Endpoint, HardwareAddress
from tests.core.mtftp.mtftp_lab import GROUP, PACED, SETTINGS, A, B, C, Lab, T, drops, image, reports, sent, sent_later

BLOCKS = 100
LOSSY = PassRate("rom", 0.001, factor=1.0, loss=0.05)
"""A kind of ROM for which lock-step is the slower way: 0.001 + 2 * 0.05 * 0.001 s a block, and the pace is 0.001 s."""
CLEAN = PassRate("rom", 0.001)


def paced_lab(*rates: PassRate, blocks: int = BLOCKS) -> Lab:
    return Lab(image(blocks), settings=PACED, rates=rates)


def until_over(lab: Lab) -> list[int]:
    """Let the pass that runs come to its end, and return its blocks."""
    blocks: list[int] = []
    while lab.state == "paced":
        for destination, first, count in sent(lab.until_due()):
            assert destination == GROUP
            blocks += range(first, first + count)
    return blocks


class TestWhichGear:
    def test_two_who_want_it_and_a_kind_that_is_known_get_a_pass_without_master(self) -> None:
        lab = paced_lab(LOSSY)
        lab.tell(A, "rom")
        lab.tell(B, "rom")
        lab.now += T
        effects = lab.open(A)
        assert sent(effects) == [(GROUP, 1, 1)]
        (started,) = reports(effects, ReportKind.PASS_STARTED)
        assert (started["master"], started["known"]) == ("", 1)
        assert lab.group.master == ""
        assert drops(lab.open(B)) == [DropReason.PASS_RUNNING]
        assert until_over(lab) == list(range(2, BLOCKS + 1))

    @pytest.mark.parametrize("rates", [(), (CLEAN,)], ids=["unknown", "lock-step is faster"])
    def test_lock_step_when_nothing_is_known_or_it_is_the_faster_way(self, rates: tuple[PassRate, ...]) -> None:
        lab = paced_lab(*rates)
        lab.tell(A, "rom")
        lab.tell(B, "rom")
        assert sent(lab.open(A)) == [(A, 1, 1), (GROUP, 1, 1)]

    def test_lock_step_for_one_alone(self) -> None:
        lab = paced_lab(LOSSY)
        lab.tell(A, "rom")
        assert sent(lab.open(A)) == [(A, 1, 1), (GROUP, 1, 1)]

    def test_faithful_has_no_other_gear(self) -> None:
        lab = Lab(image(BLOCKS), settings=SETTINGS, rates=[LOSSY])
        lab.tell(A, "rom")
        lab.tell(B, "rom")
        assert sent(lab.open(A)) == [(A, 1, 1), (GROUP, 1, 1)]
        for number in range(1, BLOCKS + 1):
            lab.ack(A, number)
        lab.now += T
        lab.open(B)
        lab.error(B)
        assert lab.service.rates.snapshot() == (LOSSY,)

    def test_openers_are_gathered_before_a_paced_pass_as_before_any_other(self) -> None:
        lab = paced_lab(LOSSY)
        assert lab.open(C) == ()
        assert drops(lab.open(A)) == [DropReason.PASS_RUNNING]
        assert [run for _, run in sent_later(lab.run_until(lab.now + GATHER))] == [(GROUP, 1, 1)]

    def test_who_opens_in_the_gap_is_master(self) -> None:
        lab = paced_lab(LOSSY)
        lab.tell(A, "rom")
        lab.tell(B, "rom")
        lab.open(A)
        until_over(lab)
        lab.now += 0.1
        assert sent(lab.open(B)) == [(B, 1, 1), (GROUP, 1, 1)]
        assert sent(lab.ack(B, 1)) == [(GROUP, 2, 1)]
        later = sent_later(lab.run_until(lab.now + 0.9))
        assert {run for _, run in later} == {(GROUP, 2, 1)}, "never ahead of a real master"

    def test_who_has_heard_so_many_passes_that_loss_is_no_reason_gets_certainty(self) -> None:
        lab = paced_lab(LOSSY)
        lab.tell(A, "rom")
        lab.tell(B, "rom")
        session = lab.service._sessions[GROUP]
        assert isinstance(session, Session)
        for _ in range(3):
            session._gears.audience.pass_ended(lab.now)
        assert sent(lab.open(A)) == [(A, 1, 1), (GROUP, 1, 1)]


class TestGoingOn:
    def test_holes_that_are_to_be_expected_bring_the_next_pass_after_the_gap(self) -> None:
        lab = paced_lab(LOSSY)
        for client in (A, B):
            lab.tell(client, "rom")
        lab.open(A)
        until_over(lab)
        ended = lab.now
        assert lab.state == "gap"
        effects = lab.until_due()
        assert lab.now == pytest.approx(ended + GAP)
        assert sent(effects) == [(GROUP, 1, 1)]
        until_over(lab)
        lab.until_due()
        assert lab.state == "paced", "two listeners have 2 * 100 * 0.05^2 = 0.5 holes after two passes"
        until_over(lab)
        lab.until_due()
        assert lab.state == "idle", "and 0.025 after three"

    def test_not_without_loss(self) -> None:
        lab = paced_lab(PassRate("rom", 0.001, factor=1.0, loss=0.00001))
        lab.tell(A, "rom")
        lab.tell(B, "rom")
        lab.open(A)
        until_over(lab)
        lab.until_due()
        assert lab.state == "idle"

    def test_a_node_that_was_told_during_the_pass_gets_the_next_one_once_it_would_open(self) -> None:
        lab = paced_lab(PassRate("rom", 0.03, factor=1.0, loss=0.00001))
        lab.tell(A, "rom")
        lab.tell(B, "rom")
        lab.open(A)
        lab.until_due()
        lab.tell(C, "rom")
        until_over(lab)
        assert sent(lab.until_due()) == [(GROUP, 1, 1)]

    def test_a_node_that_was_told_a_moment_ago_is_left_to_open_by_itself(self) -> None:
        lab = paced_lab(PassRate("rom", 0.001, factor=1.0, loss=0.00001))
        lab.tell(A, "rom")
        lab.tell(B, "rom")
        lab.open(A)
        lab.until_due()
        lab.tell(C, "rom")
        until_over(lab)
        lab.until_due()
        assert lab.state == "idle"

    def test_nobody_asks_for_ever(self) -> None:
        lab = paced_lab(PassRate("rom", 0.001, factor=1.0, loss=0.5))
        for client in (A, B):
            lab.tell(client, "rom")
        lab.open(A)
        passes = 0
        while lab.state != "idle":
            passes += 1
            until_over(lab)
            lab.until_due()
        assert passes == MAX_UNASKED

    def test_a_lock_step_pass_is_followed_by_paced_ones(self) -> None:
        lab = paced_lab()
        lab.tell(A, "rom")
        lab.tell(B, "rom")
        lab.open(A)
        for number in range(1, BLOCKS + 1):
            if number % 10 == 0:
                lab.until_due()
            lab.now += 0.001
            lab.ack(A, number)
        (rate,) = lab.service.rates.snapshot()
        assert rate.profile == "rom"
        assert rate.loss == pytest.approx(10 / 200)
        assert rate.answer == pytest.approx(0.001)
        assert sent(lab.until_due()) == [(GROUP, 1, 1)], "B may have holes"

    def test_a_timer_that_rang_too_early_is_no_loss(self) -> None:
        lab = paced_lab()
        lab.tell(A, "rom")
        lab.tell(B, "rom")
        lab.open(A)
        for number in range(1, BLOCKS + 1):
            if number == 50:
                lab.until_due()
            lab.ack(A, number)
            lab.ack(A, number)
        assert lab.service.rates.snapshot()[0].loss == 0

    def test_the_rest_of_a_pass_whose_master_is_lost_has_the_pace_that_was_learnt(self) -> None:
        lab = paced_lab(PassRate("rom", 0.001, factor=1.0, loss=0.00001))
        lab.tell(A, "rom")
        lab.lockstep(A, 10)
        lab.open(B)
        lab.error(A)
        times = [when for when, _ in sent_later(lab.run_until(lab.now + 0.0105))]
        assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([0.001] * (len(times) - 1))
        assert len(times) == 10

    def test_a_master_that_was_lost_says_something_of_its_kind_but_not_that_it_lost_the_last_block(self) -> None:
        lab = paced_lab()
        lab.tell(A, "rom")
        lab.lockstep(A, 80)
        lab.open(B)
        lab.run_until(lab.now + 1.5)
        assert lab.group.masters_lost == 1
        (rate,) = lab.service.rates.snapshot()
        assert (rate.profile, rate.loss) == ("rom", 0.0)


class TestNobodyLeft:
    def test_a_pass_for_those_who_have_all_gone_to_port_69_ends(self) -> None:
        lab = paced_lab(LOSSY)
        lab.tell(A, "rom")
        lab.tell(B, "rom")
        lab.open(A)
        lab.service.fetched_by_unicast(A.address, "kernel", lab.now)
        assert lab.until_due()
        lab.service.fetched_by_unicast(B.address, "kernel", lab.now)
        (ended,) = reports(lab.until_due(), ReportKind.PASS_ENDED)
        assert ended["outcome"] == "deserted"
        assert drops(lab.open(C)) == [DropReason.QUIET]
        lab.run_until(lab.now + T + QUIET)
        assert lab.state == "idle"

    def test_so_does_one_for_those_who_went_on_to_the_next_file_or_to_their_system(self) -> None:
        lab = paced_lab(LOSSY)
        lab.tell(A, "rom")
        lab.tell(B, "rom", ReportKind.PXE_ANSWERED)
        lab.open(A)
        system = Sender(HardwareAddress(1, bytes(6)), 3, 1, "other", False, b"", B.address, "")
        next_file = Report(ReportKind.TFTP_STARTED, A.address, None, (("file", "initrd"),))
        acked = Report(ReportKind.DHCP_ACKED, B.address, None, (), system)
        lab.service.learn((next_file, acked), lab.now)
        (ended,) = reports(lab.until_due(), ReportKind.PASS_ENDED)
        assert ended["outcome"] == "deserted"

    def test_who_asks_for_the_same_file_is_left_to_the_count_of_fallbacks(self) -> None:
        lab = paced_lab(LOSSY)
        lab.tell(A, "rom")
        lab.service.learn((Report(ReportKind.TFTP_STARTED, A.address, None, (("file", "kernel"),)),), lab.now)
        lab.tell(B, "rom")
        assert sent(lab.open(B)) == [(GROUP, 1, 1)]

    def test_a_group_that_is_not_ours_and_a_node_without_address_are_no_demand(self) -> None:
        lab = paced_lab(LOSSY)
        lab.service.learn((Report(ReportKind.DHCP_ACKED, "", None, (("group", str(GROUP)),)),), lab.now)
        lab.service.learn((Report(ReportKind.DHCP_ACKED, B.address, None, (("group", "239.9.9.9:1"),)),), lab.now)
        assert sent(lab.open(A)) == [(A, 1, 1), (GROUP, 1, 1)]

    def test_who_has_heard_a_pass_and_was_silent_since_is_no_demand_for_the_next_opener(self) -> None:
        lab = paced_lab(LOSSY)
        lab.tell(A, "rom")
        lab.tell(B, "rom")
        lab.open(A)
        while lab.state != "idle":
            lab.until_due()
        lab.now += 3 * T
        assert sent(lab.open(C)) == []
        assert sent(lab.until_due()) == [(C, 1, 1), (GROUP, 1, 1)]

    def test_other_content_has_another_audience(self) -> None:
        lab = paced_lab(LOSSY)
        lab.tell(A, "rom")
        lab.tell(B, "rom")
        other = replace(lab.groups.bindings[0], image=image(BLOCKS, key=9))
        lab.service._sessions[GROUP].rebind(other, lab.now)
        assert sent(lab.open(A)) == [(A, 1, 1), (GROUP, 1, 1)]


class TestTheRateFindsItself:
    def lab_after_a_pass(self) -> tuple[Lab, list[Endpoint]]:
        """Return a lab after a paced pass to six clients without loss."""
        lab = paced_lab(PassRate("rom", 0.001, factor=1.0, loss=0.00001))
        clients = [Endpoint(f"10.0.0.{host}", 1799) for host in range(20, 26)]
        for client in clients:
            lab.tell(client, "rom")
        lab.open(clients[0])
        until_over(lab)
        lab.until_due()
        return lab, clients

    def test_two_openers_whom_loss_does_not_explain_slow_the_next_pass_down(self) -> None:
        lab, clients = self.lab_after_a_pass()
        lab.now += T
        lab.open(clients[0])
        assert lab.service.rates.snapshot()[0].factor == 1.0, "one may have a reason of its own"
        lab.open(clients[1])
        assert lab.service.rates.snapshot()[0].factor == 1.5

    def test_so_do_two_that_go_to_port_69(self) -> None:
        lab, clients = self.lab_after_a_pass()
        for client in clients[:2]:
            lab.service.fetched_by_unicast(client.address, "kernel", lab.now)
        (rate,) = lab.service.rates.snapshot()
        assert (rate.factor, rate.burst) == (1.5, 4)

    def test_who_opens_right_behind_the_pass_says_nothing_about_the_rate(self) -> None:
        lab = paced_lab(PassRate("rom", 0.001, factor=1.0, loss=0.00001))
        lab.tell(A, "rom")
        lab.tell(B, "rom")
        lab.open(A)
        until_over(lab)
        lab.open(A)
        lab.open(B)
        assert lab.service.rates.snapshot()[0].factor == 1.0

    def test_clean_passes_make_the_next_one_faster(self) -> None:
        lab = paced_lab(PassRate("rom", 0.001, factor=1.5, loss=0.3))
        for client in (A, B):
            lab.tell(client, "rom")
        lab.open(A)
        until_over(lab)
        lab.until_due()
        assert lab.state == "paced"
        assert lab.service.rates.snapshot()[0].factor == pytest.approx(1.35)


class TestAMasterThatComesBack:
    """atftp answers no repetition: without its acknowledgement it is silent until it hears the next block."""

    def lost(self) -> Lab:
        lab = Lab(image(BLOCKS))
        lab.lockstep(A, 10)
        lab.open(B)
        while lab.state == "lockstep":
            effects = lab.until_due()
        assert reports(effects, ReportKind.MASTER_LOST)
        assert sent(lab.until_due()) == [(GROUP, 11, 1)]
        return lab

    def test_that_acknowledges_the_first_block_sent_without_it_is_master_again(self) -> None:
        lab = self.lost()
        effects = lab.ack(A, 11)
        assert sent(effects) == [(GROUP, 12, 1)]
        (back,) = reports(effects, ReportKind.MASTER_BACK)
        assert (back["master"], back["block"]) == (str(A), 11)
        assert lab.group.master == str(A)
        assert sent(lab.ack(A, 12)) == [(GROUP, 13, 1)]

    def test_the_next_time_less_patience_is_needed(self) -> None:
        lab = self.lost()
        lab.ack(A, 11)
        silent_since = lab.now
        while lab.state == "lockstep":
            lab.until_due()
        assert lab.now - silent_since < 0.2

    @pytest.mark.parametrize("number", [9, 10, 12])
    def test_that_acknowledges_anything_else_may_have_a_hole(self, number: int) -> None:
        lab = self.lost()
        lab.until_due()
        assert drops(lab.ack(A, number)) == [DropReason.STALE_ACK]
        assert drops(lab.ack(A, 12)) == [DropReason.NOT_THE_MASTER]
        assert lab.state == "paced"

    def test_that_has_gone_to_another_file_does_not(self) -> None:
        lab = Lab(image(BLOCKS), image(BLOCKS, key=2, name="initrd"))
        lab.lockstep(A, 10)
        lab.open(B)
        while lab.group.state == "lockstep":
            lab.until_due()
        lab.open(A, b"initrd")
        lab.run_until(lab.now + 0.003)
        assert sent(lab.ack(A, 11)) != [(GROUP, 12, 1)]
        assert lab.group.state == "paced"

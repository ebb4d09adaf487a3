"""The passes of one group, requirement by requirement: whole ones, opens while they run, and what lies between them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mtftpd.core.effects import DropReason, ReportKind, SendRun, Service
from mtftpd.core.mtftp.states import TABLE, Event, Gap, Idle, Quiet
from mtftpd.core.mtftp.timing import GAP, GATHER, QUIET
from mtftpd.wire.datagram import Endpoint
from tests.core.mtftp.mtftp_lab import (
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
    with_seconds,
)


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


CPORT = A.port


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

"""The acknowledgements of a pass, requirement by requirement: whose count, and what each brings."""

from __future__ import annotations

import pytest

from mtftpd.core.effects import DropReason, ReportKind
from mtftpd.core.mtftp.timing import ECHO_AFTER
from mtftpd.wire.datagram import Endpoint
from tests.core.mtftp.mtftp_lab import GROUP, A, B, Lab, drops, image, reports, sent, sent_later


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

"""The turns of iPXE's group and the polls between them: what goes to the group, and who is asked for what."""

from __future__ import annotations

import pytest

from mtftpd.core.effects import DropReason, ReportKind
from mtftpd.core.images import Image
from mtftpd.core.mtftp.carousel_states import first_withheld
from mtftpd.core.mtftp.listeners import AT_ONCE, QUESTIONS
from mtftpd.core.mtftp.timing import GATHER
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.mtftp import IPXE_GROUP
from tests.core.mtftp.carousel_lab import SLOW, A, B, IpxeLab
from tests.core.mtftp.mtftp_lab import drops, image, reports, sent


@pytest.mark.parametrize(
    ("octets", "withheld"), [(1, 1), (511, 1), (512, 1), (513, 2), (1024, 2), (1025, 3), (5000, 10), (5120, 10)]
)
def test_the_first_block_that_tells_the_size_is_the_one_that_reaches_it(octets: int, withheld: int) -> None:
    assert first_withheld(Image(1, "x", octets, "x")) == withheld


class TestTurns:
    def test_the_first_opener_is_the_pilot_and_the_group_hears_all_but_the_end(self) -> None:
        lab = IpxeLab(image(20))
        assert lab.asks(A) == ()
        lab.now += GATHER / 2
        assert drops(lab.asks(B)) == [DropReason.PASS_RUNNING]
        effects = lab.until_due()
        assert sent(effects)[:2] == [(A, 1, 1), (IPXE_GROUP, 1, 1)]
        (started,) = reports(effects, ReportKind.PASS_STARTED)
        assert (started["master"], started["known"]) == ("", 2)
        assert (lab.carousel.state, lab.carousel.block, lab.carousel.waiting) == ("turn", 1, 2)
        assert drops(lab.says(A, 1)) == [DropReason.COUNTED]
        ended = lab.to_poll()
        assert ended[-2:] == [(A, 2, 1), (B, 19, 1)], "each is asked for what it lacks, or with the last safe block"

    def test_who_opens_during_a_turn_gets_a_whole_one(self) -> None:
        lab = IpxeLab(image(20))
        lab.asks(A)
        lab.until_due()
        while lab.carousel.block < 10:
            lab.until_due()
        before = lab.carousel.block
        lab.asks(B)
        heard = []
        while lab.carousel.state == "turn":
            heard += [block for to, block, _ in sent(lab.until_due()) if to == IPXE_GROUP]
        assert heard == [*range(before + 1, 20), *range(1, before + 1)]

    def test_who_opens_again_during_a_turn_does_not_make_it_longer(self) -> None:
        lab = IpxeLab(image(20))
        lab.asks(A)
        lab.until_due()
        while lab.carousel.block < 10:
            lab.until_due()
        lab.asks(A)
        assert lab.to_poll()[-1] == (A, 19, 1)
        assert lab.carousel.sent == 19

    def test_a_call_before_the_time_does_nothing(self) -> None:
        lab = IpxeLab(image(20))
        lab.asks(A)
        carousel = lab.service._sessions[IPXE_GROUP]
        assert carousel.tick(lab.now) == ()

    def test_a_known_pace_is_where_it_begins_and_what_was_found_is_kept(self) -> None:
        lab = IpxeLab(image(200))
        lab.asks(A)
        lab.until_due()
        while lab.carousel.state == "turn":
            block = lab.carousel.block
            for number in range(block, lab.carousel.block + 1):
                lab.says(A, number)
            lab.until_due()
        lab.says(A, 199)
        lab.says(A, 200)
        lab.until_due()
        (rate,) = lab.service.rates.snapshot()
        assert rate.answer < SLOW.answer


class TestPolls:
    def polled(self, blocks: int = 20, *clients: Endpoint) -> IpxeLab:
        lab = IpxeLab(image(blocks))
        for client in clients or (A,):
            lab.asks(client)
        lab.to_poll()
        return lab

    def test_a_gap_is_sent_to_the_group_once_for_all_who_report_it(self) -> None:
        lab = self.polled(20, A, B)
        assert sent(lab.says(A, 4)) == [(IPXE_GROUP, 5, 1)]
        assert drops(lab.says(B, 4)) == [DropReason.STALE_ACK]
        lab.now += 0.03
        assert sent(lab.says(B, 4)) == [(IPXE_GROUP, 5, 1)]

    def test_who_holds_all_but_the_end_gets_that_alone(self) -> None:
        lab = self.polled(20, A, B)
        assert sent(lab.says(A, 19)) == [(A, 20, 1)]
        assert drops(lab.says(A, 19)) == [DropReason.STALE_ACK]
        (done,) = reports(lab.says(A, 20), ReportKind.LISTENER_DONE)
        assert done["blocks"] == 20
        assert drops(lab.says(A, 20)) == [DropReason.NOT_THE_MASTER]
        lab.says(B, 19)
        lab.says(B, 20)
        (ended,) = reports(lab.until_due(), ReportKind.PASS_ENDED)
        assert (ended["outcome"], ended["master"]) == ("polled", "")
        assert lab.carousel.state == "idle"

    def test_an_image_that_ends_with_an_empty_block_withholds_two(self) -> None:
        lab = IpxeLab(Image(1, "kernel", 1024, "d"))
        lab.asks(A)
        assert lab.to_poll() == [(A, 1, 1), (IPXE_GROUP, 1, 1), (A, 1, 1)]
        assert sent(lab.says(A, 1)) == [(A, 2, 2)], "both, or it would know the size and not have the end"
        assert sent(lab.says(A, 2)) == [(A, 3, 1)]
        assert reports(lab.says(A, 3), ReportKind.LISTENER_DONE)

    def test_an_image_of_one_block_is_nothing_for_the_group(self) -> None:
        lab = IpxeLab(Image(1, "kernel", 300, "d"))
        lab.asks(A)
        assert lab.to_poll() == [(A, 1, 1)]
        lab.run_until(lab.now + 0.5)
        assert reports(lab.says(A, 1), ReportKind.LISTENER_DONE)

    def test_silence_is_asked_again_and_then_left_alone_while_the_group_is_kept_awake(self) -> None:
        lab = self.polled()
        happened = [run for _, effects in lab.run_until(lab.now + 2) for run in sent(effects)]
        assert happened.count((A, 19, 1)) == QUESTIONS - 1
        assert (IPXE_GROUP, 19, 1) in happened
        assert lab.carousel.state == "idle"

    def test_who_lacks_much_gets_another_turn_and_a_slower_one(self) -> None:
        lab = self.polled(200)
        for number in range(33):
            lab.now += 0.001
            effects = lab.says(A, number)
        assert sent(effects) == [(IPXE_GROUP, 1, 1)]
        assert lab.carousel.state == "turn"

    def test_who_opens_while_others_are_asked_gets_a_turn(self) -> None:
        lab = self.polled()
        assert sent(lab.asks(B)) == [(IPXE_GROUP, 1, 1)]
        assert lab.carousel.state == "turn"

    def test_who_opens_again_has_another_port_and_is_asked_there(self) -> None:
        lab = self.polled()
        moved = A._replace(port=2001)
        assert drops(lab.asks(moved)) == [DropReason.PASS_RUNNING]
        assert drops(lab.says(A, 5)) == [DropReason.NOT_THE_MASTER]
        assert sent(lab.until_due()) == [(moved, 19, 1)]

    def test_of_an_image_of_one_block_nobody_needs_a_turn(self) -> None:
        lab = IpxeLab(Image(1, "kernel", 300, "d"))
        lab.asks(A)
        lab.to_poll()
        assert drops(lab.asks(B)) == [DropReason.PASS_RUNNING]
        assert sent(lab.until_due()) == [(B, 1, 1)]

    def test_the_end_is_sent_again_to_who_does_not_confirm_it(self) -> None:
        lab = self.polled()
        lab.says(A, 19)
        assert (A, 20, 1) in sent(lab.until_due())

    def test_many_are_asked_a_few_at_a_time(self) -> None:
        clients = [Endpoint(f"10.0.0.{host}", 2000) for host in range(20, 20 + AT_ONCE + 6)]
        lab = IpxeLab(image(20))
        for client in clients:
            lab.asks(client)
        assert len([run for run in lab.to_poll() if run[0] != IPXE_GROUP]) == AT_ONCE
        assert [to for to, _, _ in sent(lab.until_due())] == clients[AT_ONCE:]

    def test_nonsense_changes_nothing(self) -> None:
        lab = self.polled()
        assert drops(lab.says(A, 21)) == [DropReason.UNEXPECTED]
        assert drops(lab.says(B, 3)) == [DropReason.NOT_THE_MASTER]

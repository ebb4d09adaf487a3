"""A block that leaves twice, whose acknowledgements tell how long the ROM takes without the network."""

from __future__ import annotations

import pytest

from mtftpd.core.effects import DropReason
from mtftpd.core.mtftp.pacing import SLOW_DOWN
from mtftpd.core.mtftp.pairs import LEAST_PAIRS, LONGEST_HOLD, PAIR_EVERY
from mtftpd.core.mtftp.pass_rates import PassRate
from mtftpd.core.mtftp.session import Session
from mtftpd.core.settings import Settings
from tests.core.mtftp.mtftp_lab import GROUP, PACED, SETTINGS, A, Lab, drops, image, sent

CLEAN = PassRate("rom", 0.001)


def lab_after_a_pass(blocks: int, service: float) -> Lab:
    lab = Lab(image(blocks), settings=PACED)
    lab.tell(A, "rom")
    lab.open(A)
    for number in range(1, blocks + 1):
        lab.now += 0.001
        pair = bool(number % PAIR_EVERY == PAIR_EVERY - 1 and number + 1 < blocks)
        if number % PAIR_EVERY == 0:
            assert sent(lab.ack(A, number)) == [], "nothing else is to be done while the ROM takes the second copy"
            lab.now += service
        assert sent(lab.ack(A, number)) == [(GROUP, number + 1, 1)] * (number < blocks) * (1 + pair)
    return lab


def test_what_follows_is_nearly_as_fast_as_the_rom() -> None:
    lab = lab_after_a_pass(LEAST_PAIRS * PAIR_EVERY + 10, service=0.0006)
    (rate,) = lab.service.rates.snapshot()
    assert rate.interval == pytest.approx(0.00066, rel=0.02)
    assert lab.group.repeats == LEAST_PAIRS


def test_a_few_are_no_sample() -> None:
    lab = lab_after_a_pass((LEAST_PAIRS - 1) * PAIR_EVERY + 10, service=0.0006)
    assert lab.service.rates.snapshot()[0].factor == SLOW_DOWN


@pytest.mark.parametrize(("settings", "rates"), [(SETTINGS, ()), (PACED, (CLEAN,))], ids=["faithful", "known"])
def test_none_where_they_would_tell_nothing(settings: Settings, rates: tuple[PassRate, ...]) -> None:
    lab = Lab(image(PAIR_EVERY + 10), settings=settings, rates=rates)
    lab.tell(A, "rom")
    lab.lockstep(A, PAIR_EVERY + 5)
    assert lab.group.repeats == 0


def test_one_whose_first_answer_is_lost_has_no_second() -> None:
    lab = Lab(image(PAIR_EVERY + 10), settings=PACED)
    lab.open(A)
    for number in range(1, PAIR_EVERY):
        lab.ack(A, number)
    assert sent(lab.ack(A, PAIR_EVERY)) == []
    acknowledged_at = lab.now
    assert sent(lab.until_due()) == [(GROUP, PAIR_EVERY + 1, 1)]
    assert lab.now - acknowledged_at == pytest.approx(LONGEST_HOLD)
    assert drops(lab.ack(A, PAIR_EVERY)) == [DropReason.STALE_ACK], "too late to say anything"
    assert sent(lab.ack(A, PAIR_EVERY + 1)) == [(GROUP, PAIR_EVERY + 2, 1)]
    session = lab.service._sessions[GROUP]
    assert isinstance(session, Session)
    assert session._run is not None
    assert session._run.pairs.service is None

"""A first ACK that got lost is sent again by the ROM's own timer: what it took says nothing of the round trip."""

from __future__ import annotations

from itertools import pairwise

import pytest

from mtftpd.core.mtftp.pacing import UNKNOWN
from mtftpd.core.rtt import INITIAL
from tests.core.mtftp.mtftp_lab import GROUP, A, B, Lab, T, image, sent, sent_later


def test_a_late_first_ack_makes_no_slow_timer() -> None:
    lab = Lab(image(500))
    lab.open(A)
    lab.wait(T)
    lab.ack(A, 1)
    left = lab.now
    assert sent(lab.until_due()) == [(GROUP, 2, 1)]
    assert lab.now - left == pytest.approx(INITIAL)


def test_nor_a_slow_pass_when_the_master_dies() -> None:
    """With T for a round trip the pass went on with five blocks a second: half an hour for 4 MiB."""
    lab = Lab(image(500))
    lab.open(A)
    lab.open(B)
    lab.wait(T)
    lab.ack(A, 1)
    blocks = [when for when, (_, first, _) in sent_later(lab.run_until(lab.now + 10.0)) if first > 6]
    assert len(blocks) > 400
    assert max(after - before for before, after in pairwise(blocks)) < 2 * UNKNOWN

"""A client that multicast does not reach: PXE 2.1 figure 2-7 alone would let it open for ever."""

from __future__ import annotations

from mtftpd.core.effects import DropReason, Service
from mtftpd.core.mtftp.unheard import MAX_REMEMBERED, TRIES, WAITS, Unheard
from tests.core.mtftp.mtftp_lab import GROUP, IPXE_GROUP, A, B, C, Lab, T, drops, image, sent

WAIT = T + 0.1


def fail(lab: Lab) -> None:
    """Let A become master, acknowledge DATA 1, and hear nothing more."""
    assert (A, 1, 1) in sent(lab.open(A))
    lab.ack(A, 1)
    while lab.service.next_deadline() is not None:
        lab.until_due()


def test_who_is_master_twice_and_never_hears_the_group_is_met_with_silence() -> None:
    lab = Lab(image(500))
    for _ in range(TRIES):
        fail(lab)
    for _ in range(3):
        assert drops(lab.open(A)) == [DropReason.UNHEARD]
        lab.wait(T)
    assert lab.group.ignored == 3
    assert sent(lab.open(B)) == [(B, 1, 1), (GROUP, 1, 1)], "nobody else is concerned"


def test_it_may_try_again_in_its_next_boot() -> None:
    lab = Lab(image(500))
    for _ in range(TRIES):
        fail(lab)
    lab.wait(WAITS * WAIT)
    assert sent(lab.open(A)) == [(A, 1, 1), (GROUP, 1, 1)]


def test_block_2_acknowledged_is_proof_of_hearing() -> None:
    lab = Lab(image(500))
    for _ in range(TRIES):
        fail(lab)
        lab.open(A)
        lab.ack(A, 1)
        lab.ack(A, 2)
        while lab.service.next_deadline() is not None:
            lab.until_due()
    assert sent(lab.open(A)) == [(A, 1, 1), (GROUP, 1, 1)]


def test_the_last_block_unacknowledged_proves_nothing() -> None:
    """A master that is done leaves without a word when its last ACK is lost."""
    lab = Lab(image(2))
    for _ in range(TRIES):
        fail(lab)
    assert sent(lab.open(A)) == [(A, 1, 1), (GROUP, 1, 1)]


def test_a_whole_pass_clears_what_was_held_against_a_client() -> None:
    lab = Lab(image(3))
    for _ in range(TRIES):
        fail(lab)
        lab.lockstep(A, 3)
        lab.ack(A, 3)
        lab.until_due()
    assert sent(lab.open(A)) == [(A, 1, 1), (GROUP, 1, 1)]


def test_ipxe_has_no_other_way_and_is_always_served() -> None:
    lab = Lab(image(500))
    for _ in range(TRIES + 1):
        lab.open(C, socket=Service.MTFTP_IPXE)
        lab.until_due()
        lab.ack(C, 1, socket=Service.MTFTP_IPXE)
        while lab.service.next_deadline() is not None:
            lab.until_due()
    lab.open(C, socket=Service.MTFTP_IPXE)
    assert sent(lab.until_due()) == [(C, 1, 1), (IPXE_GROUP, 1, 1)]


def test_memory_is_bounded_and_the_oldest_is_forgotten() -> None:
    unheard = Unheard()
    for number in range(MAX_REMEMBERED + 1):
        for _ in range(TRIES):
            unheard.failed(str(number), 0.0, 1.0)
    assert not unheard.is_left_alone("0", 1.0)
    assert unheard.is_left_alone("1", 1.0)
    assert unheard.is_left_alone(str(MAX_REMEMBERED), 1.0)
    unheard.heard("1")
    assert not unheard.is_left_alone("1", 1.0)

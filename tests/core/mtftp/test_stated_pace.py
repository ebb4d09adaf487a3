"""Passes of an image whose listeners are said to keep up with a pace, seen from the wire."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from mtftpd.core.effects import Effects, ReportKind, SendRun
from mtftpd.core.groups import Groups
from mtftpd.core.mtftp.pacing import CALLS_TOGETHER, FASTEST, MAX_SEGMENTS
from mtftpd.core.mtftp.pass_rates import PassRate
from mtftpd.core.mtftp.timing import CONGESTED, GAP
from mtftpd.core.service import BootService
from mtftpd.core.settings import Bandwidth, Catalogue
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import Request, build
from tests.core.mtftp.mtftp_lab import GROUP, PACED, SERVER, SETTINGS, A, B, Lab, T, catalogue, image, reports, sent

BLOCKS = 1_000
BURST = CALLS_TOGETHER * MAX_SEGMENTS
NO_LIMIT = replace(PACED.multicast, paces=(("kernel", 0.0),))
RATE = 582 * 8 / 0.0001
"""A block in 0.1 ms, which are ten in a grain of the timer."""


def stated(rate: float = 0.0, *rates: PassRate, faithful: bool = False) -> Lab:
    multicast = replace(PACED.multicast, paces=(("kernel", rate),))
    return Lab(image(BLOCKS), settings=replace(PACED, multicast=multicast, faithful=faithful), rates=rates)


def until_over(lab: Lab) -> list[tuple[float, int, int]]:
    """Let the pass that runs come to its end; return when what left."""
    runs = []
    while lab.state == "paced":
        for destination, first, count in sent(lab.until_due()):
            assert destination == GROUP
            runs.append((lab.now, first, count))
    return runs


def test_without_a_limit_a_pass_takes_no_time_and_has_the_longest_runs_even_for_one_alone() -> None:
    lab = stated()
    began = lab.now
    assert sent(lab.open(A)) == [(GROUP, 1, BURST)]
    assert [(when - began, first, count) for when, first, count in until_over(lab)] == [
        (0.0, BURST + 1, BURST),
        (0.0, 2 * BURST + 1, BURST),
        (0.0, 3 * BURST + 1, BLOCKS - 3 * BURST),
    ]
    assert lab.group.passes == 1


def test_a_stated_rate_is_kept() -> None:
    lab = stated(RATE)
    assert sent(lab.open(A)) == [(GROUP, 1, 1)]
    runs = until_over(lab)
    assert {count for _, _, count in runs[:-1]} == {10}
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(runs[:-1])]
    assert gaps == pytest.approx([0.001] * len(gaps))


def test_what_was_learnt_of_roms_neither_counts_nor_changes() -> None:
    known = PassRate("rom", 0.01, loss=0.00001)
    lab = stated(0.0, known)
    for each in (A, B):
        lab.tell(each, "rom")
    lab.now += T
    for _ in range(3):
        assert sent(lab.open(A)) == [(GROUP, 1, BURST)]
        until_over(lab)
        lab.run_until(lab.now + 2 * T + 1)
        lab.tell(A, "rom")
        lab.now += T
    assert lab.service.rates.snapshot() == (known,)


def test_whoever_has_holes_after_a_pass_is_the_next_master() -> None:
    lab = stated()
    lab.open(A)
    until_over(lab)
    lab.now += GAP / 2
    assert sent(lab.open(A)) == [(A, 1, 1), (GROUP, 1, 1)]


def test_the_rest_of_a_pass_whose_master_has_gone_has_the_stated_pace() -> None:
    lab = stated()
    lab.open(A)
    until_over(lab)
    lab.now += GAP / 2
    lab.open(A)
    lab.open(B)
    lab.ack(A, 1)
    lab.error(A)
    assert until_over(lab)[0][1:] == (3, BURST)


def test_faithful_has_no_pace_to_state() -> None:
    lab = stated(faithful=True)
    assert sent(lab.open(A)) == [(A, 1, 1), (GROUP, 1, 1)]
    lab.ack(A, 1)
    lab.open(B)
    lab.error(A)
    runs = until_over(lab)
    assert max(count for _, _, count in runs) <= 8


def test_a_group_that_has_failed_many_is_slowed_down_to_the_fastest_rom() -> None:
    lab = stated()
    lab.service.slow_down(lambda _group, _now: 0.5)
    lab.open(A)
    runs = until_over(lab)
    assert max(count for _, _, count in runs) <= 8
    assert (runs[-1][0] - runs[0][0]) / (BLOCKS - 1) == pytest.approx(2 * FASTEST, rel=0.05)


def test_another_configuration_states_another_pace() -> None:
    lab = stated()
    images = catalogue(image(BLOCKS))
    lab.service.reconfigure(SETTINGS, Groups(SETTINGS, images), lab.now)
    assert sent(lab.open(A)) == [(A, 1, 1), (GROUP, 1, 1)]


class TestCongestion:
    """A socket that has no room stops the passes that nobody else could stop."""

    def server(self, rate: float = 0.0) -> BootService:
        settings = replace(PACED, multicast=NO_LIMIT, bandwidth=Bandwidth(rate))
        images = (image(BLOCKS),)
        return BootService(settings, Catalogue(images, {"kernel": images[0]}))

    def open(self, service: BootService) -> Effects:
        data = build(Request(1, b"kernel", "octet", ()))
        return service.receive(Datagram(4, A, Endpoint(SERVER, 1542), data), 1.0)

    def test_a_pass_waits_for_room_and_goes_on_at_once_when_there_is(self) -> None:
        service = self.server()
        self.open(service)
        service.congested(True, 1.0)
        assert service.tick(1.0) == ()
        assert service.next_deadline() == 1.0 + CONGESTED
        assert service.tick(1.0 + CONGESTED) == ()
        service.congested(False, 1.15)
        assert service.next_deadline() == 1.15
        (run,) = service.tick(1.15)
        assert isinstance(run, SendRun)
        assert (run.first_block, run.count) == (BURST + 1, BURST)

    def test_nothing_else_minds_it(self) -> None:
        service = self.server()
        service.congested(True, 1.0)
        service.congested(False, 1.0)
        assert service.next_deadline() is None
        assert sent(self.open(service)) == [(GROUP, 1, BURST)]

    def test_the_first_blocks_of_a_pass_wait_too(self) -> None:
        service = self.server()
        service.congested(True, 1.0)
        effects = self.open(service)
        assert sent(effects) == []
        assert len(reports(effects, ReportKind.PASS_STARTED)) == 1
        service.congested(False, 1.0)
        assert sent(service.tick(1.0)) == [(GROUP, 1, BURST)]

    def test_the_budget_of_the_link_holds_for_a_pace_without_limit(self) -> None:
        service = self.server(rate=100e6)
        blocks = sum(count for _, _, count in sent(self.open(service)))
        while blocks < BLOCKS:
            now = service.next_deadline()
            assert now is not None
            blocks += sum(count for _, _, count in sent(service.tick(now)))
            assert blocks * 582 * 8 <= 100e6 * (now - 1.0) + service.budget.depth * 8 + 582 * 8

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.effects import Drop, DropReason, Effects, Report, ReportKind, Service
from mtftpd.core.link import admission
from mtftpd.core.link.admission import HOLD_SECONDS, ROUND, SERVED_SECONDS, Admission
from mtftpd.core.link.wire_time import block_octets
from mtftpd.core.settings import Bandwidth
from mtftpd.wire import tftp
from mtftpd.wire.datagram import Datagram, Endpoint

SERVER = Endpoint("10.0.0.1", 69)
FITS = 10
RATE = FITS * block_octets(512) * 8 / ROUND
"""Ten transfers of 512 octets a block fill the budget."""
RRQ = tftp.build(tftp.Request(1, b"/boot/nbp"))


def request(number: int, data: bytes = RRQ, port: int = 2070) -> Datagram:
    return Datagram(Service.TFTP, Endpoint(f"10.0.{number >> 8}.{number & 255}", port), SERVER, data)


def started(number: int, window: int = 1, block_size: int = 512) -> Report:
    detail = (("file", "boot/nbp"), ("size", 1), ("block_size", block_size), ("window", window))
    return Report(ReportKind.TFTP_STARTED, request(number).source.address, detail=detail)


def ended(number: int, kind: ReportKind = ReportKind.TFTP_DONE) -> Report:
    return Report(kind, request(number).source.address)


@dataclass
class Door:
    """An admission whose transfers begin as soon as they are let in."""

    rate: float = RATE
    tried: set[int] = field(default_factory=set)
    now: float = 1000.0
    let_in: list[tuple[int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        tried = {request(number).source.address for number in self.tried}
        self.admission = Admission(Bandwidth(self.rate), lambda address, now: address in tried)

    def ask(self, number: int, data: bytes = RRQ, port: int = 2070) -> Effects | None:
        held = self.admission.hold(request(number, data, port), self.now)
        if held is None:
            self._begin(number)
        return held

    def until(self, end: float) -> None:
        while (due := self.admission.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            datagram = self.admission.admitted(self.now)
            assert datagram is not None
            third, fourth = (int(part) for part in datagram.source.address.split(".")[2:])
            self._begin(third << 8 | fourth)
        self.now = end

    def _begin(self, number: int) -> None:
        self.let_in.append((number, self.now))
        self.admission.learn((started(number),), self.now)

    def end(self, number: int, kind: ReportKind = ReportKind.TFTP_DONE) -> None:
        self.admission.learn((ended(number, kind),), self.now)

    @property
    def order(self) -> list[int]:
        return [number for number, _ in self.let_in]

    @property
    def queue(self) -> list[int]:
        return [int(address.rpartition(".")[2]) for address in self.admission.statistics().queue]


def test_as_many_begin_as_one_round_has_room_for_and_the_others_are_told_their_place() -> None:
    door = Door()
    assert [door.ask(number) for number in range(FITS)] == [None] * FITS
    (told,) = door.ask(20) or ()
    assert told == Report(
        ReportKind.TFTP_QUEUED, "10.0.0.20", None, (("file", "boot/nbp"), ("position", 1), ("waiting", 1))
    )
    (told,) = door.ask(21) or ()
    assert isinstance(told, Report)
    assert dict(told.detail)["position"] == 2
    assert door.queue == [20, 21]
    assert door.admission.statistics().committed == pytest.approx(ROUND)
    door.until(door.now + 1)
    assert door.admission.admitted(door.now) is None
    assert len(door.let_in) == FITS


@pytest.mark.parametrize("kind", [ReportKind.TFTP_DONE, ReportKind.TFTP_FAILED])
def test_who_ends_makes_room_for_the_next(kind: ReportKind) -> None:
    door = Door()
    for number in range(FITS + 2):
        door.ask(number)
    door.end(3, kind)
    door.until(door.now + 1)
    assert door.order[FITS:] == [FITS]
    assert door.queue == [FITS + 1]


def test_nobody_waits_longer_than_a_rom_does() -> None:
    door = Door()
    for number in range(3 * FITS):
        door.ask(number)
        door.now += 0.01
    began = {number: 1000 + 0.01 * number for number in range(3 * FITS)}
    door.until(door.now + 100)
    assert sorted(door.order) == list(range(3 * FITS))
    assert all(when - began[number] <= HOLD_SECONDS + 1e-9 for number, when in door.let_in)
    statistics = door.admission.statistics()
    assert (statistics.held, statistics.overdue) == (2 * FITS, 2 * FITS)


def test_who_has_tried_before_goes_first_and_so_does_who_asks_again() -> None:
    door = Door(tried={30, 31})
    for number in (*range(FITS), 20, 21, 30, 22, 31):
        door.ask(number)
    assert door.queue == [30, 31, 20, 21, 22]
    (told,) = door.ask(22, port=2071) or ()
    assert told == Drop(DropReason.DUPLICATE_REQUEST, request(22, port=2071).source, "waits as number 3")
    assert door.queue == [30, 31, 22, 20, 21]
    for number in range(3):
        door.end(number)
    door.until(door.now)
    assert door.order[FITS:] == [30, 31, 22]


def test_the_newest_request_of_a_client_is_the_one_that_is_answered() -> None:
    door = Door()
    for number in range(FITS + 1):
        door.ask(number)
    door.ask(FITS, port=4000)
    door.end(0)
    admitted = door.admission.admitted(door.now)
    assert admitted == request(FITS, port=4000)


def test_who_is_being_served_or_was_a_moment_ago_is_not_held_back() -> None:
    door = Door()
    for number in range(FITS + 1):
        door.ask(number)
    assert door.ask(3) is None
    door.end(3)
    door.until(door.now + 1)
    assert door.ask(3) is None
    assert door.ask(3) is None
    door.end(3)
    door.now += SERVED_SECONDS
    assert door.ask(3) is not None


def test_only_read_requests_wait_and_only_with_a_limit() -> None:
    door = Door(rate=0.0)
    assert all(door.ask(number) is None for number in range(2 * FITS))
    assert door.admission.statistics().committed == 0.0
    door.admission.reconfigure(Bandwidth(RATE / FITS))
    assert door.ask(40) is None
    assert door.ask(41, b"\0\2" + RRQ[2:]) is None
    held = door.admission.hold(request(42)._replace(socket=Service.MTFTP), door.now)
    assert held is None
    assert door.ask(43, b"\0\1") is not None
    door.admission.reconfigure(Bandwidth())
    door.until(door.now)
    assert door.order[-1] == 43


def test_a_budget_that_returns_knows_nothing_of_transfers_whose_end_it_did_not_hear_of() -> None:
    door = Door()
    for number in range(FITS):
        door.ask(number)
    door.admission.reconfigure(Bandwidth())
    for number in range(FITS):
        door.end(number)
    door.admission.reconfigure(Bandwidth(RATE))
    assert door.ask(FITS) is None
    assert door.admission.statistics().committed == pytest.approx(ROUND / FITS)


def test_a_window_counts_as_many_blocks() -> None:
    door = Door()
    news = Report(ReportKind.NODE_STATE, "10.0.0.1")
    door.admission.learn((started(1, window=FITS), Drop(DropReason.OFF_LINK, SERVER), news), door.now)
    assert door.ask(2) is not None
    door.end(1)
    door.admission.learn((started(1, block_size=1428),), door.now)
    assert door.admission.statistics().committed == pytest.approx(ROUND / FITS * block_octets(1428) / block_octets(512))


def test_what_is_remembered_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_HELD", 2)
    monkeypatch.setattr(admission, "MAX_SERVED", 5)
    door = Door()
    held = [door.ask(number) for number in range(FITS + 4)]
    assert [number for number, effects in enumerate(held) if effects is not None] == [FITS, FITS + 1]
    door.end(0)
    door.end(0)
    assert door.admission.statistics().queue == ("10.0.0.10", "10.0.0.11")


def test_all_who_came_together_are_let_in_together_in_the_end() -> None:
    door = Door()
    for number in range(FITS + 5):
        door.ask(number)
    door.until(door.now + HOLD_SECONDS)
    assert door.order == list(range(FITS + 5))
    assert door.admission.statistics().overdue == 5


@given(
    asked=st.lists(st.tuples(st.integers(0, 60), st.floats(0, 0.2), st.booleans()), min_size=1, max_size=150),
    tried=st.sets(st.integers(0, 60)),
)
def test_everybody_is_let_in_within_three_seconds_whatever_happens(
    asked: list[tuple[int, float, bool]], tried: set[int]
) -> None:
    door = Door(tried=tried)
    waits: dict[int, float] = {}
    for number, pause, ends in asked:
        door.until(door.now + pause)
        for other, when in list(waits.items()):
            if any(each == other and at >= when for each, at in door.let_in):
                del waits[other]
            else:
                assert door.now - when <= HOLD_SECONDS + 1e-9
        if ends and door.let_in:
            door.end(door.let_in[number % len(door.let_in)][0])
        if door.ask(number) is not None:
            waits.setdefault(number, door.now)
    door.until(door.now + HOLD_SECONDS)
    assert set(waits) <= set(door.order)
    assert door.admission.statistics().queue == ()
    assert door.admission.next_deadline() is None

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.effects import (
    FIRST_TRANSFER,
    CloseTransfer,
    Effect,
    Effects,
    Report,
    ReportKind,
    Send,
    SendRun,
    Service,
)
from mtftpd.core.images import Image
from mtftpd.core.link.budget import GROUP_BURST, UNLIMITED, UNLIMITED_BLOCKS, LinkBudget
from mtftpd.core.link.wire_time import LINKS, block_octets, link_named, link_of, read_rate, wire_octets
from mtftpd.core.settings import Bandwidth
from mtftpd.wire.datagram import Endpoint

RATE = 8e6
"""One octet each microsecond."""
BANDWIDTH = Bandwidth(RATE, LINKS["switch-100"])
IMAGES = tuple(Image(key, f"image{key}", 30 << 20) for key in range(1, 5))
GROUPS = tuple(Endpoint(f"239.1.1.{number}", 1799) for number in range(1, 5))
CLIENT = Endpoint("10.0.0.9", 2070)
BLOCK = block_octets(512)
NEWS = Report(ReportKind.TFTP_STARTED)


def group(number: int, first: int, count: int = 1) -> SendRun:
    return SendRun(Service.MTFTP, GROUPS[number], IMAGES[number], first, count, 512)


def transfer(number: int, first: int, count: int = 1, block_size: int = 512) -> SendRun:
    return SendRun(FIRST_TRANSFER + number, CLIENT, IMAGES[0], first, count, block_size)


def octets_of(effects: Effects) -> int:
    return sum(each.count * block_octets(each.block_size) for each in effects if isinstance(each, SendRun))


@dataclass
class Line:
    """A budget with a clock, and a record of every block that left it."""

    budget: LinkBudget = field(default_factory=lambda: LinkBudget(BANDWIDTH))
    now: float = 100.0
    left: list[tuple[float, SendRun]] = field(default_factory=list)

    def hand(self, *effects: Effect) -> Effects:
        return self._leave(self.budget.pass_on(effects, self.now))

    def until(self, end: float) -> None:
        while (due := self.budget.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self._leave(self.budget.tick(self.now))
        self.now = end

    def drain(self) -> None:
        while (due := self.budget.next_deadline()) is not None:
            self.until(due)

    def fill(self) -> None:
        """Use up what the bucket holds."""
        self.hand(transfer(99, 1, self.budget.depth // BLOCK + 1))
        self.drain()
        self.left.clear()

    def _leave(self, effects: Effects) -> Effects:
        self.left += [(self.now, each) for each in effects if isinstance(each, SendRun)]
        return effects

    def sent(self, key: int) -> int:
        return sum(octets_of((run,)) for _, run in self.left if run.image.key == key)


def test_without_a_rate_everything_passes_untouched() -> None:
    effects = (group(0, 1, 10_000), Send(Service.DHCP, CLIENT, b"x"), NEWS)
    assert UNLIMITED.pass_on(effects, 1.0) is effects
    assert UNLIMITED.charge(effects, 1.0) is effects
    assert UNLIMITED.next_deadline() is None
    assert UNLIMITED.tick(1.0) == ()
    assert UNLIMITED.statistics().sent == 0
    assert UNLIMITED.allowance(GROUPS[0], 512, 1.0) == (UNLIMITED_BLOCKS, 1.0)


def test_what_there_is_room_for_leaves_at_once_and_what_there_is_not_waits_for_its_time() -> None:
    line = Line()
    first = group(0, 1)
    assert line.hand(first) == (first,)
    line.fill()
    assert line.hand(group(0, 2)) == ()
    assert line.budget.next_deadline() == pytest.approx(line.now + BLOCK / 1e6)
    began = line.now
    line.drain()
    ((when, run),) = line.left
    assert run == group(0, 2)
    assert when == pytest.approx(began + BLOCK / 1e6)
    assert line.budget.next_deadline() is None


def test_a_long_run_leaves_in_bursts_that_the_link_can_take() -> None:
    line = Line()
    line.hand(group(0, 1, 100))
    line.drain()
    assert max(octets_of((run,)) for _, run in line.left) <= line.budget.burst
    assert [run.first_block for _, run in line.left] == sorted(run.first_block for _, run in line.left)
    assert sum(run.count for _, run in line.left) == 100


def test_a_datagram_larger_than_the_bucket_leaves_when_that_is_full() -> None:
    line = Line()
    run = transfer(1, 1, 1, 60_000)
    line.hand(run, run._replace(socket=run.socket + 1))
    began = line.now
    line.drain()
    times = [when for when, _ in line.left]
    assert times[0] == began
    assert times[1] == pytest.approx(began + 2 * block_octets(60_000) / 1e6, rel=1e-3)


@given(
    steps=st.lists(
        st.tuples(
            st.floats(0, 0.02),
            st.sampled_from(("group", "transfer", "window")),
            st.integers(0, 3),
            st.integers(1, 64),
        ),
        min_size=1,
        max_size=60,
    ),
    late=st.floats(0, 0.01),
)
def test_over_no_window_more_leaves_than_the_rate_and_one_bucket(
    steps: list[tuple[float, str, int, int]], late: float
) -> None:
    line = Line()
    blocks = dict.fromkeys(range(4), 1)
    for number, (pause, what, which, count) in enumerate(steps):
        line.until(line.now + pause)
        if what == "group":
            line.hand(group(which, blocks[which], count))
            blocks[which] += count
        else:
            line.hand(transfer(number, 1, count, 512 if what == "transfer" else 1428))
        line.now += late / 10
    line.drain()
    total = 0
    ends = []
    for when, run in line.left:
        start = total
        total += octets_of((run,))
        ends.append((when, start, total))
    for first, (began, start, _) in enumerate(ends):
        for ended, _, end in ends[first:]:
            assert end - start <= RATE / 8 * (ended - began) + line.budget.depth + 1e-3


def test_control_packets_never_wait_but_are_charged() -> None:
    line = Line()
    line.fill()
    answer = Send(Service.TFTP, CLIENT, bytes(400))
    copy = SendRun(Service.MTFTP, CLIENT, IMAGES[0], 1, 1, 512)
    assert line.hand(answer, copy, group(0, 1), NEWS) == (answer, copy, NEWS)
    assert line.budget.next_deadline() == pytest.approx(line.now + (wire_octets(400) + 2 * BLOCK) / 1e6)
    assert line.budget.charge((answer, NEWS), line.now) == (answer, NEWS)
    assert line.budget.next_deadline() == pytest.approx(line.now + (2 * wire_octets(400) + 2 * BLOCK) / 1e6)


def test_a_storm_of_control_packets_does_not_keep_blocks_waiting_for_ever() -> None:
    line = Line()
    line.fill()
    line.hand(group(0, 1))
    line.budget.charge((Send(Service.DHCP, CLIENT, bytes(400)),) * 10_000, line.now)
    due = line.budget.next_deadline()
    assert due is not None
    assert due - line.now <= (line.budget.depth + BLOCK) / 1e6 + 1e-9


def test_groups_share_by_weight_and_a_late_one_is_owed_nothing() -> None:
    weights = {"image1": 3.0, "image2": 1.0}
    line = Line(LinkBudget(replace(BANDWIDTH, weights=weights)))
    line.hand(group(0, 1, 2_000))
    line.until(line.now + 0.2)
    line.left.clear()
    line.hand(group(1, 1, 2_000))
    line.until(line.now + 0.5)
    assert line.sent(1) / line.sent(2) == pytest.approx(3.0, rel=0.1)


def test_transfers_keep_a_quarter_and_groups_may_use_the_whole() -> None:
    line = Line()
    line.hand(group(1, 1, 5_000))
    line.until(line.now + 0.2)
    assert line.sent(2) == pytest.approx(0.2e6, rel=0.1)
    line.left.clear()
    for number in range(10):
        line.hand(transfer(number, 1, 200))
    line.until(line.now + 0.4)
    assert line.sent(1) / (line.sent(1) + line.sent(2)) == pytest.approx(0.25, rel=0.1)
    parts = [sum(run.count for _, run in line.left if run.socket == FIRST_TRANSFER + number) for number in range(10)]
    assert max(parts) - min(parts) <= line.budget.burst // BLOCK
    line.drain()
    assert sum(run.count for _, run in line.left) >= 2_000


@given(busy=st.integers(1, 3), transfers=st.integers(0, 50), each=st.integers(1, 40))
def test_a_block_of_a_quiet_group_is_not_held_up_by_busy_ones(busy: int, transfers: int, each: int) -> None:
    line = Line()
    for number in range(busy):
        line.hand(group(number, 1, 1_000))
    for number in range(transfers):
        line.hand(transfer(number, 1, each))
    line.until(line.now + 0.05)
    asked = line.now
    line.hand(group(3, 7))
    line.until(asked + (busy + 2) * 2 * line.budget.burst / 1e6)
    assert group(3, 7) in [run for _, run in line.left]


def test_what_answers_quickly_does_not_overtake_for_ever() -> None:
    line = Line()
    line.hand(group(0, 1, 1_000))
    for block in range(1, 200):
        line.hand(group(1, block))
        while line.budget.next_deadline() is not None and group(1, block) not in [run for _, run in line.left]:
            due = line.budget.next_deadline()
            assert due is not None
            line.until(due)
    assert line.sent(1) >= line.sent(2) * 0.8


def test_a_repetition_of_what_waits_is_not_queued_again() -> None:
    line = Line()
    line.fill()
    line.hand(group(0, 5), transfer(1, 4, 4))
    line.hand(group(0, 5), transfer(1, 4, 4), transfer(1, 1, 7))
    line.drain()
    assert line.sent(1) == 5 * BLOCK
    assert line.budget.statistics().suppressed == 1 + 4 + 7


def test_what_a_transfer_wants_now_replaces_what_it_wanted_and_a_group_keeps_its_order() -> None:
    line = Line()
    line.fill()
    line.hand(transfer(1, 4, 4))
    line.hand(transfer(1, 6, 4))
    line.hand(group(0, 70))
    line.hand(group(0, 1))
    line.hand(group(0, 2))
    assert line.budget.statistics().waiting == 4 * BLOCK + 3 * BLOCK
    line.drain()
    assert _blocks(line, FIRST_TRANSFER + 1) == [6, 7, 8, 9]
    assert _blocks(line, Service.MTFTP) == [70, 1, 2]


def _blocks(line: Line, socket: int) -> list[int]:
    runs = [run for _, run in line.left if run.socket == socket]
    return [block for run in runs for block in range(run.first_block, run.first_block + run.count)]


def test_what_is_over_is_not_sent() -> None:
    line = Line()
    line.fill()
    line.hand(transfer(1, 1), transfer(2, 1), group(1, 1), group(2, 1))
    assert line.hand(CloseTransfer(FIRST_TRANSFER + 1), CloseTransfer(FIRST_TRANSFER + 7)) != ()
    line.budget.forget_image(IMAGES[1].key)
    line.drain()
    assert {run for _, run in line.left} == {transfer(2, 1), group(2, 1)}
    line.budget.forget_image(IMAGES[2].key)
    assert line.budget.statistics().waiting == 0


def test_one_image_of_a_group_that_changes_is_forgotten_and_the_other_is_sent() -> None:
    line = Line()
    line.fill()
    old, new = group(0, 70), replace_image(group(0, 1))
    line.hand(old, new)
    line.budget.forget_image(IMAGES[0].key)
    assert line.budget.statistics().waiting_groups == BLOCK
    line.drain()
    assert [run for _, run in line.left] == [new]


def replace_image(run: SendRun) -> SendRun:
    return run._replace(image=IMAGES[3])


def test_what_waits_leaves_at_once_when_the_limit_is_lifted() -> None:
    line = Line()
    line.hand(group(0, 1, 1_000))
    line.budget.reconfigure(Bandwidth())
    line.drain()
    assert sum(run.count for _, run in line.left) == 1_000


@given(others=st.integers(0, 3), transfers=st.booleans(), burst=st.integers(1, GROUP_BURST))
def test_who_asks_before_sending_fills_his_share_and_never_piles_up(others: int, transfers: bool, burst: int) -> None:
    line = Line()
    for number in range(others):
        line.hand(group(number, 1, 4_000))
    if transfers:
        line.hand(*(transfer(number, 1, 2_000) for number in range(2)))
    block, end = 1, line.now + 0.5
    ask = line.now
    while ask < end:
        line.until(ask)
        blocks, again = line.budget.allowance(GROUPS[3], 512, line.now, burst)
        assert 0 <= blocks <= burst
        assert line.now < again < line.now + 1
        if blocks:
            line.hand(group(3, block, blocks))
            block += blocks
        ask = again
    share = (0.75 if transfers else 1.0) / (others + 1)
    sent = sum(octets_of((run,)) for _, run in line.left if run.destination == GROUPS[3])
    assert sent >= 0.5e6 * share * 0.8


def test_each_kind_of_link_has_its_burst() -> None:
    bursts = {name: kind.burst(kind.default_rate, 1500) // BLOCK for name, kind in LINKS.items()}
    assert bursts == {"hub-10": 2, "hub-100": 3, "switch-10": 2, "switch-100": 17, "switch-1g": 28, "switch-10g": 112}


def test_a_link_is_known_by_its_name_or_by_what_its_interface_reports() -> None:
    assert link_named("hub-100").default_rate == 60e6
    assert link_of(1e9, half_duplex=False).default_rate == 800e6
    assert link_of(1e8, half_duplex=True).burst(60e6, 1500) == LINKS["hub-100"].burst(60e6, 1500)
    with pytest.raises(ValueError, match="give one of hub-10, hub-100"):
        link_named("token-ring")


@pytest.mark.parametrize(("text", "rate"), [("none", 0.0), ("20M", 20e6), ("1.5G", 1.5e9), ("8000k", 8e6)])
def test_rates_are_read_in_bits_a_second(text: str, rate: float) -> None:
    assert read_rate(text) == rate


@pytest.mark.parametrize("text", ["", "20", "M", "999k", "-1M", "20m", "1e9", "0M", "1.2345M", "9" * 99 + "M"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        read_rate(text)


def test_a_transfer_that_ends_with_nothing_waiting_is_forgotten_too() -> None:
    line = Line()
    line.fill()
    line.hand(transfer(1, 1), transfer(2, 1), transfer(3, 1))
    due = line.budget.next_deadline()
    assert due is not None
    line.until(due)
    line.hand(CloseTransfer(FIRST_TRANSFER + 1))
    line.drain()
    assert len(line.left) == 3

"""Whatever clients do and whenever timers run: the MUST rows of the requirements hold on the wire.

The oracle below sees only what an observer on the wire sees, datagrams with their times, and knows no state of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mtftpd.core.effects import Effects, Report, ReportKind, Send, SendRun, Service
from mtftpd.core.mtftp.pass_rates import PassRate
from mtftpd.wire.datagram import Endpoint
from tests.core.mtftp.mtftp_lab import GROUP, PACED, Lab, T, image

BLOCKS = 6
CLIENTS = [Endpoint(f"10.0.0.{host}", port) for host in (11, 12, 13) for port in (1799, 40_000)]


@dataclass
class Wire:
    """What an observer of the group can tell."""

    newest: int = 0
    """The newest block of the pass that is running, or 0 between passes."""
    sent_at: float = 0.0
    seen: list[int] = field(default_factory=list)
    master: Endpoint | None = None
    acked: int = 0
    asked: int = 0
    """Repetitions of the newest block that the master has asked for, by opening again or by an old ACK."""
    copies: int = 0
    complete: bool = True

    def acknowledge(self, source: Endpoint, number: int, now: float) -> None:
        if source == self.master:
            self.acked = max(self.acked, number)
            if number == self.newest - 1 and now - self.sent_at >= 0.1:
                self.asked += 1

    def unicast(self, run: SendRun) -> None:
        """A unicast copy makes its receiver master; it is block 1, or the newest block to the master's address."""
        if self.newest == 0:
            assert run.first_block == 1
            self.master = run.destination
        else:
            assert self.master is not None
            assert run.destination.address == self.master.address
            assert run.first_block == self.newest
            self.master = run.destination
            self.asked += 1

    def group(self, run: SendRun, now: float) -> None:
        for block in range(run.first_block, run.first_block + run.count):
            if block == self.newest:
                self.copies += 1
                assert self.copies <= 2 + self.asked, "more repetitions than timers and the master allow"
            elif self.newest == 0:
                assert block == 1
                self.begin(now)
            else:
                assert block == self.newest + 1, "blocks ascend by one"
                assert self.master is None or self.acked >= self.newest, "ahead of a real master"
                self.newest = block
                self.seen.append(block)
                self.copies = self.asked = 0
            self.sent_at = now

    def begin(self, now: float) -> None:
        assert self.complete or now - self.sent_at >= T + 0.2 - 1e-6, "block 1 before every listener has given up"
        self.newest = 1
        self.seen = [1]
        self.acked = self.copies = self.asked = 0
        self.complete = False


class RandomClients(RuleBasedStateMachine):
    """Three hosts with two ports each, that open, acknowledge and fail as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.image = image(BLOCKS)
        self.lab = self.make_lab()
        self.wire = Wire()

    def make_lab(self) -> Lab:
        return Lab(self.image)

    def observe(self, effects: Effects, now: float) -> None:
        runs = [each for each in effects if isinstance(each, SendRun)]
        assert not any(isinstance(each, Send) for each in effects), "nothing but DATA leaves, never an ERROR"
        for at, run in enumerate(runs):
            assert run.socket == Service.MTFTP
            assert run.block_size == 512
            assert run.first_block >= 1
            assert run.first_block + run.count - 1 <= BLOCKS
            assert run.count >= 1
            if run.destination == GROUP:
                self.wire.group(run, now)
                continue
            assert run.count == 1
            behind = runs[at + 1]
            assert (behind.destination, behind.first_block) == (GROUP, run.first_block), (
                "the group copy is right behind"
            )
            self.wire.unicast(run)
        for report in effects:
            if isinstance(report, Report):
                self.note(report)

    def note(self, report: Report) -> None:
        detail = dict(report.detail)
        if report.kind is ReportKind.MASTER_LOST:
            self.wire.master = None
        if report.kind is ReportKind.MASTER_BACK:
            address, _, port = str(detail["master"]).rpartition(":")
            self.wire.master = Endpoint(address, int(port))
            self.wire.acked = int(detail["block"])
        if report.kind in (ReportKind.PASS_ENDED, ReportKind.PASS_ABORTED):
            self.wire.master = None
            self.wire.complete = detail["outcome"] in ("acknowledged", "unacknowledged")
            assert detail["block"] == self.wire.newest
            if self.wire.complete:
                assert self.wire.seen == list(range(1, BLOCKS + 1)), "a complete pass has all blocks"
            self.wire.newest = 0

    def pass_time(self, times: Iterable[tuple[float, Effects]]) -> None:
        for when, effects in times:
            self.observe(effects, when)

    @rule(client=st.sampled_from(CLIENTS))
    def open(self, client: Endpoint) -> None:
        self.observe(self.lab.open(client), self.lab.now)

    @rule(client=st.sampled_from(CLIENTS), number=st.integers(0, BLOCKS + 1))
    def ack(self, client: Endpoint, number: int) -> None:
        self.wire.acknowledge(client, number, self.lab.now)
        self.observe(self.lab.ack(client, number), self.lab.now)

    @rule(offset=st.sampled_from([-1, 0, 0, 0, 0, 1]))
    def master_acknowledges(self, offset: int) -> None:
        if self.wire.master is not None:
            self.ack(self.wire.master, max(0, self.wire.newest + offset))

    @rule(client=st.sampled_from(CLIENTS))
    def error(self, client: Endpoint) -> None:
        self.observe(self.lab.error(client), self.lab.now)

    @rule(milliseconds=st.sampled_from([1, 5, 25, 60, 110, 200, 700, 2_100, 2_300]))
    def punctual(self, milliseconds: int) -> None:
        self.pass_time(self.lab.run_until(self.lab.now + milliseconds / 1000))

    @rule(milliseconds=st.sampled_from([30, 500, 3_000]))
    def late(self, milliseconds: int) -> None:
        """The process did not run for a while: one tick, long after its time."""
        self.observe(self.lab.wait(milliseconds / 1000), self.lab.now)

    @rule(changed=st.booleans())
    def reload(self, changed: bool) -> None:
        if changed:
            self.observe(self.lab.service.image_changed(self.image, self.lab.now), self.lab.now)
        self.image = replace(self.image, key=self.image.key + 1)
        self.observe(self.lab.reconfigure(self.image), self.lab.now)

    @invariant()
    def the_master_on_the_wire_is_the_one_that_is_shown(self) -> None:
        assert self.lab.group.master == ("" if self.wire.master is None else str(self.wire.master))

    @invariant()
    def there_is_a_deadline_unless_nothing_goes_on(self) -> None:
        assert (self.lab.service.next_deadline() is None) == (self.lab.state == "idle")


class RandomClientsOfBothGears(RandomClients):
    """The same with the second gear, for which DHCP tells who listens: no rule of the wire changes."""

    def make_lab(self) -> Lab:
        return Lab(self.image, settings=PACED, rates=[PassRate("", 0.001, loss=0.2)])

    @rule(client=st.sampled_from(CLIENTS))
    def told(self, client: Endpoint) -> None:
        self.lab.tell(client)

    @rule(client=st.sampled_from(CLIENTS), name=st.sampled_from(["kernel", "initrd"]))
    def asks_port_69(self, client: Endpoint, name: str) -> None:
        self.lab.service.learn(
            (Report(ReportKind.TFTP_STARTED, client.address, None, (("file", name),)),), self.lab.now
        )
        self.lab.service.fetched_by_unicast(client.address, name, self.lab.now)


TestRandomClientsOfBothGears = RandomClientsOfBothGears.TestCase
TestRandomClientsOfBothGears.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
TestRandomClients = RandomClients.TestCase
TestRandomClients.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)

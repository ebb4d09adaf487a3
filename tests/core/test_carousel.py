"""The group of iPXE: everybody has the right image, from the group or from port 69, and nobody ever a wrong one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtftpd.core.effects import DropReason, ReportKind, Service
from mtftpd.core.images import Image
from mtftpd.core.mtftp.carousel_states import first_withheld
from mtftpd.core.mtftp.listeners import AT_ONCE, QUESTIONS, UNICASTS, Listeners
from mtftpd.core.mtftp.pass_rates import PassRate
from mtftpd.core.mtftp.timing import GATHER
from mtftpd.core.nodes.states import NodeState
from mtftpd.core.service import BootService
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.mtftp import IPXE_GROUP
from tests.core.dhcp_lab import DHCP, NBP, ONE_IMAGE
from tests.core.ipxe_client import World
from tests.core.mtftp_lab import PACED, Lab, drops, image, reports, sent

A, B = Endpoint("10.0.0.11", 2000), Endpoint("10.0.0.12", 3000)
SLOW = PassRate("ipxe-mtftp", 0.001, factor=1.0)
"""1,000 blocks a second."""


class IpxeLab(Lab):
    """A lab whose clients speak to iPXE's port."""

    def __init__(self, *images: Image, rates: tuple[PassRate, ...] = (SLOW,)) -> None:
        super().__init__(*images, settings=PACED, rates=rates)

    def asks(self, source: Endpoint):  # type: ignore[no-untyped-def]
        return self.open(source, socket=Service.MTFTP_IPXE)

    def says(self, source: Endpoint, number: int):  # type: ignore[no-untyped-def]
        return self.ack(source, number, socket=Service.MTFTP_IPXE)

    def to_poll(self) -> list[tuple[Endpoint, int, int]]:
        """Let the turn that runs, or is about to, come to its end; return what left at that moment."""
        while self.carousel.state != "poll":
            effects = self.until_due()
        return sent(effects)

    @property
    def carousel(self):  # type: ignore[no-untyped-def]
        return self.service.statistics().groups[1]


@pytest.mark.parametrize(
    ("octets", "withheld"), [(1, 1), (511, 1), (512, 1), (513, 2), (1024, 2), (1025, 3), (5000, 10), (5120, 10)]
)
def test_the_first_block_that_tells_the_size_is_the_one_that_reaches_it(octets: int, withheld: int) -> None:
    assert first_withheld(Image(1, "x", octets, "x")) == withheld


def world(octets: int, loss: float = 0.0, seed: int = 0, rates: tuple[PassRate, ...] = ()) -> World:
    shown = Image(1, "kernel", octets, "digest")
    return World(Lab(shown, settings=PACED, rates=rates).service, shown, loss, seed)


def judge(happened: World) -> None:
    """What must hold whatever is lost."""
    size = happened.image.size
    assert all(block * 512 < size for block in happened.to_group), "nothing that tells the size goes to the group"
    for client in happened.clients:
        assert client.state in ("done", "unicast")
        if client.state == "done":
            assert client.held == set(range(1, size // 512 + 2))
    assert happened.service.next_deadline() is None


@given(
    octets=st.one_of(st.integers(1, 60_000), st.integers(1, 100).map(lambda blocks: blocks * 512)),
    starts=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=12),
    loss=st.sampled_from([0.0, 0.01, 0.05, 0.3]),
    seed=st.integers(0, 1 << 16),
    speed=st.sampled_from([0.0, 0.0005, 0.005]),
)
@settings(max_examples=40, deadline=None)
def test_nobody_ever_boots_a_wrong_image(
    octets: int, starts: list[float], loss: float, seed: int, speed: float
) -> None:
    happens = world(octets, loss, seed)
    for start in starts:
        happens.add(start, speed)
    happens.run()
    judge(happens)
    if not loss and speed < 0.002:
        assert all(client.state == "done" for client in happens.clients)


@pytest.mark.parametrize("clients", [8, 16])
@pytest.mark.parametrize("loss", [0.0, 0.01])
def test_all_of_many_that_come_within_three_seconds_are_served_by_the_group(clients: int, loss: float) -> None:
    happens = world(150_000, loss, seed=3)
    for number in range(clients):
        happens.add(3.0 * number / clients, speed=0.0002)
    happens.run()
    judge(happens)
    assert [client.state for client in happens.clients].count("done") >= clients - (1 if loss else 0)
    images = len(happens.to_group) / 293
    assert images < clients, "late ones share turns"


def test_a_slow_listener_slows_the_turn_down_and_gets_it_all() -> None:
    happens = world(200_000, rates=(PassRate("ipxe-mtftp", 0.0002, factor=1.0),))
    happens.add(0.0, speed=0.002)
    happens.add(0.1, speed=0.002)
    happens.run()
    judge(happens)
    assert [client.state for client in happens.clients] == ["done", "done"]


def test_a_client_that_never_hears_the_group_is_left_to_port_69_soon() -> None:
    happens = world(200_000)
    deaf = happens.add(0.0, deaf=True)
    happens.run()
    assert deaf.state == "unicast"
    assert deaf.ended_at < 5.0
    assert happens.unicasts <= UNICASTS + 1


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


class TestEnds:
    def test_an_error_takes_a_listener_out(self) -> None:
        lab = IpxeLab(image(20))
        lab.asks(A)
        assert drops(lab.says(A, 1)) == [DropReason.UNEXPECTED], "nothing was sent yet"
        assert drops(lab.error(A, Service.MTFTP_IPXE)) == [DropReason.UNEXPECTED]
        assert drops(lab.error(A, Service.MTFTP_IPXE)) == [DropReason.NOT_THE_MASTER]
        assert lab.until_due() == ()
        assert lab.carousel.state == "idle"

    def test_who_turns_to_port_69_is_counted_and_the_turn_ends_with_the_last(self) -> None:
        lab = IpxeLab(image(20))
        lab.asks(A)
        lab.until_due()
        assert lab.service.is_fetching(A.address)
        effects = lab.service.fetched_by_unicast(A.address, "kernel", lab.now)
        assert reports(effects, ReportKind.FALLBACK)
        assert not lab.service.is_fetching(A.address)
        assert reports(lab.until_due(), ReportKind.PASS_ENDED)
        assert lab.carousel.fallbacks == 1
        assert lab.service.fetched_by_unicast(A.address, "kernel", lab.now) == ()

    def test_an_operator_stops_it_and_it_is_quiet_until_all_have_left(self) -> None:
        lab = IpxeLab(image(20))
        lab.asks(A)
        lab.until_due()
        assert reports(lab.service.stop(str(IPXE_GROUP), lab.now), ReportKind.PASS_ABORTED)
        assert drops(lab.asks(A)) == [DropReason.QUIET]
        lab.run_until(lab.now + 1.3)
        assert lab.carousel.state == "idle"

    def test_nothing_that_has_begun_is_stopped_without_a_word(self) -> None:
        lab = IpxeLab(image(20))
        assert lab.service.stop(str(IPXE_GROUP), lab.now) == ()
        lab.asks(A)
        assert lab.service.stop(str(IPXE_GROUP), lab.now) == ()
        assert lab.carousel.state == "idle"

    def test_a_running_turn_ends_with_the_image_that_it_began_with(self) -> None:
        old, new = image(20), image(30, key=2)
        lab = IpxeLab(old)
        lab.asks(A)
        lab.until_due()
        lab.reconfigure(new)
        assert lab.service.images_in_use() == {1, 2}
        lab.to_poll()
        assert sent(lab.says(A, 19)) == [(A, 20, 1)]
        lab.says(A, 20)
        lab.until_due()
        assert lab.carousel.state == "quiet"
        lab.until_due()
        assert lab.service.images_in_use() == {2}
        lab.asks(B)
        lab.to_poll()
        assert lab.carousel.blocks == 30

    def test_who_waits_when_the_content_changes_shortly_after_a_turn_is_sent_away(self) -> None:
        lab = IpxeLab(image(20))
        lab.asks(A)
        lab.until_due()
        lab.error(A, Service.MTFTP_IPXE)
        lab.until_due()
        lab.asks(B)
        lab.reconfigure(image(30, key=2))
        assert lab.carousel.state == "quiet"

    def test_an_image_that_changed_on_the_disk_ends_it(self) -> None:
        shown = image(20)
        lab = IpxeLab(shown)
        lab.asks(A)
        assert not reports(lab.service.image_changed(replace(shown, key=7), lab.now), ReportKind.PASS_ABORTED)
        lab.until_due()
        assert reports(lab.service.image_changed(shown, lab.now), ReportKind.PASS_ABORTED)

    def test_a_group_that_rests_at_the_start_is_quiet(self) -> None:
        lab = IpxeLab(image(20))
        lab.service.rest([str(IPXE_GROUP)], lab.now)
        assert drops(lab.asks(A)) == [DropReason.QUIET]

    def test_a_paused_group_completes_its_turn_and_begins_no_other(self) -> None:
        lab = IpxeLab(image(20))
        lab.service.slow_down(lambda _group, _now: 0.5)
        lab.asks(A)
        lab.until_due()
        lab.service.pause(str(IPXE_GROUP), lab.now)
        assert lab.carousel.paused
        lab.to_poll()
        lab.says(A, 19)
        lab.says(A, 20)
        lab.until_due()
        assert drops(lab.asks(B)) == [DropReason.PAUSED]
        assert lab.service.start(str(IPXE_GROUP), lab.now) == ()

    def test_another_file_is_no_reason_to_leave(self) -> None:
        lab = IpxeLab(image(20))
        lab.asks(A)
        lab.service.learn((), lab.now)
        assert lab.service.fetched_by_unicast(A.address, "initrd", lab.now) == ()
        assert lab.service.is_fetching(A.address)


def test_there_is_no_end_of_clients_but_of_those_that_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtftpd.core.mtftp.listeners.MAX_LISTENERS", 1)
    listeners = Listeners()
    listeners.opened(A)
    assert listeners.opened(B)[1]
    assert (len(listeners), B.address in listeners) == (1, False)


def test_the_record_of_a_node_says_that_it_has_everything() -> None:
    service = BootService(replace(DHCP, faithful=False), ONE_IMAGE)
    source = Endpoint("10.0.0.101", 2000)
    opened = service.receive(Datagram(Service.MTFTP_IPXE, source, Endpoint("10.0.0.1", 1759), b"\0\1nbp\0octet\0"), 1.0)
    assert not drops(opened)
    service.tick(1.0 + GATHER)
    blocks = NBP.blocks(512)
    service.receive(
        Datagram(Service.MTFTP_IPXE, source, Endpoint("10.0.0.1", 1759), b"\0\4" + blocks.to_bytes(2, "big")), 1.3
    )
    node = service.nodes.find(source.address)
    assert node is not None
    assert (node.state, node.inferred) == (NodeState.DONE, False)

"""From what the server does to a named reason: each trigger on its own, and who is charged."""

from __future__ import annotations

import pytest

from mtftpd.core.effects import Drop, DropReason, Effects, Report, ReportKind
from mtftpd.core.learning import trials
from mtftpd.core.learning.audiences import AUDIENCE_SECONDS, LEAST_FACTOR, QUERY_SECONDS, RECOVERY_SECONDS, REST_SECONDS
from mtftpd.core.learning.fallback import FallbackMemory, NodeStage, Trigger
from mtftpd.core.learning.fallback_watch import FallbackWatch
from mtftpd.core.learning.trials import Told
from mtftpd.quirks.evidence import Fingerprint
from mtftpd.wire.datagram import Endpoint, HardwareAddress

FIRMWARE = Fingerprint(b"PXEClient", b"", b"", b"", b"\0\0", b"\1\2\1", 17, 6)
GROUP = "239.1.1.1:1799"
OTHER = "239.1.1.2:1799"
TOLD = Told(GROUP, "nbp")
T = 2
PATIENCE = 13.0
"""One listening and three opens of T each, and 5 s."""


def node(number: int) -> NodeStage:
    return NodeStage(HardwareAddress(1, number.to_bytes(6, "big")), "intel-bios")


def address(number: int) -> str:
    return f"10.0.0.{number}"


def report(kind: ReportKind, number: int, **detail: str | int) -> Effects:
    return (Report(kind, address(number), None, tuple(detail.items())),)


def started(number: int, group: str = GROUP) -> Effects:
    return report(ReportKind.PASS_STARTED, number, group=group)


def ended(number: int, outcome: str = "acknowledged") -> Effects:
    return report(ReportKind.PASS_ENDED, number, group=GROUP, outcome=outcome, ignored=0)


def fetched(number: int, file: str = "nbp", end: str = "complete") -> Effects:
    return report(ReportKind.TFTP_DONE, number, file=file, end=end)


class World:
    def __init__(self) -> None:
        self.memory = FallbackMemory()
        self.watch = FallbackWatch(self.memory, T)
        self.now = 100.0

    def told(self, *numbers: int) -> None:
        for number in numbers:
            self.watch.offered(node(number), FIRMWARE, TOLD, self.now)
            self.watch.took(node(number), address(number), self.now)

    def learn(self, effects: Effects) -> list[dict[str, str | int]]:
        return troubles(self.watch.learn(effects, self.now))

    def against(self, number: int) -> Trigger | None:
        return self.watch.against(node(number), FIRMWARE, GROUP, self.now)


def troubles(effects: Effects) -> list[dict[str, str | int]]:
    return [
        dict(each.detail) for each in effects if isinstance(each, Report) and each.kind is ReportKind.MULTICAST_TROUBLE
    ]


@pytest.fixture
def world() -> World:
    return World()


UNHEARD = (Drop(DropReason.UNHEARD, Endpoint(address(1), 1799)),)
SWAPPED = report(ReportKind.SWAPPED_PORT, 1)
OPENED_THEN_69 = report(ReportKind.FALLBACK, 1, group=GROUP)


@pytest.mark.parametrize(
    ("effects", "trigger"),
    [(UNHEARD, Trigger.F4), (fetched(1), Trigger.F5), (OPENED_THEN_69, Trigger.F5), (SWAPPED, Trigger.F8)],
)
def test_one_sign_and_the_next_offer_has_no_group(world: World, effects: Effects, trigger: Trigger) -> None:
    world.told(1, 2, 3, 4)
    (said,) = world.learn(effects)
    assert said == {
        "trigger": trigger.name, "reason": trigger.value, "group": GROUP, "stage": "intel-bios", "charged": "node",
    }  # fmt: skip
    assert world.against(1) is trigger
    assert world.against(2) is None
    assert world.learn(effects) == [], "one trial has one verdict"


@pytest.mark.parametrize("effects", [fetched(1, end="size probe"), fetched(1, file="pxelinux.cfg/default"), fetched(9)])
def test_what_is_no_sign(world: World, effects: Effects) -> None:
    world.told(1)
    assert world.learn(effects) == []
    assert world.memory.snapshot() == ()


def test_f6_the_third_question_in_a_row(world: World) -> None:
    for seconds, expected in ((0.0, []), (0.3, []), (4.0, []), (12.0, ["F6"]), (28.0, [])):
        now = world.now + seconds
        signs = world.watch.discovered(node(1), now)
        assert [each["trigger"] for each in troubles(signs)] == expected
        if not world.memory.snapshot():
            world.watch.offered(node(1), FIRMWARE, TOLD, now)
    assert world.against(1) is Trigger.F6


def test_f6_is_not_for_who_takes_an_offer_or_starts_over_later(world: World) -> None:
    for boot in range(4):
        now = world.now + 100.0 * boot
        assert world.watch.discovered(node(1), now) == ()
        world.watch.offered(node(1), FIRMWARE, TOLD, now)
    world.told(2)
    for seconds in (5.0, 10.0, 15.0):
        assert world.watch.discovered(node(2), world.now + seconds) == ()


def test_f7_silence_after_the_ack(world: World) -> None:
    world.told(1)
    assert world.watch.next_deadline() == world.now + PATIENCE
    assert world.watch.tick(world.now + PATIENCE - 0.1) == ()
    (said,) = troubles(world.watch.tick(world.now + PATIENCE))
    assert (said["trigger"], said["charged"]) == ("F7", "node")
    assert world.watch.next_deadline() is None


@pytest.mark.parametrize("effects", [report(ReportKind.TFTP_STARTED, 1, file="nbp"), started(2), fetched(1)])
def test_f7_is_not_for_who_asks_or_may_be_listening(world: World, effects: Effects) -> None:
    world.told(1)
    world.learn(effects)
    assert world.watch.next_deadline() is None


def test_f7_is_not_for_who_comes_while_a_pass_runs(world: World) -> None:
    world.learn(started(9))
    world.told(1)
    assert world.watch.next_deadline() is None
    world.learn(ended(9))
    world.told(2)
    assert world.watch.next_deadline() is not None


@pytest.mark.parametrize("block", [1, 9])
@pytest.mark.parametrize(("why", "expected"), [("silent", ["F9"]), ("error", ["F10"]), ("complete", [])])
def test_f9_and_f10_are_told_and_held_against_nobody(world: World, why: str, expected: list[str], block: int) -> None:
    lost = report(ReportKind.MASTER_LOST, 1, group=GROUP, why=why, block=block, blocks=21)
    assert world.learn(lost) == []
    world.told(1)
    said = world.learn(lost)
    assert [(each["trigger"], each["charged"]) for each in said] == [(each, "nobody") for each in expected]
    assert world.memory.snapshot() == ()


def test_f11_master_again_and_again(world: World) -> None:
    world.told(1)
    assert world.learn(started(1, "239.1.1.2:1799")) == []
    assert [world.learn(started(1) + ended(1, "unanswered")) for _ in range(2)] == [[], []]
    (said,) = world.learn(started(1))
    assert said["trigger"] == "F11"


def test_who_finishes_is_a_success_and_no_sign_counts_after_it(world: World) -> None:
    world.memory.failed(node(1), FIRMWARE, Trigger.F5, -90_000.0)
    for successes in (1, 0):
        world.told(1)
        world.learn(started(1))
        assert world.learn(ended(1)) == []
        assert world.learn(fetched(1)) == []
        assert [mark.successes for mark in world.memory.snapshot()] == [successes] * bool(successes)


def test_f13_what_many_suffer_is_the_networks_fault(world: World) -> None:
    world.told(*range(1, 11))
    charged = [world.learn(fetched(number))[0]["charged"] for number in range(1, 5)]
    assert charged == ["node", "node", "node", "network"], "four of ten are more than 30 %"
    assert world.memory.snapshot() == (), "nothing is held against them"
    assert world.against(1) is world.against(99) is Trigger.F13
    world.now += REST_SECONDS
    assert world.against(1) is None


def test_f13_takes_more_than_one_and_a_common_time(world: World) -> None:
    world.told(1)
    assert world.learn(fetched(1))[0]["charged"] == "node"
    world.now += AUDIENCE_SECONDS + 1
    world.told(2)
    assert world.learn(fetched(2))[0]["charged"] == "node"
    assert world.against(1) is Trigger.F5


def test_everything_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "MAX_TRIALS", 3)
    world.told(1, 2, 3, 4)
    world.watch.took(node(1), address(1), world.now)
    assert world.learn(fetched(1)) == []
    assert world.learn(fetched(2)) != []


def test_a_node_that_takes_another_address_leaves_the_first(world: World) -> None:
    world.told(1)
    world.watch.took(node(1), address(9), world.now)
    assert world.learn(fetched(1)) == []
    assert world.learn(fetched(9)) != []


def test_what_is_known_of_a_group_ends_with_the_group(world: World) -> None:
    world.told(1, 2)
    world.learn(fetched(1))
    world.learn(fetched(2))
    world.watch.hold(OTHER)
    world.watch.reconfigure(T, {GROUP, OTHER})
    assert world.watch.rate_factor(GROUP, world.now) < 1
    assert world.watch.against(node(3), FIRMWARE, OTHER, world.now) is Trigger.F18
    world.watch.reconfigure(T, ())
    assert world.watch.rate_factor(GROUP, world.now) == 1
    assert world.watch.against(node(3), FIRMWARE, OTHER, world.now) is None


def test_what_is_known_of_a_group_ends_with_the_last_pass_of_a_group_that_is_left(world: World) -> None:
    world.told(1)
    world.learn(started(1))
    world.watch.hold(GROUP)
    world.learn(report(ReportKind.GROUP_LEFT, 1, group=GROUP))
    assert not world.watch.is_sending(GROUP)
    assert world.against(2) is None


def test_a_group_that_is_woken_goes_on_sending(world: World) -> None:
    world.told(1)
    world.learn(started(1))
    assert not world.watch.wake(GROUP, world.now)
    assert world.watch.is_sending(GROUP)


def test_an_address_that_another_node_has_now_is_that_nodes(world: World) -> None:
    world.told(1)
    world.watch.offered(node(2), FIRMWARE, TOLD, world.now)
    world.watch.took(node(2), address(1), world.now)
    world.told(1)
    world.watch.reconfigure(3, {GROUP})
    world.learn(fetched(1))
    assert world.against(1) is Trigger.F5


def test_the_end_of_a_pass_that_nobody_here_was_told_of(world: World) -> None:
    assert world.learn(ended(1)) == []


def test_f12_is_said_of_who_was_alone_and_held_against_nobody(world: World) -> None:
    world.told(1)
    world.learn(started(1))
    (said,) = [each for each in world.watch.learn(ended(1), world.now) if each not in ended(1)]
    assert isinstance(said, Report)
    assert said.kind is ReportKind.MULTICAST_FOR_ONE
    assert dict(said.detail)["trigger"] == "F12"
    world.told(1, 2)
    assert world.watch.learn(ended(1), world.now) == ended(1), "there are two now"


def rest(world: World, first: Effects = ()) -> dict[str, str | int]:
    """Let two of two fail; return what is said of the group."""
    world.told(1, 2)
    world.learn(first)
    world.learn(fetched(1))
    (said,) = [
        each
        for each in world.watch.learn(fetched(2), world.now)
        if isinstance(each, Report) and each.kind is ReportKind.GROUP_RESTS
    ]
    return dict(said.detail)


def test_a_rest_is_told_and_the_rate_comes_back_afterwards(world: World) -> None:
    assert world.watch.rate_factor(GROUP, world.now) == 1.0
    said = rest(world)
    assert (said["trigger"], said["failed"], said["audience"]) == ("F13", 2, 2)
    assert (said["seconds"], said["rate-percent"]) == (REST_SECONDS, 50)
    assert world.watch.rate_factor(GROUP, world.now) == 0.5
    assert world.watch.rate_factor(GROUP, world.now + REST_SECONDS + RECOVERY_SECONDS) == 1.0
    assert LEAST_FACTOR < 0.5
    assert world.watch.wake(GROUP, world.now)
    assert not world.watch.wake(GROUP, world.now)
    assert world.against(3) is None


def test_who_turns_to_port_69_because_the_pass_was_given_up_is_not_blamed(world: World) -> None:
    world.told(1, 2)
    world.learn(started(2))
    world.learn(report(ReportKind.PASS_ABORTED, 2, group=GROUP, outcome="stopped by the operator"))
    assert world.learn(OPENED_THEN_69) == []
    assert world.memory.snapshot() == ()
    world.told(3)
    assert world.watch.next_deadline() is not None, "no pass is running any more"
    assert world.learn(report(ReportKind.PASS_ABORTED, 2, group="239.1.1.9:1799", outcome="")) == []


LOST_AT_2 = report(ReportKind.MASTER_LOST, 1, group=GROUP, why="silent", block=2, blocks=21)
LOST_AT_3 = report(ReportKind.MASTER_LOST, 1, group=GROUP, why="silent", block=3, blocks=21)


@pytest.mark.parametrize(
    ("first", "listens", "trigger"),
    [
        (LOST_AT_2, True, "F14"), (LOST_AT_2, False, "F13"), (LOST_AT_3, True, "F13"),
        (LOST_AT_2 + started(3) + ended(3), True, "F13"),
    ],
)  # fmt: skip
def test_f14_is_for_groups_that_nobody_hears_and_nobody_asks_for(
    world: World, first: Effects, listens: bool, trigger: str
) -> None:
    if listens:
        world.watch.querier.listen(world.now - QUERY_SECONDS)
    world.told(3)
    assert rest(world, first)["trigger"] == trigger
    assert world.against(9) is Trigger[trigger]


def test_who_is_not_known_is_not_blamed(world: World) -> None:
    assert world.watch.learn(UNHEARD, world.now) == UNHEARD


def test_f11_is_for_who_opens_again_and_again_in_vain(world: World) -> None:
    world.told(1, 2, 3, 4)
    (said,) = world.learn((Drop(DropReason.IN_VAIN, Endpoint(address(1), 1799)),))
    assert (said["trigger"], said["charged"]) == ("F11", "node")

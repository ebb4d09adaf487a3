"""Who asks in vain is answered in another way, step by step; what helped is learnt, and replies may have to wait."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mtftpd.core.dhcp import unheeded
from mtftpd.core.dhcp.unheeded import DELAY_SECONDS, REPEAT_SECONDS, Unheeded, actions_of
from mtftpd.core.effects import Drop, DropReason, Effects, Report, ReportKind, Send
from mtftpd.core.learning.lessons import Learning, Sign
from mtftpd.core.node_settings import NodeSettings
from mtftpd.core.nodes.clients import Client, ClientKind, recognise
from mtftpd.quirks.matching import Step
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.rom.dhcp_request import request
from mtftpd.rom.profiles import SPEC, Identity
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.datagram import Endpoint, HardwareAddress

OFFER = Report(ReportKind.DHCP_OFFERED)


def client(number: int = 1, architecture: int = 0, rom: str = "", settings: NodeSettings | None = None) -> Client:
    identity = Identity(HardwareAddress(1, bytes((2, 0, 0, 0, 0, number))), bytes(16), 7)
    profile = replace(SPEC.dhcp, architecture=architecture)
    found = recognise(request(MessageType.DISCOVER, identity, profile, {}), settings or NodeSettings(rom=rom))
    assert found is not None
    return found


def reply(number: int) -> Effects:
    return Send(1, Endpoint("255.255.255.255", 68), bytes((number,))), OFFER


def ask(watch: Unheeded, who: Client, now: float) -> tuple[Client, Effects]:
    treated = watch.treated(who)
    return treated, watch.offered(treated, reply(int(now)), now)


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        (0, [set(), set(), set(), {ServerAction.DELAY_REPLY}, {ServerAction.DELAY_REPLY}]),
        (7, [set(), set(), set(), {ServerAction.OMIT_43}, {ServerAction.DELAY_REPLY}]),
    ],
)
def test_the_steps_for_who_takes_no_offer(architecture: int, expected: list[set[ServerAction]]) -> None:
    watch, who = Unheeded(Learning()), client(architecture=architecture)
    assert [ask(watch, who, 10.0 * n)[0].actions for n in range(5)] == expected


def test_what_helped_is_learnt_and_nothing_else() -> None:
    learning = Learning()
    watch, who = Unheeded(learning), client(architecture=7)
    ask(watch, who, 0.0)
    assert watch.requested(who, 1.0) == ()
    for n in range(4):
        ask(watch, who, 10.0 + n)
    (said,) = watch.requested(who, 20.0)
    assert isinstance(said, Report)
    assert dict(said.detail)["sign"] == Sign.NO_TAG_6.name
    assert watch.requested(who, 21.0) == ()
    assert watch.treated(who).actions == {ServerAction.OMIT_43}
    left_out = NodeSettings(without=frozenset({ServerAction.OMIT_43}))
    assert watch.treated(client(architecture=7, settings=left_out)).actions == set()


def test_repetitions_within_a_second_are_one_question() -> None:
    watch, who = Unheeded(Learning()), client()
    for n in range(6):
        ask(watch, who, 10.0 + n / 10)
    assert watch.treated(who).actions == set()


def test_only_answers_to_pxe_count() -> None:
    watch = Unheeded(Learning())
    for _ in range(5):
        assert watch.offered(client(), (Drop(DropReason.NO_ADDRESS, Endpoint("0.0.0.0", 68)),), 0.0) != ()
    assert watch.treated(client()).actions == set()
    bootp = client()._replace(kind=ClientKind.BOOTP)
    assert [ask(watch, bootp, 10.0 * n)[0].actions for n in range(5)] == [set()] * 5


def test_a_reply_waits_and_a_newer_one_takes_its_place_and_time() -> None:
    watch = Unheeded(Learning())
    who = client()._replace(actions=frozenset({ServerAction.DELAY_REPLY}))
    assert watch.offered(who, reply(1), 1.0) == (OFFER,)
    assert watch.offered(who, reply(2), 2.0) == (OFFER,)
    assert watch.next_deadline() == 1.0 + DELAY_SECONDS
    assert watch.tick(2.4) == ()
    assert watch.tick(2.5) == (reply(2)[0],)
    assert watch.next_deadline() is None


def test_a_raspberry_is_made_to_wait_and_told_twice() -> None:
    assert actions_of("rpi3") == {ServerAction.DELAY_REPLY, ServerAction.REPEAT_OFFER}
    watch, who = Unheeded(Learning()), client(rom="rpi3")
    assert ask(watch, who, 1.0)[1] == (OFFER,)
    first = 1.0 + DELAY_SECONDS
    assert watch.tick(first) == watch.tick(first + REPEAT_SECONDS) == (reply(1)[0],)
    assert watch.next_deadline() is None


def test_a_request_ends_the_repetition() -> None:
    watch = Unheeded(Learning())
    who = client()._replace(actions=frozenset({ServerAction.REPEAT_OFFER}))
    assert watch.offered(who, reply(1), 1.0) == reply(1)
    watch.requested(who, 1.1)
    assert watch.tick(1.0 + REPEAT_SECONDS) == ()


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unheeded, "MAX_ASKING", 2)
    monkeypatch.setattr(unheeded, "MAX_WAITING", 1)
    watch = Unheeded(Learning())
    for number in (1, 2, 3):
        for n in range(3):
            watch.offered(client(number), reply(1), 10.0 * n)
    assert [bool(watch.treated(client(number)).actions) for number in (1, 2, 3)] == [False, True, True]
    one, two = (client(number)._replace(actions=frozenset({ServerAction.DELAY_REPLY})) for number in (1, 2))
    assert watch.offered(one, reply(1), 40.0) == (OFFER,)
    assert watch.offered(two, reply(1), 40.0) == reply(1)


def test_what_a_client_has_shown_says_what_it_is_unless_the_operator_knows() -> None:
    learning = Learning()
    watch = Unheeded(learning)
    before = watch.treated(client())
    learning.showed(client().firmware, Sign.NO_OACK, 1.0)
    after = watch.treated(client())
    assert (before.rom.profile.id, after.rom.profile.id) == ("intel-bios", "landesk-0.99")
    assert after.rom.step is Step.LEARNT
    assert after.node == before.node, "what is held against it goes on"
    assert after.actions == {ServerAction.REFUSE_OPTIONS}
    named = watch.treated(client(rom="rlx-3nic"))
    assert (named.rom.profile.id, named.rom.step) == ("rlx-3nic", Step.OVERRIDE)

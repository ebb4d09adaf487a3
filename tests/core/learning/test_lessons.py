"""What follows from a sign, and for whom it is remembered."""

from __future__ import annotations

import pytest

from mtftpd.core.effects import Report, ReportKind
from mtftpd.core.learning import lessons as learning
from mtftpd.core.learning.lessons import ACTIONS, NOTHING, Firmware, Learning, Lesson, Sign, lesson
from mtftpd.quirks.evidence import Fingerprint
from mtftpd.quirks.profiles import PROFILES
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.datagram import HardwareAddress

OLD = Fingerprint(b"PXEClient", b"", b"", b"", b"\0\0", b"\1\2\1", 17, 6)
NEW = OLD._replace(parameters=b"\1\3")


def firmware(number: int, fingerprint: Fingerprint = OLD) -> Firmware:
    return Firmware(HardwareAddress(1, number.to_bytes(6, "big")), fingerprint)


def seen(address: str, sign: Sign) -> tuple[Report, ...]:
    return (Report(ReportKind.QUIRK_SEEN, address, None, (("sign", sign.name),)),)


def test_every_sign_has_an_action_and_their_sum_is_the_lesson() -> None:
    assert set(ACTIONS) == set(Sign)
    assert lesson(Sign).actions == frozenset(ACTIONS.values())
    assert lesson(()) == NOTHING
    assert lesson([Sign.LOST_WINDOW]) == Lesson("", frozenset({ServerAction.WINDOW_1}))
    assert lesson([Sign.NO_OACK, Sign.HASTE]).profile == "landesk-0.99"
    assert set(learning.PROFILES.values()) <= set(PROFILES)


def test_a_sign_is_told_once_and_kept_for_this_firmware_alone() -> None:
    memory = Learning()
    memory.met("10.0.0.1", firmware(1))
    effects = seen("10.0.0.1", Sign.LOST_WINDOW)
    *_, told = memory.learn(effects, 5.0)
    assert isinstance(told, Report)
    assert (told.kind, told.hardware) == (ReportKind.QUIRK_LEARNT, firmware(1).hardware)
    assert dict(told.detail)["action"] == "window_1"
    assert memory.learn(effects, 6.0) == effects
    assert memory.actions("10.0.0.1") == {ServerAction.WINDOW_1}
    assert memory.of(firmware(1, NEW)) == memory.of(firmware(2)) == NOTHING
    memory.met("10.0.0.1", firmware(1, NEW))
    assert memory.actions("10.0.0.1") == set(), "the ROM has loaded something else"


def test_who_is_not_known_teaches_nothing() -> None:
    memory = Learning()
    assert memory.learn(seen("10.0.0.9", Sign.NO_OACK), 0.0) == seen("10.0.0.9", Sign.NO_OACK)
    assert memory.actions("10.0.0.9") == set()
    memory.met("10.0.0.9", firmware(9), frozenset({ServerAction.REFUSE_OPTIONS}))
    assert memory.actions("10.0.0.9") == {ServerAction.REFUSE_OPTIONS}, "what its profile asks for"


def test_another_run_goes_on_with_it_and_an_operator_can_end_it() -> None:
    memory = Learning()
    for number, at in ((1, 2.0), (2, 1.0)):
        memory.showed(firmware(number), Sign.NO_OACK, at)
    again = Learning(memory.snapshot())
    assert [each.firmware for each in again.snapshot()] == [firmware(2), firmware(1)]
    again.forget(firmware(1).hardware)
    assert again.of(firmware(1)) == NOTHING
    assert again.of(firmware(2)).actions == {ServerAction.REFUSE_OPTIONS}


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "MAX_FIRMWARES", 2)
    monkeypatch.setattr(learning, "MAX_ADDRESSES", 2)
    memory = Learning()
    for number in (1, 2, 3):
        memory.met(f"10.0.0.{number}", firmware(number))
        memory.showed(firmware(number), Sign.NO_OACK, number)
    assert [memory.of(firmware(number)) == NOTHING for number in (1, 2, 3)] == [True, False, False]
    assert memory.actions("10.0.0.1") == set()


def test_what_has_changed_adds_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "MAX_FIRMWARES", 3)
    memory, written = Learning(), {}
    for number in (1, 2, 3, 1, 4, 2, 5):
        memory.showed(firmware(number), Sign.NO_OACK if number % 2 else Sign.HASTE, float(number))
        if number == 4:
            memory.forget(firmware(1).hardware)
        for learnt, is_known in memory.take_changed():
            written[learnt.firmware] = learnt if is_known else None
    assert {each for each in written.values() if each is not None} == set(memory.snapshot())
    assert len(memory.snapshot()) == 3
    for number in range(10, 20):
        memory.showed(firmware(number), Sign.HASTE, float(number))
    assert len(memory.take_changed()) == 3, "if nobody asks, it does not pile up"
    assert Learning(memory.snapshot()).take_changed() == ()

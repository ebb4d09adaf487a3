"""Which interfaces are one machine, and which of them boots."""

from __future__ import annotations

import pytest

from mtftpd.core.node_settings import NO_NODES, Inventory, NodeEntry, OtherNics
from mtftpd.core.nodes import nics as module
from mtftpd.core.nodes.nics import Answer, KnownMachine, Nics
from mtftpd.wire.datagram import HardwareAddress

UUID = bytes(range(16))
OTHER_UUID = bytes(range(16, 32))


def nic(number: int) -> HardwareAddress:
    return HardwareAddress(1, b"\x02\x4d\x54" + number.to_bytes(3, "big"))


A, B, C = nic(8), nic(9), nic(10)


def configured(other_nics: OtherNics = OtherNics.HOLD, bootable: HardwareAddress | None = C) -> Nics:
    return Nics(Inventory((NodeEntry(hardware=(A, B, C), bootable=bootable, other_nics=other_nics),)))


def inferred() -> Nics:
    nics = Nics(NO_NODES)
    for each in (A, B, C):
        nics.seen(each, UUID)
    return nics


def test_one_interface_is_no_machine() -> None:
    nics = Nics(NO_NODES)
    assert nics.seen(A, UUID) is None
    assert nics.seen(A, UUID) is None
    assert nics.answer(A) is Answer.FULL
    assert not nics.is_wrong(A)


@pytest.mark.parametrize("uuid", [b"", bytes(16), b"\xff" * 16])
def test_no_uuid_says_nothing(uuid: bytes) -> None:
    nics = Nics(NO_NODES)
    assert nics.seen(A, uuid) is None
    assert nics.seen(B, uuid) is None


def test_neighbours_with_one_uuid_are_one_machine() -> None:
    nics = inferred()
    machine = nics.machine(A)
    assert machine is not None
    assert tuple(machine.nics) == (A, B, C)
    assert [nics.answer(each) for each in (A, B, C)] == [Answer.HOLD] * 3


def test_who_asks_for_a_file_is_the_one_that_boots() -> None:
    nics = inferred()
    for number, each in enumerate((A, B, C)):
        nics.locate(each, f"10.0.0.{number}")
    assert nics.loads("10.0.0.9") is None
    assert nics.loads("10.0.0.2") == C
    assert [nics.answer(each) for each in (A, B, C)] == [Answer.HOLD, Answer.HOLD, Answer.FULL]
    assert [nics.is_wrong(each) for each in (A, B, C)] == [True, True, False]
    assert nics.loads("10.0.0.0") == A
    assert nics.answer(C) is Answer.HOLD, "the cable was moved"


def test_who_loaded_alone_is_known_when_the_others_appear() -> None:
    nics = Nics(NO_NODES)
    nics.seen(B, UUID)
    nics.locate(B, "10.0.0.1")
    nics.loads("10.0.0.1")
    nics.seen(A, UUID)
    assert nics.is_wrong(A)
    assert nics.answer(B) is Answer.FULL


def test_what_was_loaded_under_another_uuid_is_remembered() -> None:
    nics = Nics(NO_NODES)
    nics.seen(B, OTHER_UUID)
    nics.locate(B, "10.0.0.1")
    nics.loads("10.0.0.1")
    nics.seen(A, UUID)
    nics.seen(B, UUID)
    assert nics.is_wrong(A)


def test_a_program_that_swaps_the_uuid_does_not_leave_its_machine() -> None:
    nics = inferred()
    nics.seen(C, OTHER_UUID)
    machine = nics.machine(C)
    assert machine is not None
    assert tuple(machine.nics) == (A, B, C)


def test_a_uuid_that_is_seen_elsewhere_belongs_to_nobody() -> None:
    nics = inferred()
    assert nics.seen(nic(40), UUID) is None
    assert [nics.machine(each) for each in (A, B, C)] == [None] * 3
    assert nics.seen(A, UUID) is None


def test_a_uuid_of_the_configuration_belongs_to_one_machine() -> None:
    nics = Nics(Inventory((NodeEntry(uuid=UUID),)))
    nics.seen(A, UUID)
    machine = nics.seen(nic(40), UUID)
    assert machine is not None
    assert tuple(machine.nics) == (A, nic(40))


@pytest.mark.parametrize(("other_nics", "answer"), [(OtherNics.HOLD, Answer.HOLD), (OtherNics.SILENT, Answer.SILENT)])
def test_the_operator_says_which_one_boots(other_nics: OtherNics, answer: Answer) -> None:
    nics = configured(other_nics)
    machine = nics.seen(A, b"")
    assert machine is not None
    assert machine.known == "configured"
    assert [nics.answer(each) for each in (A, B, C)] == [answer, answer, Answer.FULL]
    nics.locate(A, "10.0.0.1")
    nics.loads("10.0.0.1")
    assert nics.is_wrong(A), "the operator is not overruled"
    assert nics.snapshot() == ()


def test_nobody_is_met_with_silence_because_of_what_was_learnt() -> None:
    nics = configured(OtherNics.SILENT, bootable=None)
    nics.seen(A, b"")
    nics.locate(C, "10.0.0.1")
    nics.loads("10.0.0.1")
    assert nics.answer(A) is Answer.HOLD


def test_another_interface_with_the_uuid_of_a_section_is_not_in_it() -> None:
    nics = Nics(Inventory((NodeEntry(hardware=(A, B), uuid=UUID),)))
    assert nics.seen(C, UUID) is None
    assert nics.machine(C) is None


def test_other_sections_change_what_was_said_and_keep_what_was_learnt() -> None:
    nics = configured()
    nics.seen(A, b"")
    nics.reconfigure(Inventory((NodeEntry(hardware=(A, B, C)),)))
    machine = nics.seen(A, b"")
    assert machine is not None
    assert (machine.bootable, machine.known) == (None, "")
    nics.locate(B, "10.0.0.1")
    nics.loads("10.0.0.1")
    nics.reconfigure(NO_NODES)
    assert nics.is_wrong(A)


def test_a_section_that_loses_its_bootable_interface_learns_it() -> None:
    nics = configured()
    first = nics.seen(A, b"")
    nics._inventory = Inventory((NodeEntry(hardware=(A, B, C)),))
    machine = nics.seen(A, b"")
    assert machine is first
    assert machine is not None
    assert (machine.bootable, machine.known) == (None, "")


def test_what_was_learnt_outlives_the_server() -> None:
    nics = inferred()
    nics.locate(B, "10.0.0.1")
    nics.loads("10.0.0.1")
    (learnt,) = nics.snapshot()
    assert learnt == KnownMachine((A, B, C), B)
    again = Nics(NO_NODES)
    again.adopt((learnt,))
    assert [again.answer(each) for each in (A, B, C)] == [Answer.HOLD, Answer.FULL, Answer.HOLD]
    assert again.seen(A, UUID) is again.machine(B)


def test_what_was_learnt_can_be_forgotten() -> None:
    nics = inferred()
    assert nics.learnt(A) is None
    nics.locate(B, "10.0.0.1")
    nics.loads("10.0.0.1")
    assert nics.learnt(A) == nics.learnt(C) == KnownMachine((A, B, C), B)
    nics.forget(C)
    nics.forget(C)
    assert (nics.learnt(A), nics.snapshot(), nics.machine(A)) == (None, (), None)
    assert nics.seen(A, UUID) is None
    assert nics.seen(B, UUID) is not None, "it is learnt again"


def test_everything_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MACHINES", 4)
    monkeypatch.setattr(module, "MAX_ADDRESSES", 4)
    nics = Nics(NO_NODES)
    for number in range(20):
        nics.seen(nic(number), number.to_bytes(16, "little"))
        nics.locate(nic(number), f"10.0.0.{number}")
    assert (len(nics._machines), len(nics._by_uuid), len(nics._located)) == (4, 4, 4)
    assert nics.loads("10.0.0.1") is None

"""For every work-around: the ROM that needs it boots, and does not boot when it alone is switched off."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mtftpd.quirks.records import by_number
from mtftpd.quirks.vocabulary import Mutation, ServerAction
from mtftpd.rom.profiles import SPEC
from tests.quirks.boot_lab import UNICAST, boots
from tests.quirks.scenes import SCENES, Scene, first_of, option_acknowledgement

RECORDS = by_number()


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_boots_with_the_work_around(scene: Scene) -> None:
    assert scene.play(scene.settings)


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_fails_without(scene: Scene) -> None:
    assert not scene.play(scene.switched_off())


@pytest.mark.parametrize(("without", "may"), [((), True), ((ServerAction.RETRANSMIT,), False)])
def test_q92_holds_for_the_first_reply_too(without: tuple[ServerAction, ...], may: bool) -> None:
    """A ROM that repeats nothing may lose the first packet of its file, since it holds a lease of ours."""
    settings = replace(UNICAST, without=frozenset(without))
    segment = boots(settings, SPEC, (Mutation.NEVER_RETRANSMIT,), first_of(option_acknowledgement)())
    assert segment.stations[0].booted is may


def test_every_record_has_its_scenes_and_they_show_all_of_it() -> None:
    assert {scene.quirk for scene in SCENES} == set(RECORDS)
    for number, record in RECORDS.items():
        mine = [scene for scene in SCENES if scene.quirk == number]
        assert {action for scene in mine for action in scene.off} == set(record.actions)
        assert {fault for scene in mine for fault in scene.faults} == set(record.mutations)


def test_no_word_of_the_vocabulary_is_without_a_record() -> None:
    assert {action for record in RECORDS.values() for action in record.actions} == set(ServerAction)
    assert {fault for record in RECORDS.values() for fault in record.mutations} == set(Mutation)

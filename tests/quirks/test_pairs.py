"""For every work-around: the ROM that needs it boots, and does not boot when it alone is switched off."""

from __future__ import annotations

import pytest

from mtftpd.quirks.records import by_number
from mtftpd.quirks.vocabulary import Mutation, ServerAction
from tests.quirks.scenes import SCENES, Scene

RECORDS = by_number()


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_boots_with_the_work_around(scene: Scene) -> None:
    assert scene.play(scene.settings)


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_fails_without(scene: Scene) -> None:
    assert not scene.play(scene.switched_off())


def test_every_record_has_its_scenes_and_they_show_all_of_it() -> None:
    assert {scene.quirk for scene in SCENES} == set(RECORDS)
    for number, record in RECORDS.items():
        mine = [scene for scene in SCENES if scene.quirk == number]
        assert {action for scene in mine for action in scene.off} == set(record.actions)
        assert {fault for scene in mine for fault in scene.faults} == set(record.mutations)


def test_no_word_of_the_vocabulary_is_without_a_record() -> None:
    assert {action for record in RECORDS.values() for action in record.actions} == set(ServerAction)
    assert {fault for record in RECORDS.values() for fault in record.mutations} == set(Mutation)

"""The cases as a whole: names, requirements, and how they are chosen."""

from __future__ import annotations

from collections import Counter

import pytest

from mtftpd.conformance.registry import all_cases, selected
from mtftpd.conformance.requirements import SUITES
from mtftpd.errors import BadConfig


def test_every_case_has_a_name_of_its_own_requirements_and_a_sentence() -> None:
    cases = all_cases()
    assert {case.suite for case in cases} == set(SUITES)
    assert max(Counter(case.name for case in cases).values()) == 1
    for case in cases:
        assert case.ids, case.name
        assert case.title.endswith("."), case.name
        assert all(requirement.actor.is_server for requirement in case.requirements), case.name


def test_cases_are_chosen_by_suite_name_and_requirement() -> None:
    assert {case.suite for case in selected(["pxe", "tftp"], [])} == {"pxe", "tftp"}
    (one,) = selected(SUITES, ["replies_have_300_octets"])
    assert one.ids == ("DHCP-12",)
    assert one in selected(SUITES, ["DHCP-12"])
    assert not selected(["tftp"], ["DHCP-12"])


@pytest.mark.parametrize(("suites", "chosen"), [(["dns"], []), (["tftp"], ["NO-99"])])
def test_what_does_not_exist_is_named(suites: list[str], chosen: list[str]) -> None:
    with pytest.raises(BadConfig, match=r"dns|NO-99"):
        selected(suites, chosen)

"""The pages in ``specs/`` are true: one is made from the records, the other accounts for every other number."""

from __future__ import annotations

import re

from mtftpd.quirks.profiles import PROFILES
from mtftpd.quirks.records import by_number
from tools.quirk_table import TABLE, table

LEFT_OUT = TABLE.with_name("quirks-left-out.md").read_text()


def test_the_table_is_that_of_the_records() -> None:
    assert TABLE.read_text() == table(), "run python -m tools.quirk_table"


def test_every_number_is_in_one_of_the_two_pages() -> None:
    left_out = re.findall(r"^\| (Q\d+) \| .{20,} \|$", LEFT_OUT, re.MULTILINE)
    assert len(left_out) == LEFT_OUT.count("\n| Q")
    assert sorted([*left_out, *by_number()]) == sorted(f"Q{number:02}" for number in range(1, 117))


def test_records_name_profiles_that_exist_and_say_where_they_come_from() -> None:
    quirks = by_number()
    assert len({quirk.id for quirk in quirks.values()}) == len(quirks)
    for quirk in quirks.values():
        assert set(quirk.match) <= set(PROFILES)
        assert quirk.evidence
        assert quirk.symptom

"""The files of requirements, and the reader that holds them to their rules."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from mtftpd.conformance import requirements
from mtftpd.conformance.requirements import Actor, BadRequirements, Level, read, specification

CHECKOUT = Path(__file__).parents[2]
SPECS = CHECKOUT / "specs"


class TestTheFiles:
    def test_have_what_the_protocols_ask(self) -> None:
        found = specification().requirements
        assert len(found) >= 250
        assert {row.suite for row in found.values()} == set(requirements.SUITES)
        assert {row.actor for row in found.values()} == set(Actor)
        assert {row.level for row in found.values()} == set(Level)

    def test_each_row_knows_its_line(self) -> None:
        lines = (SPECS / "mtftp.toml").read_text().splitlines()
        row = specification().requirements["RRQ-09"]
        assert lines[row.line - 1 : row.line + 1] == ["[[requirement]]", 'id = "RRQ-09"']
        assert (row.suite, row.family, row.level, row.actor) == ("mtftp", "RRQ", Level.MUST, Actor.MTFTP)
        assert row.ruling in specification().rulings

    def test_rows_of_a_file_keep_their_order(self) -> None:
        ids = [row.id for row in specification().of("mtftp")]
        assert ids[:2] == ["GRP-01", "GRP-02"]
        assert ids[-1] == "OBS-01"

    def test_are_part_of_a_wheel(self) -> None:
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
        included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
        assert included == {
            f"specs/{name}.toml": f"mtftpd/conformance/specs/{name}.toml"
            for name in ("references", *requirements.SUITES)
        }

    def test_of_a_wheel_are_read_from_the_package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert requirements.folder() == SPECS
        monkeypatch.setattr(requirements, "_PACKED", tmp_path)
        assert requirements.folder() == tmp_path


def test_only_servers_are_judged_by_the_suite_for_servers() -> None:
    assert [actor.value for actor in Actor if actor.is_server] == ["dhcp", "mtftp", "tftp"]
    assert [level.value for level in Level if level.binds] == ["MUST", "MUST NOT"]


GOOD = """
[families]
WIN = "windows"

[[requirement]]
id = "WIN-01"
level = "MUST"
actor = "tftp"
statement = "Stays in the window."
source = ["RFC 7440 section 4"]
tests = ["tests/core/test_tftp.py::test_windows"]
"""


@pytest.fixture
def spoil(tmp_path: Path) -> Callable[[str], list[str]]:
    """Return a function that puts a text in the place of tftp.toml and returns the lines of the complaint."""
    for name in ("references", *requirements.SUITES):
        shutil.copy(SPECS / f"{name}.toml", tmp_path)

    def read_with(text: str) -> list[str]:
        (tmp_path / "tftp.toml").write_text(text)
        try:
            read(tmp_path)
        except BadRequirements as error:
            return str(error).splitlines()
        return []

    return read_with


class TestMistakes:
    def test_a_good_file_has_none(self, spoil: Callable[[str], list[str]]) -> None:
        assert spoil(GOOD) == []

    @pytest.mark.parametrize(
        ("old", "new", "complaint"),
        [
            ('"MUST"', '"SHALL"', "level 'SHALL' is none of"),
            ('"tftp"', '"server"', "actor 'server' is none of"),
            ('"WIN-01"', '"WIN-1"', "an id is a family of this file (WIN), a hyphen and two digits"),
            ('"WIN-01"', '"BLK-01"', "an id is a family of this file"),
            ('["RFC 7440 section 4"]', "[]", "source names no document"),
            ('["RFC 7440 section 4"]', '["RFC 74 section 4"]', "begins with none of the documents"),
            ('["RFC 7440 section 4"]', '"RFC 7440 section 4"', "source must be a list of texts"),
            ("statement", "text", "statement is missing"),
            ("statement", "text", "there is no field 'text'; known are"),
            ('"Stays in the window."', '" "', "statement must be a text that is not empty"),
            ("source =", 'ruling = "R7"\nsource =', "say in what the sources disagree and which ruling holds"),
            ("source =", 'disagreement = "?"\nruling = "R99"\nsource =', "ruling 'R99' is not in references.toml"),
            ("source =", 'profiles = ["ipxe", "netscape"]\nsource =', "profile 'netscape' is none of"),
            ("source =", 'cases = ["a", "a"]\nsource =', "cases says something twice"),
            ('"tests/core/test_tftp.py::test_windows"', '"test_it"', "'test_it' is no pytest id"),
            ("source =", 'cases = ["a"]\nuntestable = "so"\nsource =', "untestable, and yet there are cases: a"),
        ],
    )
    def test_of_a_row_is_told_with_its_line(
        self, old: str, new: str, complaint: str, spoil: Callable[[str], list[str]]
    ) -> None:
        lines = spoil(GOOD.replace(old, new))
        assert any(line.startswith("tftp.toml:5: ") and complaint in line for line in lines), lines

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            (GOOD + "\n[more]\n", "tftp.toml: there is no 'more' here"),
            (GOOD.replace("[families]", "[others]"), "tftp.toml: a table [families] must say"),
            ('[families]\nWIN = "windows"\n', "tftp.toml: one or more [[requirement]] are needed"),
            (GOOD.replace("[[requirement]]", "[[ requirement ]]"), "tftp.toml: write each requirement as a table"),
            (GOOD.replace("[families]", '[families]\nTSZ = "size"'), "tftp.toml: no requirement is of the family TSZ"),
            (GOOD.replace("WIN", "RRQ"), "tftp.toml: family RRQ is also in mtftp.toml"),
            (GOOD.replace("WIN", "RRQ"), "tftp.toml:5: RRQ-01 is also in mtftp.toml:"),
            (GOOD + GOOD[GOOD.index("[[") :], "tftp.toml:12: WIN-01 is also in tftp.toml:5"),
            ("[families", "tftp.toml: Expected"),
        ],
    )
    def test_of_a_file_is_told(self, text: str, complaint: str, spoil: Callable[[str], list[str]]) -> None:
        assert any(complaint in line for line in spoil(text)), spoil(text)

    def test_all_are_told_at_once(self, spoil: Callable[[str], list[str]]) -> None:
        assert len(spoil(GOOD.replace('"MUST"', '"SHALL"').replace('"tftp"', '"server"') + "\n[more]\n")) == 3

    def test_a_missing_file_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(BadRequirements, match=r"references\.toml"):
            read(tmp_path)

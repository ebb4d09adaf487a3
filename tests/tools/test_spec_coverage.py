"""The tool that asks whether every requirement is judged, on small files of its own; and the answer for ours."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from mtftpd.conformance.requirements import SUITES, Specification, read, specification
from tools.spec_coverage import SPECS, Cases, main, mistakes, registered, table, uncovered, with_cases

ROWS = """
[families]
WIN = "windows"

[[requirement]]
id = "WIN-01"
level = "MUST"
actor = "tftp"
statement = "Stays in the window."
source = ["RFC 7440 section 4"]
cases = ["window_is_kept"]

[[requirement]]
id = "WIN-02"
level = "SHOULD"
actor = "tftp"
statement = "Gets slower."
source = ["RFC 7440 section 6"]

[[requirement]]
id = "WIN-03"
level = "MUST NOT"
actor = "client"
statement = "Acknowledge what is not there."
source = ["RFC 7440 section 4"]
tests = ["tests/rom/test_window.py::TestWindow::test_gap"]
"""

TESTS = "class TestWindow:\n    async def test_gap(self): ...\ndef test_alone(): ...\n"

CASES: Cases = {"window_is_kept": ("WIN-01",)}


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Specification]:
    """Return a function that makes a specification of one file; the tests that it may name lie beside it."""
    for name in ("references", *SUITES):
        shutil.copy(SPECS / f"{name}.toml", tmp_path)
    (tmp_path / "tests" / "rom").mkdir(parents=True)
    (tmp_path / "tests" / "rom" / "test_window.py").write_text(TESTS)

    def with_rows(text: str) -> Specification:
        (tmp_path / "tftp.toml").write_text(text)
        whole = read(tmp_path)
        ours = {row.id: row for row in whole.of("tftp")}
        return Specification(ours, whole.families, whole.documents, whole.rulings)

    return with_rows


def problems(specification: Specification, cases: Cases, root: Path) -> list[str]:
    return mistakes(specification, cases, root) + uncovered(specification)


def test_nothing_is_wrong(load: Callable[[str], Specification], tmp_path: Path) -> None:
    assert problems(load(ROWS), CASES, tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "cases", "complaint"),
    [
        ("", "", {}, "specs/tftp.toml:5: WIN-01: cases should be none; run with --write"),
        ("", "", {**CASES, "other": ("WIN-01",)}, "WIN-01: cases should be other, window_is_kept; run with --write"),
        ("", "", {**CASES, "slower": ("WIN-02",)}, "WIN-02: cases should be slower"),
        ("", "", {**CASES, "strange": ("WIN" + "-99",)}, "case strange names WIN" + "-99, which is no requirement"),
        ("", "", {**CASES, "idle": ()}, "case idle names no requirement"),
        ('cases = ["window_is_kept"]\n', "", {}, "WIN-01: MUST of tftp without a case: Stays in the window."),
        ('cases = ["window_is_kept"]', 'tests = ["tests/rom/test_window.py::test_alone"]', {}, "MUST of tftp without"),
        ("TestWindow::test_gap", "test_gap", CASES, "WIN-03: there is no test tests/rom/test_window.py::test_gap"),
        ("test_window.py", "test_other.py", CASES, "there is no test tests/rom/test_other.py::TestWindow::test_gap"),
        (
            'tests = ["tests/rom/test_window.py::TestWindow::test_gap"]\n',
            "",
            CASES,
            "WIN-03: MUST NOT of client without",
        ),
    ],
)
def test_what_is_wrong_is_told(
    old: str, new: str, cases: Cases, complaint: str, load: Callable[[str], Specification], tmp_path: Path
) -> None:
    found = problems(load(ROWS.replace(old, new)), cases, tmp_path)
    assert any(complaint in line for line in found), found


def test_a_reason_is_as_good_as_a_case(load: Callable[[str], Specification], tmp_path: Path) -> None:
    reasoned = ROWS.replace('cases = ["window_is_kept"]', 'untestable = "no window, no packet"')
    assert problems(load(reasoned), {}, tmp_path) == []
    assert any("cases should be window_is_kept" in line for line in problems(load(reasoned), CASES, tmp_path))


def test_rows_are_counted_by_actor_and_level(load: Callable[[str], Specification]) -> None:
    counted = table(load(ROWS))
    assert counted["tftp"]["MUST"] == (1, 1)
    assert counted["tftp"]["SHOULD"] == (0, 1)
    assert counted["client"]["MUST NOT"] == (1, 1)
    assert list(counted) == ["tftp", "client"]


class TestWriting:
    def test_what_is_right_stays(self) -> None:
        assert with_cases(ROWS, CASES) == ROWS

    def test_cases_are_added_changed_and_taken_away(self) -> None:
        written = with_cases(ROWS, {"slower": ("WIN-02", "WIN-03")})
        assert written.count("cases = ") == 2
        assert re.search(r'section 6"\]\ncases = \["slower"\]\n\n\[\[', written)
        assert written.endswith('test_gap"]\ncases = ["slower"]\n')

    def test_many_are_written_below_each_other(self, load: Callable[[str], Specification], tmp_path: Path) -> None:
        many = {f"a_case_with_quite_a_long_name_number_{number}": ("WIN-01",) for number in range(6)}
        written = with_cases(ROWS, many)
        assert max(map(len, written.splitlines())) < 80
        assert problems(load(written), many, tmp_path) == []
        assert with_cases(written, CASES) == ROWS

    def test_our_files_are_changed_in_their_lists_only(self) -> None:
        for name in SUITES:
            text = (SPECS / f"{name}.toml").read_text()
            bare = with_cases(text, {})
            assert re.sub(r"^cases = \[[^\]]*\]\n", "", text, flags=re.MULTILINE) == bare


class TestOurs:
    def test_cases_requirements_and_tests_name_each_other_rightly(self) -> None:
        assert mistakes(specification(), registered()) == [], "run python -m tools.spec_coverage --write"

    def test_every_must_is_judged(self) -> None:
        assert uncovered(specification()) == []

    def test_the_report_can_be_read_by_programs(self) -> None:
        result = CliRunner().invoke(main, ["--json"])
        report = json.loads(result.stdout)
        assert (result.exit_code, report["problems"], report["without"]) == (0, [], [])
        assert report["requirements"] == len(specification().requirements)
        assert report["judged"]["mtftp"]["MUST"][0] <= report["judged"]["mtftp"]["MUST"][1]

    def test_the_table_has_a_line_for_each_actor(self) -> None:
        lines = CliRunner().invoke(main).stdout.splitlines()
        assert [line.split()[0] for line in lines[1:6]] == ["dhcp", "mtftp", "tftp", "client", "network"]

"""The option that CI relies on: a test that was skipped, or none at all, is a failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
PASSED = "def test_a(): pass\n"
SKIPPED = "import pytest\n@pytest.mark.skip(reason='why')\ndef test_b(): pass\n"


@pytest.mark.parametrize(
    ("source", "options", "status"),
    [
        (PASSED, ["--no-skips"], 0),
        (PASSED + SKIPPED, [], 0),
        (PASSED + SKIPPED, ["--no-skips"], 1),
        (SKIPPED, ["--no-skips"], 1),
        ("", ["--no-skips"], 5),
    ],
)
def test_skips_fail_when_told_so(tmp_path: Path, source: str, options: list[str], status: int) -> None:
    (tmp_path / "test_it.py").write_text(source)
    (tmp_path / "empty.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", str(tmp_path / "empty.ini"), *options]
    result = subprocess.run([*command, str(tmp_path)], cwd=TOP, capture_output=True, text=True, check=False)
    assert result.returncode == status, result.stdout
    assert ("1 skipped, and --no-skips allows none" in result.stdout) == (status == 1)

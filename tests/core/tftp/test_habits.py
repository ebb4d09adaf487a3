"""What the TFTP service suspects of an address is tried once, and has an end."""

from __future__ import annotations

import pytest

from mtftpd.core.learning.lessons import Sign
from mtftpd.core.tftp import habits as module
from mtftpd.core.tftp.habits import Habits


def test_suspicions_are_bounded_and_the_newest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ADDRESSES", 2)
    habits = Habits()
    for number in (1, 2, 3):
        habits.suspect(f"10.0.0.{number}", Sign.NO_OACK)
    habits.suspect("10.0.0.3", Sign.ONLY_PORT_69)
    assert habits.of("10.0.0.1", 0.0) == set()
    assert habits.of("10.0.0.2", 0.0) == {Sign.NO_OACK}
    assert habits.of("10.0.0.3", 0.0) == {Sign.ONLY_PORT_69}

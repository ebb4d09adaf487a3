"""Wrong values, collected so that an operator sees all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mtftpd.errors import BadConfig


class Problem(NamedTuple):
    """``where`` names the option with its value and where it came from; ``text`` says what is wrong and what to do."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


def raise_if_any(problems: Iterable[Problem]) -> None:
    """Raise `BadConfig` with one line for each problem, or return when there is none."""
    lines = [str(problem) for problem in problems]
    if lines:
        raise BadConfig("\n".join(lines))

"""Waiting for what another process, or another thread, brings about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import trio


async def eventually(true: Callable[[], object]) -> None:
    """Return once ``true``; the test that waits has the time limit."""
    while not true():  # noqa: ASYNC110 - a file that somebody else writes has no event
        await trio.sleep(0.01)


def lines_of(path: Path) -> list[str]:
    """Return the complete lines of a file that may not be there yet."""
    return path.read_text().splitlines() if path.exists() else []

"""What every reader of untrusted octets is held to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mtftpd.errors import Malformed

T = TypeVar("T")


def outcome(read: Callable[[bytes], T], data: bytes) -> T | Malformed:
    """Return what ``read`` makes of ``data``, or the `Malformed` that it raised; anything else escapes and fails."""
    problem = None
    try:
        return read(data)
    except Malformed as caught:
        problem = caught
    assert problem.reason
    assert problem.offset is None or 0 <= problem.offset <= len(data)
    return problem


def refused_cuts(read: Callable[[bytes], object], data: bytes) -> list[int]:
    """Cut ``data`` at every length and return the lengths that ``read`` refused."""
    return [size for size in range(len(data)) if isinstance(outcome(read, data[:size]), Malformed)]

"""Amounts as people write them: ``4M`` of octets, ``1G`` bit/s, ``1%``.  Every reader raises ValueError with advice."""

from __future__ import annotations

import re
from typing import Final

_AMOUNT: Final = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)([kmg]?)", re.IGNORECASE)
_BINARY: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_DECIMAL: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
MOST_LOSS: Final = 0.5


def octets(text: str) -> int:
    """Read a number of octets; K, M and G are powers of 1,024."""
    return int(_read(text, _BINARY, "a size; write 4M, 64K or 1000"))


def rate(text: str) -> float:
    """Read bits per second; K, M and G are powers of 1,000."""
    value = _read(text, _DECIMAL, "a rate in bit/s; write 1G or 100M")
    if not value:
        raise ValueError(f"{text!r} is no rate; nothing would ever arrive")
    return value


def fraction(text: str) -> float:
    """Read a percentage up to 50 %, with or without its sign."""
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        raise ValueError(f"{text!r} is no percentage; write 1% or 0.1%") from None
    if not 0 <= percent <= 100 * MOST_LOSS:
        raise ValueError(f"{text!r} is not between 0% and {MOST_LOSS:.0%}")
    return percent / 100


def mixture(text: str) -> tuple[tuple[str, float], ...]:
    """Read ``NAME=60%,OTHER=40%`` (one name alone is 100 %) as names and weights."""
    parts: list[tuple[str, float]] = []
    for part in text.split(","):
        name, equals, share = part.strip().partition("=")
        try:
            weight = float(share.removesuffix("%")) if equals else 100.0
        except ValueError:
            weight = 0.0
        if not name or not 0 < weight <= 100:
            raise ValueError(f"{part.strip()!r} is not NAME=PERCENT; write spec=60%,edk1=40%")
        parts.append((name, weight))
    return tuple(parts)


def _read(text: str, units: dict[str, int], what: str) -> float:
    found = _AMOUNT.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not {what}")
    return float(found[1]) * units[found[2].lower()]

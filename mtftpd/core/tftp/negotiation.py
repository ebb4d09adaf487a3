"""Which TFTP options are granted: RFC 2347, 2348 (blksize), 2349 (timeout, tsize), 7440 (windowsize), rollover.

An OACK holds a subset of what was asked, in the asked order; no number in it is larger than the one asked, except
the size of the file.  Clients check this (quirk Q83).  An option that makes no sense is left out, never an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mtftpd.quirks.vocabulary import ServerAction

DEFAULT_BLOCK_SIZE = 512
MIN_BLOCK_SIZE = 8
MAX_BLOCK_SIZE = 65_464
"""RFC 2348 section 2."""

HEADERS = 32
"""IPv4 20 + UDP 8 + TFTP 4 octets: a block of the link's MTU less these is not fragmented."""

MAX_WINDOW = 64
"""Blocks.  64 * 1,468 octets are 94 KB: less than half of the 208 KiB a Linux socket buffers by default."""
MAX_WINDOW_OCTETS = 128 * 1024
"""With blocks larger than an Ethernet frame the window is this long: 2 blocks of 65,464 octets."""

_LONGEST_NUMBER = 19
"""Digits of 2**63 - 1: longer ones would only cost time."""

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server allows at most: octets of a block, blocks of a window (1: no windows), default roll-over.

    ``without`` are the work-arounds that are left out, here and in the transfer.
    """

    block_size: int
    window: int = MAX_WINDOW
    rollover: int = 0
    without: frozenset[ServerAction] = frozenset()


@dataclass(frozen=True, slots=True)
class Granted:
    """How a transfer goes: ``timeout`` in seconds or None, ``options`` are those of the OACK, () for no OACK.

    ``without`` are the work-arounds that are left out.
    """

    block_size: int = DEFAULT_BLOCK_SIZE
    window: int = 1
    timeout: int | None = None
    rollover: int = 0
    options: Pairs = ()
    without: frozenset[ServerAction] = frozenset()


def largest_block(mtu: int) -> int:
    """Return the largest block that fits an IPv4 packet of ``mtu`` octets; 512 need no permission."""
    return min(max(mtu - HEADERS, DEFAULT_BLOCK_SIZE), MAX_BLOCK_SIZE)


def negotiate(asked: Pairs, size: int, limits: Limits) -> Granted:
    """Decide on the options of a request for a file of ``size`` octets; of a repeated option the first counts."""
    numbers: dict[str, int] = {}
    for name, text in asked:
        number = _number(text)
        if name in _RULES and name not in numbers and number is not None:
            numbers[name] = number
    block_size = _block_size(numbers.get("blksize", 0), size, limits) or DEFAULT_BLOCK_SIZE
    fitting = Limits(limits.block_size, _fitting_window(limits.window, block_size), limits.rollover)
    if numbers and ServerAction.OACK_SUBSET in limits.without:
        numbers = {"tsize": 0, "blksize": block_size} | numbers
    granted: dict[str, int] = {}
    for name, number in numbers.items():
        value = _RULES[name](number, size, fitting)
        if value is not None:
            granted[name] = value
    return Granted(
        block_size,
        granted.get("windowsize", 1),
        granted.get("timeout"),
        granted.get("rollover", limits.rollover),
        tuple((name, str(value)) for name, value in granted.items()),
        limits.without,
    )


def _number(text: str) -> int | None:
    """Read a number with blanks around it (quirk Q101); anything else is no number."""
    digits = text.strip()
    if not digits.isascii() or not digits.isdecimal() or len(digits) > _LONGEST_NUMBER:
        return None
    return int(digits)


def _fitting_window(window: int, block_size: int) -> int:
    return max(1, min(window, MAX_WINDOW_OCTETS // block_size))


def _block_size(asked: int, _size: int, limits: Limits) -> int | None:
    """EFI 1.x asks for 8,192 or for the size of the file (quirk Q67): anything too large is cut to what fits."""
    return min(asked, limits.block_size) if asked >= MIN_BLOCK_SIZE else None


def _transfer_size(_asked: int, size: int, _limits: Limits) -> int | None:
    return size


def _timeout(asked: int, _size: int, _limits: Limits) -> int | None:
    return asked if 1 <= asked <= 255 else None


def _window(asked: int, _size: int, limits: Limits) -> int | None:
    return min(asked, limits.window) if asked >= 1 and limits.window > 1 else None


def _rollover(asked: int, _size: int, _limits: Limits) -> int | None:
    return asked if asked in {0, 1} else None


_RULES: dict[str, Callable[[int, int, Limits], int | None]] = {
    "blksize": _block_size,
    "tsize": _transfer_size,
    "timeout": _timeout,
    "windowsize": _window,
    "rollover": _rollover,
}

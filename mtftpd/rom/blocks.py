"""What a client remembers of the blocks that it heard: the one thing that decides whether a listener can ever finish.

`BlockMap` is what PXE 2.1 figure 2-5 implies: every block counts, in whichever pass it came.  `LastGap` is what Intel's
EFI client has: the part behind the last gap of one pass, completed by an unbroken beginning in a later one.

"Missed" are holes after the first block received; blocks before the client came do not count (figure 2-5).
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Protocol

BLOCK_SIZE: Final = 512
MAX_BLOCKS: Final = 65_535
"""A listener has no roll-over: 65,535 blocks of 512 octets, the last one short."""


class Step(Enum):
    """What one block meant."""

    NEW = "new"
    HELD = "held"
    PASS_OVER = "pass-over"
    """The pass has nothing more for this client, which still lacks blocks."""
    COMPLETE = "complete"
    BROKEN = "broken"
    """This cannot belong to the same image, or (without a map) it came out of order."""


class Blocks(Protocol):
    """``heard`` tells whether a block came since `begin`; ``missed`` counts holes; ``length`` is the size in octets."""

    heard: bool
    complete: bool
    length: int

    @property
    def missed(self) -> int:
        """Return how many blocks are missing after the first one received."""

    def begin(self, after: int = 0, *, strict: bool = False) -> None:
        """Listen anew behind block ``after``; ``strict`` is lock-step, where no gap is possible."""

    def add(self, block: int, size: int) -> Step:
        """Take block ``block`` with ``size`` octets (0 to 512; less than 512 is the last one)."""

    def quiet_until(self, block: int) -> int:
        """Return up to where full blocks in ascending order behind ``block`` are `Step.NEW` or `Step.HELD` for sure."""

    def add_run(self, first: int, last: int) -> int:
        """Take the full blocks ``first`` to ``last``, none beyond `quiet_until`; return how many of them were new."""


class BlockMap:
    """Remembers every block: one bit each, 8 KiB at most (65,535 / 8)."""

    def __init__(self) -> None:
        self.heard = False
        self.complete = False
        self.length = 0
        self._bits = bytearray()
        self._held = 0
        self._lowest = MAX_BLOCKS + 1
        self._highest = 0
        self._total = 0

    @property
    def missed(self) -> int:
        """Return the holes between the lowest and the highest block held."""
        return self._highest - self._lowest + 1 - self._held if self._held else 0

    @property
    def unbroken(self) -> int:
        """Return how many blocks are held before the first hole."""
        holes = ~(int.from_bytes(self._bits, "little") | 1)
        return (holes & -holes).bit_length() - 2

    def begin(self, after: int = 0, *, strict: bool = False) -> None:
        """Listen anew; nothing is forgotten."""
        self.heard = False

    def add(self, block: int, size: int) -> Step:
        """Take a block; see `Blocks`."""
        self.heard = True
        if size < BLOCK_SIZE:
            if (self._total or block) != block or block < self._highest:
                return Step.BROKEN
            self._total = block
            self.length = (block - 1) * BLOCK_SIZE + size
        elif self._total and block >= self._total:
            return Step.BROKEN
        index, bit = block >> 3, 1 << (block & 7)
        bits = self._bits
        if index >= len(bits):
            bits.extend(bytes(index + 1 - len(bits)))
        if bits[index] & bit:
            return Step.HELD
        bits[index] |= bit
        self._held += 1
        if block < self._lowest:
            self._lowest = block
        if block > self._highest:
            self._highest = block
        if self._held == self._total:
            self.complete = True
            return Step.COMPLETE
        return Step.NEW

    def quiet_until(self, block: int) -> int:
        """Return the block before the highest one that is missing; without a known end there is no limit."""
        if not self._total:
            return MAX_BLOCKS
        missing = ~int.from_bytes(self._bits, "little") & ((2 << self._total) - 2)
        highest = missing.bit_length() - 1
        return highest - 1 if highest > block else self._total - 1

    def add_run(self, first: int, last: int) -> int:
        """Take a run; see `Blocks`."""
        self.heard = True
        bits = self._bits
        start, end = first >> 3, (last >> 3) + 1
        if end > len(bits):
            bits.extend(bytes(end - len(bits)))
        run = ((1 << last - first + 1) - 1) << (first & 7)
        held = int.from_bytes(bits[start:end], "little")
        bits[start:end] = (held | run).to_bytes(end - start, "little")
        new = (run & ~held).bit_count()
        self._held += new
        self._lowest = min(self._lowest, first)
        self._highest = max(self._highest, last)
        return new

    def add_map(self, first: int, held: int) -> int:
        """Take the full blocks whose bits are set in ``held``, ``first`` as the lowest bit; see `Blocks.add_run`."""
        self.heard = True
        bits = self._bits
        last = first + held.bit_length() - 1
        start, end = first >> 3, (last >> 3) + 1
        if end > len(bits):
            bits.extend(bytes(end - len(bits)))
        added = held << (first & 7)
        before = int.from_bytes(bits[start:end], "little")
        bits[start:end] = (before | added).to_bytes(end - start, "little")
        new = (added & ~before).bit_count()
        self._held += new
        self._lowest = min(self._lowest, first + (held & -held).bit_length() - 1)
        self._highest = max(self._highest, last)
        return new


class LastGap:
    """Remembers only from where on the end of the image is whole.

    A pass is given up when it goes silent, and any number below the last one is an error: the image could be another.
    """

    def __init__(self) -> None:
        self.heard = False
        self.complete = False
        self.length = 0
        self._missed = 0
        self._strict = False
        self._after = 0
        self._start = 0
        self._last = 0
        self._final = 0

    @property
    def missed(self) -> int:
        """Return the blocks missed in this pass after the first one heard."""
        return self._missed

    def begin(self, after: int = 0, *, strict: bool = False) -> None:
        """Start a pass with block ``after`` as the last one held; lock-step wants the whole image again."""
        self.heard = False
        self._missed = 0
        self._strict = strict
        self._after = self._last = after
        self._start = 0
        if strict:
            self._final = 0

    def add(self, block: int, size: int) -> Step:
        """Take a block; see `Blocks`."""
        gap = block - self._last - 1
        if gap < 0:
            return Step.HELD if gap == -1 else Step.BROKEN
        if gap and self._strict:
            return Step.BROKEN
        self._last = block
        if not self.heard:
            self.heard = True
            self._start = block
        elif gap:
            self._missed += gap
            self._start = block
        if size < BLOCK_SIZE:
            self.length = (block - 1) * BLOCK_SIZE + size
        elif block != self._final:
            return Step.NEW
        if not self._missed and self._start == self._after + 1:
            self.complete = True
            return Step.COMPLETE
        self._final = self._start - 1
        return Step.PASS_OVER

    def quiet_until(self, block: int) -> int:
        """Return the block before the one that could complete the image; in a pass that has none, no limit."""
        return self._final - 1 if self._final > block else MAX_BLOCKS

    def add_run(self, first: int, last: int) -> int:
        """Take a run; see `Blocks`.  Only its first block can have a gap before it, or be the one held already."""
        new = self.add(first, BLOCK_SIZE) is Step.NEW
        self._last = last
        return last - first + new

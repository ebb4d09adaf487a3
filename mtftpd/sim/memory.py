"""The image of a simulation, and what each node holds of it: marks instead of octets, but every octet is compared."""

from __future__ import annotations

from hashlib import sha256
from random import Random
from typing import Final

UNIT: Final = 512
"""Octets per mark: the block size of MTFTP.  A part of a unit is marked once it is reached from the beginning."""


class Content:
    """A synthetic image of ``size`` octets."""

    def __init__(self, size: int, seed: int) -> None:
        self.octets = Random(f"{seed}/image").randbytes(size)
        self.digest = sha256(self.octets).hexdigest()
        self.units = -(-size // UNIT)

    @property
    def size(self) -> int:
        """The length in octets."""
        return len(self.octets)

    def packet(self, block: int, block_size: int, number: int) -> bytes:
        """Return the DATA packet of block ``block`` (from 1) that carries ``number`` on the wire."""
        start = (block - 1) * block_size
        return b"\0\3" + number.to_bytes(2, "big") + self.octets[start : start + block_size]


class MarkedMemory:
    """The memory of one node: which units of ``content`` are right; a wrong octet unmarks what it falls into."""

    __slots__ = ("_content", "_marks", "_prefix", "wrong")

    def __init__(self, content: Content) -> None:
        self._content = content
        self._marks = bytearray(-(-content.units // 8))
        self._prefix = 0
        self.wrong = 0

    def write(self, offset: int, packet: bytes) -> None:
        """Compare the payload of a DATA packet with the image, and mark it."""
        octets = packet[4:]
        if self._content.octets[offset : offset + len(octets)] == octets:
            self.store(offset, len(octets))
        else:
            self.wrong += 1
            self._unmark(offset, offset + len(octets))

    def store(self, offset: int, octets: int) -> None:
        """Mark a part that is known to be right: a run of blocks straight from the image."""
        end = offset + octets
        if offset <= self._prefix < end:
            self._prefix = end
        last = self._content.units if end == self._content.size else end // UNIT
        self._set(-(-offset // UNIT), last)

    def store_map(self, offset: int, held: int) -> None:
        """Mark units that are known to be right, whose bits are set in ``held``: that at ``offset`` is the lowest."""
        first = offset // UNIT
        beyond = self._prefix // UNIT - first
        if beyond >= 0 and (rest := held >> beyond) & 1:
            self._prefix = (first + beyond + (~rest & (rest + 1)).bit_length() - 1) * UNIT
        self._mark(first, first + held.bit_length(), held)

    def holds_everything(self) -> bool:
        """Return whether every octet of the image was written, and right."""
        return self._prefix >= self._content.size or self.marks().bit_count() == self._content.units

    def marks(self) -> int:
        """Return the units held, unit 0 as the lowest bit."""
        marks = int.from_bytes(self._marks, "little")
        whole = self._content.units if self._prefix >= self._content.size else self._prefix // UNIT
        return marks | ((1 << whole) - 1)

    def _set(self, first: int, end: int) -> None:
        if first < end:
            self._mark(first, end, (1 << end - first) - 1)

    def _mark(self, first: int, end: int, units: int) -> None:
        start, stop = first >> 3, ((end - 1) >> 3) + 1
        marks = int.from_bytes(self._marks[start:stop], "little") | units << (first & 7)
        self._marks[start:stop] = marks.to_bytes(stop - start, "little")

    def _unmark(self, offset: int, end: int) -> None:
        self._prefix = min(self._prefix, offset)
        first, last = offset // UNIT, min(-(-end // UNIT), self._content.units)
        for unit in range(first, last):
            self._marks[unit >> 3] &= ~(1 << (unit & 7))

"""Which node held which part of the image when: pictures of node by block, one bit per point.

A row is a node and a column a part of the image; a point is black when the node holds all of the part.  Pictures are
taken at a steady interval, which doubles whenever there are too many: the end of a simulation is not known before.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from mtftpd.sim.clock import Clock
from mtftpd.sim.memory import MarkedMemory

MOST_PICTURES: Final = 16
MOST_COLUMNS: Final = 1_024
"""Wider than most screens; 2,000 nodes x 1,024 columns are 256 KiB before they are compressed."""
FIRST_INTERVAL: Final = 0.125
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Picture:
    """What all nodes held at ``when``; each row has one bit per column, the leftmost as the highest, 0 is black."""

    when: float
    rows: tuple[bytes, ...]


@dataclass
class Album:
    """Takes pictures of ``memories``; ``settle`` brings them up to now."""

    clock: Clock
    memories: list[MarkedMemory]
    units: int
    settle: Callable[[], None]
    pictures: list[Picture] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._each = -(-self.units // MOST_COLUMNS)
        self.columns = -(-self.units // self._each)
        self._interval = FIRST_INTERVAL
        self._marks = [0] * len(self.memories)
        self.clock.at(self._interval, self._take_and_wait)

    def take(self) -> None:
        """Take a picture now, unless it would be the same as the last one, or the first of nothing."""
        self.settle()
        marks = [memory.marks() for memory in self.memories]
        if marks != self._marks:
            self._marks = marks
            self.pictures.append(Picture(self.clock.now, tuple(map(self._row, marks))))

    def _take_and_wait(self) -> None:
        self.take()
        if len(self.pictures) == MOST_PICTURES:
            del self.pictures[::2]
            self._interval *= 2
        self.clock.at(self.clock.now + self._interval, self._take_and_wait)

    def _row(self, marks: int) -> bytes:
        """Return one row: every ``_each``-th unit makes a number, and a column is held where all numbers have a 1."""
        each, columns = self._each, self.columns
        units = f"{marks:0{self.units}b}"[::-1].ljust(columns * each, "1")
        held = (1 << columns) - 1
        for start in range(each):
            held &= int(units[start::each], 2)
        spare = -columns % 8
        return ((~held & (1 << columns) - 1) << spare).to_bytes((columns + 7) // 8, "big")


def png(width: int, rows: tuple[bytes, ...]) -> bytes:
    """Return a picture of one bit per point as PNG (RFC 2083); a set bit is white."""
    header = struct.pack(">IIBBBBB", width, len(rows), 1, 0, 0, 0, 0)
    points = zlib.compress(b"".join(b"\0" + row for row in rows), 6)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", points) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

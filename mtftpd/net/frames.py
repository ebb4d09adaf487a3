"""Image blocks as ready-made DATA packets: header and payload side by side, read once, shared by all transfers.

A chunk holds about 64 KiB of consecutive packets.  The payloads are read straight into their places between the
headers, with positioned reads: a mapped file that is cut short would kill the process with SIGBUS.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterator
from sys import byteorder
from typing import Final

from mtftpd.core.images import MAX_BLOCKS, Image
from mtftpd.net.bursts import MAX_BURST, MAX_SEGMENTS
from mtftpd.net.images import ImageStore

HEADER: Final = 4
"""Octets in front of each payload: opcode 3 and the block number (RFC 1350 section 5)."""
CHUNK: Final = 65 * 1024
"""Octets that a chunk aims at: 128 packets of 516, 44 of 1,472; the largest block size has one packet to a chunk."""
MAX_SLOTS: Final = 1_024
"""IOV_MAX of Linux: the most buffers of one preadv(2); reached by blocks of less than 60 octets."""
CACHE: Final = 48 * 1024 * 1024
"""Octets of all chunks together: 768 chunks, one 30 MiB image at two block sizes with room to spare."""


class Frames:
    """The packets of the images in ``store``, at most ``limit`` octets of them, the least recently used go first."""

    def __init__(self, store: ImageStore, limit: int = CACHE) -> None:
        self._store = store
        self._limit = limit
        self._chunks: OrderedDict[tuple[int, int, int, int], memoryview] = OrderedDict()
        self._touch = self._chunks.move_to_end
        self._per_chunk: dict[int, int] = {}
        self.held = 0

    def runs(
        self, image: Image, first_block: int, count: int, block_size: int, rollover: int = 0
    ) -> Iterator[memoryview]:
        """Yield the packets of blocks ``first_block`` to ``first_block + count - 1`` as few contiguous views.

        In a view one packet follows the other at a distance of ``block_size + 4``; only the last block of the image
        is shorter.  Blocks count from 1; those behind the last one do not exist and are left out.  Raises
        `ImageChanged`.
        """
        stride = block_size + HEADER
        per_chunk = _per_chunk(stride)
        block = first_block - 1
        end = min(block + count, image.blocks(block_size))
        while block < end:
            number, inside = divmod(block, per_chunk)
            upto = min(inside + end - block, per_chunk)
            yield self._chunk(image, block_size, rollover, number)[inside * stride : upto * stride]
            block += upto - inside

    def view(self, image: Image, block: int, block_size: int, rollover: int = 0) -> memoryview:
        """Return the packet of one block that exists.  Raises `ImageChanged`."""
        # Once per block of a transfer without windows, so in one piece: `_chunk` says it more plainly.
        stride = block_size + HEADER
        number, inside = divmod(block - 1, self._per_chunk.get(stride) or _per_chunk(stride))
        key = (image.key, block_size, rollover, number)
        chunk = self._chunks.get(key)
        if chunk is None:
            chunk = self._chunk(image, block_size, rollover, number)
        elif not inside:  # Once for each reader is enough to tell which chunks are in use.
            self._touch(key)
        start = inside * stride
        return chunk[start : start + stride]

    def forget(self, image: Image) -> None:
        """Drop every packet of an image that nobody asks for any more."""
        for key in [key for key in self._chunks if key[0] == image.key]:
            self.held -= len(self._chunks.pop(key))

    def _chunk(self, image: Image, block_size: int, rollover: int, number: int) -> memoryview:
        key = (image.key, block_size, rollover, number)
        chunk = self._chunks.get(key)
        if chunk is None:
            chunk = self._chunks[key] = self._load(image, block_size, rollover, number)
            self._per_chunk[block_size + HEADER] = _per_chunk(block_size + HEADER)
            self._make_room(len(chunk))
        else:
            self._touch(key)
        return chunk

    def _load(self, image: Image, block_size: int, rollover: int, number: int) -> memoryview:
        stride = block_size + HEADER
        per_chunk = _per_chunk(stride)
        first = number * per_chunk
        count = min(per_chunk, image.blocks(block_size) - first)
        octets = min(image.size - first * block_size, count * block_size)
        frames = bytearray(octets + count * HEADER)
        _write_headers(frames, first, count, stride, rollover)
        view = memoryview(frames)
        slots = [view[start + HEADER : start + stride] for start in range(0, len(frames), stride)]
        self._store.read(image, slots, first * block_size)
        return view.toreadonly()

    def _make_room(self, wanted: int) -> None:
        self.held += wanted
        while self.held > self._limit and len(self._chunks) > 1:
            _, oldest = self._chunks.popitem(last=False)
            self.held -= len(oldest)


def _per_chunk(stride: int) -> int:
    """Return how many packets a chunk has: as many as whole bursts have, so that no burst is cut by its end."""
    burst = min(MAX_SEGMENTS, MAX_BURST // stride) or 1
    return min(CHUNK // stride, MAX_SLOTS) // burst * burst or 1


def wire_number(block: int, rollover: int) -> int:
    """Return the number on the wire of an absolute block: 65,535 is followed by ``rollover``, 0 or 1."""
    if block <= MAX_BLOCKS:
        return block
    return rollover + (block - MAX_BLOCKS - 1) % (MAX_BLOCKS + 1 - rollover)


def _write_headers(frames: bytearray, first: int, count: int, stride: int, rollover: int) -> None:
    """Write the headers of ``count`` packets; ``first`` counts from 0.  Column by column, which costs no loop."""
    blocks = range(first + 1, first + 1 + count)
    numbers = array("H", blocks if blocks[-1] <= MAX_BLOCKS else (wire_number(block, rollover) for block in blocks))
    if byteorder == "little":
        numbers.byteswap()
    octets = numbers.tobytes()
    frames[1::stride] = b"\3" * count
    frames[2::stride] = octets[0::2]
    frames[3::stride] = octets[1::2]

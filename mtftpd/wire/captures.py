"""Reading capture files, pcapng and classic pcap, a piece at a time.

Sources: draft-ietf-opsawg-pcapng section 3, draft-ietf-opsawg-pcap sections 4 and 5.  What is kept is bounded: one
block, and the descriptions of the interfaces of one section.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from struct import Struct as Layout
from typing import Final

from mtftpd.errors import Malformed
from mtftpd.wire import pcapng
from mtftpd.wire.pcapng import NANOSECONDS, BlockType, Captured, Interface, Order, Statistics

MAX_BLOCK: Final = 1 << 20
"""The largest block: libpcap captures at most 262,144 octets a packet, so 1 MiB leaves room for its comments."""

MAX_INTERFACES: Final = 1_024
"""Interfaces of one section: 1,024 descriptions of 1.3 KiB, the name included, are 1.3 MiB."""

_PCAP_HEADER: Final = 24
_PCAP_RECORD: Final = 16
_ENVELOPE: Final = 12

_PCAP_MAGICS: Final[dict[bytes, tuple[Order, int]]] = {
    b"\xd4\xc3\xb2\xa1": ("<", 1_000_000),
    b"\xa1\xb2\xc3\xd4": (">", 1_000_000),
    b"\x4d\x3c\xb2\xa1": ("<", NANOSECONDS),
    b"\xa1\xb2\x3c\x4d": (">", NANOSECONDS),
}
_SECTION_MAGIC: Final = BlockType.SECTION.to_bytes(4, "big")
"""The type of a section header block reads the same in both byte orders."""


_READERS: Final[dict[int, Callable[[Order, bytes, Sequence[Interface]], Captured | Statistics]]] = {
    BlockType.ENHANCED: pcapng.read_enhanced,
    BlockType.SIMPLE: pcapng.read_simple,
    BlockType.STATISTICS: pcapng.read_statistics,
}


@dataclass(frozen=True, slots=True)
class BadBlock:
    """A block that is whole but makes no sense; reading goes on behind it."""

    type: int
    reason: str


Record = Captured | Statistics | BadBlock


def is_capture(octets: bytes) -> bool:
    """Return whether a file that begins with these octets (at least 4) is a capture that can be read."""
    return octets[:4] in _PCAP_MAGICS or octets[:4] == _SECTION_MAGIC


class CaptureReader:
    """Takes the octets of a capture file as they come and gives the records in them.

    After a `Malformed` the place in the file is lost: the reader is of no use any more.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._offset = 0
        self._order: Order | None = None
        self._pcap: Interface | None = None
        self._interfaces: list[Interface] = []

    def feed(self, octets: bytes) -> Iterator[Record]:
        """Yield the records that are whole now; to be used up before the next call.

        Raises `Malformed` (with the offset in the file), after the records before it, when this is no capture file
        or a block cannot be delimited.
        """
        self._buffer += octets
        at = 0
        try:
            while True:
                record, size = self._next(at)
                if not size:
                    return
                at += size
                if record is not None:
                    yield record
        finally:
            self._buffer = self._buffer[at:]
            self._offset += at

    def finish(self) -> None:
        """Say that the file ends here; raises `Malformed` when it ends inside a block, or before the first one."""
        if self._buffer:
            raise Malformed("the capture is cut short", self._offset + len(self._buffer))
        if not self._offset:
            raise Malformed("the capture is empty", 0)

    def _next(self, at: int) -> tuple[Record | None, int]:
        """Return the record at ``at`` and its size in the file; size 0 when more octets are needed."""
        if not self._offset and not at:
            return self._start()
        if self._pcap:
            return self._pcap_record(self._pcap, at)
        return self._block(at)

    def _start(self) -> tuple[Record | None, int]:
        magic = self._buffer[:4]
        if len(magic) < 4:
            return None, 0
        if magic == _SECTION_MAGIC:
            return self._block(0)
        if magic not in _PCAP_MAGICS:
            raise Malformed("neither a pcapng nor a pcap file", 0)
        if len(self._buffer) < _PCAP_HEADER:
            return None, 0
        order, ticks = _PCAP_MAGICS[magic]
        major, snap_length, link_type = Layout(order + "4xH10xII").unpack_from(self._buffer)
        if major != 2:
            raise Malformed(f"pcap version {major} is not 2", 4)
        self._order = order
        # The upper bits say how long the frame check sequence is; nobody sets them.
        self._pcap = Interface(link_type & 0xFFFF, snap_length=snap_length, ticks_per_second=ticks)
        return None, _PCAP_HEADER

    def _pcap_record(self, interface: Interface, at: int) -> tuple[Record | None, int]:
        if len(self._buffer) - at < _PCAP_RECORD:
            return None, 0
        seconds, ticks, size, original = Layout(f"{self._order}IIII").unpack_from(self._buffer, at)
        if size > MAX_BLOCK:
            raise Malformed(f"a packet of {size} octets is more than {MAX_BLOCK}", self._offset + at)
        end = at + _PCAP_RECORD + size
        if len(self._buffer) < end:
            return None, 0
        time = seconds * NANOSECONDS + ticks * (NANOSECONDS // interface.ticks_per_second)
        return Captured(interface, time, self._buffer[at + _PCAP_RECORD : end], original), _PCAP_RECORD + size

    def _block(self, at: int) -> tuple[Record | None, int]:
        if len(self._buffer) - at < _ENVELOPE:
            return None, 0
        if self._buffer[at : at + 4] == _SECTION_MAGIC:
            self._order = pcapng.order_of(self._buffer[at + 8 : at + 12])
        length_of = Layout(f"{self._order}I")
        kind, size = Layout(f"{self._order}II").unpack_from(self._buffer, at)
        if size < _ENVELOPE or size % 4 or size > MAX_BLOCK:
            raise Malformed(f"a block cannot have {size} octets", self._offset + at)
        if len(self._buffer) - at < size:
            return None, 0
        if length_of.unpack_from(self._buffer, at + size - 4)[0] != size:
            raise Malformed("the two lengths of a block differ", self._offset + at + size - 4)
        return self._read(kind, self._buffer[at + 8 : at + size - 4]), size

    def _read(self, kind: int, body: bytes) -> Record | None:
        """Return the record in a block; a bad description, on which all that follows rests, raises `Malformed`."""
        order = self._order or "<"
        if kind == BlockType.SECTION:
            pcapng.read_section(order, body)
            self._interfaces = []
        elif kind == BlockType.INTERFACE:
            self._describe(pcapng.read_interface(order, body))
        elif kind in _READERS:
            try:
                return _READERS[kind](order, body, self._interfaces)
            except Malformed as problem:
                return BadBlock(kind, str(problem))
        return None

    def _describe(self, interface: Interface) -> None:
        if len(self._interfaces) == MAX_INTERFACES:
            raise Malformed(f"more than {MAX_INTERFACES} interfaces")
        self._interfaces.append(interface)

"""Blocks of a pcapng file that we write: one little-endian section, times in nanoseconds, values in, octets out.

Source: draft-ietf-opsawg-pcapng section 4.  A file is `header`, then `packet` and `statistics` in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct as Layout
from typing import Final

from mtftpd.wire.pcapng import (
    BYTE_ORDER_MAGIC,
    INTERFACE_NAME,
    INTERFACE_RESOLUTION,
    MAX_OPTION,
    OPTION_COMMENT,
    PACKET_FLAGS,
    SCHEMAS,
    SECTION_APPLICATION,
    STATISTICS_DROPPED,
    STATISTICS_RECEIVED,
    BlockType,
    Direction,
    Interface,
)

_RESOLUTION: Final = b"\x09"
"""10 ** -9 seconds."""

_ENVELOPE: Final = Layout("<II")
_LENGTH: Final = Layout("<I")
_ENHANCED: Final = Layout("<IIIIIII")
_FLAGS: Final = Layout("<HHI")
_OPTION: Final = Layout("<HH")
_OPTION_END: Final = bytes(4)


def header(interfaces: Sequence[Interface], application: str = "") -> bytes:
    """Return the section header block and a description of each interface.

    Every interface is written with nanosecond resolution and no offset, whatever its value says.
    """
    section = {
        "magic": BYTE_ORDER_MAGIC,
        "major": 1,
        "minor": 0,
        "length": -1,
        "options": _text_options((SECTION_APPLICATION, application)),
    }
    blocks = [_block(BlockType.SECTION, SCHEMAS["<"].section.build(section))]
    for interface in interfaces:
        resolution = ((INTERFACE_RESOLUTION, _RESOLUTION),)
        description = {
            "link_type": interface.link_type,
            "snap_length": interface.snap_length,
            "options": _text_options((INTERFACE_NAME, interface.name)) + resolution,
        }
        blocks.append(_block(BlockType.INTERFACE, SCHEMAS["<"].interface.build(description)))
    return b"".join(blocks)


def packet(
    time: int,
    data: bytes,
    *,
    interface: int = 0,
    direction: int = Direction.UNKNOWN,
    comment: str = "",
) -> bytes:
    """Return the enhanced packet block of a whole packet.

    ``time`` is in nanoseconds since 1970 UTC, ``interface`` an index into those of the `header`; ``comment`` is cut
    to 65,535 octets.
    """
    options = b""
    if comment:
        octets = comment.encode()[:MAX_OPTION]
        options = _OPTION.pack(OPTION_COMMENT, len(octets)) + octets + bytes(-len(octets) % 4)
    if direction:
        options += _FLAGS.pack(PACKET_FLAGS, 4, direction)
    if options:
        options += _OPTION_END
    size = len(data)
    padding = -size % 4
    total = 32 + size + padding + len(options)
    head = _ENHANCED.pack(BlockType.ENHANCED, total, interface, time >> 32 & 0xFFFFFFFF, time & 0xFFFFFFFF, size, size)
    return b"".join((head, data, bytes(padding), options, _LENGTH.pack(total)))


def statistics(time: int, received: int, dropped: int, *, interface: int = 0) -> bytes:
    """Return the interface statistics block; counts are packets since the start of the capture."""
    body = {
        "interface": interface,
        "high": time >> 32 & 0xFFFFFFFF,
        "low": time & 0xFFFFFFFF,
        "options": (
            (STATISTICS_RECEIVED, received.to_bytes(8, "little")),
            (STATISTICS_DROPPED, dropped.to_bytes(8, "little")),
        ),
    }
    return _block(BlockType.STATISTICS, SCHEMAS["<"].statistics.build(body))


def _text_options(*options: tuple[int, str]) -> tuple[tuple[int, bytes], ...]:
    return tuple((code, text.encode()[:MAX_OPTION]) for code, text in options if text)


def _block(kind: int, body: bytes) -> bytes:
    total = 12 + len(body)
    return _ENVELOPE.pack(kind, total) + body + _LENGTH.pack(total)

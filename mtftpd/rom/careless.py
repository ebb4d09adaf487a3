"""How careless ROMs read a DHCP reply: octet by octet, in place, before anything has been checked.

Each fault is one function from octets to octets; what comes out is parsed like any other reply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from mtftpd.errors import Malformed
from mtftpd.quirks.vocabulary import Mutation
from mtftpd.wire import bootp
from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.pxe import MtftpTags

_BOOT_FILE: Final = 67
_PAD: Final = 0
_END: Final = 255


def read(data: bytes, faults: frozenset[Mutation]) -> DhcpMessage:
    """Return the message that a ROM with ``faults`` takes ``data`` for; raises `Malformed` for what it ignores."""
    for fault, spoil in _SPOILERS.items():
        if fault in faults:
            data = spoil(data)
    return bootp.parse_untrusted(data)


def swapped(tags: MtftpTags) -> MtftpTags:
    """Return ``tags`` as a ROM reads them that takes the ports for big-endian (quirk Q15)."""
    return replace(tags, client_port=_swapped(tags.client_port), server_port=_swapped(tags.server_port))


def _swapped(port: int) -> int:
    return int.from_bytes(port.to_bytes(2, "big"), "little")


def _find(data: bytes, wanted: int) -> tuple[int, int] | None:
    """Return where the value of an option begins and ends."""
    at = bootp.AREA_OFFSET
    while at + 1 < len(data) and data[at] != _END:
        if data[at] == _PAD:
            at += 1
            continue
        start = at + 2
        if data[at] == wanted:
            return start, start + data[at + 1]
        at = start + data[at + 1]
    return None


def _take_name_up_to_nul(data: bytes) -> bytes:
    """Read option 67 as a C string: whatever follows it belongs to the name, up to the first NUL."""
    place = _find(data, _BOOT_FILE)
    if place is None:
        return data
    start, end = place
    name = data[start:].split(b"\0", 1)[0][:_END]
    return data[: start - 1] + bytes((len(name),)) + name + data[end:]


def _write_nul_behind_name(data: bytes) -> bytes:
    """Terminate option 67 in place: the octet behind it, which may be the code of the next option, is gone."""
    place = _find(data, _BOOT_FILE)
    if place is None or place[1] >= len(data):
        return data
    return data[: place[1]] + b"\0" + data[place[1] + 1 :]


def _drop_if_short(data: bytes) -> bytes:
    if len(data) < bootp.MINIMUM_SIZE:
        raise Malformed(f"{len(data)} octets, fewer than BOOTP has")
    return data


def _drop_if_order(data: bytes) -> bytes:
    if data[bootp.AREA_OFFSET : bootp.AREA_OFFSET + 1] != b"\x35":
        raise Malformed("option 53 is not the first")
    return data


_SPOILERS: Final[Mapping[Mutation, Callable[[bytes], bytes]]] = {
    Mutation.DROP_IF_SHORT: _drop_if_short,
    Mutation.DROP_IF_ORDER: _drop_if_order,
    Mutation.OPTION67_TO_NUL: _take_name_up_to_nul,
    Mutation.OVERWRITE_AFTER_67: _write_nul_behind_name,
}

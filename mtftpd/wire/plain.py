"""The values of the wire as plain data (dicts, lists, text, numbers), for JSON and for indented text.

Octets become hexadecimal digits, names that clients send become text in which every odd octet is escaped, options
of DHCP become a list with their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final

from mtftpd.errors import Malformed
from mtftpd.wire import pxe
from mtftpd.wire.dissect import Layer
from mtftpd.wire.option_types import option_name, render
from mtftpd.wire.options import Options

VENDOR_OPTION: Final = 43
CLASS_OPTION: Final = 60

_TEXT_FIELDS: Final = frozenset({"filename", "sname", "file"})
_ADDRESS_FIELDS: Final = frozenset({"destination", "source", "sender_hardware", "target_hardware"})

_MANY_PACKETS: Final = frozenset({"TFTP", "MTFTP", "IGMP"})
"""Layers of which the name does not tell the packet."""

_OPTION_KEYS: Final = {"code", "name"}
"""What tells a DHCP option, which is shown on one line, from other tables."""

_SHOWN_OCTETS: Final = 32
"""Octets of a long value that indented text shows."""


def printable(text: str) -> str:
    """Return ``text`` in ASCII, without control characters, quotes or backslashes that are not escapes."""
    return "".join(each if " " <= each <= "~" and each not in '"\\' else _escape(each) for each in text)


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def plain_layer(layer: Layer, *, innermost: bool) -> dict[str, Any]:
    """Return one layer as a dict; the payload of a layer with another one in it is left out."""
    content: dict[str, Any] = {"layer": layer.name, "size": len(layer.octets)}
    if layer.problem:
        content |= {"malformed": layer.problem, "octets": layer.octets.hex()}
    elif layer.value is not None:
        if layer.name in _MANY_PACKETS:
            content["packet"] = type(layer.value).__name__
        values = plain(layer.value)
        if not innermost:
            values.pop("payload", None)
        content |= values
    elif innermost:
        content["octets"] = layer.octets.hex()
    if layer.note:
        content["note"] = layer.note
    return content


def plain(value: Any, name: str = "") -> Any:
    """Return ``value`` (a dataclass of the wire or anything in one) as plain data; ``name`` is the field it is in."""
    if isinstance(value, Options):
        return _options(value)
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name), field.name) for field in fields(value) if field.init}
    if isinstance(value, bytes):
        return _octets(value, name)
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return printable(str(value))


def _octets(octets: bytes, name: str) -> str:
    if name in _TEXT_FIELDS:
        return printable(octets.decode("latin-1"))
    return octets.hex(":") if name in _ADDRESS_FIELDS else octets.hex()


def _options(options: Options) -> list[dict[str, Any]]:
    return [_option(options, code, value) for code, value in options.items()]


def _option(options: Options, code: int, value: bytes) -> dict[str, Any]:
    shown: dict[str, Any] = {"code": code, "name": option_name(code)}
    if code == VENDOR_OPTION and options.get(CLASS_OPTION, b"").startswith(b"PXE"):
        try:
            return shown | {"pxe": plain(pxe.parse_untrusted(value))}
        except Malformed as problem:
            shown["malformed"] = str(problem)
    return shown | {"value": render(code, value)}


def indented(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the lines of plain data, two spaces for each level; what is None or empty is left out."""
    margin = "  " * depth
    if isinstance(value, Mapping):
        for name, each in value.items():
            if isinstance(each, (dict, list)) and each:
                yield f"{margin}{name}:"
                yield from indented(each, depth + 1)
            elif each not in (None, "", [], {}):
                yield f"{margin}{name}: {_short(each)}"
    elif isinstance(value, list):
        for each in value:
            if isinstance(each, dict) and each.keys() >= _OPTION_KEYS:
                yield from _indented_option(each, depth)
            else:
                lines = list(indented(each, depth + 1))
                yield margin + "- " + lines[0].lstrip() if lines else f"{margin}-"
                yield from lines[1:]
    else:
        yield f"{margin}{_short(value)}"


def _indented_option(option: dict[str, Any], depth: int) -> Iterator[str]:
    start = f"{'  ' * depth}{option['code']} {option['name']}:"
    if "pxe" in option:
        yield start
        yield from indented(option["pxe"], depth + 1)
    else:
        problem = f" [malformed: {option['malformed']}]" if "malformed" in option else ""
        yield f"{start} {option['value']}{problem}"


def _short(value: object) -> str:
    text = str(value)
    is_long = len(text) > 2 * _SHOWN_OCTETS and all(each in "0123456789abcdef" for each in text)
    return f"{text[: 2 * _SHOWN_OCTETS]}... ({len(text) // 2} octets)" if is_long else text

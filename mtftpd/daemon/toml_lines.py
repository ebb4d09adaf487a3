"""On which line of a TOML text a key stands: `tomllib` does not tell, and messages to people need it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

_HEADER = re.compile(r"\s*\[(\[)?([^\[\]]+)\](\])?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_FENCE_OR_COMMENT = re.compile(r"""\"{3}|'{3}|#""")

KeyPath = tuple[str | int, ...]
"""The way to a value: names of tables and keys, numbers of elements in arrays of tables."""


class Lines:
    """The lines of one TOML text; the text is looked at when the first line is asked for."""

    def __init__(self, text: str) -> None:
        self._text = text

    def of(self, path: KeyPath) -> int | None:
        """Return the number (from 1) of the line where ``path`` is set, or that of the nearest table around it.

        The text must be valid TOML.  None when nothing on the way to the key stands on a line of its own.
        """
        for length in range(len(path), 0, -1):
            if path[:length] in self._by_path:
                return self._by_path[path[:length]]
        return None

    @cached_property
    def _by_path(self) -> dict[KeyPath, int]:
        lines: dict[KeyPath, int] = {}
        for position, number in _positions(self._text):
            lines.setdefault(position, number)
            if isinstance(position[-1], int):
                lines.setdefault(position[:-1], number)  # An array of tables begins where its first element does.
        return lines


def _positions(text: str) -> Iterator[tuple[KeyPath, int]]:
    table: KeyPath = ()
    elements: dict[KeyPath, int] = {}
    fence: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if fence is None:
            if header := _HEADER.match(line):
                table = _table(_parts(header[2]), bool(header[1]), elements)
                yield table, number
            elif key := _KEY.match(line):
                yield (*table, *_parts(key[1])), number
        fence = _fence_after(line, fence)


def _table(parts: KeyPath, is_element: bool, elements: dict[KeyPath, int]) -> KeyPath:
    """Return the way to a table; ``[menu.item]`` after ``[[menu.item]]`` twice is ``menu.item[1]``."""
    path: KeyPath = ()
    for position, part in enumerate(parts):
        path = (*path, part)
        if is_element and position == len(parts) - 1:
            elements[path] = elements.get(path, -1) + 1
        if path in elements:
            path = (*path, elements[path])
    return path


def _parts(dotted: str) -> KeyPath:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _fence_after(line: str, fence: str | None) -> str | None:
    """Return the quotes of the multi-line string that is still open at the end of this line."""
    rest = line
    while True:
        if fence is not None:
            _, closed, rest = rest.partition(fence)
            if not closed:
                return fence
        found = _FENCE_OR_COMMENT.search(rest)
        if found is None or found[0] == "#":
            return None
        fence, rest = found[0], rest[found.end() :]

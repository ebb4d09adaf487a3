"""The arrays of tables of the configuration file: ``[[subnet]]``, ``[[group]]``, ``[[node]]`` and ``[[image]]``.

A table of keys says for each kind of section how its values are read.  Whatever is wrong becomes a `Problem` with file
and line, and reading goes on: an operator sees all mistakes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mtftpd.daemon import node_values, values
from mtftpd.daemon.menu_table import read_menu
from mtftpd.daemon.problems import Problem
from mtftpd.daemon.toml_lines import KeyPath, Lines

Reader = Callable[[Any], Any]
"""Takes what TOML has as the value of a key; raises ValueError with what is wrong and what to do."""

MAX_SUBNETS: Final = 1_024
"""Each has a table of leases, 1,024 * about 3 KB when empty is 3 MB; an ACK is looked up in all of them, 0.2 ms."""


def text_of(raw: Any) -> str:
    """Return the text of a value that is text or a number."""
    if isinstance(raw, bool) or not isinstance(raw, (str, int)):
        raise ValueError(f"must be text or a number, not {type(raw).__name__}")
    return str(raw)


def _one(read: Callable[[str], Any]) -> Reader:
    def reader(raw: Any) -> Any:
        if isinstance(raw, list):
            raise ValueError("takes one value, not a list")
        return read(text_of(raw))

    return reader


def _some(read: Callable[[str], Any]) -> Reader:
    def reader(raw: Any) -> Any:
        if not isinstance(raw, list):
            return (read(text_of(raw)),)
        if not raw:
            raise ValueError("is empty; leave it out, or say something")
        return tuple(_element(read, text_of(each)) for each in raw)

    return reader


def _element(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"{text} {error}") from None


def _yes_or_no(raw: Any) -> bool:
    if not isinstance(raw, bool):
        raise ValueError("must be true or false")
    return raw


def _by_architecture(raw: Any) -> tuple[tuple[int, str], ...]:
    if not isinstance(raw, dict):
        raise ValueError("must be a table such as { uefi-x64 = 'grub.efi' }")
    read = [values.architecture_file(f"{key}={text_of(value)}") for key, value in raw.items()]
    return tuple((number, each.boot_file) for each in read for number in each.numbers)


SCOPE: Final[dict[str, Reader]] = {
    "boot-file": _one(values.boot_file),
    "boot-file-for": _by_architecture,
    "menu": read_menu,
    "multicast": _yes_or_no,
    "rom": _one(node_values.rom),
    "without": _some(node_values.work_around_of_one),
    "with": _some(node_values.work_around_of_one),
    "lease-time": _one(values.lease_time),
    "router": _one(values.address),
    "dns": _some(values.address),
    "ntp": _some(values.address),
    "domain": _one(node_values.domain),
}
"""What may be said for a subnet, a group and a node, and is inherited from the outside in."""

KEYS: Final[dict[str, dict[str, Reader]]] = {
    "subnet": {"network": _one(values.network), "range": _one(values.address_range), **SCOPE},
    "group": {"name": _one(node_values.name), **SCOPE},
    "node": {
        "name": _one(node_values.name),
        "hardware": _some(node_values.hardware),
        "uuid": _one(node_values.uuid),
        "bootable": _one(node_values.hardware),
        "other-nics": _one(node_values.other_nics),
        "group": _one(node_values.name),
        "address": _one(values.address),
        "host-name": _one(node_values.host_name),
        **SCOPE,
    },
    "image": {
        "name": _one(values.boot_file),
        "path": _one(values.clean_text),
        "aliases": _some(values.boot_file),
        "multicast": _yes_or_no,
        "group": _one(values.group),
        "weight": _one(values.share),
        "pace": _one(values.rate),
    },
}

REQUIRED: Final = {"subnet": ("network",), "group": ("name",), "node": (), "image": ("path",)}


@dataclass(frozen=True, slots=True)
class Section:
    """One table of an array: ``number`` counts those of its kind in the file, ``values`` are what its keys say."""

    kind: str
    number: int
    values: Mapping[str, Any]

    def __str__(self) -> str:
        """Name it for people: a node without a name is called by its hardware address or its UUID."""
        said = self.values
        name = said.get("name") or said.get("network") or said.get("path")
        if name is None and said.get("hardware"):
            name = said["hardware"][0]
        elif name is None and "uuid" in said:
            name = node_values.uuid_text(said["uuid"])
        return f"{self.kind} {self.number + 1 if name is None else name}"


def image_name(section: Section) -> str:
    """Return what an ``[[image]]`` is called: by its name, else by its path."""
    return str(section.values.get("name", section.values["path"]))


class Places:
    """Where things stand in one file."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = Lines(text)

    def of(self, *path: str | int) -> str:
        """Return FILE:LINE, or FILE where the line is not known."""
        line = self._lines.of(path)
        return f"{self._path}:{line}" if line else str(self._path)


NO_PLACES: Final = Places(Path("configuration"), "")


@dataclass(slots=True)
class Sections:
    """All sections of one file, by their kind, and where they stand."""

    places: Places = NO_PLACES
    by_kind: dict[str, list[Section]] = field(default_factory=lambda: {kind: [] for kind in KEYS})

    def __getitem__(self, kind: str) -> list[Section]:
        return self.by_kind[kind]

    def problem(self, section: Section, key: str, text: str) -> Problem:
        """Return a problem with the value of one key of a section."""
        path: KeyPath = (section.kind, section.number, *([key] if key else []))
        return Problem(f"{self.places.of(*path)}: {section}{': ' if key else ''}{key}", text)

    def place(self, section: Section, key: str) -> str:
        """Return FILE:LINE of one key of a section."""
        return self.places.of(section.kind, section.number, key)

    def read(self, kind: str, raw: Any) -> Iterator[Problem]:
        """Take up all sections of one kind, and yield what is wrong with them."""
        if not isinstance(raw, list) or not all(isinstance(each, dict) for each in raw):
            yield Problem(self.places.of(kind), f"{kind} must be an array of tables: write [[{kind}]] above each")
            return
        for number, table in enumerate(raw):
            yield from self._read_one(kind, number, table)
        if kind == "subnet" and len(raw) > MAX_SUBNETS:
            yield Problem(
                self.places.of(kind, 0), f"{len(raw)} subnets are more than the {MAX_SUBNETS} that are served"
            )

    def _read_one(self, kind: str, number: int, table: dict[str, Any]) -> Iterator[Problem]:
        keys = KEYS[kind]
        found: dict[str, Any] = {}
        section = Section(kind, number, found)
        wrong: list[tuple[str, str]] = []
        for key, raw in table.items():
            reader = keys.get(key)
            if reader is None:
                near = node_values.suggestion(key.replace("_", "-"), keys)
                wrong.append((key, f"unknown key{near or '; known keys are ' + ', '.join(sorted(keys))}"))
                continue
            try:
                found[key] = reader(raw)
            except ValueError as error:
                wrong.append((key, f"{raw} {error}" if isinstance(raw, (str, int)) else str(error)))
        if kind == "node" and table.keys().isdisjoint(("hardware", "uuid")):
            wrong.append(("", "says neither hardware nor uuid, so nothing can be known by it"))
        wrong += [(key, f"is missing; every [[{kind}]] needs one") for key in REQUIRED[kind] if key not in table]
        self.by_kind[kind].append(section)
        for key, text in wrong:
            yield self.problem(section, key, text)

"""The configuration file: TOML whose keys are the names of the options, plus the tables ``menu`` and ``ports``.

Unknown keys are refused with file, line and the nearest known name, because a misspelt key that is ignored shows up
as a cluster that does not boot.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec

from mtftpd.core.node_settings import Menu, MenuItem
from mtftpd.core.settings import Ports
from mtftpd.daemon.option_table import BY_NAME, Option
from mtftpd.daemon.problems import Problem
from mtftpd.daemon.toml_lines import KeyPath, line_of

MAX_FILE = 4 * 1024 * 1024
"""Octets: a configuration of 10,000 nodes at 400 octets each; whatever is longer is some other file."""

_PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
_TYPES_OF_TABLES = ("menu", "ports")
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)|\(at end of document\)")
_PATH_IN_MESSAGE = re.compile(r" - at `\$(.*)`")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


class MenuItemTable(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """One ``[[menu.item]]``."""

    type: Annotated[int, msgspec.Meta(ge=0, le=65_535)]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    boot_file: Annotated[str, msgspec.Meta(max_length=127)] = ""


class MenuTable(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """The table ``[menu]``: the PXE boot menu (PXE 2.1 tags 8 to 10)."""

    item: Annotated[tuple[MenuItemTable, ...], msgspec.Meta(min_length=1)]
    prompt: Annotated[str, msgspec.Meta(max_length=80)] = Menu(()).prompt
    timeout: Annotated[int, msgspec.Meta(ge=0, le=255)] = Menu(()).timeout


class PortsTable(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """The table ``[ports]``: ports that ROMs have compiled in; changing them is for simulated clients only."""

    dhcp_server: _PortNumber = Ports().dhcp_server
    dhcp_client: _PortNumber = Ports().dhcp_client
    pxe: _PortNumber = Ports().pxe
    tftp: _PortNumber = Ports().tftp
    mtftp_ipxe: _PortNumber = Ports().mtftp_ipxe


@dataclass(slots=True)
class FileValues:
    """What a configuration file says: the texts of each option, where each stands, and the two tables."""

    path: Path | None = None
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    menu: Menu | None = None
    ports: PortsTable = field(default_factory=PortsTable)
    problems: list[Problem] = field(default_factory=list)


def read_file(path: Path) -> FileValues:
    """Read one configuration file; whatever is wrong with it ends up in ``problems``, never as an exception."""
    found = FileValues(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE + 1)
        if len(content) > MAX_FILE:
            raise ValueError(f"is longer than {MAX_FILE} octets, so it is no configuration file")
        text = content.decode()
        tree = tomllib.loads(text)
    except OSError as error:
        reason = f"cannot be read ({error.strerror}); check the name and its permissions"
        found.problems.append(Problem(f"--config {path}", reason))
    except UnicodeDecodeError as error:
        found.problems.append(Problem(f"--config {path}", f"is not UTF-8 text (octet {error.start})"))
    except tomllib.TOMLDecodeError as error:
        found.problems.append(_syntax_problem(path, error))
    except ValueError as error:
        found.problems.append(Problem(f"--config {path}", str(error)))
    else:
        _Reader(found, text).read(tree)
    return found


def _syntax_problem(path: Path, error: tomllib.TOMLDecodeError) -> Problem:
    message = str(error)
    at = _AT_LINE.search(message)
    place = f"{path}:{at[1]}" if at and at[1] else str(path)
    return Problem(place, f"is not valid TOML: {_AT_LINE.sub('', message).strip()}")


class _Reader:
    """Walks one parsed file and fills a `FileValues`."""

    def __init__(self, found: FileValues, text: str) -> None:
        self._found = found
        self._text = text

    def read(self, tree: dict[str, Any]) -> None:
        for key, raw in tree.items():
            if key == "menu":
                self._read_menu(raw)
            elif key == "ports":
                self._read_ports(raw)
            elif (option := BY_NAME.get(key)) is None:
                self._refuse_unknown(key)
            else:
                self._read_option(option, raw)

    def _place(self, *path: str | int) -> str:
        line = line_of(self._text, path)
        return f"{self._found.path}:{line}" if line else str(self._found.path)

    def _refuse_unknown(self, key: str) -> None:
        known = (*BY_NAME, *_TYPES_OF_TABLES)
        near = difflib.get_close_matches(key.replace("_", "-"), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known keys are {', '.join(sorted(known))}"
        self._found.problems.append(Problem(self._place(key), f"unknown key {key}{hint}"))

    def _read_option(self, option: Option, raw: Any) -> None:
        place = self._place(option.name)
        try:
            texts = _texts(option, raw)
        except ValueError as error:
            self._found.problems.append(Problem(f"{place}: {option.name}", str(error)))
        else:
            self._found.texts[option.name] = texts
            self._found.places[option.name] = place

    def _read_menu(self, raw: Any) -> None:
        try:
            table = msgspec.convert(raw, MenuTable)
        except msgspec.ValidationError as error:
            self._refuse_table("menu", error)
            return
        items = tuple(MenuItem(item.type, item.text, item.boot_file) for item in table.item)
        self._found.menu = Menu(items, table.prompt, table.timeout)
        self._found.places["menu"] = self._place("menu")

    def _read_ports(self, raw: Any) -> None:
        try:
            self._found.ports = msgspec.convert(raw, PortsTable)
        except msgspec.ValidationError as error:
            self._refuse_table("ports", error)

    def _refuse_table(self, table: str, error: msgspec.ValidationError) -> None:
        message = str(error)
        at = _PATH_IN_MESSAGE.search(message)
        steps: KeyPath = tuple(int(step[2]) if step[2] else step[1] for step in _STEP.finditer(at[1] if at else ""))
        name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
        where = f"{self._place(table, *steps)}: {table}{name}"
        self._found.problems.append(Problem(where, _PATH_IN_MESSAGE.sub("", message)))


def _texts(option: Option, raw: Any) -> tuple[str, ...]:
    """Return the texts that ``raw`` stands for, as if they had been given on the command line."""
    if option.switch:
        if isinstance(raw, bool):
            return ("true" if raw else "false",)
        raise ValueError(f"must be true or false, not {raw!r}")
    if option.table and isinstance(raw, dict):
        return tuple(f"{key}={_text(value)}" for key, value in raw.items())
    if isinstance(raw, list):
        if option.many:
            return tuple(_text(value) for value in raw)
        raise ValueError("takes one value, not a list")
    return (_text(raw),)


def _text(raw: Any) -> str:
    if isinstance(raw, bool) or not isinstance(raw, (str, int)):
        raise ValueError(f"must be text or a number, not {type(raw).__name__}")
    return str(raw)

"""The configuration file: TOML whose keys are the names of the options, ``menu``, ``ports``, and arrays of tables.

Unknown keys are refused with file, line and the nearest known name, because a misspelt key that is ignored shows up
as a cluster that does not boot.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec

from mtftpd.core.node_settings import Menu
from mtftpd.core.settings import Ports
from mtftpd.daemon.menu_table import WrongTableError, convert, read_menu
from mtftpd.daemon.node_values import suggestion
from mtftpd.daemon.option_table import BY_NAME, Option
from mtftpd.daemon.problems import Problem
from mtftpd.daemon.sections import KEYS, Places, Sections, image_name, text_of

MAX_FILE = 4 * 1024 * 1024
"""Octets: a configuration of 10,000 nodes at 400 octets each; whatever is longer is some other file."""

_PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
_TYPES_OF_TABLES = ("menu", "ports")
ALIASES = {"multicast-group": "group"}
"""What an option may be called in the file as well: a file with [[group]] sections cannot have the key group twice."""
_ADDRESS_OF_GROUPS = re.compile(r"^group\s*=", re.MULTILINE)
_SECTION_OF_GROUP = re.compile(r"^\[\[group]]", re.MULTILINE)
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)|\(at end of document\)")


class PortsTable(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """The table ``[ports]``: ports that ROMs have compiled in; changing them is for simulated clients only."""

    dhcp_server: _PortNumber = Ports().dhcp_server
    dhcp_client: _PortNumber = Ports().dhcp_client
    pxe: _PortNumber = Ports().pxe
    tftp: _PortNumber = Ports().tftp
    mtftp_ipxe: _PortNumber = Ports().mtftp_ipxe


@dataclass(slots=True)
class FileValues:
    """What a configuration file says: the texts of each option, where each stands, the two tables, the sections."""

    path: Path | None = None
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    menu: Menu | None = None
    sections: Sections = field(default_factory=Sections)
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
        found.problems.append(_syntax_problem(path, text, error))
    except ValueError as error:
        found.problems.append(Problem(f"--config {path}", str(error)))
    else:
        _Reader(found, text).read(tree)
    return found


def _syntax_problem(path: Path, text: str, error: tomllib.TOMLDecodeError) -> Problem:
    message = str(error)
    at = _AT_LINE.search(message)
    place = f"{path}:{at[1]}" if at and at[1] else str(path)
    said = _AT_LINE.sub("", message).strip()
    if _ADDRESS_OF_GROUPS.search(text) and _SECTION_OF_GROUP.search(text):
        said += "; beside [[group]] sections, write multicast-group = for the address"
    return Problem(place, f"is not valid TOML: {said}")


class _Reader:
    """Walks one parsed file and fills a `FileValues`."""

    def __init__(self, found: FileValues, text: str) -> None:
        self._found = found
        self._places = found.sections.places = Places(found.path or Path(), text)

    def read(self, tree: dict[str, Any]) -> None:
        for key, raw in tree.items():
            if key == "menu":
                self._read_menu(raw)
            elif key == "ports":
                self._read_ports(raw)
            elif key in KEYS and (key not in BY_NAME or _is_array_of_tables(raw)):
                self._found.problems += self._found.sections.read(key, raw)
            elif (option := BY_NAME.get(ALIASES.get(key, key))) is None:
                self._refuse_unknown(key)
            elif option.name in self._found.texts:
                text = f"is said twice, as {key} and as {option.name}; drop one of the two"
                self._found.problems.append(Problem(f"{self._places.of(key)}: {key}", text))
            else:
                self._read_option(option, key, raw)
        self._name_images()

    def _refuse_unknown(self, key: str) -> None:
        known = (*BY_NAME, *_TYPES_OF_TABLES, *ALIASES, *KEYS)
        near = suggestion(key.replace("_", "-"), known)
        hint = near or f"; known keys are {', '.join(sorted(set(known)))}"
        self._found.problems.append(Problem(self._places.of(key), f"unknown key {key}{hint}"))

    def _read_option(self, option: Option, key: str, raw: Any) -> None:
        place = self._places.of(key)
        try:
            texts = _texts(option, raw)
        except ValueError as error:
            self._found.problems.append(Problem(f"{place}: {key}", str(error)))
        else:
            self._found.texts[option.name] = texts
            self._found.places[option.name] = place

    def _name_images(self) -> None:
        """Let the option of the same name have what ``[[image]]`` says: name and path."""
        sections = self._found.sections
        named = [each for each in sections["image"] if "path" in each.values]
        for section in named:
            if "=" in image_name(section):
                self._found.problems.append(sections.problem(section, "name", "has an = in it; choose another name"))
        if named:
            self._found.texts["image"] = tuple(f"{image_name(each)}={each.values['path']}" for each in named)
            self._found.places["image"] = self._places.of("image", 0)

    def _read_menu(self, raw: Any) -> None:
        try:
            self._found.menu = read_menu(raw)
        except WrongTableError as error:
            self._refuse_table("menu", error)
        else:
            self._found.places["menu"] = self._places.of("menu")

    def _read_ports(self, raw: Any) -> None:
        try:
            self._found.ports = convert(raw, PortsTable)
        except WrongTableError as error:
            self._refuse_table("ports", error)

    def _refuse_table(self, table: str, error: WrongTableError) -> None:
        where = f"{self._places.of(table, *error.steps)}: {table}{error.name}"
        self._found.problems.append(Problem(where, error.text))


def _is_array_of_tables(raw: Any) -> bool:
    return isinstance(raw, list) and bool(raw) and all(isinstance(each, dict) for each in raw)


def _texts(option: Option, raw: Any) -> tuple[str, ...]:
    """Return the texts that ``raw`` stands for, as if they had been given on the command line."""
    if option.switch:
        if isinstance(raw, bool):
            return ("true" if raw else "false",)
        raise ValueError(f"must be true or false, not {raw!r}")
    if option.table and isinstance(raw, dict):
        return tuple(f"{key}={text_of(value)}" for key, value in raw.items())
    if isinstance(raw, list):
        if option.many:
            return tuple(text_of(value) for value in raw)
        raise ValueError("takes one value, not a list")
    return (text_of(raw),)

"""The requirements of ``specs/``: TOML files with a row for each, and the documents and rulings that the rows name.

The files lie in ``specs/`` of a checkout and are copied into this package when a wheel is built.  They are read as
strictly as a configuration file: every mistake is reported at once, with its file and line.  ``specs/README.md``
explains the fields.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final

from mtftpd.conformance.requirement_fields import mistakes
from mtftpd.errors import MtftpdError

SUITES: Final = ("dhcp", "pxe", "mtftp", "tftp")
"""The names of the files, in the order of a boot."""

_REFERENCES: Final = "references"
_PACKED: Final = Path(__file__).parent / "specs"
_CHECKOUT: Final = Path(__file__).parents[2] / "specs"


class BadRequirements(MtftpdError):
    """The files of ``specs/`` break their own rules; the message has one line for each mistake."""


class Level(Enum):
    """How much a requirement weighs (RFC 2119); OBSERVED is what peers do, for people to know and not to judge."""

    MUST = "MUST"
    MUST_NOT = "MUST NOT"
    SHOULD = "SHOULD"
    MAY = "MAY"
    OBSERVED = "OBSERVED"

    @property
    def binds(self) -> bool:
        """Whether breaking it is a failure."""
        return self in (Level.MUST, Level.MUST_NOT)


class Actor(Enum):
    """Who has to meet a requirement."""

    DHCP = "dhcp"
    MTFTP = "mtftp"
    TFTP = "tftp"
    CLIENT = "client"
    NETWORK = "network"

    @property
    def is_server(self) -> bool:
        """Whether the suite for servers judges it."""
        return self in (Actor.DHCP, Actor.MTFTP, Actor.TFTP)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row; ``suite`` is the name of its file, ``line`` where it begins there.

    ``disagreement`` says in what the sources differ and ``ruling`` which decision holds here; both or neither are
    empty.  ``cases`` are names of conformance cases, ``tests`` are pytest ids; ``untestable`` is why no case sees it.
    """

    id: str
    level: Level
    actor: Actor
    statement: str
    source: tuple[str, ...]
    suite: str
    line: int
    disagreement: str = ""
    ruling: str = ""
    profiles: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    untestable: str = ""

    @property
    def family(self) -> str:
        """The letters of the id."""
        return self.id.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Specification:
    """All files: requirements by id in the order of the files, families by name, documents and rulings by name."""

    requirements: Mapping[str, Requirement]
    families: Mapping[str, str]
    documents: Mapping[str, str]
    rulings: Mapping[str, str]

    def of(self, suite: str) -> Iterator[Requirement]:
        """Yield the requirements of one file."""
        return (requirement for requirement in self.requirements.values() if requirement.suite == suite)


def folder() -> Path:
    """Return where the files lie: in the package when it was installed from a wheel, else beside it."""
    return _PACKED if _PACKED.is_dir() else _CHECKOUT


@cache
def specification() -> Specification:
    """Return what ``specs/`` says, read once.

    Raises:
        BadRequirements: with every mistake of every file.

    """
    return read(folder())


def read(folder: Path) -> Specification:
    """Read the files of ``folder``.

    Raises:
        BadRequirements: with every mistake of every file.

    """
    tables = {name: _table(folder / f"{name}.toml") for name in (_REFERENCES, *SUITES)}
    references = {key: tables[_REFERENCES][0].get(key, {}) for key in ("documents", "rulings")}
    del tables[_REFERENCES]
    found = [line for name, (table, lines) in tables.items() for line in mistakes(name, table, lines, references)]
    found = found or list(_repetitions(tables))
    if found:
        raise BadRequirements("\n".join(found))
    rows = [row for name, (table, lines) in tables.items() for row in _rows(name, table, lines)]
    families = {family: about for table, _ in tables.values() for family, about in table["families"].items()}
    return Specification({row.id: row for row in rows}, families, references["documents"], references["rulings"])


def _table(path: Path) -> tuple[dict[str, Any], list[int]]:
    """Return a file, and the lines where its requirements begin."""
    try:
        text = path.read_text(encoding="utf-8")
        lines = [number for number, line in enumerate(text.splitlines(), 1) if line.strip() == "[[requirement]]"]
        return tomllib.loads(text), lines
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadRequirements(f"{path.name}: {error}") from error


def _repetitions(tables: Mapping[str, tuple[dict[str, Any], list[int]]]) -> Iterator[str]:
    """Yield ids and families that two files, or one file twice, have."""
    ids: dict[object, str] = {}
    families: dict[object, str] = {}
    for name, (table, lines) in tables.items():
        for family in table.get("families", ()):
            if families.setdefault(family, name) != name:
                yield f"{name}.toml: family {family} is also in {families[family]}.toml"
        for row, line in zip(table.get("requirement", ()), lines, strict=True):
            where = f"{name}.toml:{line}"
            if ids.setdefault(row.get("id"), where) != where:
                yield f"{where}: {row.get('id')} is also in {ids[row.get('id')]}"


def _rows(suite: str, table: Mapping[str, Any], lines: list[int]) -> Iterator[Requirement]:
    for row, line in zip(table["requirement"], lines, strict=True):
        fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
        fields |= {"level": Level(row["level"]), "actor": Actor(row["actor"])}
        yield Requirement(**fields, suite=suite, line=line)

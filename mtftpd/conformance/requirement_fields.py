"""The rules that a file of requirements is held to before anything is made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from mtftpd.quirks.profiles import PROFILES

_TEXTS: Final = ("id", "level", "actor", "statement", "disagreement", "ruling", "untestable")
_LISTS: Final = ("source", "profiles", "cases", "tests")
_REQUIRED: Final = ("id", "level", "actor", "statement", "source")

LEVELS: Final = ("MUST", "MUST NOT", "SHOULD", "MAY", "OBSERVED")
ACTORS: Final = ("dhcp", "mtftp", "tftp", "client", "network")

_ID: Final = re.compile(r"([A-Z][A-Z0-9]{1,4})-[0-9]{2}")
_TEST: Final = re.compile(r"tests/[a-z0-9_/]+\.py(::\w+){1,2}(\[[^\]]+\])?")


def mistakes(name: str, table: Mapping[str, Any], lines: Sequence[int], references: Mapping[str, Any]) -> Iterator[str]:
    """Yield one line for everything that is wrong in the file ``name``; ``lines`` is where its rows begin."""
    rows = table.get("requirement")
    families = table.get("families")
    for key in table.keys() - {"families", "requirement"}:
        yield f"{name}.toml: there is no {key!r} here; known are families and requirement"
    if not isinstance(families, dict) or not all(isinstance(about, str) and about for about in families.values()):
        yield f"{name}.toml: a table [families] must say what each family of ids is about"
        return
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        yield f"{name}.toml: one or more [[requirement]] are needed"
        return
    if len(rows) != len(lines):
        yield f"{name}.toml: write each requirement as a table that begins with [[requirement]]"
        return
    for row, line in zip(rows, lines, strict=True):
        wrong = list(_shape(row)) or [*_values(row, families), *_names(row, references), *_reasons(row)]
        yield from (f"{name}.toml:{line}: {row.get('id', 'a row without id')}: {text}" for text in wrong)
    unused = families.keys() - {_family(row) for row in rows}
    yield from (f"{name}.toml: no requirement is of the family {family}" for family in sorted(unused))


def _family(row: Mapping[str, Any]) -> str:
    return str(row.get("id")).partition("-")[0]


def _shape(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield keys that are missing, unknown or of the wrong type."""
    for key in _REQUIRED:
        if key not in row:
            yield f"{key} is missing"
    for key, value in row.items():
        if key in _TEXTS:
            if not isinstance(value, str) or not value.strip():
                yield f"{key} must be a text that is not empty"
        elif key not in _LISTS:
            yield f"there is no field {key!r}; known are {', '.join((*_TEXTS, *_LISTS))}"
        elif not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            yield f"{key} must be a list of texts"
        elif len(set(value)) != len(value):
            yield f"{key} says something twice"


def _values(row: Mapping[str, Any], families: Mapping[str, str]) -> Iterator[str]:
    match = _ID.fullmatch(row["id"])
    if match is None or match[1] not in families:
        yield f"an id is a family of this file ({', '.join(families)}), a hyphen and two digits"
    if row["level"] not in LEVELS:
        yield f"level {row['level']!r} is none of {', '.join(LEVELS)}"
    if row["actor"] not in ACTORS:
        yield f"actor {row['actor']!r} is none of {', '.join(ACTORS)}"
    if not row["source"]:
        yield "source names no document"
    for test in row.get("tests", ()):
        if _TEST.fullmatch(test) is None:
            yield f"{test!r} is no pytest id such as tests/core/test_dhcp.py::TestOffer::test_size"


def _names(row: Mapping[str, Any], references: Mapping[str, Any]) -> Iterator[str]:
    """Yield documents, rulings and profiles that nobody knows."""
    documents = tuple(references["documents"])
    for source in row["source"]:
        if not any(source == name or source.startswith((f"{name} ", f"{name},", f"{name}:")) for name in documents):
            yield f"source {source!r} begins with none of the documents of references.toml"
    if "ruling" in row and row["ruling"] not in references["rulings"]:
        yield f"ruling {row['ruling']!r} is not in references.toml"
    for profile in row.get("profiles", ()):
        if profile not in PROFILES:
            yield f"profile {profile!r} is none of {', '.join(PROFILES)}"


def _reasons(row: Mapping[str, Any]) -> Iterator[str]:
    if ("disagreement" in row) != ("ruling" in row):
        yield "say in what the sources disagree and which ruling holds, or neither"
    if "untestable" in row and row.get("cases"):
        yield f"untestable, and yet there are cases: {', '.join(row['cases'])}"

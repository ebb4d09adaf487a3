"""The vectors of specs/vectors: tables in TOML, octets in hexadecimal with repetition ("00*64")."""

from __future__ import annotations

import dataclasses
import tomllib
from enum import Enum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[2] / "specs" / "vectors"


def load(name: str) -> list[dict[str, Any]]:
    """Return the vectors of specs/vectors/``name``.toml with their octets under "data"."""
    with (_FOLDER / f"{name}.toml").open("rb") as file:
        vectors: list[dict[str, Any]] = tomllib.load(file)["vector"]
    for vector in vectors:
        vector["data"] = octets(vector["hex"])
    return vectors


def octets(text: str) -> bytes:
    parts = []
    for word in text.split():
        digits, _, times = word.partition("*")
        parts.append(bytes.fromhex(digits) * int(times or 1))
    return b"".join(parts)


def plain(value: Any) -> Any:
    """Return a value as TOML has it: dataclasses as tables without their absent fields, octets in hexadecimal."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {name: each for name, each in fields.items() if each not in (None, [])}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, IPv4Address):
        return str(value)
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    return value

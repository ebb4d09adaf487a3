"""Statistics as JSON: what the core counts, in types that every program can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from mtftpd.wire.datagram import Endpoint, HardwareAddress


def plain(value: Any) -> Any:
    """Return ``value`` made of dictionaries, lists, text and numbers."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (IPv4Address, IPv4Network, Endpoint, HardwareAddress)):
        return str(value)
    if isinstance(value, bytes):
        return value.hex(":")
    if is_dataclass(value):
        return {entry.name: plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, Mapping):
        return {_key(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, (tuple, list, set, frozenset)):
        return [plain(inner) for inner in value]
    return str(value)


def _key(key: Any) -> str:
    return str(plain(key))

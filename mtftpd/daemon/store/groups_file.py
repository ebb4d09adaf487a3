"""``groups.json``, where mtftpd kept the groups of file contents before it had a database; read once and put away."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import msgspec

VERSION = 1
NAME = "groups.json"


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    groups: dict[str, str]


def read_groups(folder: Path) -> dict[str, IPv4Address]:
    """Return what ``groups.json`` in ``folder`` holds, {} without one; ValueError when its content is not ours."""
    try:
        content = (folder / NAME).read_bytes()
    except FileNotFoundError:
        return {}
    stored = msgspec.json.decode(content, type=_Stored)
    if stored.version != VERSION:
        raise ValueError(f"version {stored.version} is not {VERSION}")
    groups = {digest: IPv4Address(address) for digest, address in stored.groups.items()}
    return {digest: group for digest, group in groups.items() if group.is_multicast}

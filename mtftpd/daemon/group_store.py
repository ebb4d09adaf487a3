"""Which group belongs to which file content, remembered across restarts in ``groups.json`` of the state folder.

A server that was killed goes on with the groups that its clients listen on.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path

import msgspec

from mtftpd.daemon.journal import say
from mtftpd.errors import Unavailable

VERSION = 1
_FILE = "groups.json"


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    groups: dict[str, str]


def remembered(folder: Path) -> dict[str, IPv4Address]:
    """Return what ``groups.json`` in ``folder`` holds, {} without one; ValueError when its content is not ours."""
    path = folder / _FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Unavailable(f"--state {folder}: {_FILE} cannot be read ({error.strerror}); check its owner") from None
    stored = msgspec.json.decode(content, type=_Stored)
    if stored.version != VERSION:
        raise ValueError(f"version {stored.version} is not {VERSION}")
    groups = {digest: IPv4Address(address) for digest, address in stored.groups.items()}
    return {digest: group for digest, group in groups.items() if group.is_multicast}


class GroupStore:
    """The file ``groups.json`` in ``folder``, which is made when it is missing."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"--state {folder}: cannot be made ({error.strerror}); name another folder") from None

    def load(self) -> dict[str, IPv4Address]:
        """Return SHA-256 digests with their groups; a file that is not ours is set aside with a warning."""
        try:
            return remembered(self._path.parent)
        except ValueError as error:
            self._set_aside(str(error))
            return {}

    def save(self, groups: Mapping[str, IPv4Address]) -> None:
        """Replace the file in one step: after a crash it holds the old content or the new one."""
        content = {"version": VERSION, "groups": {digest: str(group) for digest, group in sorted(groups.items())}}
        fresh = self._path.with_suffix(".new")
        try:
            with fresh.open("w") as stream:
                json.dump(content, stream, indent=1)
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(self._path)
            _sync_folder(self._path.parent)
        except OSError as error:
            raise Unavailable(
                f"--state {self._path.parent}: {self._path.name} cannot be written ({error.strerror}); "
                "free some space or name another folder"
            ) from None

    def _set_aside(self, reason: str) -> None:
        number = 1
        while (aside := self._path.with_name(f"{_FILE}.corrupt-{number}")).exists():
            number += 1
        self._path.replace(aside)
        say(
            logging.WARNING,
            "state-set-aside",
            (("file", str(self._path)), ("kept_as", str(aside)), ("reason", reason)),
            text="the remembered groups cannot be read; images get groups as on a first start",
        )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

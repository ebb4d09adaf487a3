"""The store in a SQLite file, ``mtftpd.db`` in the state folder.

Durability: WAL with ``synchronous = FULL``, so a commit is on the disk when it returns and outlives a power failure
as well as a crash.  That is one fsync for each batch, 0.23 ms in place of 0.02 ms with NORMAL on the SSD where it was
measured; nobody but the ACKs of that batch waits for it, and a busy server rests 5 ms between batches anyway.

What cannot be read is never deleted: it is set aside under another name, and the server begins with nothing.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from mtftpd.core.addresses.leases import Lease
from mtftpd.core.effects import SaveLease
from mtftpd.daemon.journal import say
from mtftpd.daemon.store import Former, Health, Memory, OwnedEntry, groups_file
from mtftpd.daemon.store.memories import key_of, on_clock, row_of_memory
from mtftpd.daemon.store.records import Contents, on_monotonic_clock, read_contents, read_groups, row_of
from mtftpd.daemon.store.schema import DIGESTS, IMAGE_GROUPS, LEASES, NEIGHBOURS, VERSION, check, migrate
from mtftpd.daemon.store.timescale import this_moment
from mtftpd.daemon.store.writer import CLOSE_SECONDS, Writer
from mtftpd.errors import Unavailable
from mtftpd.net.candidates import FileIdentity

NAME: Final = "mtftpd.db"
_LOCK: Final = "mtftpd.lock"
_COMPANIONS: Final = ("", "-wal", "-shm", "-journal")
_OF_THE_MACHINE: Final = frozenset(
    (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PERM)
)
"""Primary result codes that say nothing about the content of the file."""
_BUSY_MILLISECONDS: Final = 2_000
"""How long a commit waits for somebody who looks into the file with another program."""


class SqliteStore:
    """The `mtftpd.daemon.store.Store` of one server; the folder belongs to it alone."""

    def __init__(self, folder: Path) -> None:
        """Open what is there, or begin; `Unavailable` when the folder cannot be used at all."""
        self._lock = _own(folder)
        self._path = folder / NAME
        try:
            connection, contents = _open(self._path)
        except (sqlite3.Error, OSError) as error:
            os.close(self._lock)
            raise Unavailable(
                f"--state {folder}: {NAME} cannot be used ({error}); check its owner and the space on its disk, "
                "or name another folder"
            ) from None
        now = this_moment()
        scale = contents.scale.resumed(now) if contents.scale is not None else now
        self._leases = tuple(on_monotonic_clock(lease, scale) for lease in contents.leases)
        self._groups = contents.groups
        self._neighbours = contents.neighbours
        self._digests = contents.digests
        self._former = on_clock(contents.former, scale.offset)
        self._written = 0
        self._writer = Writer(connection, scale, str(self._path))
        self.descriptor = self._writer.descriptor

    def acknowledge(self) -> None:
        """See `Store.acknowledge`."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)

    def leases(self) -> tuple[Lease, ...]:
        """See `Store.leases`."""
        return self._leases

    def groups(self) -> dict[str, IPv4Address]:
        """See `Store.groups`."""
        return dict(self._groups)

    def neighbours(self) -> tuple[OwnedEntry, ...]:
        """See `Store.neighbours`."""
        return self._neighbours

    def digests(self) -> dict[FileIdentity, str]:
        """See `Store.digests`."""
        return dict(self._digests)

    def former(self) -> Former:
        """See `Store.former`."""
        return self._former

    def save_lease(self, lease: SaveLease) -> None:
        """See `Store.save_lease`."""
        self._written += 1
        self._writer.put(LEASES, str(lease.address), row_of(lease))

    def save_groups(self, groups: Mapping[str, IPv4Address]) -> None:
        """See `Store.save_groups`."""
        for digest in self._groups.keys() - groups.keys():
            self._writer.put(IMAGE_GROUPS, digest, None)
        for digest, group in groups.items():
            if self._groups.get(digest) != group:
                self._writer.put(IMAGE_GROUPS, digest, (digest, str(group)))
        self._groups = dict(groups)

    def save_digests(self, digests: Mapping[FileIdentity, str]) -> None:
        """See `Store.save_digests`."""
        for file in self._digests.keys() - digests.keys():
            self._writer.put(DIGESTS, _text(file), None)
        for file, digest in digests.items():
            if self._digests.get(file) != digest:
                self._writer.put(DIGESTS, _text(file), (_text(file), digest))
        self._digests = dict(digests)

    def list_neighbours(self, entries: Iterable[OwnedEntry]) -> bool:
        """See `Store.list_neighbours`."""
        for entry in entries:
            row = entry.interface, str(entry.address), entry.hardware.hex()
            self._writer.put(NEIGHBOURS, _place(entry), row)
        return self._writer.wait(CLOSE_SECONDS)

    def unlist_neighbours(self, entries: Iterable[OwnedEntry]) -> None:
        """See `Store.unlist_neighbours`."""
        for entry in entries:
            self._writer.put(NEIGHBOURS, _place(entry), None)

    def keep(self, memory: Memory) -> None:
        """See `Store.keep`."""
        self._writer.put(*key_of(memory), row_of_memory(memory))

    def forget(self, memory: Memory) -> None:
        """See `Store.forget`."""
        self._writer.put(*key_of(memory), None)

    def ticket(self) -> int:
        """See `Store.ticket`."""
        return self._writer.ticket()

    def durable(self) -> int:
        """See `Store.durable`."""
        return self._writer.durable()

    def look(self) -> None:
        """See `Store.look`."""
        self._writer.follow_clock()

    def wait(self) -> None:
        """Wait until all that was saved is durable or cannot be, for a while: for a server that is not serving yet."""
        self._writer.wait(CLOSE_SECONDS)

    def health(self) -> Health:
        """See `Store.health`."""
        writer = self._writer
        return Health(str(self._path), writer.failure, writer.unwritten(), writer.commits, self._written)

    def close(self) -> None:
        """See `Store.close`."""
        self._writer.close()
        os.close(self._lock)


def _text(file: FileIdentity) -> str:
    return " ".join(map(str, file))


def _place(entry: OwnedEntry) -> str:
    return f"{entry.interface} {entry.address}"


def remembered_groups(folder: Path) -> dict[str, IPv4Address]:
    """Return the groups that a start would find in ``folder``, without changing anything.

    ValueError when what is there will be set aside; `Unavailable` when it cannot be read.
    """
    path = folder / NAME
    try:
        if not path.exists():
            return groups_file.read_groups(folder)
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            check(connection)
            return read_groups(connection)
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, sqlite3.Error) and _is_damage(error, path):
            raise ValueError(str(error)) from None
        raise Unavailable(f"--state {folder}: cannot be read ({error}); check its owner") from None


def _own(folder: Path) -> int:
    """Make the folder, and lock it until the process ends, however it ends."""
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(f"--state {folder}: cannot be used ({error.strerror}); name another folder") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise Unavailable(f"--state {folder}: another server uses this folder; name another one") from None
    return lock


def _open(path: Path) -> tuple[sqlite3.Connection, Contents]:
    if path.exists():
        try:
            return _open_existing(path)
        except (sqlite3.Error, ValueError) as error:
            if isinstance(error, sqlite3.Error) and not _is_damage(error, path):
                raise
            _set_aside(path, str(error))
    _create(path)
    return _open_existing(path)


def _open_existing(path: Path) -> tuple[sqlite3.Connection, Contents]:
    if not path.stat().st_size:
        raise ValueError("it is empty")
    connection = _connect(path)
    try:
        check(connection)
        migrate(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        contents = read_contents(connection)
        # A header may allow reading and forbid writing; better known now than with the first lease.
        connection.execute(f"PRAGMA user_version = {VERSION}")
        return connection, contents
    except BaseException:
        connection.close()
        raise


def _create(path: Path) -> None:
    """Make an empty database under another name, so that a crash leaves a whole one or none; take over the old file."""
    fresh = path.with_suffix(".new")
    for leftover in (fresh, path):  # A log without its database would be read into the new one.
        for companion in _COMPANIONS:
            Path(f"{leftover}{companion}").unlink(missing_ok=True)
    old = path.with_name(groups_file.NAME)
    with closing(_connect(fresh)) as connection:
        migrate(connection)
        groups = _old_groups(old)
        connection.executemany("INSERT INTO image_groups VALUES (?, ?)", [(d, str(g)) for d, g in groups.items()])
    fresh.chmod(0o640)
    fresh.rename(path)
    if old.exists():
        old.rename(_free_name(old, "migrated"))


def _old_groups(file: Path) -> dict[str, IPv4Address]:
    try:
        return groups_file.read_groups(file.parent)
    except ValueError as error:
        say(
            logging.WARNING,
            "state-set-aside",
            (("file", str(file)), ("reason", str(error))),
            text="the groups of an older version cannot be read; images get groups as on a first start",
        )
        return {}


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
    return connection


def _is_damage(error: sqlite3.Error, path: Path) -> bool:
    """Return whether it is the content of the file that is wrong, and not the disk or its rights."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _OF_THE_MACHINE:
        return False
    # A header or a log from the future reads as "read-only" or "cannot open" too.
    return os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK)


def _set_aside(path: Path, reason: str) -> None:
    aside = _free_name(path, "corrupt")
    for companion in _COMPANIONS[1:]:
        file = Path(f"{path}{companion}")
        if file.exists():
            file.rename(f"{aside}{companion}")
    path.rename(aside)
    say(
        logging.ERROR,
        "state-set-aside",
        (("file", str(path)), ("kept_as", str(aside)), ("reason", reason)),
        text="the state of the former run cannot be read; leases, groups and what was learnt begin anew, and neighbour "
        "entries of that run may be left: see ip neighbour show nud permanent",
    )


def _free_name(path: Path, word: str) -> Path:
    number = 1
    while (name := path.with_name(f"{path.name}.{word}-{number}")).exists():
        number += 1
    return name

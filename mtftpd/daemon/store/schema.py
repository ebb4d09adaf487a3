"""The tables, as a list of steps: ``PRAGMA user_version`` is how many of them a file has behind it.

A step that was released is never changed.  Whoever needs a table appends a step and a `Table`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

APPLICATION_ID: Final = 0x4D54_4654
"""The letters MTFT in the header of the file, where file(1) finds them."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE clock (
               id INTEGER PRIMARY KEY CHECK (id = 1),
               boot TEXT NOT NULL,
               offset REAL NOT NULL,
               seen REAL NOT NULL
           ) STRICT""",
        """CREATE TABLE leases (
               number INTEGER PRIMARY KEY,
               address TEXT NOT NULL UNIQUE,
               client TEXT UNIQUE,
               state TEXT NOT NULL CHECK (state IN ('free', 'bound', 'declined')),
               expires REAL,
               CHECK (client IS NOT NULL OR state <> 'bound')
           ) STRICT""",
        """CREATE TABLE image_groups (
               digest TEXT PRIMARY KEY,
               address TEXT NOT NULL
           ) STRICT, WITHOUT ROWID""",
    ),
    (
        """CREATE TABLE neighbours (
               interface TEXT NOT NULL,
               address TEXT NOT NULL,
               hardware TEXT NOT NULL,
               PRIMARY KEY (interface, address)
           ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE digests (
               file TEXT PRIMARY KEY,
               digest TEXT NOT NULL
           ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE marks (
               node TEXT PRIMARY KEY,
               fingerprint TEXT NOT NULL,
               reason TEXT NOT NULL,
               at REAL NOT NULL,
               failures INTEGER NOT NULL,
               successes INTEGER NOT NULL
           ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE learnt (
               node TEXT NOT NULL,
               fingerprint TEXT NOT NULL,
               signs TEXT NOT NULL,
               at REAL NOT NULL,
               PRIMARY KEY (node, fingerprint)
           ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE machines (
               node TEXT PRIMARY KEY,
               interfaces TEXT NOT NULL,
               bootable TEXT NOT NULL
           ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE rates (
               profile TEXT PRIMARY KEY,
               answer REAL NOT NULL,
               factor REAL NOT NULL,
               burst INTEGER NOT NULL,
               loss REAL NOT NULL
           ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE attempts (
               node TEXT PRIMARY KEY,
               began REAL NOT NULL,
               since REAL NOT NULL,
               state TEXT NOT NULL,
               reason TEXT NOT NULL,
               packet TEXT NOT NULL,
               inferred INTEGER NOT NULL,
               round INTEGER NOT NULL,
               address TEXT NOT NULL,
               stage TEXT NOT NULL,
               rom TEXT NOT NULL,
               file TEXT NOT NULL,
               multicast TEXT NOT NULL
           ) STRICT, WITHOUT ROWID""",
        "CREATE TABLE passes (multicast TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
    ),
)
"""``leases.client`` is htype/octets in hex (htype/id/octets for a client identifier); times are wall time in seconds
since 1970, ``expires`` is NULL for ever; a row that is written again gets the next ``number``, so they are in order.

``node`` is htype/octets (or an IPv4 address), in ``marks`` with the stage of its boot behind it, in ``attempts`` with
their number, in ``machines`` the first of its ``interfaces``; a ``fingerprint`` is a JSON array; ``signs`` and
``interfaces`` have blanks between; ``file`` of ``digests`` is what `stat` says of it: device, inode, size and the times
of change in ns; ``multicast`` is ADDRESS:PORT of a group.
"""

VERSION: Final = len(MIGRATIONS)


@dataclass(frozen=True, slots=True)
class Table:
    """How rows get into a table, all in one statement: one statement is one time that the interpreter is let go of.

    ``replace`` takes ``:rows`` (a JSON array of arrays) and ``:offset`` (seconds to add to monotonic times), ``remove``
    takes ``:keys`` (a JSON array), ``shift`` takes ``:step`` (seconds that the wall clock was set by) and is "" where
    there are no times.
    """

    replace: str
    remove: str
    shift: str = ""


LEASES: Final = Table(
    replace="""INSERT OR REPLACE INTO leases (address, client, state, expires)
               SELECT value ->> 0, value ->> 1, value ->> 2, (value ->> 3) + :offset FROM json_each(:rows)""",
    remove="DELETE FROM leases WHERE address IN (SELECT value FROM json_each(:keys))",
    shift="UPDATE leases SET expires = expires + :step",
)


def _plain(name: str, columns: int, key: str, times: Mapping[int, str] = MappingProxyType({})) -> Table:
    """Return a table whose rows are taken as they are; ``key`` is an expression, ``times`` are columns by number."""
    values = ", ".join(
        f"(value ->> {number}) + :offset" if number in times else f"value ->> {number}" for number in range(columns)
    )
    return Table(
        replace=f"INSERT OR REPLACE INTO {name} SELECT {values} FROM json_each(:rows)",
        remove=f"DELETE FROM {name} WHERE {key} IN (SELECT value FROM json_each(:keys))",
        shift=f"UPDATE {name} SET {', '.join(f'{each} = {each} + :step' for each in times.values())}" if times else "",
    )


IMAGE_GROUPS: Final = _plain("image_groups", 2, "digest")
NEIGHBOURS: Final = _plain("neighbours", 3, "interface || ' ' || address")
DIGESTS: Final = _plain("digests", 2, "file")
MARKS: Final = _plain("marks", 6, "node", {3: "at"})
LEARNT: Final = _plain("learnt", 4, "node || ' ' || fingerprint", {3: "at"})
MACHINES: Final = _plain("machines", 3, "node")
RATES: Final = _plain("rates", 5, "profile")
ATTEMPTS: Final = _plain("attempts", 13, "node", {1: "began", 2: "since"})
PASSES: Final = _plain("passes", 1, "multicast")
TABLES: Final = (LEASES, IMAGE_GROUPS, NEIGHBOURS, DIGESTS, MARKS, LEARNT, MACHINES, RATES, ATTEMPTS, PASSES)


def check(connection: sqlite3.Connection) -> None:
    """Raise ValueError, or an error of SQLite, when the file is damaged or not ours."""
    ours, version = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    if ours != APPLICATION_ID:
        raise ValueError("it is not a database of mtftpd")
    if not 0 < version <= VERSION:
        raise ValueError(f"its version is {version}, and this mtftpd knows those up to {VERSION}")
    (finding,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if finding != "ok":
        raise ValueError(str(finding))


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to `VERSION`; every step is taken whole or not at all."""
    for version in range(_pragma(connection, "user_version") + 1, VERSION + 1):
        connection.execute("BEGIN IMMEDIATE")
        for statement in MIGRATIONS[version - 1]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    assert isinstance(value, int)
    return value

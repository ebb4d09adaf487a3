"""The tables, as a list of steps: ``PRAGMA user_version`` is how many of them a file has behind it.

A step that was released is never changed.  Whoever needs a table appends a step and a `Table`.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
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
)
"""``leases.client`` is htype/octets in hex (htype/id/octets for a client identifier); ``expires`` is wall time in
seconds since 1970, NULL for ever; a row that is written again gets the next ``number``, so they are in order."""

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
IMAGE_GROUPS: Final = Table(
    replace="INSERT OR REPLACE INTO image_groups SELECT value ->> 0, value ->> 1 FROM json_each(:rows)",
    remove="DELETE FROM image_groups WHERE digest IN (SELECT value FROM json_each(:keys))",
)
TABLES: Final = (LEASES, IMAGE_GROUPS)


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

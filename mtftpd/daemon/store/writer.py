"""The thread that writes: whatever has been put while one commit ran is the batch of the next (group commit).

A quiet server commits at once.  A busy one, whose last batch had more than one record, rests for `REST` first: each
commit takes the interpreter from the thread that answers several times.  When a commit fails, the records stay here
and are tried again every `RETRY_SECONDS`; meanwhile `Writer.durable` holds nobody up.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from mtftpd.daemon.journal import say
from mtftpd.daemon.store.schema import TABLES, Table
from mtftpd.daemon.store.timescale import Timescale, this_moment

REST: Final = 0.005
"""Seconds between two commits of a busy server.  A commit takes 0.3 to 3 ms, so a record is durable within 10 ms."""
RETRY_SECONDS: Final = 5.0
"""Between two attempts to write while the disk is full or broken."""
CLOSE_SECONDS: Final = 10.0
"""How long a server that starts or stops waits for a disk that does not answer."""

_SAVE_CLOCK: Final = "INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?)"

Row = tuple[str | float | None, ...]
Batch = dict[tuple[Table, str], Row | None]
"""Rows by table and key, the latest change last; None is a row to be removed.  Bounded by what the core remembers:
`mtftpd.core.addresses.leases.MAX_LEASES` of 300 octets are 10 MB, 32,768 attempts and 16,384 marks of 600 octets 30
MB."""


class Writer:
    """Owns the connection.  `put` and `wait` may be called from any thread, the rest from the one that made it."""

    def __init__(self, connection: sqlite3.Connection, scale: Timescale, path: str) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.failure = ""
        self.commits = 0
        self._connection = connection
        self._scale = scale
        self._path = path
        self._pending: Batch = {}
        self._put = 0
        self._durable = 0
        self._clock_was_set = False
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def put(self, table: Table, key: str, row: Row | None) -> None:
        """Write ``row`` in place of the one of ``key``, or remove that."""
        with self._changed:
            # A later row may replace an earlier one of another key (UNIQUE), so the order is that of the last change.
            self._pending.pop((table, key), None)
            self._pending[table, key] = row
            self._put += 1
            self._changed.notify_all()

    def ticket(self) -> int:
        """Return the number of what was put last."""
        return self._put

    def durable(self) -> int:
        """Return the number up to which nobody need wait."""
        return self._put if self.failure else self._durable

    def unwritten(self) -> int:
        """Return how many rows are in memory only."""
        return len(self._pending)

    def follow_clock(self) -> None:
        """Correct the stored times when the wall clock was set."""
        if self._scale.step_to(this_moment()):
            with self._changed:
                self._clock_was_set = True
                self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait until everything that was put is durable; False when it cannot be, or not within ``seconds``."""
        with self._changed:
            goal = self._put
            self._changed.wait_for(lambda: self.durable() >= goal, seconds)
            return self._durable >= goal

    def close(self) -> None:
        """Write what is left, unless that takes longer than `CLOSE_SECONDS`, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSE_SECONDS)
        if self._pending or self._thread.is_alive():
            say(
                logging.ERROR,
                "state-lost",
                (("file", self._path), ("records", len(self._pending))),
                text="the last changes could not be written; the next start will not know them",
            )
        if not self._thread.is_alive():
            self._connection.close()
            os.close(self.descriptor)

    # -- in the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            batch, number, is_last = self._take()
            try:
                self._commit(batch)
            except sqlite3.Error as error:
                self._give_back(batch, error)
            else:
                self._confirm(number)
                if len(batch) > 1:
                    time.sleep(REST)
            if is_last:
                return

    def _take(self) -> tuple[Batch, int, bool]:
        with self._changed:
            if self.failure:
                self._changed.wait_for(lambda: self._closing, RETRY_SECONDS)
            else:
                self._changed.wait_for(lambda: self._pending or self._closing or self._clock_was_set)
            batch, self._pending, self._clock_was_set = self._pending, {}, False
            return batch, self._put, self._closing

    def _commit(self, batch: Batch) -> None:
        now = this_moment()
        step = self._scale.step_to(now)
        scale = replace(self._scale, offset=self._scale.offset + step, seen=now.seen)
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            if step:
                for table in TABLES:
                    _shift(connection, table, step)
            for table, rows in _by_table(batch).items():
                _write(connection, table, rows, scale.offset)
            connection.execute(_SAVE_CLOCK, (scale.boot, scale.offset, scale.seen))
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._scale = scale
        self.commits += 1

    def _give_back(self, batch: Batch, error: sqlite3.Error) -> None:
        reason = f"{error} ({error.sqlite_errorname})" if hasattr(error, "sqlite_errorname") else str(error)
        if not self.failure:
            say(
                logging.ERROR,
                "state-degraded",
                (("file", self._path), ("reason", reason)),
                text="leases are kept in memory only, and clients are answered all the same; free some space or "
                f"repair the disk, it is tried again every {RETRY_SECONDS:.0f} s",
            )
        with self._changed:
            for key in self._pending:
                batch.pop(key, None)
            batch.update(self._pending)
            self._pending = batch
            self.failure = reason
            self._changed.notify_all()
        os.eventfd_write(self.descriptor, 1)

    def _confirm(self, number: int) -> None:
        with self._changed:
            was_failing, self.failure = bool(self.failure), ""
            self._durable = number
            self._changed.notify_all()
        if was_failing:
            say(logging.INFO, "state-recovered", (("file", self._path),), text="everything is written again")
        os.eventfd_write(self.descriptor, 1)


def _shift(connection: sqlite3.Connection, table: Table, step: float) -> None:
    if table.shift:
        connection.execute(table.shift, {"step": step})


def _by_table(batch: Batch) -> dict[Table, dict[str, Row | None]]:
    found: dict[Table, dict[str, Row | None]] = {}
    for (table, key), row in batch.items():
        found.setdefault(table, {})[key] = row
    return found


def _write(connection: sqlite3.Connection, table: Table, changes: Mapping[str, Row | None], offset: float) -> None:
    rows = [row for row in changes.values() if row is not None]
    keys = [key for key, row in changes.items() if row is None]
    if keys:
        connection.execute(table.remove, {"keys": json.dumps(keys)})
    if rows:
        connection.execute(table.replace, {"rows": json.dumps(rows), "offset": offset})

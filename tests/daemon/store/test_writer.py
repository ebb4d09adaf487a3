"""Group commit, and what happens when the disk is full: really full, by the limit on the size of files."""

from __future__ import annotations

import logging
import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from select import POLLIN, poll

import pytest

from mtftpd.core.addresses.leases import ClientKey, LeaseState
from mtftpd.core.effects import SaveLease
from mtftpd.daemon.store import writer
from mtftpd.daemon.store.sqlite import NAME, SqliteStore
from mtftpd.errors import Unavailable

SOON = 10_000
"""Milliseconds after which a test that waits for the thread fails."""


def lease(number: int, expires: float = 1e9) -> SaveLease:
    key = ClientKey(1, number.to_bytes(6, "big"))
    return SaveLease(IPv4Address("10.0.0.0") + number, key, LeaseState.BOUND, expires, awaited=True)


def await_ticket(store: SqliteStore, ticket: int) -> None:
    """Wait as the pump does: for the descriptor."""
    readable = poll()
    readable.register(store.descriptor, POLLIN)
    while store.durable() < ticket:
        assert readable.poll(SOON), "nothing became durable"
        store.acknowledge()


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """No file of this process may grow beyond what the log has now."""
    log = folder / f"{NAME}-wal"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def addresses(folder: Path) -> set[str]:
    """Return what another program finds in the file."""
    with closing(sqlite3.connect(f"{(folder / NAME).as_uri()}?mode=ro", uri=True)) as connection:
        return {address for (address,) in connection.execute("SELECT address FROM leases")}


def test_what_is_durable_is_in_the_file(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path)) as store:
        assert store.durable() == store.ticket()
        for number in range(1, 30):
            store.save_lease(lease(number))
            await_ticket(store, store.ticket())
            assert str(IPv4Address("10.0.0.0") + number) in addresses(tmp_path)
        assert store.health().leases == 29


def test_what_comes_while_it_commits_is_one_batch(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path)) as store:
        with closing(sqlite3.connect(tmp_path / NAME, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # Somebody else is writing: the first commit has to wait.
            store.save_lease(lease(1))
            while store.health().unwritten:
                threading.Event().wait(0.001)
            for number in range(2, 500):
                store.save_lease(lease(number))
            assert store.health().commits == 0
            other.execute("ROLLBACK")
        await_ticket(store, store.ticket())
        assert store.health().commits == 2
    assert len(addresses(tmp_path)) == 499


def test_a_full_disk_degrades_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.01)
    caplog.set_level(logging.INFO, "mtftpd")
    with closing(SqliteStore(tmp_path)) as store:
        store.save_lease(lease(1))
        await_ticket(store, store.ticket())
        with full_disk(tmp_path):
            store.save_lease(lease(2))
            await_ticket(store, store.ticket())
            assert "full" in store.health().degraded or "I/O" in store.health().degraded
            store.save_lease(lease(3))
            assert store.durable() == store.ticket(), "nobody waits for a disk that is full"
            store.save_lease(lease(2, 2e9))
            assert addresses(tmp_path) == {"10.0.0.1"}
            while store.health().unwritten != 2:
                threading.Event().wait(0.001)
        while store.health().degraded:
            threading.Event().wait(0.001)
        assert addresses(tmp_path) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
        assert store.health().unwritten == 0
    with closing(SqliteStore(tmp_path)) as store:
        assert [round(each.expires) for each in store.leases()] == [1e9, 1e9, 2e9]
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 2, "said once, however often it is tried"
    assert "leases are kept in memory only, and clients are answered all the same" in texts[0]
    assert "everything is written again" in texts[1]


def test_says_at_the_end_what_could_not_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = SqliteStore(tmp_path)
    store.save_lease(lease(1))
    await_ticket(store, store.ticket())
    with full_disk(tmp_path):
        store.save_lease(lease(2))
        await_ticket(store, store.ticket())
        store.close()
    assert "the last changes could not be written" in caplog.text
    with closing(SqliteStore(tmp_path)) as again:
        assert [str(each.address) for each in again.leases()] == ["10.0.0.1"]


def test_no_start_on_a_full_disk(tmp_path: Path) -> None:
    """To know the leases, SQLite has to write its log's index; to serve without knowing them gives addresses twice."""
    with closing(SqliteStore(tmp_path)) as store:
        store.save_lease(lease(1))
        await_ticket(store, store.ticket())
        killed = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for path, content in killed.items():
        path.write_bytes(content)
    with full_disk(tmp_path), pytest.raises(Unavailable, match="check its owner and the space on its disk"):
        SqliteStore(tmp_path)
    assert {path.name for path in killed} == {path.name for path in tmp_path.iterdir()}
    with closing(SqliteStore(tmp_path)) as store:
        assert len(store.leases()) == 1

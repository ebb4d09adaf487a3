"""Entries of ours: listed before they are set, left alone when they are somebody else's, swept after a crash."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import trio

from mtftpd.core.effects import DropArp, StuffArp
from mtftpd.daemon.neighbours import Neighbours, open_neighbours
from mtftpd.daemon.store import OwnedEntry, writer
from mtftpd.daemon.store.sqlite import NAME, SqliteStore
from mtftpd.net.namespaces import private_network
from mtftpd.net.neighbours import NeighbourTable
from mtftpd.wire.datagram import HardwareAddress
from tests.daemon.store.test_writer import full_disk
from tests.patience import PATIENCE

system = pytest.mark.system
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

A, B, C = (IPv4Address(f"10.9.0.{number}") for number in (7, 8, 9))
ONE, TWO = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")


def stuff(address: IPv4Address, octets: bytes, *, given: bool = True) -> StuffArp:
    return StuffArp(str(address), HardwareAddress(1, octets), given)


def drop(address: IPv4Address) -> DropArp:
    return DropArp(str(address))


def ip(*argv: str) -> str:
    return subprocess.run(["ip", *argv], capture_output=True, text=True, check=True).stdout


def permanent() -> dict[IPv4Address, bytes]:
    entries = json.loads(ip("-json", "neigh", "show", "dev", "lan0", "nud", "permanent") or "[]")
    return {IPv4Address(entry["dst"]): bytes.fromhex(entry["lladdr"].replace(":", "")) for entry in entries}


def set_by_hand(address: IPv4Address, octets: bytes) -> None:
    ip("neigh", "replace", str(address), "lladdr", octets.hex(":"), "nud", "permanent", "dev", "lan0")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A namespace with the link ``lan0``, and a folder for state."""
    with private_network():
        ip("link", "add", "lan0", "type", "veth", "peer", "name", "far0")
        ip("link", "set", "lan0", "up")
        ip("address", "add", "10.9.0.1/24", "dev", "lan0")
        yield tmp_path / "state"


@pytest.fixture
def store(folder: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(folder)) as opened:
        yield opened


def opened(store: SqliteStore, interface: str = "lan0") -> Neighbours:
    neighbours = open_neighbours(store, interface)
    assert isinstance(neighbours, Neighbours)
    return neighbours


def killed(neighbours: Neighbours, effects: Iterable[StuffArp | DropArp], folder: Path) -> SqliteStore:
    """Have this done by a server that ends before it can undo it; return what the next one finds."""
    neighbours.apply(list(effects))
    left = folder.with_name(f"{folder.name}-left")
    shutil.copytree(folder, left)
    neighbours._table.close()
    return SqliteStore(left)


def listed(folder: Path) -> dict[IPv4Address, bytes]:
    """Return what is on the disk, while a server may be writing to it."""
    with closing(sqlite3.connect(f"file:{folder / NAME}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT address, hardware FROM neighbours").fetchall()
    return {IPv4Address(address): bytes.fromhex(octets) for address, octets in rows}


@system
@needs_root
def test_sets_follows_and_removes(store: SqliteStore, folder: Path) -> None:
    neighbours = opened(store)
    steps: tuple[tuple[list[StuffArp | DropArp], dict[IPv4Address, bytes]], ...] = (
        ([stuff(A, ONE), stuff(B, TWO)], {A: ONE, B: TWO}),
        ([stuff(A, TWO), drop(B), drop(C)], {A: TWO}),
        ([stuff(A, TWO)], {A: TWO}),
    )
    for effects, expected in steps:
        neighbours.apply(effects)
        store.wait()
        assert permanent() == listed(folder) == expected
        assert [neighbours.covers(str(address)) for address in (A, B)] == [A in expected, B in expected]
    neighbours.close()
    store.wait()
    assert permanent() == listed(folder) == {}


@system
@needs_root
def test_a_renewal_puts_back_what_was_flushed_and_yields_to_what_was_set(store: SqliteStore) -> None:
    neighbours = opened(store)
    neighbours.apply([stuff(A, ONE), stuff(B, ONE)])
    ip("neigh", "del", str(A), "dev", "lan0")
    set_by_hand(B, TWO)
    neighbours.apply([stuff(A, ONE), stuff(B, ONE)])
    assert permanent() == {A: ONE, B: TWO}
    neighbours.close()
    assert permanent() == {B: TWO}


@system
@needs_root
def test_what_is_set_by_hand_is_neither_listed_nor_removed(
    store: SqliteStore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    set_by_hand(A, ONE)
    neighbours = opened(store)
    neighbours.apply([stuff(A, ONE), stuff(B, ONE)])
    assert listed(folder) == {B: ONE}
    assert "neighbour-not-set" in [record.__dict__["event"] for record in caplog.records]
    neighbours.apply([drop(A), drop(B)])
    neighbours.close()
    assert permanent() == {A: ONE}


@system
@needs_root
def test_every_entry_is_on_the_disk_before_it_is_set(
    store: SqliteStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, before = NeighbourTable.put, []

    def put_and_look(table: NeighbourTable, address: IPv4Address, hardware: bytes) -> None:
        before.append(listed(folder))
        put(table, address, hardware)

    monkeypatch.setattr(NeighbourTable, "put", put_and_look)
    neighbours = opened(store)
    neighbours.apply([stuff(A, ONE), stuff(B, TWO)])
    assert before == [{A: ONE, B: TWO}] * 2
    neighbours.close()


@system
@needs_root
def test_nothing_is_set_that_cannot_be_listed(
    store: SqliteStore, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.01)
    neighbours = opened(store)
    neighbours.apply([stuff(B, ONE)])
    with full_disk(folder):
        neighbours.apply([stuff(A, ONE)])
        assert permanent() == {B: ONE}
        assert "no neighbour entries are set meanwhile" in caplog.text
        neighbours.apply([drop(B)])
        assert permanent() == {}
    while store.health().degraded:
        threading.Event().wait(0.001)
    assert listed(folder) == {}
    neighbours.apply([stuff(A, ONE)])
    assert permanent() == listed(folder) == {A: ONE}
    neighbours.close()


@system
@needs_root
def test_a_start_sweeps_what_is_still_as_it_was_left(store: SqliteStore, folder: Path) -> None:
    with closing(killed(opened(store), [stuff(A, ONE), stuff(B, ONE), stuff(C, ONE)], folder)) as left:
        assert {entry.address for entry in left.neighbours()} == {A, B, C}
        set_by_hand(B, TWO)
        ip("neigh", "del", str(C), "dev", "lan0")
        neighbours = opened(left)
        assert permanent() == {B: TWO}
        neighbours.close()
    assert listed(folder.with_name("state-left")) == {}


@system
@needs_root
def test_the_link_of_the_earlier_run_may_be_another_one_or_gone(store: SqliteStore, folder: Path) -> None:
    ip("link", "set", "far0", "up")
    neighbours = opened(store, "far0")
    assert store.list_neighbours([OwnedEntry("gone0", B, ONE)])
    with closing(killed(neighbours, [stuff(A, ONE)], folder)) as left:
        opened(left).close()
        assert "10.9.0.7" not in ip("neigh", "show", "nud", "permanent")
    assert listed(folder.with_name("state-left")) == {}


@system
@needs_root
async def test_what_is_wanted_is_done_by_and_by_and_the_last_word_counts(store: SqliteStore) -> None:
    neighbours = opened(store)
    for effect in (stuff(A, ONE), stuff(B, ONE), stuff(A, TWO), drop(B)):
        neighbours.want(effect)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(neighbours.run)
            while permanent() != {A: TWO}:  # noqa: ASYNC110 - the kernel has no event
                await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
    neighbours.close()
    assert permanent() == {}


@system
@needs_root
def test_without_the_right_to_do_it_the_reason_is_given(folder: Path) -> None:
    ask = "import sys; from mtftpd.net.neighbours import NeighbourTable; print(NeighbourTable(1).reason)"
    command = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--", sys.executable, "-c", ask]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "CAP_NET_ADMIN is missing\n"


def test_without_a_state_folder_there_are_none() -> None:
    assert open_neighbours(None, "lo") == "there is no --state folder to list them in"


def test_loopback_has_none(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path)) as store:
        assert open_neighbours(store, "lo") == "lo does not use ARP"

"""The SQLite file: what goes in comes out, and whatever is wrong with it, a server can start."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from ipaddress import IPv4Address
from math import inf
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtftpd.core.addresses.leases import ClientKey, Lease, LeaseState
from mtftpd.core.effects import SaveLease
from mtftpd.daemon.store import RunningPass, sqlite
from mtftpd.daemon.store.schema import MIGRATIONS, VERSION
from mtftpd.daemon.store.sqlite import NAME, SqliteStore, remembered_groups
from mtftpd.errors import Unavailable
from mtftpd.net.candidates import FileIdentity

GROUPS = {"aa" * 32: IPv4Address("239.1.1.1"), "bb" * 32: IPv4Address("239.1.1.2")}
in_any_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def key(number: int) -> ClientKey:
    return ClientKey(1, b"\2" + number.to_bytes(5, "big"))


def bound(number: int, who: ClientKey, expires: float) -> SaveLease:
    return SaveLease(IPv4Address("10.0.0.0") + number, who, LeaseState.BOUND, expires, awaited=True)


def free(number: int, who: ClientKey | None) -> SaveLease:
    return SaveLease(IPv4Address("10.0.0.0") + number, who, LeaseState.FREE, 0.0, awaited=False)


def save(folder: Path, leases: Iterable[SaveLease], groups: dict[str, IPv4Address] | None = None) -> None:
    with closing(SqliteStore(folder)) as store:
        for lease in leases:
            store.save_lease(lease)
        if groups is not None:
            store.save_groups(groups)


def restored(folder: Path) -> tuple[Lease, ...]:
    with closing(SqliteStore(folder)) as store:
        return store.leases()


def about_the_same(found: Iterable[Lease], saved: Iterable[SaveLease]) -> bool:
    """Compare all but the bits of a float that are lost on the way to the wall clock and back."""
    rows = [[str(each.address), each.key, each.state, round(min(each.expires, 1e12), 3)] for each in found]
    return rows == [[str(each.address), each.key, each.state, round(min(each.expires, 1e12), 3)] for each in saved]


KEYS = st.builds(ClientKey, st.integers(0, 255), st.binary(min_size=1, max_size=255), st.booleans())
TIMES = st.just(inf) | st.floats(0.0, 4e9)
ADDRESSES = st.integers(0, 2**32 - 1).map(IPv4Address)
RECORDS = (
    st.builds(SaveLease, ADDRESSES, KEYS, st.just(LeaseState.BOUND), TIMES, st.just(True))
    | st.builds(SaveLease, ADDRESSES, st.none() | KEYS, st.just(LeaseState.FREE), st.just(0.0), st.just(False))
    | st.builds(SaveLease, ADDRESSES, st.none(), st.just(LeaseState.DECLINED), st.floats(0.0, 4e9), st.just(False))
)


@in_any_folder
@given(records=st.lists(RECORDS, max_size=30))
def test_every_record_comes_back_in_the_order_of_the_last_change(tmp_path: Path, records: list[SaveLease]) -> None:
    (tmp_path / NAME).unlink(missing_ok=True)
    save(tmp_path, records)
    expected: dict[IPv4Address, SaveLease] = {}
    for record in records:
        for other in [each for each in expected.values() if each.key is not None and each.key == record.key]:
            del expected[other.address]
        expected.pop(record.address, None)
        expected[record.address] = record
    found = restored(tmp_path)
    kept = {each.address for each in found}
    # A row that only an intermediate state of this batch had replaced may still be there: never one that is bound.
    assert {each.address for each in expected.values()} <= kept
    assert about_the_same([each for each in found if each.address in expected], expected.values())
    assert len({each.key for each in found if each.key}) == sum(1 for each in found if each.key)


def test_a_client_that_moves_on_has_one_address(tmp_path: Path) -> None:
    """The order in which rows are written is that of their last change, or the older one would delete the newer."""
    until = time.monotonic() + 100.0
    save(tmp_path, [bound(9, key(1), until), bound(7, key(2), until), free(7, key(2)), bound(9, key(2), until)])
    assert about_the_same(restored(tmp_path), [bound(9, key(2), until)])


def test_groups_come_and_go(tmp_path: Path) -> None:
    save(tmp_path, [], GROUPS)
    assert remembered_groups(tmp_path) == GROUPS
    with closing(SqliteStore(tmp_path)) as store:
        assert store.groups() == GROUPS
        store.save_groups({"cc" * 32: IPv4Address("239.1.1.3"), "aa" * 32: IPv4Address("239.1.1.9")})
    assert remembered_groups(tmp_path) == {"aa" * 32: IPv4Address("239.1.1.9"), "cc" * 32: IPv4Address("239.1.1.3")}


def test_digests_come_and_go(tmp_path: Path) -> None:
    one, two = FileIdentity(1, 2, 3, 1_700_000_000_123_456_789, 5), FileIdentity(2**40, 2**63, 0, -1, 2**62)
    with closing(SqliteStore(tmp_path)) as store:
        assert store.digests() == {}
        store.save_digests({one: "aa" * 32, two: "bb" * 32})
    with closing(SqliteStore(tmp_path)) as store:
        assert store.digests() == {one: "aa" * 32, two: "bb" * 32}
        before = store.ticket()
        store.save_digests({one: "aa" * 32, two: "bb" * 32})
        assert store.ticket() == before, "nothing new is not written"
        store.save_digests({one: "cc" * 32})
    with closing(SqliteStore(tmp_path)) as store:
        assert store.digests() == {one: "cc" * 32}


def test_can_be_looked_at_while_a_server_runs(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path)) as store:
        store.save_groups(GROUPS)
        store.wait()
        before = sorted(path.name for path in tmp_path.iterdir())
        assert remembered_groups(tmp_path) == GROUPS
        assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_one_folder_one_server(tmp_path: Path) -> None:
    with (
        closing(SqliteStore(tmp_path / "a" / "b")),
        pytest.raises(Unavailable, match=r"--state .*a/b: another server uses this folder"),
    ):
        SqliteStore(tmp_path / "a" / "b")
    SqliteStore(tmp_path / "a" / "b").close()


def test_says_which_folder_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match=r"--state .*/file/x: cannot be used .* name another folder"):
        SqliteStore(tmp_path / "file" / "x")
    (tmp_path / "mtftpd.new").mkdir()
    with pytest.raises(Unavailable, match=rf"{NAME} cannot be used .*check its owner"):
        SqliteStore(tmp_path)


# Groups of the version before the database.


def old_file(folder: Path, content: str) -> Path:
    (folder / "groups.json").write_text(content, "latin-1")
    return folder / "groups.json"


def test_takes_over_the_groups_of_the_former_version(tmp_path: Path) -> None:
    file = old_file(tmp_path, json.dumps({"version": 1, "groups": {d: str(g) for d, g in GROUPS.items()}}))
    assert remembered_groups(tmp_path) == GROUPS
    assert file.exists(), "looking changes nothing"
    with closing(SqliteStore(tmp_path)) as store:
        assert store.groups() == GROUPS
    assert not file.exists()
    assert (tmp_path / "groups.json.migrated-1").exists()
    assert remembered_groups(tmp_path) == GROUPS


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"version": 2, "groups": {}}', '{"version": 1, "groups": {"a": "x"}}', '{"version": 1}', "\xff"],
)
def test_an_old_file_that_cannot_be_read_is_put_away(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    old_file(tmp_path, content)
    with pytest.raises(ValueError, match=r"."):
        remembered_groups(tmp_path)
    assert restored(tmp_path) == ()
    assert "the groups of an older version cannot be read" in caplog.text
    assert (tmp_path / "groups.json.migrated-1").read_text("latin-1") == content


# Versions.


def test_brings_older_tables_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, [], GROUPS)
    more = (*MIGRATIONS, ("CREATE TABLE extra (a TEXT) STRICT", "INSERT INTO extra VALUES ('x')"))
    monkeypatch.setattr("mtftpd.daemon.store.schema.MIGRATIONS", more)
    for module in ("schema", "sqlite"):
        monkeypatch.setattr(f"mtftpd.daemon.store.{module}.VERSION", VERSION + 1)
    for _ in range(2):
        with closing(SqliteStore(tmp_path)) as store:
            assert store.groups() == GROUPS
        with closing(sqlite3.connect(tmp_path / NAME)) as connection:
            assert connection.execute("SELECT * FROM extra").fetchall() == [("x",)]
            assert connection.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)


# What a start costs.


def statements(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what a start asks of the database."""
    asked: list[str] = []
    connect = sqlite._connect

    def traced(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.set_trace_callback(asked.append)
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "_connect", traced)
        with closing(SqliteStore(folder)):
            return list(asked)


def test_a_start_asks_as_much_whatever_it_finds_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SqliteStore(tmp_path)):
        pass
    empty = statements(tmp_path, monkeypatch)
    with closing(SqliteStore(tmp_path)) as store:
        for number in range(1, 500):
            store.save_lease(bound(number, key(number), 1e9))
            store.keep(RunningPass(f"239.1.{number >> 8}.{number & 255}:1799"))
    assert statements(tmp_path, monkeypatch) == empty
    assert not [each for each in empty if each.startswith(("INSERT", "UPDATE", "DELETE"))]


# Damage.


def set_aside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.corrupt-*") if not path.name.endswith(("-wal", "-shm")))


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("PRAGMA application_id = 7", "it is not a database of mtftpd"),
        (f"PRAGMA user_version = {VERSION + 1}", f"its version is {VERSION + 1}, and this mtftpd knows"),
        ("PRAGMA user_version = 0", "its version is 0"),
        ("DROP TABLE leases", "no such table: leases"),
        ("INSERT INTO leases VALUES (1, 'x', NULL, 'free', NULL)", "Expected 4 octets in 'x'"),
        ("INSERT INTO leases VALUES (1, '10.0.0.1', '1/x/00', 'bound', 5.0)", "'1/x/00' is no client"),
        ("INSERT INTO leases VALUES (1, '10.0.0.1', '1/00', 'bound', 9e999)", "10.0.0.1 has no proper time"),
        ("INSERT INTO image_groups VALUES ('aa', '10.0.0.1')", "10.0.0.1 is no multicast group"),
        ("INSERT INTO neighbours VALUES ('eth0', '10.0.0.1', 'x')", "non-hexadecimal number found"),
        ("INSERT INTO digests VALUES ('1 2 x 4 5', 'aa')", "invalid literal for int()"),
        ("INSERT INTO digests VALUES ('1 2', 'aa')", "'1 2' is no file"),
    ],
)
def test_what_is_not_ours_is_set_aside(
    tmp_path: Path, statement: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, [], GROUPS)
    for number in (1, 2):
        with closing(sqlite3.connect(tmp_path / NAME)) as connection, connection:
            connection.execute(statement)
        caplog.clear()
        with closing(SqliteStore(tmp_path)) as store:
            assert (store.leases(), store.groups()) == ((), {})
        (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
        said = dict(record.pairs)  # type: ignore[attr-defined]  # an extra of the journal
        assert reason in said["reason"]
        assert said["kept_as"] == str(tmp_path / f"{NAME}.corrupt-{number}")
        assert set_aside(tmp_path) == [f"{NAME}.corrupt-{each}" for each in range(1, number + 1)]
        with closing(sqlite3.connect(tmp_path / f"{NAME}.corrupt-{number}")) as connection:
            connection.execute("PRAGMA user_version").fetchone()


LEASES = [bound(number, key(number), 1e9 + number) for number in range(1, 400)]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database of 399 leases and two groups."""
    folder = tmp_path_factory.mktemp("good")
    save(folder, LEASES, GROUPS)
    return (folder / NAME).read_bytes()


def starts(folder: Path, content: bytes) -> tuple[Lease, ...]:
    """Start from a file of this content, then from what that start left behind."""
    for path in folder.iterdir():
        path.unlink()
    (folder / NAME).write_bytes(content)
    with closing(SqliteStore(folder)) as store:
        found = store.leases()
        store.save_lease(bound(1000, key(1000), 5e9))
        store.wait()
        assert store.health().degraded == ""
    again = restored(folder)
    assert about_the_same(again[-1:], [bound(1000, key(1000), 5e9)])
    return found


@in_any_folder
@given(data=st.data())
def test_a_file_cut_anywhere_is_set_aside(tmp_path: Path, good: bytes, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(good) - 1))
    assert starts(tmp_path, good[:size]) == ()
    assert set_aside(tmp_path) == [f"{NAME}.corrupt-1"]
    assert (tmp_path / f"{NAME}.corrupt-1").read_bytes() == good[:size]


@in_any_folder
@given(content=st.binary(max_size=300) | st.integers(0, 40_000).map(bytes))
def test_garbage_and_zeros_are_set_aside(tmp_path: Path, content: bytes) -> None:
    assert starts(tmp_path, content) == ()
    assert (tmp_path / f"{NAME}.corrupt-1").read_bytes() == content


@in_any_folder
@given(
    where=st.floats(0.0, 1.0, exclude_max=True).map(lambda part: part**2),
    patch=st.binary(min_size=1, max_size=600) | st.integers(1, 9000).map(bytes),
)
def test_a_file_damaged_anywhere_lets_a_server_start(tmp_path: Path, good: bytes, where: float, patch: bytes) -> None:
    where = int(where * len(good))
    damaged = (good[:where] + patch + good[where + len(patch) :])[: len(good)]
    found = starts(tmp_path, damaged)
    assert len({each.address for each in found}) == len(found) <= len(LEASES)
    assert bool(found) != bool(set_aside(tmp_path))


def test_a_file_whose_header_forbids_writing(tmp_path: Path, good: bytes) -> None:
    assert starts(tmp_path, good[:18] + b"\x65" + good[19:]) == ()
    assert set_aside(tmp_path) == [f"{NAME}.corrupt-1"]


@in_any_folder
@given(data=st.data())
def test_a_log_that_is_damaged_or_from_elsewhere_is_no_obstacle(
    tmp_path: Path, good: bytes, data: st.DataObject
) -> None:
    for path in tmp_path.iterdir():
        path.unlink()
    (tmp_path / NAME).write_bytes(good)
    (tmp_path / f"{NAME}-wal").write_bytes(data.draw(st.binary(max_size=200) | st.integers(0, 9000).map(bytes)))
    assert about_the_same(restored(tmp_path), LEASES) or set_aside(tmp_path)
    with closing(SqliteStore(tmp_path)) as store:
        assert store.health().degraded == ""

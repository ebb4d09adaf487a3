"""Entries of ours: listed before they are set, left alone when they are somebody else's, swept after a crash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import trio

from mtftpd.core.effects import DropArp, StuffArp
from mtftpd.daemon.neighbours import FILE, EntryList, Neighbours, open_neighbours
from mtftpd.net.namespaces import private_network
from mtftpd.net.neighbours import NeighbourTable
from mtftpd.wire.datagram import HardwareAddress

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
def state(tmp_path: Path) -> Iterator[Path]:
    """A namespace with the link ``lan0``, and a state folder."""
    with private_network():
        ip("link", "add", "lan0", "type", "veth", "peer", "name", "far0")
        ip("link", "set", "lan0", "up")
        ip("address", "add", "10.9.0.1/24", "dev", "lan0")
        yield tmp_path / "state"


def opened(state: Path) -> Neighbours:
    neighbours = open_neighbours(state, "lan0")
    assert isinstance(neighbours, Neighbours)
    return neighbours


def killed(neighbours: Neighbours, effects: Iterable[StuffArp | DropArp]) -> None:
    """Have this done by a server that ends before it can undo it."""
    neighbours.apply(effects)
    neighbours._table.close()


def listed(state: Path) -> dict[IPv4Address, bytes]:
    return EntryList(state, "lan0").load()[1]


@system
@needs_root
def test_sets_follows_and_removes(state: Path) -> None:
    neighbours = opened(state)
    steps: tuple[tuple[list[StuffArp | DropArp], dict[IPv4Address, bytes]], ...] = (
        ([stuff(A, ONE), stuff(B, TWO)], {A: ONE, B: TWO}),
        ([stuff(A, TWO), drop(B), drop(C)], {A: TWO}),
        ([stuff(A, TWO)], {A: TWO}),
    )
    for effects, expected in steps:
        neighbours.apply(effects)
        assert permanent() == listed(state) == expected
        assert [neighbours.covers(str(address)) for address in (A, B)] == [A in expected, B in expected]
    neighbours.close()
    assert permanent() == listed(state) == {}


@system
@needs_root
def test_a_renewal_puts_back_what_was_flushed_and_yields_to_what_was_set(state: Path) -> None:
    neighbours = opened(state)
    neighbours.apply([stuff(A, ONE), stuff(B, ONE)])
    ip("neigh", "del", str(A), "dev", "lan0")
    set_by_hand(B, TWO)
    neighbours.apply([stuff(A, ONE), stuff(B, ONE)])
    assert permanent() == {A: ONE, B: TWO}
    neighbours.close()
    assert permanent() == {B: TWO}


@system
@needs_root
def test_what_is_set_by_hand_is_neither_listed_nor_removed(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    set_by_hand(A, ONE)
    neighbours = opened(state)
    neighbours.apply([stuff(A, ONE), stuff(B, ONE)])
    assert listed(state) == {B: ONE}
    assert "neighbour-not-set" in [record.__dict__["event"] for record in caplog.records]
    neighbours.apply([drop(A), drop(B)])
    neighbours.close()
    assert permanent() == {A: ONE}


@system
@needs_root
def test_every_entry_is_listed_before_it_is_set(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put, before = NeighbourTable.put, []

    def put_and_look(table: NeighbourTable, address: IPv4Address, hardware: bytes) -> None:
        before.append(listed(state))
        put(table, address, hardware)

    monkeypatch.setattr(NeighbourTable, "put", put_and_look)
    neighbours = opened(state)
    neighbours.apply([stuff(A, ONE), stuff(B, TWO)])
    assert before == [{A: ONE, B: TWO}] * 2
    neighbours.close()


@system
@needs_root
def test_nothing_is_set_that_cannot_be_listed(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    neighbours = opened(state)
    (state / FILE).unlink()
    (state / FILE).mkdir()
    neighbours.apply([stuff(A, ONE)])
    assert permanent() == {}
    assert f"{FILE} cannot be written" in caplog.text
    (state / FILE).rmdir()
    neighbours.apply([stuff(A, ONE)])
    assert permanent() == {A: ONE}
    (state / FILE).unlink()
    (state / FILE).mkdir()
    neighbours.close()
    assert permanent() == {}


@system
@needs_root
def test_a_start_sweeps_what_is_still_as_it_was_left(state: Path) -> None:
    killed(opened(state), [stuff(A, ONE), stuff(B, ONE), stuff(C, ONE)])
    set_by_hand(B, TWO)
    ip("neigh", "del", str(C), "dev", "lan0")
    neighbours = opened(state)
    assert permanent() == {B: TWO}
    assert listed(state) == {}
    neighbours.close()


@system
@needs_root
def test_the_link_of_the_earlier_run_may_be_another_one_or_gone(state: Path) -> None:
    ip("link", "set", "far0", "up")
    neighbours = open_neighbours(state, "far0")
    assert isinstance(neighbours, Neighbours)
    killed(neighbours, [stuff(A, ONE)])
    opened(state).close()
    assert "10.9.0.7" not in ip("neigh", "show", "nud", "permanent")
    EntryList(state, "gone0").save({A: ONE})
    opened(state).close()
    assert listed(state) == {}


@system
@needs_root
async def test_what_is_wanted_is_done_by_and_by_and_the_last_word_counts(state: Path) -> None:
    neighbours = opened(state)
    for effect in (stuff(A, ONE), stuff(B, ONE), stuff(A, TWO), drop(B)):
        neighbours.want(effect)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(neighbours.run)
            while permanent() != {A: TWO}:  # noqa: ASYNC110 - the kernel has no event
                await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
    neighbours.close()
    assert permanent() == {}


@system
@needs_root
def test_without_the_right_to_do_it_the_reason_is_given(state: Path) -> None:
    ask = "import sys; from mtftpd.net.neighbours import NeighbourTable; print(NeighbourTable(1).reason)"
    command = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--", sys.executable, "-c", ask]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "CAP_NET_ADMIN is missing\n"


def test_without_a_state_folder_there_are_none() -> None:
    assert open_neighbours(None, "lo") == "there is no --state folder to list them in"


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"version":2,"interface":"a","entries":{}}',
        '{"version":1,"interface":"a","entries":{"10.9.0.7":"x"}}',
        '{"version":1,"interface":"a","entries":{"10.9.0":"02"}}',
    ],
)
def test_a_corrupt_list_is_set_aside(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).write_text(content)
    entries = EntryList(tmp_path, "eth0")
    assert entries.load() == ("eth0", {})
    assert "ip neighbour show nud permanent" in caplog.text
    assert (tmp_path / f"{FILE}.corrupt-1").read_text() == content
    entries.save({A: ONE})
    assert entries.load() == ("eth0", {A: ONE})

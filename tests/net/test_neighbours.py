"""The neighbour table of a namespace of our own, set by us and looked at with ``ip``."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from mtftpd.net.namespaces import private_network
from mtftpd.net.neighbours import NeighbourTable, uses_arp
from mtftpd.wire.netlink import NeighbourState

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

A, B = IPv4Address("10.9.0.7"), IPv4Address("10.9.0.8")
ONE, TWO = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")


def ip(*argv: str) -> str:
    return subprocess.run(["ip", *argv], capture_output=True, text=True, check=True).stdout


def entries() -> dict[str, tuple[str, str]]:
    listed = json.loads(ip("-json", "neigh", "show", "dev", "lan0", "nud", "all") or "[]")
    return {entry["dst"]: (entry.get("lladdr", ""), entry["state"][0]) for entry in listed if ":" not in entry["dst"]}


@pytest.fixture
def table() -> Iterator[NeighbourTable]:
    with private_network():
        ip("link", "add", "lan0", "type", "veth", "peer", "name", "far0")
        ip("link", "set", "far0", "up")
        ip("link", "set", "lan0", "up")
        ip("address", "add", "10.9.0.1/24", "dev", "lan0")
        opened = NeighbourTable(socket.if_nametoindex("lan0"))
        yield opened
        opened.close()


def test_sets_replaces_and_removes(table: NeighbourTable) -> None:
    assert table.available
    assert table.find(A) is None
    table.put(A, ONE)
    assert entries() == {str(A): ("02:00:00:00:00:01", "PERMANENT")}
    found = table.find(A)
    assert found is not None
    assert (found.address, found.hardware, found.state) == (A, ONE, NeighbourState.PERMANENT)
    table.put(A, TWO)
    assert table.holds(A, TWO)
    assert not table.holds(A, ONE)
    assert not table.remove(A, ONE)
    assert table.remove(A, TWO)
    assert not table.remove(A, TWO)
    assert all(state == "FAILED" for _, state in entries().values())


@pytest.mark.parametrize("state", ["permanent", "noarp"])
@pytest.mark.parametrize("over", [True, False])
def test_what_somebody_has_set_is_in_the_way(table: NeighbourTable, state: str, over: bool) -> None:
    ip("neigh", "add", str(A), "lladdr", "02:00:00:00:00:01", "nud", state, "dev", "lan0")
    for hardware in (ONE, TWO):
        assert table.obstacle(A, hardware, over=over) == "somebody else has set an entry"


@pytest.mark.parametrize(
    ("state", "hardware", "over", "free"),
    [
        ("reachable", TWO, True, True),
        ("reachable", TWO, False, False),
        ("reachable", ONE, False, True),
        ("stale", TWO, False, True),
    ],
)
def test_what_the_kernel_found_gives_way_to_a_lease(
    table: NeighbourTable, state: str, hardware: bytes, over: bool, free: bool
) -> None:
    ip("neigh", "add", str(A), "lladdr", "02:00:00:00:00:01", "nud", state, "dev", "lan0")
    assert (table.obstacle(A, hardware, over=over) == "") is free
    assert table.obstacle(B, hardware, over=over) == ""
    table.put(A, hardware)
    assert table.holds(A, hardware)


def test_an_entry_of_another_link_is_another_entry(table: NeighbourTable) -> None:
    ip("neigh", "add", str(A), "lladdr", "02:00:00:00:00:01", "dev", "far0")
    assert table.find(A) is None
    assert not table.remove(A, ONE)


def test_a_link_that_is_gone_is_an_error(table: NeighbourTable) -> None:
    ip("link", "delete", "lan0")
    with pytest.raises(OSError, match="No such device"):
        table.put(A, ONE)


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"])
def test_what_is_no_station_has_no_entry(table: NeighbourTable, address: str) -> None:
    with pytest.raises(OSError, match="no station"):
        table.put(IPv4Address(address), ONE)
    assert entries() == {}


def test_asking_for_the_right_to_set_entries_sets_none(table: NeighbourTable) -> None:
    ip("link", "set", "lo", "up")
    NeighbourTable(socket.if_nametoindex("lo")).close()
    assert ip("neigh", "show", "nud", "permanent") == ""


def test_more_entries_than_the_kernel_would_learn(table: NeighbourTable) -> None:
    """gc_thresh3, 1,024 by default, does not count permanent ones."""
    addresses = [IPv4Address("10.9.0.2") + number for number in range(2000)]
    for address in addresses:
        table.put(address, ONE)
    assert len(entries()) == 2000
    assert sum(table.remove(address, ONE) for address in addresses) == 2000


def test_only_an_ethernet_uses_arp(table: NeighbourTable) -> None:
    ip("link", "set", "far0", "arp", "off")
    assert table.available
    assert [uses_arp(name) for name in ("lan0", "lo", "far0", "gone0")] == [True, False, False, False]

"""Rows of the database as values of the core, and back."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from ipaddress import IPv4Address
from math import inf, isfinite
from socket import AF_INET, inet_pton

from mtftpd.core.addresses.leases import ClientKey, Lease, LeaseState
from mtftpd.core.effects import SaveLease
from mtftpd.daemon.store import Former, OwnedEntry
from mtftpd.daemon.store.memories import read_memories
from mtftpd.daemon.store.timescale import Timescale
from mtftpd.daemon.store.writer import Row
from mtftpd.net.candidates import FileIdentity


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds, read strictly; the times of ``leases`` and of ``former`` are wall time."""

    scale: Timescale | None
    leases: tuple[Lease, ...]
    groups: dict[str, IPv4Address]
    neighbours: tuple[OwnedEntry, ...]
    digests: dict[FileIdentity, str]
    former: Former


def read_contents(connection: sqlite3.Connection) -> Contents:
    """Return everything; ValueError when a value is none that was ever written."""
    clock = connection.execute("SELECT boot, offset, seen FROM clock").fetchone()
    scale = Timescale(*clock) if clock is not None else None
    rows = connection.execute("SELECT address, client, state, expires FROM leases ORDER BY number")
    leases = tuple(_lease(*row) for row in rows)
    entries = connection.execute("SELECT interface, address, hardware FROM neighbours")
    digests = connection.execute("SELECT file, digest FROM digests")
    return Contents(
        scale,
        leases,
        read_groups(connection),
        tuple(OwnedEntry(name, IPv4Address(address), bytes.fromhex(octets)) for name, address, octets in entries),
        {_file(file): digest for file, digest in digests},
        read_memories(connection),
    )


def read_groups(connection: sqlite3.Connection) -> dict[str, IPv4Address]:
    """Return SHA-256 digests with their groups; ValueError when one is no multicast address."""
    groups = {digest: IPv4Address(text) for digest, text in connection.execute("SELECT * FROM image_groups")}
    for group in groups.values():
        if not group.is_multicast:
            raise ValueError(f"{group} is no multicast group")
    return groups


def row_of(lease: SaveLease) -> Row:
    """Return a lease as a row whose time is still on the monotonic clock; one that is free has no time."""
    client = _client_text(lease.key) if lease.key is not None else None
    has_end = lease.state is not LeaseState.FREE and lease.expires != inf
    return str(lease.address), client, lease.state.value, lease.expires if has_end else None


def on_monotonic_clock(lease: Lease, scale: Timescale) -> Lease:
    """Return a lease that was read with its time moved from the wall clock."""
    expires = 0.0 if lease.state is LeaseState.FREE else lease.expires - scale.offset
    return Lease(lease.key, lease.address, lease.state, expires)


def _file(text: str) -> FileIdentity:
    numbers = tuple(map(int, text.split()))
    if len(numbers) != len(FileIdentity._fields):
        raise ValueError(f"{text!r} is no file")
    return FileIdentity(*numbers)


def _lease(address: str, client: str | None, state: str, expires: float | None) -> Lease:
    if expires is not None and not isfinite(expires):
        raise ValueError(f"{address} has no proper time")
    key = _client(client) if client is not None else None
    return Lease(key, _address(address), LeaseState(state), inf if expires is None else expires)


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(inet_pton(AF_INET, text))  # A third of the time, 20,000 times at a start.
    except OSError:
        return IPv4Address(text)


def _client_text(key: ClientKey) -> str:
    return f"{key.htype}/{'id/' if key.is_identifier else ''}{key.octets.hex()}"


def _client(text: str) -> ClientKey:
    htype, *middle, octets = text.split("/")
    if middle not in ([], ["id"]):
        raise ValueError(f"{text!r} is no client")
    return ClientKey(int(htype), bytes.fromhex(octets), is_identifier=bool(middle))

"""Short ways to name addresses and clients of one small network, and to ask its lease table for them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from mtftpd.core.addresses.leases import ClientKey, LeaseTable
from mtftpd.core.addresses.pool import Pool

NETWORK = IPv4Network("10.0.0.0/24")


def address(last: int) -> IPv4Address:
    return NETWORK.network_address + last


def key(number: int) -> ClientKey:
    return ClientKey(1, bytes((2, 0, 0, 0, 0, number)))


def pool(first: int = 100, last: int = 103, excluded: frozenset[IPv4Address] = frozenset()) -> Pool:
    return Pool(NETWORK, address(first), address(last), excluded)


def offered(table: LeaseTable, number: int, now: float = 0.0, wanted: IPv4Address | None = None) -> IPv4Address | None:
    lease = table.reserve(key(number), wanted, now)
    return None if lease is None else lease.address


def bound(table: LeaseTable, number: int, last: int, now: float = 0.0, until: float = 3600.0) -> bool:
    return table.bind(key(number), address(last), until, now) is not None

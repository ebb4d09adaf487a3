"""Which boot file each node was told of, by its address: for requests that lost the name (quirk Q02)."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv4Address
from typing import TypeVar

from mtftpd.core.addresses.leases import ClientKey

MAX_REMEMBERED = 16_384
"""Entries of each of the two tables, the oldest go first: 2 * 16,384 * about 300 bytes is 10 MB."""

K = TypeVar("K", str, ClientKey)


class OfferedFiles:
    """The TFTP name of the boot file of each address, and of clients whose address another server gives out."""

    def __init__(self) -> None:
        self._by_address: OrderedDict[str, str] = OrderedDict()
        self._by_client: OrderedDict[ClientKey, str] = OrderedDict()

    def promise(self, key: ClientKey, name: str) -> None:
        """Remember that ``key``, whose address is not known yet, was offered ``name``."""
        _remember(self._by_client, key, name)

    def locate(self, key: ClientKey, address: IPv4Address) -> None:
        """Take note that ``key`` is getting ``address`` (from whomever)."""
        if int(address) and key in self._by_client:
            self.tell(str(address), self._by_client[key])

    def tell(self, address: str, name: str) -> None:
        """Remember that the node at ``address`` was offered ``name``."""
        _remember(self._by_address, address, name)

    def at(self, address: str) -> str | None:
        """Return the file that the node at ``address`` was offered."""
        return self._by_address.get(address)


def _remember(table: OrderedDict[K, str], key: K, name: str) -> None:
    table[key] = name
    table.move_to_end(key)
    if len(table) > MAX_REMEMBERED:
        table.popitem(last=False)

"""Which of some networks an address is in."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Generic, TypeVar

T = TypeVar("T")


class NetworkMap(Generic[T]):
    """Networks, none of which overlaps another, and what belongs to each; finding one costs O(log n)."""

    def __init__(self, values: Mapping[IPv4Network, T]) -> None:
        self._networks = sorted(values, key=lambda network: network.network_address)
        self._starts = [int(network.network_address) for network in self._networks]
        self._values = [values[network] for network in self._networks]

    def find(self, address: IPv4Address) -> T | None:
        """Return what belongs to the network that ``address`` is in, or None."""
        number = bisect_right(self._starts, int(address)) - 1
        return self._values[number] if number >= 0 and address in self._networks[number] else None

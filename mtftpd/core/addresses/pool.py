"""Which addresses of a network may be given to clients."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network


@dataclass(frozen=True, slots=True)
class Pool:
    """The addresses from ``first`` to ``last`` in ``network``, both included, without those in ``excluded``."""

    network: IPv4Network
    first: IPv4Address
    last: IPv4Address
    excluded: frozenset[IPv4Address] = frozenset()

    def __contains__(self, address: IPv4Address) -> bool:
        """Return whether ``address`` may be given to a client."""
        if not self.first <= address <= self.last or address not in self.network or address in self.excluded:
            return False
        if self.network.prefixlen < 24:
            # Some Windows generations cannot use x.x.x.0 and x.x.x.255 in any subnet (quirk Q32).
            return int(address) & 0xFF not in (0, 255)
        return self.network.prefixlen > 30 or address not in (
            self.network.network_address,
            self.network.broadcast_address,
        )

    @property
    def bounds(self) -> tuple[int, int]:
        """The first and the last address as numbers, cut to the network."""
        return (
            max(int(self.first), int(self.network.network_address)),
            min(int(self.last), int(self.network.broadcast_address)),
        )

    @property
    def span(self) -> int:
        """How many addresses there are between the bounds."""
        first, last = self.bounds
        return max(0, last - first + 1)

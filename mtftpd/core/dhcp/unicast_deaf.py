"""Which clients do not seem to hear the OFFERs that are sent to them: they go on asking (quirk Q48)."""

from __future__ import annotations

from collections import OrderedDict

from mtftpd.core.addresses.leases import ClientKey

DEAF_AFTER = 2
"""OFFERs in a row without a REQUEST: one may have been lost, or another server's may have been late."""

MAX_REMEMBERED = 4_096
"""Clients, the one that asked longest ago goes first: 4,096 * about 200 bytes is 800 KB."""


class UnicastDeaf:
    """Counts OFFERs that were not followed by a REQUEST."""

    def __init__(self) -> None:
        self._offers: OrderedDict[ClientKey, int] = OrderedDict()

    def offered(self, key: ClientKey) -> None:
        """Count an OFFER."""
        self._offers[key] = self._offers.get(key, 0) + 1
        self._offers.move_to_end(key)
        if len(self._offers) > MAX_REMEMBERED:
            self._offers.popitem(last=False)

    def requested(self, key: ClientKey) -> None:
        """Take note of a REQUEST: who hears unicast is forgotten, who needed a broadcast needs it again."""
        if not self.is_deaf(key):
            self._offers.pop(key, None)

    def is_deaf(self, key: ClientKey) -> bool:
        """Return whether this client must be answered by broadcast."""
        return self._offers.get(key, 0) >= DEAF_AFTER

"""Who is at which address, as far as DHCP has told us: what is in force for a node holds for its files as well."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from mtftpd.wire.datagram import HardwareAddress

MAX_KNOWN = 16_384
"""Addresses, the one that was heard of longest ago goes first: 16,384 * about 350 bytes is 6 MB."""


class Identity(NamedTuple):
    """What a node is found by in the configuration; ``uuid`` is option 97 without its type octet, or b"".

    ``is_ipxe`` is what runs there now.
    """

    hardware: HardwareAddress
    uuid: bytes = b""
    is_ipxe: bool = False


class Whereabouts:
    """Address -> who has it."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Identity] = OrderedDict()

    def tell(self, address: str, who: Identity) -> None:
        """Remember that ``who`` has ``address``; a system that does not name its UUID any longer is who it was."""
        before = self._known.get(address)
        is_same = before is not None and before.hardware == who.hardware
        self._known[address] = who._replace(uuid=before.uuid) if before and is_same and not who.uuid else who
        self._known.move_to_end(address)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def at(self, address: str) -> Identity | None:
        """Return who has ``address``, or None."""
        return self._known.get(address)

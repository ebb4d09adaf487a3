"""Which group a transfer with option multicast (RFC 2090) has: one for each content and block size, kept nowhere.

The address is a function of both and of the base of the groups, so that a server that starts again sends the same
blocks to the same group, whatever was asked for first.  It is never one that a PXE session has or may get.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Final

from mtftpd.core.groups import WINDOW, aliases
from mtftpd.core.images import MAX_BLOCKS, Image
from mtftpd.core.settings import Catalogue, Settings
from mtftpd.wire.datagram import Endpoint

PORT: Final = 1758
"""RFC 2090: the port registered for the data of option multicast."""
SPAN: Final = 1 << 20
"""Addresses behind those of PXE: that two transfers want the same one is 1 in 10**6, and the later one is unicast."""
SPREAD: Final = 0x9E37_79B1
"""Odd, so that the block sizes of one content have addresses of their own (Knuth's multiplicative hash)."""
_HOP: Final = 0x100
_END: Final = int(IPv4Address("240.0.0.0"))


class OptionGroups:
    """The groups of one configuration; without a base for groups nothing has one."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        multicast = settings.multicast
        bases = [base for base in (multicast.base, *(base for _, base in multicast.bases)) if base is not None]
        self._taken = tuple(range(int(base), int(base) + WINDOW) for base in bases)
        self._bases: dict[int, IPv4Address] = {}
        own = dict(multicast.bases)
        names: dict[str, set[str]] = {image.digest: {image.name} for image in catalogue.images}
        for name, image in catalogue.paths.items():
            names.setdefault(image.digest, set()).add(name)
        for image in catalogue.images:
            known = names[image.digest]
            base = min((own[name] for name in known & own.keys()), default=multicast.base)
            if image.digest and base is not None and not known & multicast.unicast:
                self._bases[image.key] = base

    def of(self, image: Image, block_size: int) -> Endpoint | None:
        """Return the group of ``image`` in blocks of ``block_size`` octets; None when it is not sent that way.

        A listener cannot follow a roll-over, so 65,535 blocks are the most: 89 MiB in blocks of 1,428 octets.
        """
        base = self._bases.get(image.key)
        if base is None or image.blocks(block_size) > MAX_BLOCKS:
            return None
        first = int(base) + WINDOW
        if first + SPAN + _HOP > _END:
            first = int(base) - SPAN - 2 * _HOP
        number = first + ((int(image.digest, 16) ^ block_size * SPREAD) % SPAN)
        if aliases(IPv4Address(number)):
            number += _HOP
        return None if any(number in taken for taken in self._taken) else Endpoint(str(IPv4Address(number)), PORT)

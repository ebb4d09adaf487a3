"""What is wrong with a configuration that is served all the same: alarms that stand as long as it does."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address
from itertools import combinations
from typing import Final

from mtftpd.core.groups import Groups
from mtftpd.core.images import MAX_MTFTP_SIZE
from mtftpd.core.nodes.alarms import AlarmKind, Alarms
from mtftpd.core.settings import Link

LIKE_MULTICAST: Final = 224
"""The last octet from which gPXE before May 2008 sends frames for the server to a multicast address (quirk Q31)."""
_LOW_23_BITS: Final = 0x7F_FFFF
"""What an Ethernet multicast address keeps of a group (RFC 1112 6.4)."""


def stand(alarms: Alarms, link: Link, groups: Groups, busy: Iterable[str], now: float) -> None:
    """Raise and end the alarms of a configuration; ``busy`` are the groups on which anything goes on or may."""
    address = str(link.address)
    is_high = int(link.address) & 0xFF >= LIKE_MULTICAST
    text = f"the last octet of {address} is {LIKE_MULTICAST} or more: gPXE from before May 2008 cannot reach it"
    alarms.stand(AlarmKind.SERVER_ADDRESS, {address: text} if is_high else {}, now)
    large = {image.name: reason for image, reason in groups.refused if image.size > MAX_MTFTP_SIZE}
    alarms.stand(AlarmKind.IMAGE_TOO_LARGE, {name: f"image {name}: {reason}" for name, reason in large.items()}, now)
    alarms.stand(AlarmKind.ALIASING, dict(_aliases(busy)), now)


def _aliases(busy: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Return pairs of groups that one Ethernet address stands for: who listens to one is sent the other as well."""
    addresses = sorted({IPv4Address(group.partition(":")[0]) for group in busy})
    for one, other in combinations(addresses, 2):
        if (int(one) ^ int(other)) & _LOW_23_BITS == 0:
            yield f"{one} {other}", f"groups {one} and {other} have the same Ethernet address while both are in use"

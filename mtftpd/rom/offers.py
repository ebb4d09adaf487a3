"""How a PXE client reads a DHCP reply: what it holds, why it is refused, and which one is taken.

Sources: PXE 2.1 2.2 to 2.4, tables 2-1 and 2-3; the ranking is that of Intel's EFI client, which EDK2 kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from mtftpd.errors import Malformed
from mtftpd.quirks.vocabulary import Mutation
from mtftpd.rom.actions import BROADCAST
from mtftpd.rom.profiles import DhcpProfile, RomPorts
from mtftpd.wire import pxe
from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.pxe import DiscoveryControl, PxeOptions

MAX_OFFERS: Final = 16
"""What Intel's client keeps; 16 x 1,472 octets are 23 KiB."""

_LAST_UNICAST: Final = 223
_ANY: Final = IPv4Address(0)
_NO_METHOD: Final = DiscoveryControl.NO_BROADCAST | DiscoveryControl.NO_MULTICAST


class Refusal(Enum):
    """Why a reply is not an offer for this client."""

    NO_SERVER = "no option 54"
    NO_ADDRESS = "neither an address nor PXEClient"
    BAD_ADDRESS = "not a unicast address"
    BAD_OPTION_43 = "option 43 is malformed"
    BARE_MTFTP = "tags 1 to 5 without tag 6"
    NO_DISCOVERY_GROUP = "multicast discovery allowed, but no tag 7"
    NO_SERVER_LIST = "servers only from a list that is not there"
    NO_MENU = "neither a boot file to use nor a menu"
    NO_RENEWAL_TIME = "no option 58"
    NO_CLASS = "no option 60"
    NO_UUID = "no option 97"
    NO_DISCOVERY_CONTROL = "no tag 6"
    DISCOVERY_CONTROL = "tag 6"
    UNENDED_NAME = "option 67 without a NUL"
    MTFTP = "tags 1 to 5"


class Kind(Enum):
    """What an offer says about booting."""

    COMPLETE = "complete"
    MENU = "menu"
    INCOMPLETE = "ask-4011"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Offer:
    """A reply that can be used; ``pxe`` is None unless it speaks PXE and has option 43."""

    kind: Kind
    server: IPv4Address
    message: DhcpMessage
    boot_file: bytes
    pxe: PxeOptions | None = None

    @property
    def is_proxy(self) -> bool:
        """Whether it comes from a proxy, which gives out no address."""
        return self.message.yiaddr == _ANY


class Choice(NamedTuple):
    """The offer that the address is requested of, and a proxy's offer that the boot file comes from, if any."""

    address: Offer
    proxy: Offer | None


def judge(message: DhcpMessage, profile: DhcpProfile) -> Offer | Refusal:
    """Return what a reply with a message type offers, or why it is refused."""
    options = message.options
    server = options.address(54)
    if server is None:
        return Refusal.NO_SERVER
    if message.yiaddr.packed[0] > _LAST_UNICAST:
        return Refusal.BAD_ADDRESS
    missing = _missing(message, profile)
    if missing is not None:
        return missing
    # The class is compared with case and without a NUL (PXE 2.1 table 2-1).
    own = b"HW-Client" if Mutation.OWN_CLASS in profile.faults else b"PXEClient"
    if Mutation.NUL_STRINGS in profile.faults and not options.get(67, b"\0").endswith(b"\0"):
        return Refusal.UNENDED_NAME
    if not options.get(60, b"").startswith(own):
        if message.yiaddr == _ANY:
            return Refusal.NO_ADDRESS
        return Offer(Kind.PLAIN, server, message, boot_file(message, profile))
    if 43 not in options and Mutation.NEED_43_6 in profile.faults:
        return Refusal.NO_DISCOVERY_CONTROL
    if 43 not in options:
        return Offer(Kind.INCOMPLETE, server, message, boot_file(message, profile))
    try:
        tags = pxe.parse_untrusted(options[43])
    except Malformed:
        return Refusal.BAD_OPTION_43
    file = boot_file(message, profile)
    kind = _kind(tags, file, profile)
    return kind if isinstance(kind, Refusal) else Offer(kind, server, message, file, tags)


def _missing(message: DhcpMessage, profile: DhcpProfile) -> Refusal | None:
    """Return what a particular ROM misses in a reply that others take."""
    if message.yiaddr == _ANY:
        return None
    return next((why for fault, code, why in _NEEDED if fault in profile.faults and code not in message.options), None)


_NEEDED: Final = (
    (Mutation.NEED_58, 58, Refusal.NO_RENEWAL_TIME),
    (Mutation.NEED_60, 60, Refusal.NO_CLASS),
    (Mutation.NEED_97, 97, Refusal.NO_UUID),
)


def boot_file(message: DhcpMessage, profile: DhcpProfile) -> bytes:
    """Return the name of the boot file: option 67 wins over the field (PXE 2.1 2.2.3), up to its first NUL."""
    only_option = Mutation.ONLY_67 in profile.faults
    return message.options.get(67, b"" if only_option else message.file).split(b"\0", 1)[0]


def _kind(tags: PxeOptions, file: bytes, profile: DhcpProfile) -> Kind | Refusal:
    control = tags.discovery_control
    if tags.mtftp is not None and Mutation.REJECT_43_1_5 in profile.faults:
        return Refusal.MTFTP
    if control is not None and Mutation.IGNORE_TAG_6 in profile.faults:
        return Refusal.DISCOVERY_CONTROL
    if control is None and Mutation.NEED_43_6 in profile.faults:
        return Refusal.NO_DISCOVERY_CONTROL
    if control is None:
        if tags.mtftp is None or not file:
            return Kind.INCOMPLETE
        return Refusal.BARE_MTFTP if profile.refuses_bare_mtftp else Kind.COMPLETE
    allows_multicast = not control & DiscoveryControl.NO_MULTICAST
    if profile.wants_discovery_group and allows_multicast and tags.discovery_group is None:
        return Refusal.NO_DISCOVERY_GROUP
    only_listed = control & _NO_METHOD == _NO_METHOD or control & DiscoveryControl.LISTED_SERVERS_ONLY
    if only_listed and not tags.boot_servers:
        return Refusal.NO_SERVER_LIST
    if control & DiscoveryControl.USE_BOOT_FILE:
        return Kind.COMPLETE if file else Kind.INCOMPLETE
    return Kind.MENU if tags.menu and tags.prompt is not None else Refusal.NO_MENU


def select(offers: Sequence[Offer], *, patient: bool, loads: bool = True) -> Choice | None:
    """Return the best choice among ``offers``, or None when something better may come.

    A plain offer is enough only for a client that is no longer ``patient``, and with a boot file for who ``loads`` it.
    """
    with_address = [offer for offer in offers if not offer.is_proxy]
    proxies = [offer for offer in offers if offer.is_proxy]
    for kind in (Kind.COMPLETE, Kind.MENU):
        for offer in with_address:
            if offer.kind is kind:
                return Choice(offer, None)
    plain = next((offer for offer in with_address if offer.kind is Kind.PLAIN), None)
    if plain and proxies:
        ranked = sorted(proxies, key=lambda offer: list(Kind).index(offer.kind))
        return Choice(plain, ranked[0])
    incomplete = next((offer for offer in with_address if offer.kind is Kind.INCOMPLETE), None)
    if incomplete:
        return Choice(incomplete, None)
    if plain and (plain.boot_file or not loads) and not patient:
        return Choice(plain, None)
    return None


def boot_servers(tags: PxeOptions, boot_type: int, ports: RomPorts) -> tuple[Endpoint, ...]:
    """Return where a boot server of ``boot_type`` is asked for: by multicast, by broadcast, then each in the list."""
    control = tags.discovery_control or 0
    targets = []
    if not control & DiscoveryControl.NO_MULTICAST:
        targets.append(Endpoint(str(tags.discovery_group), ports.pxe))
    if not control & DiscoveryControl.NO_BROADCAST:
        targets.append(Endpoint(BROADCAST, ports.dhcp_server))
    for servers in tags.boot_servers:
        if servers.type == boot_type:
            targets += [Endpoint(str(address), ports.pxe) for address in servers.addresses]
    return tuple(targets)

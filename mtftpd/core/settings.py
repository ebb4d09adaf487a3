"""What the core must know of its configuration: frozen values, validated before they get here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Network

from mtftpd.core.images import Image
from mtftpd.core.link.wire_time import LINKS, LinkKind
from mtftpd.core.networks import NetworkMap
from mtftpd.core.node_settings import ANYBODY, NO_BOOT, NO_NODES, Boot, Inventory, NodeSettings, Subnet, Terms
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.datagram import HardwareAddress

MAX_FOUND = 16_384
"""Settings of single nodes that are kept: 16,384 * about 600 bytes is 10 MB; more are found again and again."""


class Mode(Enum):
    """Who gives out addresses: we do, another DHCP server does, or DHCP is none of our business."""

    DHCP = "dhcp"
    PROXY = "proxy"
    TFTP = "tftp"


@dataclass(frozen=True, slots=True)
class Link:
    """The interface that is served; ``address`` is the one address that every packet of ours comes from.

    ``speed`` is what the interface reports, in bit/s; 0 when it does not know.
    """

    name: str
    index: int
    address: IPv4Address
    network: IPv4Network
    mtu: int = 1500
    speed: float = 0.0
    half_duplex: bool = False


@dataclass(frozen=True, slots=True)
class Ports:
    """UDP ports; only the demo and tests ever change those that clients have compiled in."""

    dhcp_server: int = 67
    dhcp_client: int = 68
    pxe: int = 4011
    tftp: int = 69
    mtftp_server: int = 1542
    mtftp_client: int = 1799
    mtftp_ipxe: int = 1759


@dataclass(frozen=True, slots=True)
class Addressing:
    """The DHCP side of `Mode.DHCP`; times in seconds."""

    first: IPv4Address | None = None
    last: IPv4Address | None = None
    router: IPv4Address | None = None
    lease_seconds: int = 12 * 3600
    serve_all: bool = False
    dns: tuple[IPv4Address, ...] = ()
    ntp: tuple[IPv4Address, ...] = ()
    domain: str = ""


@dataclass(frozen=True, slots=True)
class Multicast:
    """Groups: ``base`` is the address of the first image, the others follow; ``seconds`` is T4 = T5 on the wire.

    ``bases`` are those of single images, by their names, where each content of such an image gets the next address;
    ``unicast`` are the names of images that get no group; ``paces`` say how fast blocks of an image may leave that
    nobody acknowledges, in bit/s on the wire, 0 for no limit: all who listen to it are known to keep up.
    """

    base: IPv4Address | None = None
    seconds: int = 2
    ttl: int = 1
    bases: tuple[tuple[str, IPv4Address], ...] = ()
    unicast: frozenset[str] = frozenset()
    paces: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """What may be sent: ``rate`` in bit/s on the wire (0: no limit), on the kind of ``link`` that the nodes are on.

    ``weights`` are those of images, by name, where several are sent at once; who is not named has 1.
    """

    rate: float = 0.0
    link: LinkKind = LINKS["switch-1g"]
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration of a `mtftpd.core.service.BootService`."""

    link: Link
    mode: Mode = Mode.PROXY
    ports: Ports = Ports()
    boot: Boot = NO_BOOT
    addressing: Addressing = Addressing()
    multicast: Multicast = Multicast()
    bandwidth: Bandwidth = Bandwidth()
    allowed: tuple[IPv4Network, ...] = ()
    rollover: int = 0
    faithful: bool = True
    without: frozenset[ServerAction] = frozenset()
    """Work-arounds that are left out, to see what a client does then; a node may have it another way (`node`)."""
    subnets: tuple[Subnet, ...] = ()
    """Networks with a section of their own, none of which overlaps another; the link's need not be one of them."""
    inventory: Inventory = NO_NODES
    _by_network: NetworkMap[Subnet] = field(init=False, repr=False, compare=False)
    _outside: NodeSettings = field(init=False, repr=False, compare=False)
    """What is in force for who is in no subnet with a section and has none of his own."""
    _found: dict[tuple[int, int], NodeSettings] = field(init=False, repr=False, compare=False)
    """What `node` has found, by the identities of entry and subnet, which live as long as these settings."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_network", NetworkMap({each.network: each for each in self.subnets}))
        object.__setattr__(self, "_outside", self._everybody(None))
        object.__setattr__(self, "_found", {})

    def does(self, action: ServerAction) -> bool:
        """Return whether a work-around is in force for those who have no section."""
        return not self.without or action not in self.without

    def node(self, hardware: HardwareAddress, uuid: bytes = b"", subnet: Subnet | None = None) -> NodeSettings:
        """Return what is in force for a client: in its own section, its group's, that of ``subnet`` and for everybody.

        ``uuid`` is the value of option 97 without its type octet, or b"".
        """
        entry = self.inventory.find(hardware, uuid)
        if entry is ANYBODY and subnet is None:
            return self._outside
        key = (id(entry), id(subnet))
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= MAX_FOUND:
                self._found.clear()
            found = self._found[key] = self._everybody(subnet).of(entry)
        return found

    def subnet_of(self, address: IPv4Address) -> Subnet | None:
        """Return the subnet with a section that ``address`` is in, or None."""
        return self._by_network.find(address)

    def boots(self) -> frozenset[Boot]:
        """Return everything that is booted somewhere, in so far as one section alone decides it."""
        scopes = {each.scope for each in self.subnets}
        scopes |= {scope for entry in self.inventory.entries for scope in (entry.group, entry.own)}
        return frozenset({self.boot, *(self.boot.within(scope) for scope in scopes)})

    def _everybody(self, subnet: Subnet | None) -> NodeSettings:
        given, router = self.addressing, self.addressing.router
        if subnet is not None and router is not None and router not in subnet.network:
            router = None  # A router serves the network that it is in.
        terms = Terms(given.lease_seconds, router, given.dns, given.ntp, given.domain)
        settings = NodeSettings(boot=self.boot, terms=terms, without=self.without)
        return settings if subnet is None else settings.within(subnet.scope)

    def serves(self, address: str) -> bool:
        """Return whether this address may be sent anything at all: on the link, in a subnet, or allowed by name.

        What is not in a packet's own network cannot be used to aim our answers at a stranger (no amplifier).
        """
        number = IPv4Address(address)
        if number in self.link.network or self._by_network.find(number) is not None:
            return True
        return any(number in network for network in self.allowed)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The images that have a name of their own; ``paths`` maps every name and path that a client may ask for."""

    images: tuple[Image, ...] = ()
    paths: dict[str, Image] = field(default_factory=dict)

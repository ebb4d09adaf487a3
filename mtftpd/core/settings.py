"""What the core must know of its configuration: frozen values, validated before they get here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Network

from mtftpd.core.images import Image
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.datagram import HardwareAddress


class Mode(Enum):
    """Who gives out addresses: we do, another DHCP server does, or DHCP is none of our business."""

    DHCP = "dhcp"
    PROXY = "proxy"
    TFTP = "tftp"


@dataclass(frozen=True, slots=True)
class Link:
    """The interface that is served; ``address`` is the one address that every packet of ours comes from."""

    name: str
    index: int
    address: IPv4Address
    network: IPv4Network
    mtu: int = 1500


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
class MenuItem:
    """One line of the PXE boot menu: a boot server type (0 is local boot), its text and the file that it boots."""

    type: int
    text: str
    boot_file: str = ""


@dataclass(frozen=True, slots=True)
class Menu:
    """The PXE boot menu (tags 8, 9, 10); ``timeout`` in seconds, 0 takes the first item, 255 waits for ever."""

    items: tuple[MenuItem, ...]
    prompt: str = "Press F8 for the boot menu"
    timeout: int = 10


@dataclass(frozen=True, slots=True)
class Boot:
    """What clients boot.

    ``default`` is a name, a path or a URI; ``by_architecture`` overrides it for values of option 93.  A URI is for
    iPXE alone: whoever cannot read it is given the path in it.
    """

    default: str = ""
    by_architecture: tuple[tuple[int, str], ...] = ()
    menu: Menu | None = None


@dataclass(frozen=True, slots=True)
class Addressing:
    """The DHCP side of `Mode.DHCP`; times in seconds."""

    first: IPv4Address | None = None
    last: IPv4Address | None = None
    router: IPv4Address | None = None
    lease_seconds: int = 12 * 3600
    serve_all: bool = False


@dataclass(frozen=True, slots=True)
class Multicast:
    """Groups: ``base`` is the address of the first image, the others follow; ``seconds`` is T4 = T5 on the wire."""

    base: IPv4Address | None = None
    seconds: int = 2
    ttl: int = 1


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration of a `mtftpd.core.service.BootService`."""

    link: Link
    mode: Mode = Mode.PROXY
    ports: Ports = Ports()
    boot: Boot = Boot()
    addressing: Addressing = Addressing()
    multicast: Multicast = Multicast()
    allowed: tuple[IPv4Network, ...] = ()
    rollover: int = 0
    faithful: bool = True
    roms: Mapping[HardwareAddress, str] = field(default_factory=dict)
    """Profiles of `mtftpd.quirks.profiles` that the operator knows better, by hardware address."""
    without: frozenset[ServerAction] = frozenset()
    """Work-arounds that are left out, to see what a client does then; the one switch that every one of them obeys."""

    def does(self, action: ServerAction) -> bool:
        """Return whether a work-around is in force."""
        return action not in self.without

    def serves(self, address: str) -> bool:
        """Return whether this address may be sent anything at all: on the link, or allowed by name.

        What is not in a packet's own network cannot be used to aim our answers at a stranger (no amplifier).
        """
        number = IPv4Address(address)
        return number in self.link.network or any(number in network for network in self.allowed)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The images that have a name of their own; ``paths`` maps every name and path that a client may ask for."""

    images: tuple[Image, ...] = ()
    paths: dict[str, Image] = field(default_factory=dict)

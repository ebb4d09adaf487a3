"""Which image is sent to which group: the table that DHCP answers and MTFTP sessions must agree on.

DATA carries no file name, so a listener takes whatever arrives on its group for the file it wants (PXE 2.1 section
2.4.10): one content, one group, for ever.  Addresses follow from the content and the base alone, are kept over reload
and restart, and are not given to another content while anybody can remember the old one.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from math import inf
from urllib.parse import unquote

from mtftpd.core.effects import Service
from mtftpd.core.images import MAX_MTFTP_SIZE, Image
from mtftpd.core.settings import Catalogue, Settings
from mtftpd.errors import BadConfig
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.mtftp import IPXE_GROUP

WINDOW = 65_536
"""Addresses counted from the base: a new image every hour for seven years; at ~200 bytes each, 13 MB when full."""

UNICAST_ONLY = "the configuration says multicast = false"
"""The reason of an image that has no group because nobody wants it to have one."""

IPXE_SECONDS = 1
"""iPXE reads no timer tags and leaves a group that is silent for 0.25 s; the least value that tags 4 and 5 allow."""

_LOW_23_BITS = 0x7F_FFFF
"""What an Ethernet multicast address keeps of a group (RFC 1112 section 6.4)."""
_LOCAL_CONTROL = 0x100
"""224.0.0.0/24 is flooded everywhere and never forwarded (RFC 5771 section 4); so is what aliases it."""
_IPXE_ADDRESS = IPv4Address(IPXE_GROUP.address)


@dataclass(frozen=True, slots=True)
class Binding:
    """One image on one group.

    ``names`` are all names that an open may give for it, ``group`` is the address and the client port, ``server_port``
    the port of ``socket``, which everything is sent from; ``seconds`` is T, the value of tags 4 and 5.  ``without``
    are the work-arounds that are left out, one of them that DATA leaves from ``socket`` (`data_socket`).  ``pace`` is
    what an operator says of a pass that nobody acknowledges, in bit/s on the wire, 0 for no limit; None: nothing.
    """

    image: Image
    names: frozenset[str]
    group: Endpoint
    server_port: int
    socket: int
    seconds: int
    without: frozenset[ServerAction] = frozenset()
    pace: float | None = None
    data_socket: int = field(init=False)

    def __post_init__(self) -> None:
        leaves_from = Service.TFTP if ServerAction.DATA_FROM_SPORT in self.without else self.socket
        object.__setattr__(self, "data_socket", leaves_from)


class Groups:
    """All bindings of one configuration; raises `BadConfig` for a base address that cannot carry groups.

    ``known`` maps SHA-256 digests to the addresses that a former run gave them (its `assignments`).
    """

    def __init__(
        self, settings: Settings, catalogue: Catalogue, known: Mapping[str, IPv4Address] | None = None
    ) -> None:
        self._owners: dict[IPv4Address, str] = {}
        for digest, address in (known or {}).items():
            self._owners.setdefault(address, digest)
        self._assigned = {digest: address for address, digest in self._owners.items()}
        self._bind(settings, catalogue)

    def reconfigured(self, settings: Settings, catalogue: Catalogue) -> Groups:
        """Return the table for another configuration: contents keep their groups; this table does not change."""
        table = copy(self)
        table._owners = dict(self._owners)
        table._assigned = dict(self._assigned)
        table._bind(settings, catalogue)
        return table

    def assignments(self) -> dict[str, IPv4Address]:
        """Return digest -> group address of every content that ever had one, to be kept for the next run."""
        return dict(self._assigned)

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """All bindings in the order of the catalogue, then the one of iPXE if it has its own socket.

        Those of images with a base of their own come before the others.
        """
        own = tuple(self._own.values())
        return own if self._ipxe is None or self._ipxe in own else (*own, self._ipxe)

    @property
    def ipxe(self) -> Binding | None:
        """The group that is compiled into iPXE, bound to the image that the default boot file names."""
        return self._ipxe

    @property
    def refused(self) -> tuple[tuple[Image, str], ...]:
        """The images that would have a group, and why they have none."""
        return tuple(self._refused)

    def for_image(self, image: Image) -> Binding | None:
        """Return the own group of an image: by content, so that a copy under another name shares it."""
        return self._own.get(image.digest)

    def for_request(self, socket: int, name: str) -> Binding | None:
        """Return what an open for ``name`` (normalised) that came in on ``socket`` is about."""
        return self._by_request.get((socket, name))

    def _bind(self, settings: Settings, catalogue: Catalogue) -> None:
        base = settings.multicast.base
        shares_port = settings.ports.mtftp_server == settings.ports.mtftp_ipxe
        # With iPXE's own ports as ours the first group can be the one of iPXE: then both kinds of client share it.
        is_ipxe_group = shares_port and settings.ports.mtftp_client == IPXE_GROUP.port and base == _IPXE_ADDRESS
        if base is not None:
            _check_base(base, is_ipxe_group)
        bases = dict(settings.multicast.bases)
        for own_base in bases.values():
            _check_base(own_base, False)
        self._own: dict[str, Binding] = {}
        self._ipxe: Binding | None = None
        self._by_request: dict[tuple[int, str], Binding] = {}
        boot = boot_image(settings, catalogue)
        names = _names(catalogue)
        wanted = catalogue.images if base is not None or bases else () if boot is None else (boot,)
        contents: dict[str, Image] = {}
        for image in wanted:
            contents.setdefault(image.digest, image)
        unicast = settings.multicast.unicast
        self._refused = [
            (image, reason)
            for image in contents.values()
            if (reason := UNICAST_ONLY if names[image.digest] & unicast else _refusal(image))
        ]
        refused = {image.digest for image, _ in self._refused}
        served = [image for image in contents.values() if image.digest not in refused]
        own_bases = {image.digest: _own_base(names[image.digest], bases) for image in served}
        # Whoever has an address of his own comes first, so that counting from the base of all does not take it.
        for image in sorted(served, key=lambda each: own_bases[each.digest] is None):
            start = own_bases[image.digest] or base
            if start is not None:
                self._bind_own(settings, start, image, names[image.digest])
        if boot is None or boot.digest in refused:
            return
        if not shares_port:
            port = settings.ports.mtftp_ipxe
            self._ipxe = self._add(
                Binding(boot, names[boot.digest], IPXE_GROUP, port, Service.MTFTP_IPXE, IPXE_SECONDS)
            )
        elif (own := self._own.get(boot.digest)) is not None and own.group == IPXE_GROUP:
            self._ipxe = own

    def _bind_own(self, settings: Settings, base: IPv4Address, image: Image, names: frozenset[str]) -> None:
        address = self._address(image.digest, base)
        if address is None:
            self._refused.append((image, f"none of the {WINDOW} groups from {base} is left: choose another base"))
            return
        ports, seconds = settings.ports, settings.multicast.seconds
        group = Endpoint(str(address), ports.mtftp_client)
        self._own[image.digest] = self._add(
            Binding(
                image,
                names,
                group,
                ports.mtftp_server,
                Service.MTFTP,
                seconds,
                settings.without,
                _slowest(names, dict(settings.multicast.paces)),
            )
        )

    def _add(self, binding: Binding) -> Binding:
        for name in binding.names:
            self._by_request[binding.socket, name] = binding
        return binding

    def _address(self, digest: str, base: IPv4Address) -> IPv4Address | None:
        """Return the address of a content: the one that it has had, or the first that nobody ever had."""
        last = min(int(base) + WINDOW, int(IPv4Address("240.0.0.0"))) - 1
        had = [address for address, owner in self._owners.items() if owner == digest]
        for address in had:
            if base <= address and int(address) <= last:
                self._assigned[digest] = address
                return address
        for number in range(int(base), last + 1):
            address = IPv4Address(number)
            if address not in self._owners and (address == base or not aliases(address)):
                self._owners[address] = digest
                self._assigned[digest] = address
                return address
        return None


def boot_image(settings: Settings, catalogue: Catalogue) -> Image | None:
    """Return the one image that the default boot file names: by name, by path or as the path of a URI.

    Without a default boot file it is the only image, if there is only one.
    """
    default = settings.boot.default
    if not default:
        return catalogue.images[0] if len(catalogue.images) == 1 else None
    return catalogue.paths.get(path_of(default))


def path_of(boot_file: str) -> str:
    """Return what a client asks for when it is given ``boot_file``: a name or path as it is, of a URI the path."""
    scheme, separator, rest = boot_file.partition("://")
    path = unquote(rest.partition("/")[2]) if separator else scheme
    return path.lstrip("/")


def _names(catalogue: Catalogue) -> dict[str, frozenset[str]]:
    """Return digest -> all names and paths that stand for this content."""
    names: dict[str, set[str]] = {image.digest: set() for image in catalogue.images}
    for name, image in catalogue.paths.items():
        names.setdefault(image.digest, set()).add(name)
    return {digest: frozenset(some) for digest, some in names.items()}


def _own_base(names: frozenset[str], bases: Mapping[str, IPv4Address]) -> IPv4Address | None:
    return min((bases[name] for name in names & bases.keys()), default=None)


def _slowest(names: frozenset[str], paces: Mapping[str, float]) -> float | None:
    """Return the slowest of the paces that are said for one content, None when there is none."""
    return min((paces[name] for name in names & paces.keys()), key=lambda rate: rate or inf, default=None)


def _refusal(image: Image) -> str:
    if image.size > MAX_MTFTP_SIZE:
        return (
            f"{image.size} bytes do not fit the 65535 blocks of 512 bytes that MTFTP can number"
            f" (at most {MAX_MTFTP_SIZE} bytes); it is served by unicast TFTP only"
        )
    if not image.digest:
        return "its content has no digest, so it cannot be told from another"
    return ""


def aliases(address: IPv4Address) -> bool:
    """Return whether frames to this group have an Ethernet address that local control or iPXE's group has too."""
    low = int(address) & _LOW_23_BITS
    return low < _LOCAL_CONTROL or low == int(_IPXE_ADDRESS) & _LOW_23_BITS


def _check_base(base: IPv4Address, is_ipxe_group: bool) -> None:
    advice = "choose one from 239.0.0.0/8, for example 239.1.1.1"
    if not base.is_multicast:
        raise BadConfig(f"--group {base}: not a multicast address; {advice}")
    if int(base) & _LOW_23_BITS < _LOCAL_CONTROL:
        raise BadConfig(
            f"--group {base}: has the Ethernet address of 224.0.0.{int(base) & 0xFF}, which switches send everywhere;"
            f" {advice}"
        )
    if aliases(base) and not is_ipxe_group:
        raise BadConfig(
            f"--group {base}: has the Ethernet address of {_IPXE_ADDRESS}, the group compiled into iPXE; {advice}"
        )

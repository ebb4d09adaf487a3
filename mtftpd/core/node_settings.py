"""What is in force for one node: the values of its own section over those of its group, its subnet and everybody.

A section says only some things; `NodeSettings.within` puts one section over what is around it, from the outside in.
Of boot files the innermost section that names one decides, its file for the architecture before its other one:
a node that is given a boot file boots that file, whatever its group has for its architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.datagram import HardwareAddress

GROUP_ACTIONS: Final = frozenset(
    {
        ServerAction.UNICAST_FIRST,
        ServerAction.WAIT_FOR_ACK_1,
        ServerAction.NEVER_BACK,
        ServerAction.DATA_FROM_SPORT,
        ServerAction.PORTS_PALINDROMIC,
        ServerAction.KEY_BY_CHADDR,
    }
)
"""Work-arounds that no single node can have another way: a pass is for all its listeners, and who a node is comes
before what is in force for it."""


IPXE_STAGE: Final = -1
"""In the place of an architecture: iPXE, which a ROM may have loaded and which must not be given itself (quirk Q59)."""


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

    ``default`` is a name, a path or a URI; ``by_architecture`` overrides it for values of option 93, and with
    `IPXE_STAGE` for any iPXE.  A URI is for iPXE alone: whoever cannot read it is given the path in it.
    """

    default: str = ""
    by_architecture: tuple[tuple[int, str], ...] = ()
    menu: Menu | None = None

    def within(self, scope: Scope) -> Boot:
        """Return what is booted where ``scope`` is in force inside of this."""
        by_architecture = dict(scope.by_architecture)
        if not scope.boot_file:
            by_architecture = {**dict(self.by_architecture), **by_architecture}
        names_none = not scope.boot_file and not scope.by_architecture
        menu = scope.menu or (self.menu if names_none else None)
        return Boot(scope.boot_file or self.default, tuple(by_architecture.items()), menu)


NO_BOOT: Final = Boot()


@dataclass(frozen=True, slots=True)
class Terms:
    """What comes with an address: seconds of the lease, and options 3, 6, 15 and 42."""

    lease_seconds: int = 12 * 3600
    router: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    ntp: tuple[IPv4Address, ...] = ()
    domain: str = ""

    def within(self, scope: Scope) -> Terms:
        """Return the terms where ``scope`` is in force inside of this."""
        return Terms(
            scope.lease_seconds or self.lease_seconds,
            scope.router or self.router,
            scope.dns or self.dns,
            scope.ntp or self.ntp,
            scope.domain or self.domain,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What one section says; an empty value is not said there.

    ``rom`` is the id of a profile of `mtftpd.quirks.profiles`, ``without`` are work-arounds that are left out, and
    ``having`` those that are in force again, and without being asked for.
    """

    boot_file: str = ""
    by_architecture: tuple[tuple[int, str], ...] = ()
    menu: Menu | None = None
    multicast: bool | None = None
    rom: str = ""
    without: frozenset[ServerAction] = frozenset()
    having: frozenset[ServerAction] = frozenset()
    lease_seconds: int = 0
    router: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    ntp: tuple[IPv4Address, ...] = ()
    domain: str = ""


NOTHING_SAID: Final = Scope()


class OtherNics(Enum):
    """What becomes of the interfaces of a node that do not boot; the value is the word in the configuration."""

    SILENT = "silent"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEntry:
    """One node of the configuration, with what its own section and its group say.

    ``hardware`` are all its addresses, ``uuid`` its option 97 without the type octet, in the order of octets that was
    written.  ``address`` is the one that it alone is given.  ``bootable`` is the one of ``hardware`` that boots (None:
    that is learnt), and ``other_nics`` what the others are told.
    """

    name: str = ""
    hardware: tuple[HardwareAddress, ...] = ()
    uuid: bytes = b""
    bootable: HardwareAddress | None = None
    other_nics: OtherNics = OtherNics.HOLD
    address: IPv4Address | None = None
    host_name: str = ""
    group: Scope = NOTHING_SAID
    own: Scope = NOTHING_SAID

    @property
    def owner(self) -> HardwareAddress | None:
        """The interface that has ``address``: the one that boots, or the first; the UUID alone tells none."""
        return self.bootable or next(iter(self.hardware), None)

    def address_of(self, hardware: HardwareAddress) -> IPv4Address | None:
        """Return the address of this interface, None when it has none of its own."""
        return self.address if self.owner in (None, hardware) else None


ANYBODY: Final = NodeEntry()


@dataclass(frozen=True, slots=True)
class Subnet:
    """A network whose clients are served; ``first`` and ``last`` are the ends of its range, if it has one."""

    network: IPv4Network
    first: IPv4Address | None = None
    last: IPv4Address | None = None
    scope: Scope = NOTHING_SAID


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What is in force for one client: `Settings.node` finds it.  ``entry`` is `ANYBODY` for who has no section.

    ``demanded`` are work-arounds that others get only when they have shown that they need them.
    """

    entry: NodeEntry = ANYBODY
    boot: Boot = Boot()
    terms: Terms = Terms()
    rom: str = ""
    without: frozenset[ServerAction] = frozenset()
    demanded: frozenset[ServerAction] = frozenset()
    multicast: bool = True

    def does(self, action: ServerAction) -> bool:
        """Return whether a work-around is in force."""
        return not self.without or action not in self.without

    def within(self, scope: Scope) -> NodeSettings:
        """Return what is in force where ``scope`` is inside of this."""
        if scope is NOTHING_SAID:
            return self
        return NodeSettings(
            self.entry,
            self.boot.within(scope),
            self.terms.within(scope),
            scope.rom or self.rom,
            (self.without - scope.having) | scope.without,
            (self.demanded - scope.without) | scope.having,
            self.multicast if scope.multicast is None else scope.multicast,
        )

    def of(self, entry: NodeEntry) -> NodeSettings:
        """Return what is in force for ``entry`` where this is in force for everybody."""
        return replace(self.within(entry.group).within(entry.own), entry=entry)


@dataclass(frozen=True, slots=True)
class Inventory:
    """The nodes that have a section.  Nobody else may have a hardware address or a UUID that one of them has."""

    entries: tuple[NodeEntry, ...] = ()
    _by_hardware: Mapping[HardwareAddress, NodeEntry] = field(init=False, repr=False, compare=False)
    _by_uuid: Mapping[bytes, NodeEntry] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_hardware = {each: entry for entry in self.entries for each in entry.hardware}
        by_uuid: dict[bytes, NodeEntry] = {}
        for entry in self.entries:
            if entry.uuid:
                # Firmware sends the first three fields in either order of octets (SMBIOS against RFC 4122).
                by_uuid[_swapped(entry.uuid)] = by_uuid[entry.uuid] = entry
        object.__setattr__(self, "_by_hardware", by_hardware)
        object.__setattr__(self, "_by_uuid", by_uuid)

    def find(self, hardware: HardwareAddress, uuid: bytes = b"") -> NodeEntry:
        """Return the node with this hardware address, else the one with this UUID (16 octets), else `ANYBODY`."""
        return self._by_hardware.get(hardware) or (self._by_uuid.get(uuid) if uuid else None) or ANYBODY


NO_NODES: Final = Inventory()


def _swapped(uuid: bytes) -> bytes:
    return uuid[3::-1] + uuid[5:3:-1] + uuid[7:5:-1] + uuid[8:]

"""Who is asking: what a DHCP message says about the program that sent it.

The table of ROMs with their faults is in `mtftpd.quirks`; here it is asked once for each message.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from mtftpd.core import option_codes as code
from mtftpd.core.addresses.leases import MAX_IDENTIFIER, ClientKey
from mtftpd.core.learning.fallback import NodeStage, Trigger
from mtftpd.core.learning.lessons import Firmware
from mtftpd.core.node_settings import NodeSettings
from mtftpd.quirks.evidence import Fingerprint, evidence_by, evidence_of, fingerprint_of
from mtftpd.quirks.matching import MAX_REMEMBERED, OUI_OCTETS, Identification, Step, identify
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.datagram import HardwareAddress
from mtftpd.wire.pxe_identity import IPXE

ETHERNET, ETHERNET_OCTETS = 1, 6

NO_SETTINGS = NodeSettings()

_STANDARD_CLASSES = (b"PXEClient", b"HTTPClient")


class ClientKind(Enum):
    """What a client is, by option 60 and 53; the value is the word in reports."""

    __hash__ = object.__hash__  # A member is equal to itself alone; hashing its name is Python, and costs 0.2 us.

    PXE = "pxe"
    HTTP = "http"
    BOOTP = "bootp"
    OTHER = "other"


class Traits(NamedTuple):
    """What all clients are that send the same options from addresses of the same vendor."""

    kind: ClientKind
    architecture: int
    """The first of option 93, else that of option 60, else 0 (BIOS)."""
    is_ipxe: bool
    rom: Identification
    wants_boot_file: bool
    vendor_class: bytes
    """What option 60 of a reply calls it."""


class Client(NamedTuple):
    """The sender of one message; see `Traits` for those that it shares with others."""

    key: ClientKey
    hardware: HardwareAddress
    kind: ClientKind
    architecture: int
    is_ipxe: bool
    rom: Identification
    wants_boot_file: bool
    vendor_class: bytes
    fingerprint: Fingerprint
    firmware: Firmware
    """What is learnt is kept under this."""
    is_relayed: bool
    settings: NodeSettings = NO_SETTINGS
    """What is in force for it."""
    is_held: bool = False
    """Whether it is one of several interfaces of its machine, and not known to be the one that boots."""
    stage: str = ""
    """The profile by its packets alone, where experience has shown another one."""
    restraint: Trigger | None = None
    """Why it is not told of a group although it may have multicast TFTP."""
    actions: frozenset[ServerAction] = frozenset()
    """What is done for it alone, because of its profile, of what was learnt or of what is suspected."""

    @property
    def boots(self) -> bool:
        """Whether it is in the business of booting from the network."""
        return self.kind is not ClientKind.OTHER

    @property
    def is_ethernet(self) -> bool:
        """Whether it has an Ethernet address that a frame can be sent to."""
        return is_ethernet(self.hardware)

    @property
    def may_be_intel(self) -> bool:
        """Whether it may be a ROM with Intel's base code."""
        return self.kind is ClientKind.PXE and self.rom.profile.multicast and not self.is_ipxe

    @property
    def may_do_mtftp(self) -> bool:
        """Whether it may be told of a multicast group: it may have the code, and is on an Ethernet of ours."""
        return self.why_unicast is None

    @property
    def why_unicast(self) -> Trigger | None:
        """Why it is not told of a group, None when it may be."""
        if self.is_relayed:
            return Trigger.F2
        if not self.is_ethernet:
            return Trigger.F16
        if self.is_ipxe:
            return Trigger.F17
        if not self.may_be_intel:
            return Trigger.F18 if self.rom.step is Step.OVERRIDE else Trigger.F1
        return self.restraint if self.settings.multicast else Trigger.F18

    @property
    def node(self) -> NodeStage:
        """What is known by experience is kept under this."""
        return NodeStage(self.hardware, self.stage or self.rom.profile.id)


def is_ethernet(hardware: HardwareAddress) -> bool:
    """Return whether ``hardware`` is the address of one Ethernet station: no group address and not all zero."""
    octets = hardware.octets
    return hardware.htype == ETHERNET and len(octets) == ETHERNET_OCTETS and not octets[0] & 1 and any(octets)


def recognise(message: DhcpMessage, settings: NodeSettings = NO_SETTINGS, *, by_chaddr: bool = True) -> Client | None:
    """Return what ``message`` says of its sender; None when it has no identity at all (no chaddr, no option 61).

    ``settings`` are what is in force for it; its profile is the one that they name, if they name one.  Without
    ``by_chaddr`` a client is who its option 97 says, which many share (quirk Q53).
    """
    options = message.options
    hardware = message.hardware
    if not by_chaddr and code.MACHINE_IDENTIFIER in options:
        key = ClientKey(hardware.htype, options[code.MACHINE_IDENTIFIER][:MAX_IDENTIFIER], is_identifier=True)
    elif hardware.octets:
        key = ClientKey(hardware.htype, hardware.octets)
    else:
        identifier = options.get(code.CLIENT_IDENTIFIER, b"")[:MAX_IDENTIFIER]
        if not identifier:
            return None
        key = ClientKey(hardware.htype, identifier, is_identifier=True)
    fingerprint = fingerprint_of(message)
    vendor = HardwareAddress(hardware.htype, hardware.octets[:OUI_OCTETS])
    takes_any = settings.does(ServerAction.OWN_CLASS)
    traits = _traits(vendor, fingerprint, IPXE in options, message.message_type is None, takes_any)
    if settings.rom:
        traits = traits._replace(rom=identify(evidence_of(message), {hardware: settings.rom}))
    firmware = Firmware(hardware, fingerprint)
    return Client(key, hardware, *traits, fingerprint, firmware, int(message.giaddr) != 0, settings)


@lru_cache(MAX_REMEMBERED)
def _traits(
    vendor: HardwareAddress, fingerprint: Fingerprint, has_ipxe_options: bool, is_bootp: bool, takes_any: bool
) -> Traits:
    """Return what ``vendor`` (htype and the first octets of chaddr) and the options of a client say.

    ``takes_any`` is whether a PXE client may have a class of its own.
    """
    evidence = evidence_by(vendor, fingerprint, has_ipxe_options)
    said = evidence.client_class
    if is_bootp:
        kind = ClientKind.BOOTP
    elif said is None or (said.prefix not in _STANDARD_CLASSES and not takes_any):
        kind = ClientKind.OTHER
    else:
        kind = ClientKind.PXE if said.kind == "PXEClient" else ClientKind.HTTP
    return Traits(
        kind,
        evidence.architecture or 0,
        evidence.is_ipxe,
        identify(evidence),
        code.BOOT_FILE in fingerprint.parameters,
        said.prefix if said is not None else b"",
    )

"""Who is asking: what a DHCP message says about the program that sent it.

The table of ROMs with their faults is in `mtftpd.quirks`; here it is asked once for each message.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mtftpd.core import option_codes as code
from mtftpd.core.addresses.leases import MAX_IDENTIFIER, ClientKey
from mtftpd.core.learning.fallback import NodeStage, Trigger
from mtftpd.core.learning.lessons import Firmware
from mtftpd.core.node_settings import NodeSettings
from mtftpd.quirks.evidence import Fingerprint, evidence_of
from mtftpd.quirks.matching import Identification, Step, identify
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.datagram import HardwareAddress

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


@dataclass(frozen=True, slots=True)
class Client:
    """The sender of one message; ``architecture`` is the first of option 93, else that of option 60, else 0 (BIOS)."""

    key: ClientKey
    hardware: HardwareAddress
    kind: ClientKind
    architecture: int
    is_ipxe: bool
    rom: Identification
    is_relayed: bool
    wants_boot_file: bool
    fingerprint: Fingerprint
    settings: NodeSettings = NO_SETTINGS
    """What is in force for it."""
    is_held: bool = False
    """Whether it is one of several interfaces of its machine, and not known to be the one that boots."""
    vendor_class: bytes = b"PXEClient"
    """What option 60 of a reply calls it."""
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
    def firmware(self) -> Firmware:
        """What is learnt is kept under this."""
        return Firmware(self.hardware, self.fingerprint)

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
    evidence = evidence_of(message)
    said = evidence.client_class
    if message.message_type is None:
        kind = ClientKind.BOOTP
    elif said is None or (said.prefix not in _STANDARD_CLASSES and not settings.does(ServerAction.OWN_CLASS)):
        kind = ClientKind.OTHER
    else:
        kind = ClientKind.PXE if said.kind == "PXEClient" else ClientKind.HTTP
    parameters = options.get(code.PARAMETER_LIST, b"")
    return Client(
        key=key,
        hardware=hardware,
        kind=kind,
        architecture=evidence.architecture or 0,
        is_ipxe=evidence.is_ipxe,
        rom=identify(evidence, {hardware: settings.rom}),
        fingerprint=evidence.fingerprint,
        is_relayed=int(message.giaddr) != 0,
        wants_boot_file=code.BOOT_FILE in parameters,
        settings=settings,
        vendor_class=said.prefix if said is not None else b"",
    )

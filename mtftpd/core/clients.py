"""Who is asking: what a DHCP message says about the program that sent it.

Only evidence that is in the packet; the table of ROMs with their faults is a floor of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mtftpd.core import option_codes as code
from mtftpd.core.leases import MAX_IDENTIFIER, ClientKey
from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.datagram import HardwareAddress
from mtftpd.wire.pxe import architectures, is_ipxe, parse_client_class

MTFTP_ARCHITECTURES = frozenset({0, 2, 6})
"""BIOS, Itanium and 32-bit EFI: the platforms whose base code may be Intel's, with PXE multicast TFTP in it."""

EDK2_PARAMETERS = bytes(
    (1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67, 97)
) + bytes(range(128, 136))
"""Option 55 of EDK2, which throws an offer with tags 1-5 of option 43 away (quirk Q13)."""

ETHERNET, ETHERNET_OCTETS = 1, 6


class ClientKind(Enum):
    """What a client is, by option 60 and 53; the value is the word in reports."""

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
    is_edk2: bool
    is_relayed: bool
    wants_boot_file: bool

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
        has_platform = self.kind is ClientKind.PXE and self.architecture in MTFTP_ARCHITECTURES
        return has_platform and not (self.is_ipxe or self.is_edk2)

    @property
    def may_do_mtftp(self) -> bool:
        """Whether it may be told of a multicast group: it may have the code, and is on an Ethernet of ours."""
        return self.may_be_intel and self.is_ethernet and not self.is_relayed


def is_ethernet(hardware: HardwareAddress) -> bool:
    """Return whether ``hardware`` is the address of one Ethernet station: no group address and not all zero."""
    octets = hardware.octets
    return hardware.htype == ETHERNET and len(octets) == ETHERNET_OCTETS and not octets[0] & 1 and any(octets)


def recognise(message: DhcpMessage) -> Client | None:
    """Return what ``message`` says of its sender; None when it has no identity at all (no chaddr, no option 61)."""
    options = message.options
    hardware = message.hardware
    if hardware.octets:
        key = ClientKey(hardware.htype, hardware.octets)
    else:
        identifier = options.get(code.CLIENT_IDENTIFIER, b"")[:MAX_IDENTIFIER]
        if not identifier:
            return None
        key = ClientKey(hardware.htype, identifier, is_identifier=True)
    said = parse_client_class(options.get(code.VENDOR_CLASS, b""))
    listed = architectures(options.get(code.ARCHITECTURE, b""))
    architecture = listed[0] if listed else (said and said.architecture) or 0
    if message.message_type is None:
        kind = ClientKind.BOOTP
    elif said is None:
        kind = ClientKind.OTHER
    else:
        kind = ClientKind.PXE if said.kind == "PXEClient" else ClientKind.HTTP
    parameters = options.get(code.PARAMETER_LIST, b"")
    return Client(
        key=key,
        hardware=hardware,
        kind=kind,
        architecture=architecture,
        is_ipxe=is_ipxe(options),
        is_edk2=parameters == EDK2_PARAMETERS,
        is_relayed=int(message.giaddr) != 0,
        wants_boot_file=code.BOOT_FILE in parameters,
    )

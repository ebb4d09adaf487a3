"""The options by which a booting client says what it is: 60, 61, 77, 93, 94 and 97.

Sources: PXE 2.1 table 2-1 (option 60), RFC 2132 9.14 (61), RFC 3004 (77), RFC 4578 (93, 94, 97) and the IANA registry
of processor architecture types.  Nothing here raises: a value that cannot be read gives None or an empty tuple,
because none of these is worth refusing a client for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal
from uuid import UUID

from mtftpd.wire.options import Options

USER_CLASS = 77
IPXE = 175

_ARCHITECTURE = re.compile(rb":Arch:(\d{5})")
_UNDI = re.compile(rb":UNDI:(\d{3})(\d{3})")
_IPXE_CLASSES = (b"iPXE", b"gPXE")


class Architecture(IntEnum):
    """Processor architecture types; an unknown number is kept under a name that says so."""

    X86_BIOS = 0
    PC98 = 1
    IA64_EFI = 2
    ALPHA = 3
    ARC_X86 = 4
    INTEL_LEAN_CLIENT = 5
    IA32_EFI = 6
    X64_EFI = 7
    XSCALE_EFI = 8
    EBC_EFI = 9
    ARM32_EFI = 10
    ARM64_EFI = 11
    X86_HTTP = 15
    X64_HTTP = 16
    EBC_HTTP = 17
    ARM32_HTTP = 18
    ARM64_HTTP = 19

    @classmethod
    def _missing_(cls, value: object) -> Architecture | None:
        if not isinstance(value, int) or not 0 <= value <= 0xFFFF:
            return None
        member = int.__new__(cls, value)
        member._name_ = f"UNKNOWN_{value}"
        member._value_ = value
        return member


@dataclass(frozen=True, slots=True)
class ClientClass:
    """Option 60 of a network boot client: ``architecture`` and ``undi`` (major, minor) as far as it says them."""

    kind: Literal["PXEClient", "HTTPClient"]
    architecture: int | None
    undi: tuple[int, int] | None
    prefix: bytes = b"PXEClient"
    """What it says of itself in front of the first colon, and wants to be called."""


_KINDS: Final[dict[bytes, Literal["PXEClient", "HTTPClient"]]] = {
    b"PXEClient": "PXEClient",
    b"HTTPClient": "HTTPClient",
    b"HW-Client": "PXEClient",
}
"""How boot clients begin option 60; Huawei's servers have their own name for what is PXE (quirk Q18)."""


def parse_client_class(option60: bytes) -> ClientClass | None:
    """Return what ``option60`` says, or None when it does not begin (case-sensitive) like a boot client's."""
    prefix = next((each for each in _KINDS if option60.startswith(each)), None)
    if prefix is None:
        return None
    architecture, undi = _ARCHITECTURE.search(option60), _UNDI.search(option60)
    return ClientClass(
        _KINDS[prefix],
        int(architecture[1]) if architecture else None,
        (int(undi[1]), int(undi[2])) if undi else None,
        prefix,
    )


def architectures(option93: bytes) -> tuple[int, ...]:
    """Return the architecture types in ``option93``; none when its length is odd."""
    if len(option93) % 2:
        return ()
    return tuple(int.from_bytes(option93[at : at + 2], "big") for at in range(0, len(option93), 2))


def user_classes(option77: bytes) -> tuple[bytes, ...]:
    """Return the user classes in ``option77``: those of RFC 3004, or the whole value as iPXE sends it (quirk Q26)."""
    classes: list[bytes] = []
    position = 0
    while position < len(option77):
        stop = position + 1 + option77[position]
        if stop > len(option77) or stop == position + 1:
            return (option77,)
        classes.append(option77[position + 1 : stop])
        position = stop
    return tuple(classes)


@dataclass(frozen=True, slots=True)
class ClientIdentifier:
    """Option 61: a hardware type and address, or type 0 or 255 and an opaque name (RFC 2132 9.14, RFC 4361)."""

    type: int
    octets: bytes


def client_identifier(option61: bytes) -> ClientIdentifier | None:
    """Return what ``option61`` says, or None when it is shorter than two octets."""
    return ClientIdentifier(option61[0], option61[1:]) if len(option61) > 1 else None


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """Option 94: the type of driver interface (1 is UNDI, 2 is SNP) and its version."""

    type: int
    major: int
    minor: int


def network_interface(option94: bytes) -> NetworkInterface | None:
    """Return what ``option94`` says, or None when it is not three octets."""
    return NetworkInterface(*option94) if len(option94) == 3 else None


@dataclass(frozen=True, slots=True)
class MachineIdentifier:
    """Option 97: a type (0 is a UUID) and octets of any number.  For people alone: many are not unique (quirk Q53)."""

    type: int
    octets: bytes

    def __str__(self) -> str:
        if self.type or len(self.octets) != 16:
            return f"{self.type}/{self.octets.hex()}"
        # RFC 4578 leaves the byte order open; EFI and iPXE have the first three fields little-endian.
        return str(UUID(bytes_le=self.octets))


def machine_identifier(option97: bytes) -> MachineIdentifier | None:
    """Return what ``option97`` says, or None when it is empty."""
    return MachineIdentifier(option97[0], option97[1:]) if option97 else None


def is_ipxe(options: Options) -> bool:
    """Return whether the client is iPXE or gPXE: it says so in option 77, or it has its own option 175."""
    return IPXE in options or any(each in _IPXE_CLASSES for each in user_classes(options.get(USER_CLASS, b"")))

"""The options by which a booting client says what it is: 60, 61, 77, 93, 94, 97 and iPXE's 175.

Sources: PXE 2.1 table 2-1 (option 60), RFC 2132 9.14 (61), RFC 3004 (77), RFC 4578 (93, 94, 97) and the IANA registry
of processor architecture types; iPXE's ``include/ipxe/dhcp.h`` (175).  A value that cannot be read gives None or an
empty tuple: none of these is worth refusing a client for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

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


def parse_client_class(option60: bytes) -> ClientClass | None:
    """Return what ``option60`` says, or None when it does not begin (case-sensitive) like a boot client's."""
    kind: Literal["PXEClient", "HTTPClient"]
    if option60.startswith(b"PXEClient"):
        kind = "PXEClient"
    elif option60.startswith(b"HTTPClient"):
        kind = "HTTPClient"
    else:
        return None
    architecture, undi = _ARCHITECTURE.search(option60), _UNDI.search(option60)
    return ClientClass(
        kind,
        int(architecture[1]) if architecture else None,
        (int(undi[1]), int(undi[2])) if undi else None,
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


def is_ipxe(options: Options) -> bool:
    """Return whether the client is iPXE or gPXE: it says so in option 77, or it has its own option 175."""
    return IPXE in options or any(each in _IPXE_CLASSES for each in user_classes(options.get(USER_CLASS, b"")))

"""Boot files that switch the machine to its next boot: the examination goes on without a hand at the power switch.

Anything longer than their code is padding, so that a transfer has blocks enough for every probe.
"""

from __future__ import annotations

import struct
from typing import Final

SIZE: Final = 5_127
"""11 blocks of 512 octets, 4 of 1,468, and one of more than a frame."""

_BIOS: Final = bytes.fromhex("b0fe e664 eaf0ff00f0")
"""MOV AL,FE; OUT 64,AL (the keyboard controller pulses the reset line); JMP F000:FFF0."""

_EFI_X64: Final = bytes.fromhex("4883ec28 488b4258 31c9 31d2 4531c0 4531c9 ff5068")
"""RuntimeServices (system table + 58h) -> ResetSystem (+ 68h) with EfiResetCold: UEFI 2.10 sections 4.3 and 8.5.1."""

_X64: Final = 0x8664
_ALIGN, _PAGE, _HEADERS = 0x200, 0x1000, 0x40
_EFI_ARCHITECTURES: Final = frozenset({7, 9})


def image_for(architecture: int) -> bytes:
    """Return the file for option 93 ``architecture``; noise for one that has none here, which then fails to start."""
    if architecture in _EFI_ARCHITECTURES:
        return _portable_executable(_EFI_X64).ljust(SIZE, b"\0")
    return (_BIOS if architecture == 0 else b"").ljust(SIZE, b"\xf4")


def _portable_executable(code: bytes) -> bytes:
    """Return ``code`` as an EFI application of one section (PE32+, Microsoft PE format 3.3 to 3.4)."""
    dos = b"MZ".ljust(_HEADERS - 4, b"\0") + struct.pack("<I", _HEADERS)
    optional = struct.pack(
        "<HBBIIIIIQIIHHHHHHIIIIHHQQQQII",
        0x20B, 0, 0, _ALIGN, 0, 0, _PAGE, _PAGE, 0, _PAGE, _ALIGN, 0, 0, 0, 0, 0, 0, 0, 2 * _PAGE, _ALIGN, 0, 10, 0,
        0, 0, 0, 0, 0, 16,
    ) + bytes(16 * 8)  # fmt: skip
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", _X64, 1, 0, 0, 0, len(optional), 0x0022)
    section = struct.pack("<8sIIIIIIHHI", b".text", _PAGE, _PAGE, _ALIGN, _ALIGN, 0, 0, 0, 0, 0x60000020)
    return (dos + coff + optional + section).ljust(_ALIGN, b"\0") + code.ljust(_ALIGN, b"\0")

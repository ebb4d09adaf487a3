"""The ROMs that a simulation may have, by name: ``NAME`` or ``NAME+FAULT+FAULT``.

``spec`` and ``edk1`` are the clients of `mtftpd.rom.profiles`; ``unicast`` is the first without multicast.  The others
are those of `mtftpd.rom.firmwares`.  The faults are those of the table in `mtftpd.quirks`:
``unicast+never_retransmit`` is a ROM that any one lost packet kills.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mtftpd.quirks.vocabulary import Mutation
from mtftpd.rom.firmwares import FIRMWARES
from mtftpd.rom.mutations import mutated
from mtftpd.rom.profiles import PROFILES, SPEC, RomProfile

ROMS: Final = {**PROFILES, "unicast": replace(SPEC, mtftp=None), **FIRMWARES}


def rom(name: str) -> RomProfile:
    """Return the profile called ``name``; raises ValueError for what is not known."""
    base, *faults = name.split("+")
    if base not in ROMS:
        raise ValueError(f"{base!r} is no ROM; there are: {', '.join(ROMS)}")
    try:
        added = [Mutation(fault) for fault in faults]
    except ValueError as error:
        raise ValueError(f"{error}; there are: {', '.join(each.value for each in Mutation)}") from None
    return replace(mutated(ROMS[base], added) if added else ROMS[base], name=name)

"""From a firmware to one with faults: what a client mutation changes in a profile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from mtftpd.quirks.vocabulary import Mutation
from mtftpd.rom.profiles import RomProfile

PATIENCE: Final = 30.0
"""Seconds after which a ROM that waits in silence counts as dead: more than the 25 s that servers try (quirk Q92)."""


def mutated(profile: RomProfile, faults: Iterable[Mutation]) -> RomProfile:
    """Return ``profile`` with ``faults`` added to those that it has."""
    added = frozenset(faults)
    profile = replace(
        profile,
        faults=profile.faults | added,
        dhcp=replace(profile.dhcp, faults=profile.dhcp.faults | added),
        mtftp=profile.mtftp and replace(profile.mtftp, faults=profile.mtftp.faults | added),
        tftp=replace(profile.tftp, faults=profile.tftp.faults | added),
    )
    for fault in sorted(added, key=lambda each: each.value):
        if fault in _PARAMETERS:
            profile = _PARAMETERS[fault](profile)
    return profile


_PARAMETERS: Final[Mapping[Mutation, Callable[[RomProfile], RomProfile]]] = {
    Mutation.ARCHITECTURE_9: lambda rom: replace(rom, dhcp=replace(rom.dhcp, architecture=9)),
    Mutation.NO_BROADCAST_FLAG: lambda rom: replace(rom, dhcp=replace(rom.dhcp, broadcast=False)),
    Mutation.REJECT_BARE_43_1_5: lambda rom: replace(rom, dhcp=replace(rom.dhcp, refuses_bare_mtftp=True)),
    Mutation.NEVER_RETRANSMIT: lambda rom: replace(
        rom, tftp=replace(rom.tftp, request_waits=(PATIENCE,), data_waits=(PATIENCE,))
    ),
    Mutation.ASK_8192: lambda rom: replace(rom, tftp=replace(rom.tftp, block_size=8192, probes_size=False)),
    Mutation.THREE_NICS: lambda rom: replace(rom, nics=3, boots_from=3),
    Mutation.WINDOW_4: lambda rom: replace(rom, tftp=replace(rom.tftp, window=4, probes_size=False)),
}
"""The faults that are no more than another value of a parameter; all others are looked up where they act."""

"""Which profile a client has, and why: the strongest evidence wins.

The order is operator override, what was learnt of the hardware address, user class, parameter list, vendor part of
the hardware address, architecture, default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from mtftpd.quirks.evidence import Evidence, Fingerprint, evidence_by
from mtftpd.quirks.profiles import PROFILES, UNKNOWN, Profile
from mtftpd.wire.datagram import HardwareAddress


class Step(Enum):
    """What decided, the strongest first."""

    OVERRIDE = "operator override"
    LEARNT = "learnt of this hardware address"
    USER_CLASS = "user class"
    PARAMETERS = "parameter list"
    OUI = "vendor of the hardware address"
    ARCHITECTURE = "architecture"
    DEFAULT = "default"


class Identification(NamedTuple):
    """The profile of a client, the step that decided, and for people what it saw."""

    profile: Profile
    step: Step
    why: str


OUI_OCTETS = 3
MAX_REMEMBERED = 512
"""Kinds of clients, not clients; with options of 1,400 octets in each, the work of an enemy, 0.8 MB."""

Names = Mapping[HardwareAddress, str]
"""Hardware address -> id of a profile."""

_NOBODY: Final[Names] = {}


def identify(evidence: Evidence, overrides: Names = _NOBODY, learnt: Names = _NOBODY) -> Identification:
    """Return who sent ``evidence``; ids in ``overrides`` and ``learnt`` that are no profile count as absent."""
    named = PROFILES.get(overrides.get(evidence.hardware, ""))
    if named is not None:
        return Identification(named, Step.OVERRIDE, str(evidence.hardware))
    vendor = HardwareAddress(evidence.hardware.htype, evidence.hardware.octets[:OUI_OCTETS])
    found = _strongest(vendor, evidence.fingerprint, evidence.is_ipxe)
    return by_experience(found, learnt.get(evidence.hardware, ""), str(evidence.hardware))


@lru_cache(MAX_REMEMBERED)
def _strongest(vendor: HardwareAddress, fingerprint: Fingerprint, is_ipxe: bool) -> Identification:
    return next(_by_packet(evidence_by(vendor, fingerprint, is_ipxe)))


def by_experience(found: Identification, learnt: str, why: str) -> Identification:
    """Return ``found``, or the profile with the id ``learnt`` that experience has shown, unless the operator knows."""
    profile = PROFILES.get(learnt)
    if profile is None or found.step is Step.OVERRIDE:
        return found
    return Identification(profile, Step.LEARNT, why)


def _by_packet(evidence: Evidence) -> Iterator[Identification]:
    for step, look in _STEPS:
        for profile in PROFILES.values():
            why = look(profile, evidence)
            if why:
                yield Identification(profile, step, why)
    if not evidence.boots:
        yield Identification(PROFILES["os-dhclient"], Step.DEFAULT, "neither option 60 nor 93 of a boot client")
    elif evidence.architecture is None:
        yield Identification(PROFILES["intel-bios"], Step.DEFAULT, "PXEClient without an architecture is a BIOS")
    yield Identification(UNKNOWN, Step.DEFAULT, f"architecture {evidence.architecture}")


def _user_class(profile: Profile, evidence: Evidence) -> str:
    for name in profile.user_classes:
        if name in evidence.user_classes:
            return f"option 77 is {name.decode('ascii')}"
        if evidence.fingerprint.vendor_class.startswith(name):
            return f"option 60 begins with {name.decode('ascii')}"
    return "option 175 is there" if profile.id == "ipxe" and evidence.is_ipxe and not evidence.user_classes else ""


def _parameters(profile: Profile, evidence: Evidence) -> str:
    listed = evidence.fingerprint.parameters
    return f"option 55 is {listed.hex(' ')}" if listed in profile.parameters else ""


def _oui(profile: Profile, evidence: Evidence) -> str:
    octets = evidence.hardware.octets
    return f"the address begins with {octets.hex(':')}" if octets in profile.ouis else ""


def _architecture(profile: Profile, evidence: Evidence) -> str:
    said = evidence.architecture
    return f"architecture {said}" if evidence.boots and said in profile.architectures else ""


_STEPS: Final[tuple[tuple[Step, Callable[[Profile, Evidence], str]], ...]] = (
    (Step.USER_CLASS, _user_class),
    (Step.PARAMETERS, _parameters),
    (Step.OUI, _oui),
    (Step.ARCHITECTURE, _architecture),
)

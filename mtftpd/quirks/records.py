"""The record of a quirk, and all records; the numbers are those of the catalogue that they were taken from.

A record stands here only when the server does something about it and a simulated ROM can show it: the tests boot that
ROM with the work-around and must fail to boot it without.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from mtftpd.quirks.vocabulary import Layer, Mutation, ServerAction


class Confidence(Enum):
    """How sure it is that such clients exist."""

    HIGH = "seen in source code, in a commit message or in an experiment"
    MEDIUM = "said by a vendor or a maintainer, or in several bug threads"
    LOW = "one report, or our own reading of code"


@dataclass(frozen=True, slots=True)
class Quirk:
    """One fault: what is seen on the wire, which clients (profile ids; () is anybody), and both sides of the remedy."""

    number: str
    id: str
    layer: Layer
    symptom: str
    actions: tuple[ServerAction, ...]
    mutations: tuple[Mutation, ...]
    evidence: str
    confidence: Confidence
    match: tuple[str, ...] = ()


HIGH: Final = Confidence.HIGH
MEDIUM: Final = Confidence.MEDIUM
LOW: Final = Confidence.LOW


def by_number() -> dict[str, Quirk]:
    """Return all records, in the order of the catalogue."""
    from mtftpd.quirks import dhcp_records, transfer_records

    found = sorted((*dhcp_records.RECORDS, *transfer_records.RECORDS), key=lambda each: int(each.number[1:]))
    return {quirk.number: quirk for quirk in found}

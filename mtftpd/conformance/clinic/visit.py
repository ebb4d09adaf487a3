"""What one boot has shown so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from mtftpd.conformance.clinic.findings import Finding
from mtftpd.conformance.clinic.styles import Style
from mtftpd.wire.datagram import Endpoint

AT_ONCE: Final = 0.2
"""Seconds in which nobody repeats a packet because it was not answered."""
MAX_LINES: Final = 60
"""Packets of one boot that are kept for the report: 60 boots of 60 lines of 100 octets are 360 KB."""


@dataclass(frozen=True, slots=True)
class Read:
    """An RRQ: when, at which of our ports, from where, and what it asks for."""

    when: float
    port: int
    source: Endpoint
    name: bytes
    mode: str
    options: dict[str, str]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """An ACK that came in at our port ``port``."""

    when: float
    port: int
    number: int


@dataclass
class Visit:
    """One boot; ``probe`` is what it was answered for and ``style`` how, until that is ``decided``."""

    probe: str
    style: Style
    began: float
    boot_file: bytes
    decided: bool = False
    discovers: Counter[bytes] = field(default_factory=Counter)
    seconds: dict[bytes, int] = field(default_factory=dict)
    progressed: set[bytes] = field(default_factory=set)
    discovers_needed: int = 0
    requests: list[str] = field(default_factory=list)
    naked: float | None = None
    restarted: bool = False
    foreign: bool = False
    asked_4011: int = 0
    reads: list[Read] = field(default_factory=list)
    opens: list[Read] = field(default_factory=list)
    acks: list[Acknowledgement] = field(default_factory=list)
    group_acks: list[Acknowledgement] = field(default_factory=list)
    errors: list[tuple[float, int]] = field(default_factory=list)
    granted: dict[str, str] = field(default_factory=dict)
    gave_up: bool = False
    """No request has come since its last ERROR."""
    finished: bool = False
    all_sent: bool = False
    pause_ended: bool = False
    reached_turn: bool = False
    """Block 65,535 was acknowledged."""
    rolled_to: int | None = None
    """The number by which the block behind it was acknowledged."""
    group_began: float | None = None
    group_finished: bool = False
    unanswered: int = 0
    arp_asked: int = 0
    """How often it was asked by ARP for its hardware address."""
    arp_answered: int = 0
    findings: set[Finding] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """How many DISCOVERs one interface has sent without going on."""
        return 0 if self.progressed or self.reads else max(self.discovers.values(), default=0)

    @property
    def fell_back(self) -> Read | None:
        """The first request to port 69 after the first open."""
        if not self.opens:
            return None
        return next((read for read in self.reads if read.when >= self.opens[0].when), None)

    @property
    def later_opens(self) -> int:
        """How many opens came after the first had been answered."""
        began = self.group_began
        return 0 if began is None else sum(read.when - began >= AT_ONCE for read in self.opens)

    @property
    def repeated_reads(self) -> int:
        """How many requests have come since an answer was last acknowledged, or refused."""
        return self.unanswered

    def note(self, line: str, now: float) -> None:
        """Keep one line for the report."""
        if len(self.lines) < MAX_LINES:
            self.lines.append(f"{now - self.began:8.3f} {line}")

    def repeated(self, number: int) -> int:
        """Return how often the ACK of a block came again because nothing followed it."""
        times = [ack.when for ack in self.acks if ack.number == number]
        return sum(later - earlier >= AT_ONCE for earlier, later in pairwise(times))

    def acknowledged(self, number: int) -> bool:
        """Return whether an ACK of unicast block ``number`` came."""
        return any(ack.number == number for ack in self.acks)

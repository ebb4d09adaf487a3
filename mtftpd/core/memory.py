"""What the core wants to know again after the server was killed, besides leases and groups: values, and no storage.

Whoever learns such a thing has it kept (`mtftpd.core.effects.Keep`) in place of what was kept under the same key, and
forgotten (`Forget`) when it no longer counts.  `Former` is what the next run is given, all times on its own clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mtftpd.core.fallback import Mark
from mtftpd.core.node_states import NodeState
from mtftpd.quirks.evidence import Fingerprint
from mtftpd.wire.datagram import HardwareAddress

NodeKey = HardwareAddress | str
"""A hardware address, or the IPv4 address of a node that came without DHCP."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """The ROM at ``hardware`` has the fault ``quirk`` (its number), as it showed ``times`` times, last ``at``.

    It counts for as long as the firmware has this ``fingerprint``.
    """

    hardware: HardwareAddress
    quirk: str
    fingerprint: Fingerprint
    at: float
    times: int = 1


class Attempt(NamedTuple):
    """One boot of a node: number ``number`` since it is known, begun at ``began``, in ``state`` since ``since``."""

    node: NodeKey
    number: int
    began: float
    since: float
    state: NodeState
    reason: str
    packet: str
    inferred: bool
    round: int
    address: str
    stage: str
    rom: str
    file: str
    group: str


class RunningPass(NamedTuple):
    """A pass on ``group`` (ADDRESS:PORT) has begun and not ended."""

    group: str


Memory = Mark | Lesson | Attempt | RunningPass


@dataclass(frozen=True, slots=True)
class Former:
    """All that was kept in the run before this one."""

    marks: tuple[Mark, ...] = ()
    lessons: tuple[Lesson, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    passes: tuple[RunningPass, ...] = ()

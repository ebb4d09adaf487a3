"""Which nodes multicast does not work for: why they are not told of a group, and for how long.

Rules

1. A node is a hardware address in one stage of its boot: the ROM and the iPXE that it loads are two (quirk Q105).
2. One bad sign, and its next offer is without tags 1 to 5.
3. After `RETRY_SECONDS`, or when the firmware shows another fingerprint, multicast is tried again.
4. `CLEARED_BY` boots by multicast clear the record; another bad sign starts it anew.

Everything is in memory and bounded; `FallbackMemory.snapshot` (or `FallbackMemory.take_changed`, bit by bit) and the
constructor carry it to another run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from mtftpd.core.learning.memory import Memory
from mtftpd.quirks.evidence import Fingerprint
from mtftpd.wire.datagram import HardwareAddress

RETRY_SECONDS = 24 * 3600.0
CLEARED_BY = 2
MAX_MARKS = 16_384
"""Nodes that are remembered, the one whose sign is oldest goes first: 16,384 * about 600 bytes is 10 MB."""


class Trigger(Enum):
    """Why a node gets its image by unicast.  The name is the identifier in reports, the value is for people."""

    F1 = "this kind of client has no multicast TFTP"
    F2 = "behind a relay agent, where the group does not reach"
    F3 = "its image has more blocks than multicast TFTP can number"
    F4 = "it opened the group, but never heard it"
    F5 = "it was told of the group and took the file from port 69"
    F6 = "it keeps on asking instead of taking an offer with a group"
    F7 = "silent after it was told of the group"
    F8 = "it reads the ports of the group in the wrong byte order"
    F9 = "as master it fell silent"
    F10 = "as master it sent an ERROR"
    F11 = "it opens the group again and again without getting the file"
    F12 = "nobody else wants the file: unicast would cost the same"
    F13 = "the group rests, because too many of its listeners failed"
    F14 = "the group rests, because its listeners never hear it and no IGMP query is seen"
    F15 = "blocks of more than 512 octets do not reach it"
    F16 = "not on Ethernet"
    F17 = "the second stage of a boot"
    F18 = "the operator said so"


class NodeStage(NamedTuple):
    """A hardware address and the stage of its boot, which is the id of the profile that it has in it."""

    hardware: HardwareAddress
    stage: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What is held against one node; ``at`` is when the last sign came, on the clock of the server."""

    node: NodeStage
    fingerprint: Fingerprint
    trigger: Trigger
    at: float
    failures: int = 1
    successes: int = 0


class FallbackMemory:
    """The marks of all nodes; ``marks`` are those of an earlier run, their times on the clock of this one."""

    def __init__(self, marks: Iterable[Mark] = ()) -> None:
        self._marks: Memory[NodeStage, Mark] = Memory(MAX_MARKS)
        for mark in sorted(marks, key=lambda each: each.at):
            self._marks.put(mark.node, mark)
        self._marks.take_changed()

    def take_changed(self) -> tuple[tuple[Mark, bool], ...]:
        """Return the marks that have changed since the last call, and whether they are held or forgotten (False)."""
        return self._marks.take_changed()

    def snapshot(self) -> tuple[Mark, ...]:
        """Return all marks, the oldest first."""
        return self._marks.values()

    def against(self, node: NodeStage, fingerprint: Fingerprint, now: float) -> Trigger | None:
        """Return why ``node`` is not to be told of a group, or None."""
        mark = self._marks.get(node)
        if mark is None or mark.successes or mark.fingerprint != fingerprint or now - mark.at >= RETRY_SECONDS:
            return None
        return mark.trigger

    def failed(self, node: NodeStage, fingerprint: Fingerprint, trigger: Trigger, now: float) -> Mark | None:
        """Take note of a bad sign; returns the mark that it replaces, for `forgive`."""
        before = self._marks.get(node)
        failures = before.failures + 1 if before is not None and before.fingerprint == fingerprint else 1
        self._marks.put(node, Mark(node, fingerprint, trigger, now, failures))
        return before

    def forgive(self, node: NodeStage, before: Mark | None) -> None:
        """Take a bad sign back, because it was not the node's fault; ``before`` is what `failed` returned."""
        if before is None:
            self._marks.forget(node)
        else:
            self._marks.replace(node, before)

    def succeeded(self, node: NodeStage) -> None:
        """Take note that ``node`` got its file by multicast."""
        mark = self._marks.get(node)
        if mark is None:
            return
        if mark.successes + 1 >= CLEARED_BY:
            self._marks.forget(node)
        else:
            self._marks.replace(node, replace(mark, successes=mark.successes + 1))

    def forget(self, hardware: HardwareAddress) -> None:
        """Hold nothing against ``hardware`` any longer."""
        for mark in self._marks.values():
            if mark.node.hardware == hardware:
                self._marks.forget(mark.node)

"""What came of a simulation: a record of each node, and the sums that people compare."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from statistics import median_low
from typing import Any


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """One node; ``seconds`` is from its power-on to its end, ``right`` that every octet of its image is."""

    number: int
    hardware: str
    rom: str
    booted: bool
    way: str
    reason: str
    fallback: str
    right: bool
    ended: float
    seconds: float
    dhcp_retries: int
    opens: int
    address: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """Packets of the whole simulation; ``ideal`` is one per block for everybody, ``first_blocks`` those of block 1."""

    ideal: int
    group_blocks: int
    first_blocks: int
    repeats: int
    unicast_blocks: int
    passes: int
    masters_lost: int
    dropped_by_switch: int
    dropped_by_rom: int
    collisions: int
    server_drops: dict[str, int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One simulation; times in seconds of virtual time."""

    seed: int
    topology: str
    nodes: tuple[NodeOutcome, ...]
    traffic: Traffic
    seconds: float
    events: int

    @property
    def booted(self) -> int:
        """How many nodes have the whole image and know it."""
        return sum(node.booted for node in self.nodes)

    @property
    def lost(self) -> int:
        """How many have not."""
        return len(self.nodes) - self.booted

    @property
    def wrong(self) -> int:
        """How many nodes believe to have the image and have not: always 0, or something is badly wrong."""
        return sum(node.booted and not node.right for node in self.nodes)

    def fallbacks(self) -> dict[str, int]:
        """Return why nodes went from multicast to unicast, most frequent first."""
        return _counted(node.fallback for node in self.nodes if node.fallback)

    def failures(self) -> dict[str, int]:
        """Return why nodes were lost, most frequent first."""
        return _counted(node.reason for node in self.nodes if not node.booted)

    def boot_seconds(self) -> tuple[float, float, float] | None:
        """Return the first, the median and the last time from the beginning to a booted node."""
        ended = sorted(node.ended for node in self.nodes if node.booted)
        return (ended[0], median_low(ended), ended[-1]) if ended else None

    def summary(self) -> dict[str, Any]:
        """Return everything but the single nodes, ready for JSON."""
        times = self.boot_seconds()
        return {
            "topology": self.topology,
            "seed": self.seed,
            "nodes": len(self.nodes),
            "booted": self.booted,
            "lost": self.lost,
            "wrong": self.wrong,
            "failures": self.failures(),
            "by_way": _counted(node.way for node in self.nodes if node.booted),
            "fell_back": sum(self.fallbacks().values()),
            "fallbacks": self.fallbacks(),
            "seconds": dict(zip(("first", "median", "last"), times, strict=True)) if times else None,
            "dhcp_retries": sum(node.dhcp_retries for node in self.nodes),
            "opens": sum(node.opens for node in self.nodes),
            **asdict(self.traffic),
            "virtual_seconds": self.seconds,
            "events": self.events,
        }


def _counted(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))

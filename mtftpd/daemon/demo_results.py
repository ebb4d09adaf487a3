"""What a demo keeps of each node, and what it makes of it in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mtftpd.core.images import MTFTP_BLOCK_SIZE
from mtftpd.rom.actions import Phase

_VIA: Final = {Phase.LISTEN.value: "listened", Phase.MASTER.value: "master", Phase.UNICAST.value: "unicast"}


@dataclass(slots=True)
class NodeRecord:
    """One node as its own process describes it; times are of the monotonic clock."""

    number: int
    phase: str = Phase.OFF.value
    detail: str = ""
    address: str = ""
    octets: int = 0
    sha256: str = ""
    fallback: str = ""
    via: str = ""
    attached: bool = False
    ended_at: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.ended_at > 0

    def take(self, told: Mapping[str, Any]) -> None:
        """Take one line of the node's process."""
        match told["event"]:
            case "attached":
                self.attached = True
            case "progress":
                self.octets = told["octets"]
            case "phase":
                self.phase, self.detail = told["phase"], told["detail"]
                self.address = told["address"] or self.address
                self.via = _VIA.get(self.phase, self.via)
            case "end":
                self._end(told)

    def _end(self, told: Mapping[str, Any]) -> None:
        self.ended_at = told["time"]
        self.phase = told["phase"]
        self.detail = told.get("detail", self.detail)
        self.octets = told.get("octets", 0)
        self.sha256 = told.get("sha256", "")
        self.fallback = told.get("fallback", "")
        self.counts = {name: value for name, value in told.items() if name in _COUNTS}

    def fail(self, reason: str) -> None:
        """End it from outside."""
        self.phase, self.detail = Phase.FAILED.value, reason
        self.ended_at = self.ended_at or float("inf")


_COUNTS: Final = (
    "heard",
    "duplicates",
    "opens",
    "acknowledgements",
    "received",
    "sent",
    "lost_in",
    "lost_out",
    "overflowed",
)


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The summary.  ``ideal_blocks`` is one pass: what a sender without loss and late comers would need."""

    nodes: int
    booted: int
    verified: int
    listened: int
    masters: int
    unicast: int
    fallbacks: dict[str, int]
    failures: dict[str, int]
    image_octets: int
    image_sha256: str
    passes: int
    multicast_blocks: int
    ideal_blocks: int
    repeats: int
    unicast_blocks: int
    lost_datagrams: int
    overflowed: int
    seconds: float
    first_seconds: float

    @property
    def ok(self) -> bool:
        """Whether every node booted the right image."""
        return self.verified == self.nodes


def summarise(
    records: Sequence[NodeRecord], status: Mapping[str, Any], *, digest: str, size: int, started: float
) -> DemoResult:
    """Return the summary of nodes that have ended and of the server's status."""
    booted = [record for record in records if record.phase == Phase.DONE.value]
    verified = [record for record in booted if record.sha256 == digest]
    ends = sorted(record.ended_at - started for record in booted)
    groups = status["mtftp"]["groups"]
    failures = Counter(record.detail for record in records if record.phase != Phase.DONE.value)
    failures["the image is not the one that was served"] += len(booted) - len(verified)
    return DemoResult(
        nodes=len(records),
        booted=len(booted),
        verified=len(verified),
        listened=sum(record.via == "listened" for record in booted),
        masters=sum(record.via == "master" for record in booted),
        unicast=sum(record.via == "unicast" for record in booted),
        fallbacks=dict(Counter(record.fallback for record in records if record.fallback)),
        failures=dict(+failures),
        image_octets=size,
        image_sha256=digest,
        passes=sum(group["passes"] for group in groups),
        multicast_blocks=sum(group["sent"] for group in groups),
        ideal_blocks=size // MTFTP_BLOCK_SIZE + 1,
        repeats=sum(group["repeats"] for group in groups),
        unicast_blocks=status["tftp"]["blocks"],
        lost_datagrams=sum(r.counts.get("lost_in", 0) + r.counts.get("lost_out", 0) for r in records),
        overflowed=status["traffic"]["overflowed"] + sum(r.counts.get("overflowed", 0) for r in records),
        seconds=round(ends[-1], 3) if ends else 0.0,
        first_seconds=round(ends[0], 3) if ends else 0.0,
    )

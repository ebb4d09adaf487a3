"""What is simulated: nodes of some kinds, an image, a network, and how the nodes are switched on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from mtftpd.core.images import MAX_MTFTP_SIZE
from mtftpd.core.link.wire_time import link_of
from mtftpd.core.node_settings import OtherNics
from mtftpd.core.settings import Bandwidth
from mtftpd.sim.topology import BUILT_IN, Kind, Topology

MAX_NODES: Final = 20_000
"""Each costs some 10 KiB beside one bit per block: 200 MiB in all."""
LIMIT: Final = 3_600.0
"""Virtual seconds after which who has not booted counts as lost: nobody waits for an hour."""
JITTER: Final = 1.0
"""Seconds that a node adds to, or takes from, each wait for an offer (RFC 2131 4.1)."""


@dataclass(frozen=True, slots=True)
class PowerOn:
    """When nodes are switched on: one after the other over ``spread`` seconds, or ``together`` each ``every`` seconds.

    With neither, all are at once.  ``seen`` is in place of that: the second of each node, as it was measured.
    """

    spread: float = 0.0
    together: int = 1
    every: float = 0.0
    seen: tuple[float, ...] = ()

    def times(self, nodes: int) -> list[float]:
        """Return the second of each node."""
        if self.seen:
            return list(self.seen)
        step = self.every or self.spread / nodes
        return [number // self.together * step for number in range(nodes)]

    def __str__(self) -> str:
        if self.every:
            return f"{self.together} each {self.every:g} s"
        return f"one by one over {self.spread:g} s" if self.spread else "all at once"


def power_on(text: str) -> PowerOn:
    """Read ``at-once``, ``staggered:SECONDS`` (one by one) or ``rolling:NODES/SECONDS`` (a rack each so often)."""
    kind, _, detail = text.partition(":")
    try:
        if kind == "at-once" and not detail:
            return PowerOn()
        if kind == "staggered" and float(detail) > 0:
            return PowerOn(float(detail))
        if kind == "rolling":
            together, _, every = detail.partition("/")
            if int(together) > 0 and float(every) > 0:
                return PowerOn(together=int(together), every=float(every))
    except ValueError:
        pass
    raise ValueError(f"{text!r} is no way to switch on; write at-once, staggered:30 or rolling:40/5")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One simulation; everything that it draws follows from ``seed``.

    ``roms`` are names of `mtftpd.rom.profiles.PROFILES` with weights; ``timeout`` is T4 = T5 in seconds;
    ``rate`` is the budget of the server's link in bit/s on the wire, 0 for no limit; ``faithful`` leaves out the paced
    gear.  The server has ``addresses`` to give out, 0 for more than enough, and is configured with which interface of a
    node boots and with ``other_nics``, None for nothing.  With ``by_hand`` there is no DHCP: nodes are programs whose
    user tells them their address and the group.
    """

    nodes: int
    image_size: int = 4 << 20
    topology: Topology = field(default_factory=lambda: BUILT_IN["switch-1g"])
    roms: tuple[tuple[str, float], ...] = (("spec", 100.0),)
    power_on: PowerOn = PowerOn()
    seed: int = 1
    timeout: int = 2
    limit: float = LIMIT
    rate: float = 0.0
    faithful: bool = False
    addresses: int = 0
    other_nics: OtherNics | None = None
    by_hand: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= MAX_NODES:
            raise ValueError(f"{self.nodes} nodes; give 1 to {MAX_NODES}")
        if not 1 <= self.image_size <= MAX_MTFTP_SIZE:
            raise ValueError(f"an image of {self.image_size} octets; give 1 to {MAX_MTFTP_SIZE}")

    @property
    def bandwidth(self) -> Bandwidth:
        """The budget as the server knows it: the bursts of its own link, and those of a hub where there is one."""
        hub = any(segment.kind is Kind.HUB for segment in self.topology.segments)
        return Bandwidth(self.rate, link_of(self.topology.rate, half_duplex=hub))


def shares(weights: Sequence[float], count: int) -> list[int]:
    """Divide ``count`` by weight into whole parts, the largest remainders first."""
    total = sum(weights)
    exact = [weight / total * count for weight in weights]
    parts = [int(each) for each in exact]
    by_rest = sorted(range(len(parts)), key=lambda index: parts[index] - exact[index])
    for index in by_rest[: count - sum(parts)]:
        parts[index] += 1
    return parts


def dealt(names: Sequence[tuple[str, float]], count: int, chance: Random) -> list[str]:
    """Return a name for each of ``count`` nodes, in the proportions asked for and in random order."""
    parts = shares([weight for _, weight in names], count)
    deck = [name for (name, _), part in zip(names, parts, strict=True) for _ in range(part)]
    chance.shuffle(deck)
    return deck

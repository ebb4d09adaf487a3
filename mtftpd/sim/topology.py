"""The networks that can be simulated, as data: one server, and segments of nodes on a switch or on a repeater hub.

A segment without ``uplink`` is the switch or hub that the server itself hangs on; one with it is joined to the server's
switch by a cable of that rate.  Rates are in bit/s, queues in octets, times in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from mtftpd.sim.chance import Quality

GIGABIT: Final = 1e9
HUNDRED: Final = 1e8
SWITCH_QUEUE: Final = 128 * 1024
"""Octets per port; what a small managed switch has (the seed case of the lost nodes has it too)."""
ROM_SPEED: Final = 10_000.0
"""Packets per second of a ROM that polls its card: a block of 512 octets each 0.1 ms is 41 Mbit/s."""
ROM_RING: Final = 32
"""Receive descriptors; drivers of boot ROMs have 8 to 64."""


class Kind(Enum):
    """What joins the nodes of a segment."""

    SWITCH = "switch"
    HUB = "hub"


class Snooping(Enum):
    """What a switch does with multicast: send it everywhere, or where reports came from.

    Without a querier nobody asks again, and a membership ends after ``membership`` seconds (RFC 2236 section 8.4).
    """

    OFF = "off"
    QUERIER = "querier"
    NO_QUERIER = "no-querier"


@dataclass(frozen=True, slots=True)
class Segment:
    """Nodes that are alike; ``share`` is their part of all nodes, by weight.

    ``speed`` and ``ring`` are those of the ROMs: packets per second, and packets that wait.
    """

    name: str
    kind: Kind = Kind.SWITCH
    share: float = 1.0
    rate: float = GIGABIT
    queue: float = SWITCH_QUEUE
    latency: float = 5e-6
    uplink: float = 0.0
    snooping: Snooping = Snooping.QUERIER
    join_delay: float = 0.01
    membership: float = 260.0
    quality: Quality = field(default_factory=Quality)
    speed: float = ROM_SPEED
    ring: int = ROM_RING


@dataclass(frozen=True, slots=True)
class Topology:
    """One server with a link of ``rate`` and the segments behind it."""

    name: str
    rate: float
    segments: tuple[Segment, ...]
    queue: float = SWITCH_QUEUE


BUILT_IN: Final = {
    topology.name: topology
    for topology in (
        Topology("switch-1g", GIGABIT, (Segment("switch"),)),
        Topology("switch-100m", HUNDRED, (Segment("switch", rate=HUNDRED),)),
        Topology("hub-100", HUNDRED, (Segment("hub", kind=Kind.HUB, rate=HUNDRED, snooping=Snooping.OFF),)),
    )
}
"""Networks that have a name."""

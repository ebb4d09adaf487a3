"""Small simulations for the tests."""

from __future__ import annotations

from dataclasses import replace

from mtftpd.sim.amounts import mixture
from mtftpd.sim.chance import Quality
from mtftpd.sim.scenario import PowerOn, Scenario
from mtftpd.sim.topology import BUILT_IN, Kind, Segment, Snooping, Topology

TWO_KINDS = Topology(
    "two-kinds",
    1e9,
    (
        Segment("fast", share=2, uplink=1e9, rate=1e8, snooping=Snooping.OFF),
        Segment("slow", uplink=1e8, rate=1e8, speed=700, ring=4, latency=50e-6),
    ),
)
"""A rack of quick ROMs, and one of ROMs that are seven times slower than any master of the other."""

HUB_BEHIND_SWITCH = Topology(
    "hub-behind-switch",
    1e9,
    (Segment("rack", uplink=1e9), Segment("old", Kind.HUB, rate=1e7, uplink=1e8, queue=8192, snooping=Snooping.OFF)),
)

SLOW_LISTENERS = Topology(
    "slow-listeners",
    1e8,
    (
        Segment("quick", share=2, rate=1e8, snooping=Snooping.OFF),
        Segment("slow", rate=1e8, snooping=Snooping.OFF, speed=700, ring=8),
    ),
)
"""One 100 Mbit switch; who is master there acknowledges several times faster than a third of its listeners can read."""

NETWORKS = {each.name: each for each in (*BUILT_IN.values(), TWO_KINDS, HUB_BEHIND_SWITCH, SLOW_LISTENERS)}


def with_quality(topology: Topology, quality: Quality) -> Topology:
    return replace(topology, segments=tuple(replace(each, quality=quality) for each in topology.segments))


GOOD = Quality()
AT_ONCE = PowerOn()


def scene(
    nodes: int,
    octets: int = 30_000,
    network: str = "switch-1g",
    quality: Quality = GOOD,
    roms: str = "spec",
    seed: int = 1,
    power_on: PowerOn = AT_ONCE,
    rate: float = 0.0,
) -> Scenario:
    topology = with_quality(NETWORKS[network], quality)
    return Scenario(nodes, octets, topology, mixture(roms), power_on, seed, rate=rate)

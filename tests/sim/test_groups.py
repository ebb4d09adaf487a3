"""Multicast on a switch: who gets a group, from when on, and for how long."""

from __future__ import annotations

from dataclasses import replace

from mtftpd.sim.scenario import Scenario
from mtftpd.sim.simulation import Simulation
from mtftpd.sim.topology import BUILT_IN, Segment, Snooping, Topology
from tests.sim.scenes import scene

SWITCH = BUILT_IN["switch-1g"].segments[0]


def on(segment: Segment, scenario: Scenario) -> Scenario:
    return replace(scenario, topology=Topology("test", 1e9, (segment,)))


def test_a_late_join_misses_the_first_blocks() -> None:
    """The join takes as long as the ROM listens before it opens, and half a second more."""
    quick = Simulation(on(SWITCH, scene(10, 200_000))).run()
    late = Simulation(on(replace(SWITCH, join_delay=2.02), scene(10, 200_000))).run()
    assert quick.traffic.passes == 1
    assert late.traffic.passes == 2
    assert late.lost == 0


def test_without_a_querier_membership_ends_and_unicast_is_left() -> None:
    segment = replace(SWITCH, snooping=Snooping.NO_QUERIER, membership=2.01)
    outcome = Simulation(on(segment, scene(6, 500_000))).run()
    assert outcome.lost == 0
    assert outcome.summary()["by_way"]["unicast"] == 6
    kept = Simulation(on(replace(segment, membership=260.0), scene(6, 500_000))).run()
    assert kept.summary()["by_way"] == {"multicast": 6}


def test_who_has_left_does_not_come_back_by_a_late_admission() -> None:
    """Nodes that go to unicast before the switch has let them into the group."""
    segment = replace(SWITCH, join_delay=60.0)
    outcome = Simulation(on(segment, scene(3, 20_000))).run()
    assert outcome.lost == 0
    assert outcome.summary()["by_way"] == {"unicast": 3}


def test_an_unknown_address_is_unreachable() -> None:
    simulation = Simulation(scene(1))
    simulation.run()
    from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress

    server, nobody = Endpoint("10.77.0.1", 69), Endpoint("10.77.9.9", 2000)
    simulation.fabric.send(Datagram(0, server, nobody, b""), None)
    simulation.fabric.send(Datagram(0, server, nobody, b""), HardwareAddress(1, b"nobody"))
    assert simulation.fabric.unreachable == 2

"""Multicast on a switch: who gets a group, from when on, and for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mtftpd.sim.chance import Quality
from mtftpd.sim.scenario import Scenario
from mtftpd.sim.simulation import Simulation
from mtftpd.sim.topology import BUILT_IN, Segment, Snooping, Topology
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress
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
    server, nobody = Endpoint("10.77.0.1", 69), Endpoint("10.77.9.9", 2000)
    simulation.fabric.send(Datagram(0, server, nobody, b""), None)
    simulation.fabric.send(Datagram(0, server, nobody, b""), HardwareAddress(1, b"nobody"))
    assert simulation.fabric.unreachable == 2


def test_who_leaves_before_it_is_let_in_stays_outside() -> None:
    simulation = Simulation(on(replace(SWITCH, join_delay=0.5), scene(1, 20_000)))
    segment, station = simulation.fabric.cables[0].segment, simulation.machines[0].station
    group = Endpoint("239.9.9.9", 1799)
    segment.join(station, group, reported=True)
    segment.leave(station, group)
    segment.leave(station, group)
    while simulation.clock.step(0.6):
        pass
    assert station.ride is None or not station.ride.rides(station)


@pytest.mark.parametrize(
    "topology",
    [
        Topology("narrow-uplink", 1e9, (Segment("far", uplink=1e7, queue=2_000, rate=1e8),)),
        Topology("narrow-server", 1e7, (Segment("near", rate=1e8),), queue=2_000),
    ],
    ids=lambda topology: topology.name,
)
def test_small_queues_lose_requests_and_blocks_and_everybody_boots_all_the_same(topology: Topology) -> None:
    """Forty requests at once do not fit on their way up, nor do forty transfers on their way down.

    One EFI client in a hundred asks port 69 in vain three times here and gives up (seeds 1 to 10); none with this seed.
    """
    segment = replace(topology.segments[0], quality=Quality(loss=0.05))
    scenario = scene(40, 60_000, roms="spec=50%,edk1=50%", seed=3)
    outcome = Simulation(replace(scenario, topology=replace(topology, segments=(segment,)))).run()
    assert outcome.traffic.dropped_by_switch > 20
    assert outcome.lost == 0


def test_a_witness_sees_what_the_switch_and_the_rom_drop() -> None:
    segment = Segment("slow", rate=1e7, queue=6_000, speed=1_500, ring=2)
    simulation = Simulation(replace(scene(1, 20_000), topology=Topology("slow", 1e9, (segment,)), limit=30.0))
    seen: set[str] = set()
    simulation.watch("02:4d:54:00:00:01", lambda when, what, *_: seen.add(what))
    simulation.clock.at(1.0, _burst, simulation)
    simulation.run()
    assert {"dropped by the switch", "dropped by the ROM"} <= seen


def _burst(simulation: Simulation) -> None:
    simulation.fabric.send_blocks(Endpoint("10.77.0.1", 1542), Endpoint("239.1.1.1", 1799), 1, 30)


def test_nobody_is_watched_by_a_wrong_address() -> None:
    with pytest.raises(KeyError):
        Simulation(scene(1)).watch("02:00:00:00:00:00", lambda *_: None)

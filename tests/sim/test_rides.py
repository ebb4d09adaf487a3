"""Blocks that arrive in any rhythm reach a rider exactly as they reach who takes each by itself."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtftpd.sim.chance import Quality, Wire
from mtftpd.sim.simulation import Simulation
from mtftpd.sim.topology import Segment, Snooping, Topology
from mtftpd.wire.datagram import Datagram, Endpoint
from tests.sim.scenes import scene, with_quality

SERVER = Endpoint("10.77.0.1", 1542)
GROUP = Endpoint("239.1.1.1", 1799)
LISTENING = 1.9
"""By then every node has its address and listens; T is 2 s."""
BLOCKS = 59
NETWORK = Topology(
    "crowd",
    1e9,
    (
        Segment("quick", uplink=1e9, snooping=Snooping.OFF),
        Segment("narrow", uplink=1e9, rate=1e7, queue=3_000, snooping=Snooping.OFF),
        Segment("slow", uplink=1e7, queue=6_000, speed=1_500, ring=3, snooping=Snooping.OFF),
    ),
)

Stream = list[tuple[float, int, int]]
"""Seconds since the one before, first block and count."""


def listening(quality: Quality, seed: int, *, by_packet: bool, nodes: int = 6) -> Simulation:
    """Return a simulation whose nodes listen; what they miss until then is not in question."""
    scenario = scene(nodes, (BLOCKS - 1) * 512 + 100, seed=seed)
    simulation = Simulation(replace(scenario, topology=with_quality(NETWORK, quality)), by_packet=by_packet)
    while simulation.clock.step(LISTENING):
        pass
    simulation.clock.now = LISTENING
    return simulation


def states(simulation: Simulation) -> list[tuple[object, ...]]:
    simulation.settle()
    return [
        (
            station.memory.marks(),
            station.node.phase,
            station.node.next_deadline(),
            mtftp and (mtftp.heard, mtftp.duplicates, mtftp.blocks.missed, mtftp.opens),
            station.port.dropped,
            station.ring.dropped,
        )
        for station in (machine.station for machine in simulation.machines)
        for mtftp in (station.node.mtftp,)
    ]


def play(
    simulation: Simulation, stream: Stream, looks: list[float], after: float = 5.0
) -> list[list[tuple[object, ...]]]:
    now = LISTENING
    for gap, first, count in stream:
        now += gap
        simulation.clock.at(now, simulation.fabric.send_blocks, SERVER, GROUP, first, count)
    seen: list[list[tuple[object, ...]]] = []
    for look in sorted(looks):
        simulation.clock.at(LISTENING + look, lambda: seen.append(states(simulation)))
    while simulation.clock.step(now + after):
        pass
    simulation.clock.now = now + after
    return [*seen, states(simulation)]


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Passes over the image in bursts, with repeated blocks, jumps and pauses."""
    stream: Stream = []
    block = 1
    for _ in range(draw(st.integers(1, 25))):
        count = min(draw(st.sampled_from([1, 1, 2, 8, 20])), BLOCKS - block + 1)
        gap = draw(st.sampled_from([0.0, 5e-6, 1e-4, 7e-4, 0.003, 0.15, 2.5]))
        stream.append((gap, block, count))
        block += count
        if draw(st.integers(0, 9)) == 0:
            stream.append((0.001, block - 1, 1))
        if draw(st.integers(0, 15)) == 0:
            block = draw(st.integers(1, BLOCKS))
        if block > BLOCKS:
            block = 1
    return stream


@settings(max_examples=80)
@given(
    stream=streams(),
    loss=st.sampled_from([0.0, 0.03, 0.3]),
    burst=st.sampled_from([1.0, 4.0]),
    seed=st.integers(0, 50),
    looks=st.lists(st.floats(0, 3), max_size=4),
)
def test_riding_equals_taking_each_block(
    stream: Stream, loss: float, burst: float, seed: int, looks: list[float]
) -> None:
    quality = Quality(loss=loss, burst=burst)
    ridden, single = (listening(Quality(burst=burst), seed, by_packet=by_packet) for by_packet in (False, True))
    for simulation in (ridden, single):
        _spoil(simulation, quality)
    assert play(ridden, stream, looks) == play(single, stream, looks)


def _spoil(simulation: Simulation, quality: Quality) -> None:
    """Begin to lose packets only now, so that every node listens whatever the loss."""
    for machine in simulation.machines:
        machine.station.wire = Wire(quality, Random(f"{machine.number}"))


STEADY: Stream = [(0.001, block, 1) for block in range(1, BLOCKS)]


@pytest.mark.parametrize("by_packet", [False, True])
def test_blocks_at_their_leisure_reach_everybody(by_packet: bool) -> None:
    simulation = listening(Quality(), 1, by_packet=by_packet)
    (final,) = play(simulation, STEADY, [], 1.0)
    assert {each[0] for each in final} == {(1 << BLOCKS - 1) - 1}
    assert sum(int(str(each[5])) for each in final) == 0


def test_a_crowd_overruns_slow_rings_and_narrow_ports() -> None:
    simulation = listening(Quality(), 1, by_packet=False)
    (final,) = play(simulation, [(0.0, 1, 10), (0.002, 11, 20)], [], 1.0)
    quick, narrow, slow = final[:2], final[2:4], final[4:]
    assert all(each[0] == (1 << 30) - 1 for each in quick)
    assert all(each[4] for each in narrow)
    assert all(each[5] for each in slow)
    assert simulation.fabric.dropped()["switch"] > 0


def test_a_rider_that_got_off_and_on_again_stops_once_at_its_last_hole() -> None:
    holed = [(0.001, block, 1) for block in range(1, BLOCKS + 1) if block not in (20, 40)]
    again = [(0.001, block, 1) for block in range(1, BLOCKS + 1)]
    played = []
    for by_packet in (False, True):
        simulation = listening(Quality(), 1, by_packet=by_packet)
        station = simulation.machines[0].station
        stray = Datagram(0, SERVER, Endpoint(station.address, GROUP.port), b"stray")
        simulation.clock.at(LISTENING + 0.0875, simulation.fabric.send, stray, None)
        played.append(play(simulation, [*holed, *again], [0.08]))
        assert all(machine.reason == "multicast" for machine in simulation.machines)
    assert played[0] == played[1]


def test_a_rider_that_is_sent_something_else_gets_off_and_on_again() -> None:
    simulation = listening(Quality(), 1, by_packet=False)
    station = simulation.machines[0].station
    play_until = LISTENING + 0.02
    for number, (_, block, count) in enumerate(STEADY, 1):
        simulation.clock.at(LISTENING + number / 1000, simulation.fabric.send_blocks, SERVER, GROUP, block, count)
    while simulation.clock.step(play_until):
        pass
    assert station.ride is not None
    assert station.ride.rides(station)
    stray = Datagram(0, SERVER, Endpoint(station.address, GROUP.port), b"stray")
    simulation.fabric.send(stray, None)
    assert not station.ride.rides(station)
    while simulation.clock.step(LISTENING + 0.04):
        pass
    assert station.ride.rides(station)
    while simulation.clock.step(LISTENING + 0.1):
        pass
    assert {each[0] for each in states(simulation)} == {(1 << BLOCKS - 1) - 1}

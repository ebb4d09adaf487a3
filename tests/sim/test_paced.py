"""What the second gear is for: many listeners, late ones, dead masters, and nodes that are frozen or slow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import log
from random import Random

import pytest

from mtftpd.rom.actions import Phase
from mtftpd.sim.chance import Quality, Wire
from mtftpd.sim.outcome import Outcome
from mtftpd.sim.ports import Ring
from mtftpd.sim.scenario import PowerOn, Scenario
from mtftpd.sim.simulation import Machine, Simulation
from tests.sim.scenes import scene

LOSSY = Quality(loss=0.01)


def ideal_passes(nodes: int, blocks: int, loss: float) -> float:
    """Return the least mean number of passes that carry whole images: sum over k of 1 - (1 - p^k)^(N K)."""
    return 1 + sum(1 - (1 - loss**k) ** (nodes * blocks) for k in range(1, round(log(1e-12) / log(loss)) + 1))


def outcome(scenario: Scenario) -> Outcome:
    result = Simulation(scenario).run()
    assert result.lost == result.wrong == 0
    return result


def test_many_with_loss_are_done_sooner_for_as_many_packets_as_passes_need() -> None:
    both = [outcome(replace(scene(200, 1 << 20, quality=LOSSY), faithful=faithful)) for faithful in (True, False)]
    faithful, paced = (result.boot_seconds() or (0.0, 0.0, 0.0) for result in both)
    assert paced[1] < 0.7 * faithful[1]
    assert paced[2] < 0.9 * faithful[2]
    # Who lost a DHCP packet comes when the passes of the others are over, and needs passes of its own.
    late = sum(node.dhcp_retries > 0 for node in both[1].nodes)
    assert both[1].traffic.passes <= ideal_passes(200, 2049, 0.01) + ideal_passes(late, 2049, 0.01)


def test_late_joiners_cost_one_more_image_and_early_ones_nothing() -> None:
    scenario = scene(40, 8 << 20, power_on=PowerOn(spread=30.0))
    slow = replace(scenario.topology, segments=tuple(replace(each, speed=500) for each in scenario.topology.segments))
    together = outcome(replace(scenario, topology=slow))
    alone = outcome(replace(scenario, topology=slow, nodes=1, power_on=PowerOn()))
    assert together.traffic.group_blocks <= 2.0 * together.traffic.ideal
    assert together.nodes[0].seconds <= 1.1 * alone.nodes[0].seconds
    assert all(node.way == "multicast" for node in together.nodes)


class Breakable(Wire):
    """One direction of a link that loses everything while ``broken`` says so."""

    __slots__ = ("_broken",)

    def __init__(self, broken: Callable[[float], bool], quality: Quality, chance: Random) -> None:
        super().__init__(quality, chance)
        self._broken = broken

    def arrivals(self, when: float) -> tuple[float, ...]:
        return () if self._broken(when) else super().arrivals(when)


def break_link(simulation: Simulation, machine: Machine, broken: Callable[[float], bool]) -> None:
    quality = simulation.scenario.topology.segments[0].quality
    machine.station.wire = Breakable(broken, quality, Random(machine.number))
    machine.station.rides_alone = True
    place = simulation.fabric.places[machine.station]
    place.spoilt = Breakable(broken, quality, Random(-machine.number))


def slower(disturbed: Simulation, undisturbed: Outcome, but: set[int]) -> float:
    """Return how much longer all others took than without the disturbance: the slowest, or on the average."""
    result = disturbed._outcome()
    others = [node.seconds for node in result.nodes if node.number not in but]
    assert all(node.booted and node.right for node in result.nodes if node.number not in but)
    before = [node.seconds for node in undisturbed.nodes if node.number not in but]
    return max(max(others) / max(before), sum(others) / sum(before))


@pytest.mark.parametrize(("faithful", "kills"), [(True, 10), (False, 2)])
def test_ten_masters_in_a_row_may_be_killed(faithful: bool, kills: int) -> None:
    """With the second gear there are only two to kill: as soon as a ROM is known, nobody needs another master."""
    scenario = replace(scene(100, 1 << 20, quality=LOSSY, power_on=PowerOn(spread=50.0)), faithful=faithful)
    undisturbed = outcome(scenario)
    simulation = Simulation(replace(scenario, limit=undisturbed.seconds + 60))
    dead: set[int] = set()

    def strike() -> None:
        for machine in simulation.machines:
            if machine.station.node.phase is Phase.MASTER and machine.number not in dead and len(dead) < 10:
                dead.add(machine.number)
                break_link(simulation, machine, lambda _when: True)
        if len(dead) < 10:
            simulation.clock.at(simulation.clock.now + 0.05, strike)

    simulation.clock.at(1.0, strike)
    simulation.run()
    assert len(dead) == kills
    assert slower(simulation, undisturbed, dead) <= 1.1


def test_a_node_that_is_frozen_for_fifteen_seconds_holds_up_nobody() -> None:
    scenario = scene(24, 1 << 20)
    undisturbed = outcome(scenario)
    simulation = Simulation(scenario)
    break_link(simulation, simulation.machines[5], lambda when: 2.5 <= when < 17.5)
    assert simulation.run().lost == 0
    assert slower(simulation, undisturbed, {6}) <= 1.1


def test_a_node_that_is_ten_times_slower_holds_up_nobody() -> None:
    scenario = scene(24, 1 << 20)
    undisturbed = outcome(scenario)
    simulation = Simulation(scenario)
    station = simulation.machines[5].station
    station.ring = Ring(10 * station.ring.service, 32)
    station.rides_alone = True
    assert simulation.run().lost == 0
    assert slower(simulation, undisturbed, {6}) <= 1.1

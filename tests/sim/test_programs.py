"""Clients that are programs: what their users tell them is enough, without DHCP; iPXE reports to no switch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mtftpd.sim.chance import Quality
from mtftpd.sim.outcome import Outcome
from mtftpd.sim.scenario import PowerOn, Scenario
from mtftpd.sim.simulation import Simulation
from mtftpd.sim.topology import Snooping
from tests.sim.scenes import AT_ONCE, scene

SIZE = 50_000


def taken(rom: str, snooping: Snooping = Snooping.OFF, power_on: PowerOn = AT_ONCE) -> Outcome:
    """Let two clients take the image, without DHCP."""
    asked: Scenario = replace(scene(2, SIZE, "switch-1g", roms=rom), by_hand=True, power_on=power_on)
    (segment,) = asked.topology.segments
    network = replace(asked.topology, segments=(replace(segment, snooping=snooping),))
    return Simulation(replace(asked, topology=network)).run()


@pytest.mark.parametrize("rom", ["spec", "atftp-mtftp", "ipxe-mtftp"])
def test_who_is_told_by_its_user_needs_no_dhcp(rom: str) -> None:
    outcome = taken(rom)
    assert (outcome.booted, outcome.wrong) == (2, 0)
    assert [(node.way, node.address, node.dhcp_retries) for node in outcome.nodes] == [
        ("multicast", f"10.77.1.{number}", 0) for number in (1, 2)
    ]
    assert outcome.traffic.first_blocks == 1


def test_it_begins_when_it_was_seen_to_begin() -> None:
    outcome = taken("ipxe-mtftp", power_on=PowerOn(seen=(0.0, 3.0)))
    early, late = (node.ended for node in outcome.nodes)
    assert early < 3.0 < late
    assert outcome.traffic.first_blocks == 2


@pytest.mark.parametrize(
    ("snooping", "way"),
    [(Snooping.OFF, "multicast"), (Snooping.NO_QUERIER, "multicast"), (Snooping.QUERIER, "unicast")],
)
def test_a_switch_that_snoops_hides_the_group_from_ipxe(snooping: Snooping, way: str) -> None:
    outcome = taken("ipxe-mtftp", snooping)
    assert {node.way for node in outcome.nodes} == {way}


def test_a_pass_is_ended_for_nodes_that_are_done() -> None:
    simulation = Simulation(replace(scene(4, SIZE, quality=Quality(0.05), seed=2), by_hand=True))
    before, after = simulation.run().traffic, simulation.finish().traffic
    assert before.passes == after.passes
    assert before.group_blocks < after.group_blocks == after.passes * after.ideal + after.repeats

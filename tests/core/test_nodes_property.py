"""What status says of nodes, against what is true of them: they die at random moments, on good wires and bad ones."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from mtftpd.core.effects import Report, ReportKind
from mtftpd.core.node_states import FAILED, NodeState
from mtftpd.rom.profiles import EDK1, SPEC
from tests.core.boot_world import Machine, World
from tests.core.dhcp_lab import DHCP

UNICAST = replace(SPEC, name="unicast", mtftp=None)
SMALL = replace(UNICAST, tftp=replace(SPEC.tftp, block_size=0, probes_size=False))
PROFILES = (SPEC, EDK1, UNICAST, SMALL)
RUNS = 1_000
EACH = 50


def content(random: Random) -> bytes:
    return random.randbytes(random.choice((0, 511, 512, 5_000, 20_000)))


def one_run(seed: int) -> tuple[World, set[Machine]]:
    """Boot some nodes, some of which die for good, and some of which are switched off and on again."""
    random = Random(seed)
    world = World(DHCP, {"nbp": content(random)}, seed=seed, loss=random.choice((0.0, 0.0, 0.02, 0.1)))
    mortal: set[Machine] = set()
    for _ in range(random.randint(1, 4)):
        start = random.choice((0.0, random.uniform(0, 4)))
        machine = world.add(random.choice(PROFILES), start=start)
        fate = random.random()
        if fate < 0.6:
            when = start + random.choice((random.uniform(0, 0.2), random.uniform(0, 5), random.uniform(2, 2.6)))
            world.at(when, lambda m=machine: world.power_off(m))  # type: ignore[misc]
            mortal.add(machine)
        elif fate < 0.7:
            world.at(start + random.uniform(0, 5), lambda m=machine: world.power_on(m))  # type: ignore[misc]

    def judge(report: Report) -> None:
        detail = dict(report.detail)
        if report.kind is ReportKind.NODE_STATE:
            assert detail["reason"]
            assert detail["reason"] != "unknown"
            if detail["state"] == NodeState.DONE.value:
                (machine,) = (each for each in world.machines if each.hardware == report.hardware)
                assert machine.finished, (seed, report)

    world.on_report = judge
    world.run(until=600)
    return world, mortal


@pytest.mark.parametrize("first", range(0, RUNS, EACH))
def test_done_is_never_said_of_a_node_that_has_not_finished(first: int) -> None:
    for seed in range(first, first + EACH):
        world, mortal = one_run(seed)
        records = {record.hardware: record for record in world.service.nodes.nodes()}
        for machine in world.machines:
            record = records.get(machine.hardware)
            if record is None:
                assert machine in mortal, "it died before the server heard of it"
            elif machine.finished:
                # A listener that has everything, or a master that needed only the rest, leaves without a word.
                assert record.state is NodeState.DONE or record.inferred, (seed, record)
            elif record.state is not NodeState.MAYBE_DONE:
                assert record.state in FAILED, (seed, record)
                assert record.reason not in ("", "unknown")

"""What status says of nodes, against what is true of them: they die at random moments, on good wires and bad ones.

Some of them call from three interfaces, of which one boots; the server knows that, or has to find it out.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from mtftpd.core.effects import Report, ReportKind
from mtftpd.core.node_settings import Inventory, NodeEntry, OtherNics
from mtftpd.core.nodes.states import FAILED, NodeState
from mtftpd.rom.profiles import EDK1, SPEC, RomProfile
from tests.core.dhcp.dhcp_lab import DHCP
from tests.core.nodes.boot_world import Machine, World

UNICAST = replace(SPEC, name="unicast", mtftp=None)
SMALL = replace(UNICAST, tftp=replace(SPEC.tftp, block_size=0, probes_size=False))
PROFILES = (SPEC, EDK1, UNICAST, SMALL)
RUNS = 1_000
EACH = 50

Node = tuple[Machine, ...]
"""A node with its interfaces."""


def content(random: Random) -> bytes:
    return random.randbytes(random.choice((0, 511, 512, 5_000, 20_000)))


def drawn(random: Random) -> RomProfile:
    """Return a ROM; one in three calls from three interfaces, any of which may be the one that boots."""
    profile = random.choice(PROFILES)
    return replace(profile, nics=3, boots_from=random.randint(1, 3)) if random.random() < 0.3 else profile


def finished(node: Node) -> bool:
    return any(interface.finished for interface in node)


def tell_of(world: World, nodes: list[tuple[Node, int]], other_nics: OtherNics) -> None:
    """Configure which interface of each node boots."""
    entries = tuple(
        NodeEntry(
            hardware=tuple(each.hardware for each in node),
            bootable=node[boots_from - 1].hardware,
            other_nics=other_nics,
        )
        for node, boots_from in nodes
    )
    settings = replace(world.service.settings, inventory=Inventory(entries))
    world.service.reconfigure(settings, world.service.catalogue, 0.0)


def one_run(seed: int) -> tuple[World, list[Node], set[int]]:
    """Boot some nodes, some of which die for good, and some of which are switched off and on again."""
    random = Random(seed)
    world = World(DHCP, {"nbp": content(random)}, seed=seed, loss=random.choice((0.0, 0.0, 0.02, 0.1)))
    nodes: list[tuple[Node, int]] = []
    mortal: set[int] = set()
    for number in range(random.randint(1, 4)):
        start = random.choice((0.0, random.uniform(0, 4)))
        rom = drawn(random)
        node = world.add_all(rom, start=start)
        nodes.append((node, rom.boots_from))
        fate = random.random()
        if fate < 0.6:
            when = start + random.choice((random.uniform(0, 0.2), random.uniform(0, 5), random.uniform(2, 2.6)))
            for each in node:
                world.at(when, lambda m=each: world.power_off(m))  # type: ignore[misc]
            mortal.add(number)
        elif fate < 0.7:
            again = start + random.uniform(0, 5)
            for each in node:
                world.at(again, lambda m=each: world.power_on(m))  # type: ignore[misc]
    if random.random() < 0.5:
        tell_of(world, nodes, random.choice(list(OtherNics)))

    def judge(report: Report) -> None:
        detail = dict(report.detail)
        if report.kind is ReportKind.NODE_STATE:
            assert detail["reason"]
            assert detail["reason"] != "unknown"
            if detail["state"] == NodeState.DONE.value:
                (node,) = (node for node, _ in nodes if report.hardware in [each.hardware for each in node])
                assert finished(node), (seed, report)

    world.on_report = judge
    world.run(until=600)
    return world, [node for node, _ in nodes], mortal


@pytest.mark.parametrize("first", range(0, RUNS, EACH))
def test_done_is_never_said_of_a_node_that_has_not_finished(first: int) -> None:
    for seed in range(first, first + EACH):
        world, nodes, mortal = one_run(seed)
        records = {record.hardware: record for record in world.service.nodes.nodes()}
        for number, node in enumerate(nodes):
            found = [records[each.hardware] for each in node if each.hardware in records]
            assert len(found) <= 1, (seed, found)
            if not found:
                assert number in mortal, "it died before the server heard of it"
                continue
            (record,) = found
            if finished(node):
                # A listener that has everything, or a master that needed only the rest, leaves without a word.
                assert record.state is NodeState.DONE or record.inferred, (seed, record)
            elif record.state is not NodeState.MAYBE_DONE:
                assert record.state in FAILED, (seed, record)
                assert record.reason not in ("", "unknown")


def test_the_runs_are_what_they_should_be() -> None:
    """All that matters happens in them: nodes with three interfaces, nodes that die, and nodes that finish."""
    kinds = {"three": 0, "mortal": 0, "finished": 0, "dead": 0}
    for seed in range(EACH):
        _, nodes, mortal = one_run(seed)
        kinds["three"] += sum(len(node) == 3 for node in nodes)
        kinds["mortal"] += len(mortal)
        kinds["finished"] += sum(map(finished, nodes))
        kinds["dead"] += sum(not finished(node) for node in nodes)
    assert all(count >= EACH // 5 for count in kinds.values()), kinds

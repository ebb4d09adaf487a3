"""Machines with three interfaces, and every client that is known, on one hub that loses packets: nobody is lost."""

from __future__ import annotations

from functools import cache

import pytest

from mtftpd.core.node_settings import OtherNics
from mtftpd.sim.fleet import fleet_of, inventory_of
from mtftpd.sim.simulation import Simulation
from tests.sim.make_machines import BLADES, FILE, HEAD, SCENARIOS, blades, mixed, table

_table = cache(table)


@pytest.mark.parametrize("name", SCENARIOS)
def test_nobody_is_lost(name: str) -> None:
    booted, wrong = HEAD.index("booted"), HEAD.index("wrong")
    for line, scenario in zip(_table(name)[1:], SCENARIOS[name], strict=True):
        cells = line.split()[1:]  # "48 blades" is one column
        assert (int(cells[booted]), int(cells[wrong])) == (scenario.nodes, 0), line


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_table_is_as_it_is_stored(name: str) -> None:
    assert "\n".join(_table(name)) in FILE.read_text(encoding="ascii")


def test_the_records_are_of_machines_and_name_the_interfaces_that_do_not_boot() -> None:
    simulation = Simulation(blades(1, BLADES, OtherNics.SILENT))
    simulation.run()
    records = simulation.service.nodes.nodes()
    assert {node.hardware for node in records} == {each.station.hardware for each in simulation.machines}
    others = {each.hardware for machine in simulation.machines for each in machine.others}
    assert {hardware for node in records for hardware in node.wrong_nics} == others
    assert (len(records), len(others)) == (BLADES, 2 * BLADES)


def test_only_machines_with_several_interfaces_need_a_section() -> None:
    fleet = fleet_of(mixed(1))
    assert len(inventory_of(mixed(1)).entries) == sum(len(each.interfaces) > 1 for each in fleet) == 4
    assert inventory_of(blades(1, 0, None)).entries == ()

"""The budget of the server's link with whole simulated networks behind it."""

from __future__ import annotations

from collections.abc import Callable

from mtftpd.core.link.wire_time import block_octets
from mtftpd.core.service import Statistics
from mtftpd.sim.outcome import Outcome
from mtftpd.sim.scenario import Scenario
from mtftpd.sim.simulation import Simulation
from tests.sim.scenes import scene

RATE = 5e6


def run(scenario: Scenario, look: Callable[[Statistics], None] = lambda _: None) -> Outcome:
    simulation = Simulation(scenario)
    service = simulation.service
    for tenth in range(600):
        simulation.clock.at(tenth / 10, lambda: look(service.statistics()))
    return simulation.run()


def test_sixty_clients_of_a_narrow_link_lose_nothing_repeat_nothing_and_fill_it() -> None:
    queues: list[int] = []
    outcome = run(scene(60, 100_000, "switch-100m", roms="unicast", rate=RATE), lambda now: _take(now, queues))
    assert outcome.booted == 60
    blocks = 60 * (100_000 // 1468 + 1)
    assert outcome.traffic.unicast_blocks == blocks
    assert outcome.traffic.dropped_by_switch == 0
    seconds = blocks * block_octets(1468) * 8 / RATE
    times = outcome.boot_seconds()
    assert times is not None
    assert 0.99 * seconds < times[2] < 1.1 * seconds  # the last block of each is a short one
    # 41 windows of one block are 0.1 s of this link: the other 19 waited, and nobody for more than 3 s.
    assert max(queues) > 10
    assert queues[-1] == 0


def _take(statistics: Statistics, queues: list[int]) -> None:
    queues.append(len(statistics.admission.queue))


def test_a_pass_and_transfers_share_the_link_and_both_are_done() -> None:
    """Half of the nodes have no multicast: the pass goes on beside them, and its listeners need no other one."""
    outcome = run(scene(40, 200_000, "switch-100m", roms="spec=50%,unicast=50%", rate=RATE))
    assert outcome.booted == 40
    assert outcome.traffic.passes == 1
    assert outcome.traffic.repeats == 0
    ways = {node.rom: max(each.seconds for each in outcome.nodes if each.rom == node.rom) for node in outcome.nodes}
    assert ways["spec"] < ways["unicast"]

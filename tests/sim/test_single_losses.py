"""Every packet of one boot lost in turn: nobody is lost, and nobody waits for long."""

from __future__ import annotations

from random import Random

import pytest

from mtftpd.sim.chance import Quality, Wire
from mtftpd.sim.outcome import Outcome
from mtftpd.sim.simulation import Simulation
from tests.sim.scenes import scene

NODES = 4
OCTETS = 12 * 512 + 100
SERVER_RECOVERY = 2.0
"""Seconds that the server may add to what the timers of the ROM cost."""
ROM_TIMERS = {"spec": 4.0 + 1.0, "edk1": 2 * 2.1}
"""Seconds: the first wait for an offer with its jitter; T before and after an open that was in vain."""


class Tally:
    """Counts the packets of all links, and loses one of them."""

    def __init__(self, victim: int) -> None:
        self.victim = victim
        self.packets = 0

    def loses(self) -> bool:
        self.packets += 1
        return self.packets - 1 == self.victim


class TalliedWire(Wire):
    """One direction of one link that loses what the tally says."""

    __slots__ = ("_tally",)

    def __init__(self, tally: Tally) -> None:
        super().__init__(Quality(), Random(0))
        self._tally = tally

    def arrivals(self, when: float) -> tuple[float, ...]:
        return () if self._tally.loses() else (0.0,)


def boot(rom: str, victim: int) -> tuple[Outcome, Tally]:
    simulation = Simulation(scene(NODES, OCTETS, roms=rom), by_packet=True)
    tally = Tally(victim)
    for machine in simulation.machines:
        machine.station.wire = TalliedWire(tally)
        simulation.fabric.places[machine.station].spoilt = TalliedWire(tally)
    return simulation.run(), tally


@pytest.mark.parametrize("rom", ["spec", "edk1"])
def test_any_one_packet_may_get_lost(rom: str) -> None:
    undisturbed, tally = boot(rom, -1)
    assert undisturbed.lost == 0
    latest = undisturbed.seconds + SERVER_RECOVERY + ROM_TIMERS[rom]
    slow = []
    for victim in range(tally.packets):
        outcome, _ = boot(rom, victim)
        assert outcome.lost == outcome.wrong == 0, f"packet {victim}: {outcome.failures()}"
        if outcome.seconds > latest:
            slow.append((victim, outcome.seconds, outcome.fallbacks()))
    assert not slow

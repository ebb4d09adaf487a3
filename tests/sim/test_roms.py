"""ROMs by name, and the case that the project began with."""

from __future__ import annotations

import pytest

from mtftpd.quirks.vocabulary import Mutation
from mtftpd.rom.profiles import EDK1
from mtftpd.sim.roms import ROMS, rom
from mtftpd.sim.simulation import Simulation
from tests.sim.scenes import scene


@pytest.mark.parametrize("name", sorted(ROMS))
def test_plain_names(name: str) -> None:
    assert rom(name).name == name
    assert rom(name).faults == ROMS[name].faults


def test_faults_are_added() -> None:
    assert rom("edk1+dup_ack+no_fallback").faults == {Mutation.DUP_ACK, Mutation.NO_FALLBACK}
    assert rom("edk1").dhcp == EDK1.dhcp


@pytest.mark.parametrize("name", ["", "award", "spec+", "spec+awful"])
def test_what_is_not_known(name: str) -> None:
    with pytest.raises(ValueError, match="there are"):
        rom(name)


@pytest.mark.parametrize(
    ("name", "way"), [("unicast+never_retransmit", "unicast"), ("spec+never_retransmit", "multicast")]
)
def test_the_seed_case_a_hundred_roms_that_any_lost_packet_kills(name: str, way: str) -> None:
    """All switched on at once behind ports of 100 Mbit/s with 128 KiB: other servers lose 8 of them, and 4."""
    outcome = Simulation(scene(100, 100_000, "switch-100m", roms=name)).run()
    assert outcome.summary()["by_way"] == {way: 100}

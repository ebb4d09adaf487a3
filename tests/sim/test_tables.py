"""Behaviour as numbers.  A difference is either a mistake or an improvement: see `tests.sim.make_tables`."""

from __future__ import annotations

import pytest

from mtftpd.sim.topology import BUILT_IN
from tests.sim.make_tables import FOLDER, rates, table


@pytest.mark.parametrize("network", sorted(BUILT_IN))
def test_a_table_is_as_it_is_stored(network: str) -> None:
    stored = (FOLDER / f"{network}.txt").read_text(encoding="ascii")
    assert table(network).splitlines() == stored.splitlines()


def test_the_table_of_rates_is_as_it_is_stored_and_a_rate_for_the_slowest_saves_passes() -> None:
    made = rates().splitlines()
    assert made == (FOLDER / "rates.txt").read_text(encoding="ascii").splitlines()
    head, *rows = (line.split() for line in made[1:])
    passes = {(row[1], row[0]): int(row[head.index("passes")]) for row in rows}
    for rom in {name for name, _ in passes}:
        # 3 Mbit/s are 644 blocks of 582 octets a second, and the slow third reads 700.
        assert passes[rom, "3M"] == passes[rom, "2M"] == 1 < passes[rom, "none"]


def test_there_is_no_table_of_anything_else() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {*BUILT_IN, "rates", "machines"}

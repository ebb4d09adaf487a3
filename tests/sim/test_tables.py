"""Behaviour as numbers.  A difference is either a mistake or an improvement: see `tests.sim.make_tables`."""

from __future__ import annotations

import pytest

from mtftpd.sim.topology import BUILT_IN
from tests.sim.make_tables import FOLDER, table


@pytest.mark.parametrize("network", sorted(BUILT_IN))
def test_a_table_is_as_it_is_stored(network: str) -> None:
    stored = (FOLDER / f"{network}.txt").read_text(encoding="ascii")
    assert table(network).splitlines() == stored.splitlines()


def test_there_is_no_table_of_anything_else() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(BUILT_IN)

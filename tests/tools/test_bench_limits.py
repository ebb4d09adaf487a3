"""The formulas that results of benchmarks are compared with."""

from __future__ import annotations

import random

import pytest

from tools.bench.limits import passes, sends_per_block
from tools.bench.wire import draw

BLOCKS = 23_046
"""32 MiB in blocks of 1,456 octets."""


@pytest.mark.parametrize(
    ("receivers", "loss", "sends", "images"),
    [(24, 0.001, 1.0238, 2.43), (24, 0.01, 1.2167, 3.43), (24, 0.05, 1.7695, 5.14), (2_000, 0.01, 2.1833, 4.37)],
)
def test_known_values(receivers: int, loss: float, sends: float, images: float) -> None:
    assert sends_per_block(receivers, loss) == pytest.approx(sends, abs=1e-4)
    assert passes(receivers, loss, BLOCKS) == pytest.approx(images, abs=0.01)


def test_without_loss_everything_is_sent_once() -> None:
    assert sends_per_block(24, 0.0) == passes(24, 0.0, BLOCKS) == 1.0


def test_the_formula_agrees_with_what_is_drawn() -> None:
    chance = random.Random(1)

    lacking = [sum(any(chance.random() < 0.3**times for _ in range(4)) for _ in range(20_000)) for times in range(8)]
    assert sum(lacking) / 20_000 == pytest.approx(sends_per_block(4, 0.3), abs=0.03)


def test_bursts_lose_the_share_asked_for_and_hit_clients_at_different_times() -> None:
    assert draw(0.01, 1, 3) == "numgen random mod 100000 < 1000"
    assert draw(0.01, 8, 1) == "numgen inc mod 809 131-138"
    assert draw(0.01, 8, 2) == "numgen inc mod 809 262-269"

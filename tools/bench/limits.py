"""The least that multicast without forward error correction can cost: what results are given as ratios to.

``receivers`` lose each packet with probability ``loss``, independently of one another.
"""

from __future__ import annotations

from itertools import count

NEGLIGIBLE = 1e-12


def sends_per_block(receivers: int, loss: float) -> float:
    """Return M(N,p), the mean number of times that one block is sent until everybody has it.

    Sum over k of 1 - (1 - p^k)^N: the chance that somebody still lacks it after k times.
    """
    total = 0.0
    for times in count():
        lacking = 1.0 - (1.0 - loss**times) ** receivers
        if lacking < NEGLIGIBLE:
            return total
        total += lacking
    raise AssertionError("unreachable")


def passes(receivers: int, loss: float, blocks: int) -> float:
    """Return P(N,p), the mean number of times that an image of ``blocks`` is sent as a whole until all have it."""
    return sends_per_block(receivers * blocks, loss)

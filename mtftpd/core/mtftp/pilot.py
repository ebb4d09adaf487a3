"""The pace of a carousel: one listener acknowledges what it hears, and so shows how much of it arrives.

Blocks leave whether or not it does.  When nearly all of a window were acknowledged the blocks move closer together,
when many are missing they move apart; a client that says nothing at all says nothing about the pace either.
"""

from __future__ import annotations

from mtftpd.core.mtftp.pacing import FASTEST, SLOWEST, Pacer

WINDOW = 32
"""Blocks between two decisions: more than a burst, and 1 % of loss is less than one of them."""
ENOUGH = 0.9
"""The share of a window that is acknowledged when all is well: 5 % of loss each way."""
FASTER = 0.8
SLOWER = 1.5
"""Three windows of the one make up for two of the other."""
LARGEST_BURST = 4
"""Blocks that leave together: a guest or a ROM that polls has a ring of 8 at least, and is busy with an answer."""


class PilotPace:
    """``interval`` is the seconds between blocks now; ``start`` is when the first one leaves."""

    def __init__(self, start: float, interval: float) -> None:
        self.interval = interval
        self._pacer = Pacer(self.interval, start, LARGEST_BURST)
        self._sent = 0
        self._acknowledged = 0

    @property
    def deadline(self) -> float:
        """When the next blocks may leave."""
        return self._pacer.deadline

    def take(self, now: float) -> int:
        """Return how many blocks leave now."""
        count = self._pacer.take(now)
        self._sent += count
        if self._sent >= WINDOW:
            self._decide(now)
        return count

    def acknowledged(self) -> None:
        """Take note of an acknowledgement of the pilot."""
        self._acknowledged += 1

    def slow_down(self, now: float) -> None:
        """Move blocks apart: listeners lack more than loss explains."""
        self._change(SLOWER, now)

    def _decide(self, now: float) -> None:
        if self._acknowledged:
            self._change(FASTER if self._acknowledged >= ENOUGH * self._sent else SLOWER, now)
        self._sent = self._acknowledged = 0

    def _change(self, factor: float, now: float) -> None:
        self.interval = min(max(self.interval * factor, FASTEST), SLOWEST)
        self._pacer = Pacer(self.interval, now + self.interval, LARGEST_BURST)

"""How long to wait for an answer: the estimator of RFC 6298, with limits that boot ROMs can live with."""

from __future__ import annotations

FLOOR = 0.02
"""Seconds.  A kernel that delays an ACK by one scheduler tick (10 ms) is not a loss; twice that is."""
CAP = 4.0
"""Seconds.  The longest any known ROM waits for a block before it asks again (EDK1 on port 69: 4 s)."""
INITIAL = 0.5
"""Seconds, before the first sample.  RFC 6298 says 1 s for the Internet; clients here are on the same LAN."""
PATIENCE_KEPT = 0.9
"""What is left of the shortest wait after each loss: it shrinks while fewer than one ring in eight is too early."""

_GAIN = 0.125
_GAIN_OF_VARIANCE = 0.25
_DEVIATIONS = 4.0


class RoundTrip:
    """Smoothed round-trip time and its mean deviation (RFC 6298 section 2), in seconds.

    The caller keeps Karn's rule (RFC 6298 section 3): an answer to something sent twice is no sample.
    """

    __slots__ = ("_cap", "_floor", "_initial", "_least", "deviation", "smoothed")

    def __init__(self, floor: float = FLOOR, cap: float = CAP, initial: float = INITIAL) -> None:
        self._floor = self._least = floor
        self._cap = cap
        self._initial = initial
        self.smoothed: float | None = None
        self.deviation = 0.0

    def sample(self, seconds: float) -> None:
        """Take one measured round trip."""
        smoothed = self.smoothed
        if smoothed is None:
            self.smoothed = seconds
            self.deviation = seconds / 2
            return
        error = seconds - smoothed
        self.smoothed = smoothed + _GAIN * error
        self.deviation += _GAIN_OF_VARIANCE * ((-error if error < 0 else error) - self.deviation)

    def was_hasty(self) -> None:
        """Take note that the timer rang too early, since the answer came after all: wait longer from now on."""
        self._floor = max(self._floor, min(2 * self._floor, FLOOR))

    def was_right(self) -> None:
        """Take note that the timer rang for something that was lost: wait a little less from now on."""
        self._floor = max(self._least, PATIENCE_KEPT * self._floor)

    def timeout(self, attempt: int = 0) -> float:
        """Return how long to wait before repetition ``attempt`` (from 0), doubled each time, within the limits."""
        smoothed = self.smoothed
        wait = self._initial if smoothed is None else smoothed + _DEVIATIONS * self.deviation
        if wait < self._floor:
            wait = self._floor
        if attempt:
            wait *= 1 << attempt
        if wait > self._cap:
            wait = self._cap
        return wait

"""The border between the core's monotonic clock and the wall time that is stored.

Wall time = monotonic time + ``offset``.  The offset in force is stored beside the times, so that they are right
whatever happens to the wall clock: as long as the machine has not booted again, its monotonic clock goes on and the
stored offset leads back to it.  After another boot only the wall clock is left.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

STEP: Final = 1.0
"""Seconds between wall clock and ``offset`` that are taken for a step, and not for the patience of NTP."""
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Timescale:
    """The offset (seconds) in force on one boot of one machine, and the wall time when something was last written."""

    boot: str
    offset: float
    seen: float

    def resumed(self, now: Timescale) -> Timescale:
        """Return the scale that reads stored times on the clocks of ``now``.

        After another boot a wall clock that is behind the last write is certainly wrong: then no time has passed.
        """
        if self.boot == now.boot:
            return self
        return replace(now, offset=now.offset + max(0.0, self.seen - now.seen))

    def step_to(self, now: Timescale) -> float:
        """Return how many seconds the wall clock was set forward (or back, negative) since; 0.0 when it was not."""
        step = now.offset - self.offset
        return step if abs(step) > STEP else 0.0


def this_moment() -> Timescale:
    """Return what the clocks of this machine say now."""
    wall = time.time()
    return Timescale(_boot(), wall - time.monotonic(), wall)


@cache
def _boot() -> str:
    return _BOOT_ID.read_text(encoding="ascii").strip()

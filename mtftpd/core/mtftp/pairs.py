"""How long a ROM takes for one block, without the network: a block that leaves twice is acknowledged twice.

A round trip says how fast blocks may follow one another when nobody acknowledges them, but not how much faster they
might: it has the network and the server in it.  Both copies wait in the ROM at the same time, so that what lies between
their acknowledgements is the ROM alone, with the sending of one of them.  The newest block may be repeated at any time
(requirement DAT-03); an EFI master has tries for two repetitions of each block, and this takes one of them.
"""

from __future__ import annotations

PAIR_EVERY = 256
"""Blocks from one pair to the next: 0.4 % more packets, in the first pass for a ROM that nothing is known of."""
LEAST_PAIRS = 4
"""Pairs that are a sample: one may be delayed by anything."""


LONGEST_HOLD = 0.001
"""Seconds that the next block waits for the second acknowledgement: several times what a ROM takes, and atftp sends
none."""


class Pairs:
    """The pairs of one pass: ``next`` is the block that is to leave twice, ``last`` the one that did; 0 for none."""

    __slots__ = ("_first_at", "_measured", "_seconds", "last", "next")

    def __init__(self, *, wanted: bool = False) -> None:
        self.next = PAIR_EVERY if wanted else 0
        self.last = 0
        self._first_at: float | None = None
        self._seconds = 0.0
        self._measured = 0

    def left(self) -> None:
        """Take note that both copies of the next one have left."""
        self.last = self.next
        self.next += PAIR_EVERY

    def holds(self, now: float) -> bool:
        """Take an acknowledgement of the last one; return whether another is waited for before the next block."""
        if self._first_at is None:
            self._first_at = now
            return True
        self._seconds += now - self._first_at
        self._measured += 1
        self.give_up()
        return False

    @property
    def is_holding(self) -> bool:
        """Whether the first acknowledgement has come and the second is waited for."""
        return self._first_at is not None

    def give_up(self) -> None:
        """Wait for no other acknowledgement."""
        self.last = 0
        self._first_at = None

    @property
    def service(self) -> float | None:
        """Seconds for one block on the average, None when too few were measured."""
        return self._seconds / self._measured if self._measured >= LEAST_PAIRS else None

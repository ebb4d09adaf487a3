"""How fast blocks may leave that nobody acknowledges, for each kind of ROM; learnt, and kept for the next run.

Rules
1. The first pass for a ROM that nothing is known of has a real master: its answer times say how fast it is.
2. From then on blocks leave `SLOW_DOWN` times as far apart as it took to answer them.  Each clean pass brings that
   nearer to the answer time itself, and never below: nobody has been seen to be faster.  Where pairs of blocks were
   answered (`mtftpd.core.mtftp.pairs`) it is known what of that time the ROM took, and blocks leave nearly as close.
3. Holes that the loss of the network does not explain are the fault of the rate: the blocks move apart, and fewer of
   them leave together.
4. The slowest of an audience sets the pace; for a profile without a record that is the slowest one that has one.

The loss of the network is what masters lost of lock-step passes, where the rate cannot be at fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, replace

from mtftpd.core.mtftp.pacing import FASTEST, LARGEST_BURST, SLOW_DOWN, SLOWEST
from mtftpd.core.mtftp.timing import HASTE

MAX_PROFILES = 256
"""Records: profiles are those of the ROM table and of the operator; 256 * ~200 bytes are 50 KiB."""
SPARE = 1.1
"""How much more time than the master took for a block of a pair its siblings have: they are not all alike."""
LEAST_FACTOR = 0.5
"""Of the answer time, whatever pairs say: two acknowledgements that left apart may arrive together."""
CLEAN_STEP = 0.9
"""What a clean pass makes of the factor: seven of them lead from 2 to 1."""
HOLES_STEP = 1.5
SLOWEST_FACTOR = 16.0
LEAST_BLOCKS = 64
"""Blocks of a lock-step pass that are a sample: one repetition among them is 0.8 % of loss."""
_NEWEST = 0.5
"""The weight of the newest sample: passes are seconds long, and a network changes between them."""
_COPIES = 2
"""A block is repeated when it or its acknowledgement was lost."""


@dataclass(frozen=True, slots=True)
class PassRate:
    """What is known of one profile.

    ``answer`` is how many seconds a master took for a block, ``factor`` how many of those lie between two blocks,
    ``burst`` how many blocks may leave together, ``loss`` the share of packets that masters lost.
    """

    profile: str
    answer: float
    factor: float = SLOW_DOWN
    burst: int = LARGEST_BURST
    loss: float = 0.0

    @property
    def interval(self) -> float:
        """Seconds between blocks."""
        return min(max(self.answer * self.factor, FASTEST), SLOWEST)


class PassRates:
    """The table."""

    def __init__(self, known: Iterable[PassRate] = ()) -> None:
        self._rates: dict[str, PassRate] = {}
        self.restore(known)

    def restore(self, known: Iterable[PassRate]) -> None:
        """Take the `snapshot` of a former run; what was learnt since counts more."""
        for rate in known:
            if len(self._rates) < MAX_PROFILES:
                self._rates.setdefault(rate.profile, rate)

    def snapshot(self) -> tuple[PassRate, ...]:
        """Return all records."""
        return tuple(self._rates.values())

    def knows(self, profile: str) -> bool:
        """Return whether there is a record."""
        return profile in self._rates

    def answered(self, profile: str, answer: float, blocks: int, repeats: int, service: float | None = None) -> None:
        """Learn from a lock-step pass: its mean answer time, its blocks, and how many of them a timer repeated.

        ``service`` is what pairs say that the ROM takes for a block; it counts where nothing was known.
        """
        if blocks < LEAST_BLOCKS:
            return
        loss = repeats / blocks / _COPIES
        known = self._rates.get(profile)
        if known is None:
            if len(self._rates) < MAX_PROFILES:
                self._rates[profile] = PassRate(profile, answer, _factor(answer, service), loss=loss)
            return
        self._rates[profile] = replace(
            known,
            answer=known.answer + _NEWEST * (answer - known.answer),
            loss=known.loss + _NEWEST * (loss - known.loss),
        )

    def slowest(self, profiles: Set[str]) -> PassRate | None:
        """Return the record that sets the pace for an audience; None when nothing is known."""
        found = [rate for rate in self._rates.values() if rate.profile in profiles]
        if len(found) < len(profiles):
            found = list(self._rates.values())
        return max(found, key=lambda rate: rate.interval, default=None)

    def loss(self, profiles: Set[str]) -> float:
        """Return the loss that the worst of an audience suffers, as far as it is known."""
        return max((rate.loss for rate in self._rates.values() if rate.profile in profiles), default=0.0)

    def went_well(self, profiles: Set[str]) -> None:
        """Learn that a paced pass left no holes but those of the network."""
        self._change(profiles, CLEAN_STEP, 0)

    def was_too_fast(self, profiles: Set[str]) -> None:
        """Learn that a paced pass left holes that the network does not explain."""
        self._change(profiles, HOLES_STEP, 1)

    def _change(self, profiles: Set[str], step: float, halvings: int) -> None:
        for rate in [each for each in self._rates.values() if each.profile in profiles]:
            factor = min(max(rate.factor * step, min(rate.factor, 1.0)), SLOWEST_FACTOR)
            self._rates[rate.profile] = replace(rate, factor=factor, burst=max(rate.burst >> halvings, 1))


def lockstep_interval(rate: PassRate) -> float:
    """Return how long a block takes on the average when each is acknowledged, with the waits for what is lost."""
    return rate.answer + _COPIES * rate.loss * max(HASTE, rate.answer)


def _factor(answer: float, service: float | None) -> float:
    return SLOW_DOWN if service is None else min(max(SPARE * service / answer, LEAST_FACTOR), SLOW_DOWN)

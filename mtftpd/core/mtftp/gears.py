"""Which gear the next pass of a group takes, and whether there is one: lock-step with a real master, or paced.

Rules
1. In lock-step the pass waits for its master, block by block, and the master is certain to have the image in the end.
2. A paced pass has no master on the wire: it looks like one whose master is another client (PXE 2.1 section 2.4.10),
   so opens are met with silence.  Whoever opened before it began finds the group sending, and listens.
3. An open is answered in lock-step when it comes in the gap behind a pass, when it is the only demand, when nothing is
   known of how fast its kind is, when the opener has heard so many passes that another one would not help it either,
   or when lock-step is the faster way; else by a paced pass.
4. Behind a pass another, paced one begins by itself for those who came too late for it and wait, and when the loss of
   the network lets expect so many with holes that it is quicker not to wait until they ask; at most `MAX_UNASKED` in a
   row without an open.
5. Where passes are in vain for so many that serving them one by one takes longer than to wait until they give up, the
   group is closed for that time: every open is met with silence, and all go to port 69 at once.
6. Where an operator says what pace the listeners of an image keep up with, that one is taken in place of what is known
   of ROMs, even for one opener alone.  Holes that the loss of the network does not explain then change nothing that was
   learnt of ROMs; a group that has failed many (``factor`` below 1) is slowed down to what a ROM is believed to take.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, log1p

from mtftpd.core.groups import Binding
from mtftpd.core.images import MTFTP_BLOCK_SIZE
from mtftpd.core.link.budget import LinkBudget
from mtftpd.core.mtftp.audience import Audience, chance_of_holes
from mtftpd.core.mtftp.pacing import Pace, Pacer, doubted, interval_after, stated_pace
from mtftpd.core.mtftp.pairs import Pairs
from mtftpd.core.mtftp.pass_rates import PassRates, lockstep_interval
from mtftpd.core.mtftp.passes import Pass
from mtftpd.core.mtftp.timing import HASTE, patience
from mtftpd.core.rtt import FLOOR, RoundTrip

MAX_UNASKED = 4
"""Passes: at 1 % of loss and 65,535 blocks 4 of them leave a hole with 2,000 listeners in one case of three."""
LEAST_EXPECTED = 0.3
"""Listeners with holes that are expected at least where a pass begins unasked, however short it is."""
ASKING = 1.5
"""Times T: how long it takes on the average until somebody with holes opens by itself (PXE 2.1 figure 2-5)."""
SLOW_ROM = 5.0
"""Seconds that a slow ROM takes beside its timers until it asks port 69."""
SURPRISING = 0.05
"""An open of somebody who is that unlikely to have holes is no chance."""
SURPRISES = 2
"""Surprising opens, beside twice those that are to be expected, that are the fault of the rate and not of one node."""


class Gears:
    """The choice for one group, and what it is made of; without ``rates`` there is only the first gear.

    ``stated`` is the pace that an operator says, None where it is to be found out.
    """

    __slots__ = (
        "_blamed",
        "_closed_until",
        "_ended_at",
        "_last_was_paced",
        "_pass_seconds",
        "_rates",
        "_surprises",
        "_unasked",
        "audience",
        "stated",
    )

    def __init__(self, rates: PassRates | None) -> None:
        self.audience = Audience()
        self.stated: Pace | None = None
        self._rates = rates
        self._unasked = 0
        self._surprises = 0
        self._blamed = False
        self._last_was_paced = False
        self._pass_seconds = 0.0
        self._closed_until = -inf
        self._ended_at = -inf

    def serve(self, binding: Binding) -> None:
        """Take what an operator says of the group."""
        self.stated = None if binding.pace is None else stated_pace(binding.pace, MTFTP_BLOCK_SIZE)

    def opened(self, address: str, blocks: int, now: float, *, early: bool) -> None:
        """Take note of an open for an image of ``blocks``, before it is answered.

        So ``early``, right behind a pass, opens who remembers only what is behind the last gap (Intel's EFI client):
        that it needs another pass is no surprise.
        """
        self._unasked = 0
        if not early:
            self._may_surprise(address, blocks)
        self.audience.opened(address, now)

    def turned_away(self, address: str, blocks: int) -> bool:
        """Take note that a client gets the image by other means; False for one that never wanted it from here."""
        self._may_surprise(address, blocks)
        return self.audience.gone(address)

    def paces(self, openers: Iterable[str], blocks: int) -> bool:
        """Return whether the pass that ``openers`` have asked for is a paced one."""
        if self._rates is None:
            return False
        if self.stated is None:
            rate = self._rates.slowest(self.audience.profiles())
            if rate is None or len(self.audience) < 2 or rate.interval >= lockstep_interval(rate):
                return False
        return not any(self._needs_certainty(address, blocks) for address in openers)

    def goes_on(self, blocks: int, seconds: float, now: float) -> bool:
        """Return whether another pass follows one that has ended; ``seconds`` is how long clients listen."""
        rates, audience, pace = self._rates, self.audience, self._pace()
        if rates is None or pace is None or self._unasked >= MAX_UNASKED or self.is_closed(now):
            return False
        if audience.waits(now, seconds):
            return True
        # With E expected, nobody has holes with the chance exp(-E), and then the pass is a waste of its whole time.
        worth = log1p(pace.interval * blocks / (ASKING * seconds))
        return audience.with_holes(rates.loss(audience.profiles()), blocks) >= max(worth, LEAST_EXPECTED)

    def has_pace(self) -> bool:
        """Return whether it is known how fast a pass without a master may be."""
        return self._pace() is not None

    def begin_paced(self, now: float, factor: float) -> Pacer:
        """Return the pace of a pass that begins; ``factor`` is which part of the rate is used."""
        assert self._rates is not None
        if self._last_was_paced and not self._surprises and self.stated is None:
            self._rates.went_well(self.audience.profiles())
        pace = self._pace()
        assert pace is not None
        self._surprises = 0
        self._blamed = False
        self._unasked += 1
        self.audience.pass_began()
        return self._pacer(pace, now, factor)

    def carry_on(self, answer: float | None, sent_at: float, now: float, factor: float) -> Pacer:
        """Return the pace of the rest of a pass that has lost its master, who took ``answer`` seconds for a block."""
        pace = self._pace()
        if pace is not None and self.stated is not None:
            return self._pacer(pace, now, factor)
        interval = (interval_after(answer) if pace is None else pace.interval) / factor
        return Pacer(interval, max(now, sent_at + interval))

    def begin_lockstep(self, master: str, budget: LinkBudget) -> Pairs:
        """Take note that ``master`` leads the pass that begins; return what is to be measured of it."""
        self.audience.pass_began()
        knows = self._rates is None or self._rates.knows(self.audience.profile(master))
        return Pairs(wanted=not (knows or budget.limited))

    def trip(self, binding: Binding, budget: LinkBudget) -> RoundTrip:
        """Return the timer of a lock-step pass: a hasty one, except where only that gear is wanted.

        A block that waits for its turn on a link with a limit would look lost to it.
        """
        return RoundTrip(FLOOR if self._rates is None or budget.limited else HASTE, patience(binding))

    def is_closed(self, now: float) -> bool:
        """Return whether every open is left to port 69."""
        return now < self._closed_until

    def closes(self, seconds: float, now: float) -> bool:
        """Return whether the group is closed from now on; ``seconds`` is T, of one listening and three opens."""
        silence = 4 * seconds + SLOW_ROM
        if not self.audience.is_hopeless(self._pass_seconds, silence):
            return False
        self._closed_until = now + silence
        self.audience = Audience()
        return True

    def pass_ended(self, began: float, now: float, *, paced: bool) -> None:
        """Take note that a pass was complete; from now on opens say how good that one was."""
        pause = began - self._ended_at
        self._pass_seconds = now - began + (pause if pause < SLOW_ROM else 0.0)
        self._ended_at = now
        self.audience.pass_ended(began)
        self._last_was_paced = paced

    def answered(self, master: str, run: Pass, blocks: int, repeats: int) -> None:
        """Take what ``blocks`` of a lock-step pass say of their master, if answers could be timed."""
        answer = run.trip.smoothed
        if self._rates is not None and answer is not None:
            self._rates.answered(self.audience.profile(master), answer, blocks, repeats, run.pairs.service)

    def _pace(self) -> Pace | None:
        """Return the pace of a pass without a master, None where there is none or nothing is known."""
        if self._rates is None:
            return None
        if self.stated is not None:
            return self.stated
        rate = self._rates.slowest(self.audience.profiles())
        return None if rate is None else Pace(rate.interval, rate.burst)

    def _pacer(self, pace: Pace, now: float, factor: float) -> Pacer:
        if self.stated is None:
            return Pacer(pace.interval / factor, now, pace.burst)
        interval, burst = pace if factor == 1.0 else doubted(pace, factor)
        return Pacer(interval, now, burst)

    def _needs_certainty(self, address: str, blocks: int) -> bool:
        return self._chance(address, blocks) < SURPRISING

    def _chance(self, address: str, blocks: int) -> float:
        """Return how likely it is that who has heard what ``address`` has lacks a block."""
        assert self._rates is not None
        passes = self.audience.passes(address)
        return chance_of_holes(self._rates.loss(self.audience.profiles()), blocks, passes)

    def _may_surprise(self, address: str, blocks: int) -> None:
        if self._rates is None or not self._last_was_paced or self.stated is not None:
            return
        chance = self._chance(address, blocks)
        if chance >= SURPRISING:
            return
        self._surprises += 1
        if not self._blamed and self._surprises >= SURPRISES + int(2 * chance * len(self.audience)):
            self._rates.was_too_fast(self.audience.profiles())
            self._blamed = True

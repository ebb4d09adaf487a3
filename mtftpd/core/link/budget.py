"""The budget of one link: every block that leaves takes its time on the wire from it, and waits when it is used up.

It stands between the machines and whoever performs their effects, and the machines need not know of it:

1. `LinkBudget.pass_on` is shown all effects.  Blocks go into the queue of their flow (`mtftpd.core.link.flows`) unless
   the budget has room at once; everything else is small, leaves without delay and is only charged.
2. What waits is sent by `LinkBudget.tick`, which `LinkBudget.next_deadline` asks for.
3. A repetition of what waits still is not queued a second time: the machine's timer rang before its block had left.
   A transfer has one run in the queue; what it wants now replaces what it wanted before.
4. Whoever sends without waiting for acknowledgements asks `LinkBudget.allowance` how much he may hand over.

Over any window of W seconds the blocks that left are at most ``rate * W`` and one `LinkBudget.depth` besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from mtftpd.core.effects import FIRST_TRANSFER, CloseTransfer, Effect, Effects, Send, SendRun
from mtftpd.core.link.flows import GROUP_WEIGHT, TRANSFER_WEIGHT, FlowClass, flow_of
from mtftpd.core.link.wire_time import CATCH_UP, block_octets, wire_octets
from mtftpd.core.settings import Bandwidth
from mtftpd.wire.datagram import Endpoint

GROUP_BURST: Final = 8
"""Blocks of one group that may wait or leave at once.  iPXE's Intel driver keeps 8 receive buffers filled, the fewest
of the drivers that were read; a slower ROM says so in its profile."""
FIRST_GROUP: Final = 224
"""First octet of a multicast address (RFC 1112 section 4)."""
AFTER_GROUPS: Final = 240
UNLIMITED_BLOCKS: Final = 1 << 20
"""What may be handed over where there is no budget: more than any file has."""


class Allowance(NamedTuple):
    """How many ``blocks`` a flow may hand over now, and when to ask again after doing so (monotonic seconds)."""

    blocks: int
    again: float


@dataclass(frozen=True, slots=True)
class BudgetStatistics:
    """A snapshot.  ``rate`` is in bit/s, 0 for no limit; ``sent`` counts octets of time on the wire since the start.

    ``waiting`` is the octets that wait, of them ``waiting_groups`` for groups; ``suppressed`` counts blocks that were
    not queued because they waited already.
    """

    rate: float = 0.0
    link: str = ""
    sent: int = 0
    waiting: int = 0
    waiting_groups: int = 0
    suppressed: int = 0


class _BlockOctets(dict[int, int]):
    """`block_octets` by block size: there are a handful of sizes, and it is asked for each block."""

    def __missing__(self, block_size: int) -> int:
        octets = self[block_size] = block_octets(block_size)
        return octets


class LinkBudget:
    """The budget of one interface; without a rate everything passes and nothing is counted."""

    def __init__(self, bandwidth: Bandwidth, mtu: int = 1500) -> None:
        self.reconfigure(bandwidth, mtu)
        self._groups = FlowClass(GROUP_WEIGHT)
        self._transfers = FlowClass(TRANSFER_WEIGHT)
        self._sent = 0
        self._suppressed = 0
        self._octets_of = _BlockOctets()
        self._idle = True
        self.congested = False
        """Whether a socket has no room for what was to leave it: nobody hands over more without being asked for it."""
        # When the bucket was empty, or will be once what was charged beyond it is paid.
        self._empty_at = float("-inf")

    def reconfigure(self, bandwidth: Bandwidth, mtu: int = 1500) -> None:
        """Go on with another rate; what waits goes on waiting."""
        self.rate = rate = bandwidth.rate
        self.limited = rate > 0
        self._link = bandwidth.link.name
        self._weights: Mapping[str, float] = bandwidth.weights
        self.burst = bandwidth.link.burst(rate, mtu) if self.limited else 0
        """Octets that leave back to back at most."""
        self.depth = self.burst + min(int(rate / 8 * CATCH_UP), self.burst)
        """Octets of the bucket: a burst, and what a late wake-up makes up for."""
        self._per_octet = 8 / rate if self.limited else 0.0
        self._depth_seconds = self.depth * self._per_octet

    # What passes

    def pass_on(self, effects: Effects, now: float) -> Effects:
        """Return what of ``effects`` may leave now, in order, and with it what had waited and may leave before."""
        if self._idle:
            if not self.limited:
                return effects
            if len(effects) == 1 and type(run := effects[0]) is SendRun:
                # The way of nearly every block, the next one after an ACK: `_take` written out, a microsecond less.
                octets = run.count * self._octets_of[run.block_size]
                at, least = self._empty_at, now - self._depth_seconds
                if at < least:
                    at = least
                at += octets * self._per_octet
                if at <= now and octets <= self.burst:
                    self._empty_at = at
                    self._sent += octets
                    return effects
        passed: list[Effect] = []
        for effect in effects:
            self._pass(effect, passed, now)
        return (*passed, *self._release(now))

    def charge(self, effects: Effects, now: float) -> Effects:
        """Charge ``effects`` in which there is no block, and return them: control packets wait for nothing."""
        if self.limited:
            for effect in effects:
                if type(effect) is Send:
                    self._owe(wire_octets(len(effect.data)), now)
        return effects

    def tick(self, now: float) -> Effects:
        """Return what may leave at ``now`` of what has waited."""
        return self._release(now) if self._is_waiting() else ()

    def next_deadline(self) -> float | None:
        """Return when `tick` has something to send, or None."""
        chosen = self._chosen()
        if chosen is None:
            return None
        run = chosen[1]
        blocks = self._chunk(run)
        return self._empty_at + blocks * block_octets(run.block_size) * self._per_octet

    def allowance(self, flow: Endpoint, block_size: int, now: float, burst: int = GROUP_BURST) -> Allowance:
        """Say how many blocks the group ``flow`` may hand over now, which then wait here for ``burst`` at most.

        ``again`` is when about half of them will have left, at the flow's present share of the link; asking earlier
        or later does no harm.
        """
        if not self.limited:
            return Allowance(UNLIMITED_BLOCKS, now)
        known = self._groups.flow(flow)
        waiting = known.blocks if known is not None else 0
        weight = known.weight if known is not None else 1.0
        octets = block_octets(block_size)
        others = self._groups.backlogged - (weight if waiting else 0.0)
        share = weight / (weight + others)
        if self._transfers.octets:
            share *= GROUP_WEIGHT / (GROUP_WEIGHT + TRANSFER_WEIGHT)
        half = max(1, burst // 2) * octets * self._per_octet / share
        return Allowance(max(0, burst - waiting), max(now, self._empty_at) + half)

    def forget_image(self, key: int) -> None:
        """Send no block of this image any longer: its file has changed, or it will be closed."""
        if self._is_waiting():
            self._groups.forget_image(key)
            self._transfers.forget_image(key)
            self._idle = not self._is_waiting()

    def statistics(self) -> BudgetStatistics:
        """Return a snapshot."""
        groups = self._groups.octets
        return BudgetStatistics(
            self.rate, self._link, self._sent, groups + self._transfers.octets, groups, self._suppressed
        )

    # The queue

    def _pass(self, effect: Effect, passed: list[Effect], now: float) -> None:
        if type(effect) is SendRun:
            if effect.socket >= FIRST_TRANSFER:
                self._put_transfer(effect)
                return
            if _is_group(effect.destination):
                self._put_group(effect)
                return
            # The unicast copy of block 1 that makes a master: it must be there before the group's (ruling 5).
            self._owe(effect.count * block_octets(effect.block_size), now)
        elif type(effect) is Send:
            self._owe(wire_octets(len(effect.data)), now)
        elif type(effect) is CloseTransfer:
            self._transfers.forget(effect.socket)
        passed.append(effect)

    def _put_group(self, run: SendRun) -> None:
        flow = self._groups.add(flow_of(run), self._weights.get(run.image.name, 1.0))
        end = run.first_block + run.count
        if any(
            waits.image.key == run.image.key
            and waits.first_block <= run.first_block
            and end <= waits.first_block + waits.count
            for waits in flow.runs
        ):
            self._suppressed += run.count
            return
        self._groups.put(flow, run)

    def _put_transfer(self, run: SendRun) -> None:
        flow = self._transfers.add(flow_of(run), 1.0)
        if flow.runs:
            waits = flow.runs[0]
            if run.first_block <= waits.first_block and _end(run) == _end(waits):
                self._suppressed += run.count
                return
            self._transfers.take_back(flow)
            flow = self._transfers.add(flow_of(run), 1.0)
        self._transfers.put(flow, run)

    def _release(self, now: float) -> Effects:
        released: list[Effect] = []
        while (chosen := self._chosen()) is not None:
            kind, run = chosen
            blocks = self._chunk(run)
            octets = blocks * block_octets(run.block_size)
            if self.limited and not self._take(octets, now):
                break
            other = self._transfers if kind is self._groups else self._groups
            released.append(kind.take(blocks))
            kind.clock += octets / kind.weight
            if not other.octets:
                other.clock = kind.clock  # who has nothing to send saves nothing up
        self._idle = not self._is_waiting()
        return tuple(released)

    def _chosen(self) -> tuple[FlowClass, SendRun] | None:
        """Return whose turn it is: the class whose clock is behind, and the first run of it."""
        groups, transfers = self._groups, self._transfers
        first, second = (groups, transfers) if groups.clock <= transfers.clock else (transfers, groups)
        for kind in (first, second):
            turn = kind.first()
            if turn is not None:
                return kind, turn[1]
        return None

    def _chunk(self, run: SendRun) -> int:
        """Return how many blocks of ``run`` leave at once."""
        return min(run.count, max(1, self.burst // block_octets(run.block_size))) if self.limited else run.count

    def _is_waiting(self) -> bool:
        return self._groups.octets > 0 or self._transfers.octets > 0

    # The bucket

    def _take(self, octets: int, now: float) -> bool:
        """Take ``octets`` from the bucket; False when there are fewer in it."""
        at = self._empty_at
        least = now - self._depth_seconds
        at = max(at, least) + octets * self._per_octet
        # A full bucket is enough for anything: a datagram in fragments may be larger than it.
        if at > now and self._empty_at > least:
            return False
        self._empty_at = at
        self._sent += octets
        return True

    def _owe(self, octets: int, now: float) -> None:
        """Take ``octets`` from the bucket, even if they are not in it yet; beyond one depth nothing is owed.

        Or a storm of small questions would keep every block waiting.
        """
        at = max(self._empty_at, now - self._depth_seconds) + octets * self._per_octet
        self._empty_at = min(at, now + self._depth_seconds)
        self._sent += octets


UNLIMITED: Final = LinkBudget(Bandwidth())
"""For a machine that nobody limits."""


def _end(run: SendRun) -> int:
    return run.first_block + run.count


def _is_group(destination: Endpoint) -> bool:
    return FIRST_GROUP <= int(destination.address.partition(".")[0]) < AFTER_GROUPS

"""Those that were told of one group, taken together: what many of them suffer is the network's fault, not theirs.

A group that is charged rests for `REST_SECONDS`, and is then sent at half the rate that it had before; every
`RECOVERY_SECONDS` without another charge double it again, up to what it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from mtftpd.core.learning.fallback import FallbackMemory, Mark, NodeStage, Trigger

AUDIENCE_SECONDS = 120.0
"""Attempts of a group count as one audience when they were made so close together."""
REST_SECONDS = 300.0
RECOVERY_SECONDS = 300.0
SLOWER = 0.5
LEAST_FACTOR = 1 / 16
"""At 80 Mbit/s this leaves 5 Mbit/s: what a half-duplex hub carries to anybody who can hear it at all."""
QUERY_SECONDS = 260.0
"""RFC 3376 8.5: a switch that snoops forgets a member after 2 * 125 s + 10 s without an answer to a query."""


class Charge(NamedTuple):
    """A sign that is held against ``node``; ``before`` is the mark that it replaced."""

    node: NodeStage
    before: Mark | None
    at: float


@dataclass(slots=True)
class Audience:
    """One group; ``running`` is whether a pass of it runs, ``rests_until`` and ``why`` are of the last charge."""

    running: bool = False
    rests_until: float = -inf
    why: Trigger = Trigger.F13
    charges: list[Charge] = field(default_factory=list)
    factor: float = 1.0

    def suffer(self, charge: Charge) -> None:
        """Take note of one failure; those that are too old to have anything in common with it are forgotten."""
        self.charges = [each for each in self.charges if charge.at - each.at <= AUDIENCE_SECONDS]
        self.charges.append(charge)

    def charge_network(self, why: Trigger, memory: FallbackMemory, now: float) -> None:
        """Let the group rest because of ``why``, send it more slowly afterwards, and forgive its nodes."""
        for charge in self.charges:
            memory.forgive(charge.node, charge.before)
        self.charges.clear()
        self.factor = max(self.rate_factor(now) * SLOWER, LEAST_FACTOR)
        self.rests_until = now + REST_SECONDS
        self.why = why

    def rest(self, now: float) -> Trigger | None:
        """Return why nobody is told of the group now, or None."""
        return self.why if self.rests_until > now else None

    def rate_factor(self, now: float) -> float:
        """Return which part of the rate of the group is used, from `LEAST_FACTOR` to 1."""
        doublings = max(0, int((now - self.rests_until) // RECOVERY_SECONDS)) if self.factor < 1.0 else 0
        return min(1.0, self.factor * 2.0**doublings)


class Querier:
    """Whether anybody asks for the members of groups: without that, a switch that snoops forgets them all (F14)."""

    def __init__(self) -> None:
        self._listens_since: float | None = None
        self._heard_at = -inf

    def listen(self, now: float) -> None:
        """Take note that queries would be heard from now on."""
        self._listens_since = now

    def heard(self, now: float) -> None:
        """Take note of an IGMP query."""
        self._heard_at = now

    def is_missing(self, now: float) -> bool:
        """Return whether there would have been a query by now if there were a querier."""
        since = self._listens_since
        return since is not None and now - max(since, self._heard_at) >= QUERY_SECONDS

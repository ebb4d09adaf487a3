"""Reads the signs that multicast does not work for a node, from what the server does anyway.

What was told to a node by DHCP begins an attempt; what then happens on the MTFTP port and on port 69 ends it, once.
A failure that more than `SHARED` of an audience has in common is charged to the network
(`mtftpd.core.learning.audiences`), and nothing is held against the nodes.  A listener says nothing, so nobody is blamed
for silence while a pass runs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from mtftpd.core.deadlines import Deadlines
from mtftpd.core.effects import Drop, DropReason, Effects, Report, ReportKind
from mtftpd.core.learning.audiences import AUDIENCE_SECONDS, Audience, Charge, Querier
from mtftpd.core.learning.fallback import FallbackMemory, Node, Trigger
from mtftpd.quirks.evidence import Fingerprint

REPEATED_OFFERS = 3
"""The third DISCOVER in a row, after two offers with a group: one repetition is nothing, ROMs wait for proxies."""
QUICK_SECONDS = 1.0
"""DISCOVERs that follow each other faster are one question."""
TIMER_TABLE_SECONDS = 64.0
"""Within which DISCOVERs belong together: 4 + 8 + 16 + 32 s and their jitter (PXE 2.1 2.2.1)."""
OPENS_AS_MASTER = 3
SILENCE_GRACE = 5.0
"""Seconds beyond one listening and three opens, in which a client would have asked for something."""
SHARED = 0.3
LEAST_SHARED = 2
"""Nodes: what one node alone suffers is not shared, however small the audience."""
UNHEARD_BLOCK = 2
"""A master that is silent at this block or before it has never acknowledged what went to the group."""
MAX_ATTEMPTS = 16_384
"""Attempts, the oldest go first: 16,384 * about 700 bytes is 12 MB."""

_SHARED_TRIGGERS = frozenset({Trigger.F4, Trigger.F5, Trigger.F11})
"""Those that a broken network gives to everybody; F6 and F7 are the firmware's own."""


class Told(NamedTuple):
    """What a node was told by DHCP: the group, and the name of the file for TFTP."""

    group: str
    file: str


@dataclass(slots=True, eq=False)
class Attempt:
    """One node that was told of ``group`` for ``file``; ``began`` is when it was offered that, or took it."""

    node: Node
    fingerprint: Fingerprint
    group: str
    file: str
    began: float
    address: str = ""
    offers: int = 0
    offered_at: float = -inf
    masters: int = 0
    heard: bool | None = None
    """Whether it has acknowledged what went to the group, None as long as nothing tells."""
    verdict: Trigger | None = None
    over: bool = False


class FallbackWatch:
    """Watches all attempts; ``seconds`` is T, the value of tags 4 and 5."""

    def __init__(self, memory: FallbackMemory, seconds: int) -> None:
        self.memory = memory
        self.reconfigure(seconds)
        self._attempts: OrderedDict[Node, Attempt] = OrderedDict()
        self._by_address: dict[str, Attempt] = {}
        self._audiences: dict[str, Audience] = {}
        self.querier = Querier()
        self._held: set[str] = set()
        self._deadlines: Deadlines[Node] = Deadlines()
        self._readers: dict[ReportKind, Callable[[Report, float], Effects]] = {
            ReportKind.PASS_STARTED: self._pass_started,
            ReportKind.PASS_ENDED: self._pass_ended,
            ReportKind.PASS_ABORTED: self._pass_aborted,
            ReportKind.GROUP_PAUSED: self._pass_aborted,
            ReportKind.MASTER_LOST: self._master_lost,
            ReportKind.FALLBACK: self._fell_back,
            ReportKind.TFTP_STARTED: self._asked_port_69,
            ReportKind.TFTP_DONE: self._fetched,
            ReportKind.SWAPPED_PORT: self._swapped,
        }

    def reconfigure(self, seconds: int) -> None:
        """Take another T."""
        self._patience = 4 * seconds + SILENCE_GRACE

    # -- what DHCP asks and tells ---------------------------------------------------------------------------------

    def against(self, node: Node, fingerprint: Fingerprint, group: str, now: float) -> Trigger | None:
        """Return why ``node`` is not to be told of ``group`` now, or None."""
        if group in self._held:
            return Trigger.F18
        audience = self._audiences.get(group)
        resting = audience.rest(now) if audience is not None else None
        return resting or self.memory.against(node, fingerprint, now)

    def rate_factor(self, group: str, now: float) -> float:
        """Return which part of its rate ``group`` is to be sent with: less than 1 after many have failed (F13)."""
        audience = self._audiences.get(group)
        return 1.0 if audience is None else audience.rate_factor(now)

    def hold(self, group: str) -> None:
        """Tell nobody of ``group`` until it is woken, on an operator's word."""
        self._held.add(group)

    def wake(self, group: str, now: float) -> bool:
        """End the pause and the rest of ``group`` on an operator's word; False when it does not rest."""
        self._held.discard(group)
        audience = self._audiences.pop(group, None)
        return audience is not None and audience.rest(now) is not None

    def discovered(self, node: Node, now: float) -> Effects:
        """Take a DISCOVER; who keeps on asking after offers with a group does not take them."""
        attempt = self._attempts.get(node)
        if attempt is None or not _is_asking(attempt, now) or now - attempt.offered_at < QUICK_SECONDS:
            return ()
        return self._fail(attempt, Trigger.F6, now) if attempt.offers >= REPEATED_OFFERS - 1 else ()

    def offered(self, node: Node, fingerprint: Fingerprint, told: Told, now: float) -> None:
        """Take note of an offer with tags 1 to 5; a repetition within a second is not counted."""
        attempt = self._attempts.get(node)
        if attempt is None or not _is_asking(attempt, now):
            attempt = self._begin(node, fingerprint, told, now)
        if now - attempt.offered_at >= QUICK_SECONDS:
            attempt.offers += 1
            attempt.offered_at = now

    def took(self, node: Node, address: str, now: float) -> None:
        """Take note that ``node`` requests ``address`` after an offer with tags 1 to 5, of whomever."""
        attempt = self._attempts.get(node)
        if attempt is None or attempt.over:
            return
        attempt.began = now
        attempt.address = address
        self._by_address[address] = attempt
        if not self._audience(attempt).running:
            self._deadlines.set(node, now + self._patience)

    def is_sending(self, group: str) -> bool:
        """Return whether a pass of ``group`` runs, which somebody may be listening to."""
        audience = self._audiences.get(group)
        return audience is not None and audience.running

    # -- what else happens ----------------------------------------------------------------------------------------

    def learn(self, effects: Effects, now: float) -> Effects:
        """Return ``effects`` with the reports that they are a reason for."""
        more: Effects = ()
        for effect in effects:
            if isinstance(effect, Report):
                reader = self._readers.get(effect.kind)
                if reader is not None:
                    more += reader(effect, now)
            elif isinstance(effect, Drop) and effect.reason is DropReason.UNHEARD:
                more += self._unheard(effect.source.address, now)
            elif isinstance(effect, Drop) and effect.reason is DropReason.IN_VAIN:
                more += self._blame(effect.source.address, Trigger.F11, now)
        return effects + more

    def next_deadline(self) -> float | None:
        """Return when `tick` is due, or None."""
        return self._deadlines.next()

    def tick(self, now: float) -> Effects:
        """Blame those that have been silent for too long."""
        effects: Effects = ()
        for node in self._deadlines.due(now):
            effects += self._fail(self._attempts[node], Trigger.F7, now)
        return effects

    def _pass_started(self, report: Report, now: float) -> Effects:
        group = str(dict(report.detail)["group"])
        audience = self._audiences.setdefault(group, Audience())
        audience.running = True
        for attempt in self._attempts.values():
            # Whoever is silent from now on may be listening.
            if attempt.group == group:
                self._deadlines.clear(attempt.node)
        attempt_of_master = self._by_address.get(report.address)
        if attempt_of_master is None or attempt_of_master.group != group:
            return ()
        attempt_of_master.masters += 1
        return self._fail(attempt_of_master, Trigger.F11, now) if attempt_of_master.masters >= OPENS_AS_MASTER else ()

    def _pass_ended(self, report: Report, now: float) -> Effects:
        detail = dict(report.detail)
        audience = self._audiences.get(str(detail["group"]))
        if audience is not None:
            audience.running = False
        attempt = self._by_address.get(report.address)
        if attempt is None or detail["outcome"] != "acknowledged" or attempt.over:
            return ()
        attempt.heard = True
        self.memory.succeeded(attempt.node)
        self._close(attempt)
        alone = not detail["ignored"] and len(self._recent(attempt.group, now)) == 1
        return (_report(attempt, Trigger.F12, "nobody", ReportKind.MULTICAST_FOR_ONE),) if alone else ()

    def _pass_aborted(self, report: Report, now: float) -> Effects:
        """Take a pass that the server gave up: whoever turns to port 69 now was sent there."""
        group = str(dict(report.detail)["group"])
        audience = self._audiences.get(group)
        if audience is not None:
            audience.running = False
        for attempt in self._attempts.values():
            if attempt.group == group:
                self._close(attempt)
        return ()

    def _master_lost(self, report: Report, now: float) -> Effects:
        detail = dict(report.detail)
        trigger = {"silent": Trigger.F9, "error": Trigger.F10}.get(str(detail["why"]))
        attempt = self._by_address.get(report.address)
        if trigger is None or attempt is None or attempt.over:
            return ()
        if int(detail["block"]) > UNHEARD_BLOCK:
            attempt.heard = True
        elif trigger is Trigger.F9 and int(detail["blocks"]) > UNHEARD_BLOCK:
            attempt.heard = False
        # A sign, and told as one; it is held against nobody, since any loss can cause it.
        return (_report(attempt, trigger, "nobody"),)

    def _unheard(self, address: str, now: float) -> Effects:
        attempt = self._by_address.get(address)
        if attempt is None:
            return ()
        attempt.heard = False
        return self._fail(attempt, Trigger.F4, now)

    def _fell_back(self, report: Report, now: float) -> Effects:
        return self._blame(report.address, Trigger.F5, now)

    def _asked_port_69(self, report: Report, now: float) -> Effects:
        attempt = self._by_address.get(report.address)
        if attempt is not None:
            self._deadlines.clear(attempt.node)
        return ()

    def _fetched(self, report: Report, now: float) -> Effects:
        """Take a unicast transfer that was completed; a size probe is none, nor is one with option multicast."""
        detail = dict(report.detail)
        attempt = self._by_address.get(report.address)
        if attempt is None or detail["end"] == "size probe" or "group" in detail or detail["file"] != attempt.file:
            return ()
        return self._blame(report.address, Trigger.F5, now)

    def _swapped(self, report: Report, now: float) -> Effects:
        return self._blame(report.address, Trigger.F8, now)

    # -- verdicts -------------------------------------------------------------------------------------------------

    def _blame(self, address: str, trigger: Trigger, now: float) -> Effects:
        attempt = self._by_address.get(address)
        return () if attempt is None else self._fail(attempt, trigger, now)

    def _fail(self, attempt: Attempt, trigger: Trigger, now: float) -> Effects:
        if attempt.over:
            return ()
        self._close(attempt)
        attempt.verdict = trigger
        before = self.memory.failed(attempt.node, attempt.fingerprint, trigger, now)
        if trigger not in _SHARED_TRIGGERS:
            return (_report(attempt, trigger, "node"),)
        audience = self._audience(attempt)
        audience.suffer(Charge(attempt.node, before, now))
        failed = self._shared_failures(attempt.group, now)
        if not failed:
            return (_report(attempt, trigger, "node"),)
        audience.charge_network(self._fault_of_network(attempt.group, now), self.memory, now)
        return (_report(attempt, trigger, "network"), self._report_rest(attempt.group, audience, len(failed), now))

    def _shared_failures(self, group: str, now: float) -> list[Attempt]:
        """Return those of the audience that failed, [] unless they are so many that it is not their own fault."""
        recent = self._recent(group, now)
        failed = [each for each in recent if each.verdict in _SHARED_TRIGGERS]
        return failed if len(failed) >= LEAST_SHARED and len(failed) > SHARED * len(recent) else []

    def _fault_of_network(self, group: str, now: float) -> Trigger:
        """Return F14 when nobody hears the group and nobody asks for its members."""
        heard = {each.heard for each in self._recent(group, now)}
        is_deaf = False in heard and True not in heard
        return Trigger.F14 if is_deaf and self.querier.is_missing(now) else Trigger.F13

    def _report_rest(self, group: str, audience: Audience, failed: int, now: float) -> Report:
        detail = (
            ("trigger", audience.why.name), ("reason", audience.why.value), ("group", group), ("failed", failed),
            ("audience", len(self._recent(group, now))), ("seconds", round(audience.rests_until - now)),
            ("rate-percent", round(100 * audience.factor)),
        )  # fmt: skip
        return Report(ReportKind.GROUP_RESTS, detail=detail)

    def _recent(self, group: str, now: float) -> list[Attempt]:
        return [each for each in self._attempts.values() if each.group == group and _is_recent(each, now)]

    # -- bookkeeping ----------------------------------------------------------------------------------------------

    def _audience(self, attempt: Attempt) -> Audience:
        return self._audiences.setdefault(attempt.group, Audience())

    def _begin(self, node: Node, fingerprint: Fingerprint, told: Told, now: float) -> Attempt:
        self._drop(node)
        attempt = self._attempts[node] = Attempt(node, fingerprint, told.group, told.file, now)
        if len(self._attempts) > MAX_ATTEMPTS:
            self._drop(next(iter(self._attempts)))
        return attempt

    def _close(self, attempt: Attempt) -> None:
        attempt.over = True
        self._deadlines.clear(attempt.node)

    def _drop(self, node: Node) -> None:
        attempt = self._attempts.pop(node, None)
        if attempt is None:
            return
        self._deadlines.clear(node)
        if self._by_address.get(attempt.address) is attempt:
            del self._by_address[attempt.address]


def _is_asking(attempt: Attempt, now: float) -> bool:
    """Return whether the node has got offers in this attempt, and nothing else yet."""
    return not attempt.over and not attempt.address and now - attempt.began <= TIMER_TABLE_SECONDS


def _is_recent(attempt: Attempt, now: float) -> bool:
    return now - attempt.began <= AUDIENCE_SECONDS


def _report(
    attempt: Attempt, trigger: Trigger, charged: str, kind: ReportKind = ReportKind.MULTICAST_TROUBLE
) -> Report:
    detail = (
        ("trigger", trigger.name), ("reason", trigger.value), ("group", attempt.group),
        ("stage", attempt.node.stage), ("charged", charged),
    )  # fmt: skip
    return Report(kind, attempt.address, attempt.node.hardware, detail)

"""Reads the signs that multicast does not work for a node, from what the server does anyway.

What was told to a node by DHCP begins a trial; what then happens on the MTFTP port and on port 69 ends it, once.
A failure that more than `SHARED` of an audience has in common is charged to the network
(`mtftpd.core.learning.audiences`), and nothing is held against the nodes.  A listener says nothing, so nobody is blamed
for silence while a pass runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from mtftpd.core.deadlines import Deadlines
from mtftpd.core.effects import Drop, DropReason, Effects, Report, ReportKind
from mtftpd.core.learning.audiences import Audience, Charge, Querier
from mtftpd.core.learning.fallback import FallbackMemory, NodeStage, Trigger
from mtftpd.core.learning.trials import Told, Trial, Trials
from mtftpd.quirks.evidence import Fingerprint

REPEATED_OFFERS = 3
"""The third DISCOVER in a row, after two offers with a group: one repetition is nothing, ROMs wait for proxies."""
QUICK_SECONDS = 1.0
"""DISCOVERs that follow each other faster are one question."""
OPENS_AS_MASTER = 3
SILENCE_GRACE = 5.0
"""Seconds beyond one listening and three opens, in which a client would have asked for something."""
SHARED = 0.3
LEAST_SHARED = 2
"""Nodes: what one node alone suffers is not shared, however small the audience."""
UNHEARD_BLOCK = 2
"""A master that is silent at this block or before it has never acknowledged what went to the group."""

_SHARED_TRIGGERS = frozenset({Trigger.F4, Trigger.F5, Trigger.F11})
"""Those that a broken network gives to everybody; F6 and F7 are the firmware's own."""


class FallbackWatch:
    """Watches all trials; ``seconds`` is T, the value of tags 4 and 5."""

    def __init__(self, memory: FallbackMemory, seconds: int) -> None:
        self.memory = memory
        self._patience = _patience(seconds)
        self._trials = Trials()
        self._audiences: dict[str, Audience] = {}
        self.querier = Querier()
        self._held: set[str] = set()
        self._deadlines: Deadlines[NodeStage] = Deadlines()
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
            ReportKind.GROUP_LEFT: self._left,
        }

    def reconfigure(self, seconds: int, groups: Collection[str]) -> None:
        """Take another T; what is known of groups that are not among ``groups`` any more is forgotten."""
        self._patience = _patience(seconds)
        self._held.intersection_update(groups)
        self._audiences = {group: audience for group, audience in self._audiences.items() if group in groups}

    # -- what DHCP asks and tells ---------------------------------------------------------------------------------

    def against(self, node: NodeStage, fingerprint: Fingerprint, group: str, now: float) -> Trigger | None:
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
        audience = self._audiences.get(group)
        if audience is None:
            return False
        self._audiences[group] = Audience(audience.running)
        return audience.rest(now) is not None

    def discovered(self, node: NodeStage, now: float) -> Effects:
        """Take a DISCOVER; who keeps on asking after offers with a group does not take them."""
        trial = self._trials.of(node)
        if trial is None or not trial.is_asking(now) or now - trial.offered_at < QUICK_SECONDS:
            return ()
        return self._fail(trial, Trigger.F6, now) if trial.offers >= REPEATED_OFFERS - 1 else ()

    def offered(self, node: NodeStage, fingerprint: Fingerprint, told: Told, now: float) -> None:
        """Take note of an offer with tags 1 to 5; a repetition within a second is not counted."""
        trial = self._trials.of(node)
        if trial is None or not trial.is_asking(now):
            trial = self._begin(node, fingerprint, told, now)
        if now - trial.offered_at >= QUICK_SECONDS:
            trial.offers += 1
            trial.offered_at = now

    def took(self, node: NodeStage, address: str, now: float) -> None:
        """Take note that ``node`` requests ``address`` after an offer with tags 1 to 5, of whomever."""
        trial = self._trials.of(node)
        if trial is None or trial.over:
            return
        self._trials.took(trial, address, now)
        if not self.is_sending(trial.group):
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
            if type(effect) is Report:
                reader = self._readers.get(effect.kind)
                if reader is not None:
                    more += reader(effect, now)
            elif type(effect) is Drop and effect.reason is DropReason.UNHEARD:
                more += self._unheard(effect.source.address, now)
            elif type(effect) is Drop and effect.reason is DropReason.IN_VAIN:
                more += self._blame(effect.source.address, Trigger.F11, now)
        return effects + more

    def next_deadline(self) -> float | None:
        """Return when `tick` is due, or None."""
        return self._deadlines.next()

    def tick(self, now: float) -> Effects:
        """Blame those that have been silent for too long."""
        effects: Effects = ()
        for node in self._deadlines.due(now):
            trial = self._trials.of(node)
            assert trial is not None, "what is dropped has no deadline"
            effects += self._fail(trial, Trigger.F7, now)
        return effects

    def _pass_started(self, report: Report, now: float) -> Effects:
        group = str(dict(report.detail)["group"])
        self._audience(group).running = True
        for trial in self._trials.of_group(group):
            self._deadlines.clear(trial.node)  # Whoever is silent from now on may be listening.
        of_master = self._trials.at(report.address)
        if of_master is None or of_master.group != group:
            return ()
        of_master.masters += 1
        return self._fail(of_master, Trigger.F11, now) if of_master.masters >= OPENS_AS_MASTER else ()

    def _pass_ended(self, report: Report, now: float) -> Effects:
        detail = dict(report.detail)
        audience = self._audiences.get(str(detail["group"]))
        if audience is not None:
            audience.running = False
        trial = self._trials.at(report.address)
        if trial is None or detail["outcome"] != "acknowledged" or trial.over:
            return ()
        trial.heard = True
        self.memory.succeeded(trial.node)
        self._close(trial)
        alone = not detail["ignored"] and len(self._trials.audience(trial.group, now)) == 1
        return (_report(trial, Trigger.F12, "nobody", ReportKind.MULTICAST_FOR_ONE),) if alone else ()

    def _pass_aborted(self, report: Report, now: float) -> Effects:
        """Take a pass that the server gave up: whoever turns to port 69 now was sent there."""
        group = str(dict(report.detail)["group"])
        audience = self._audiences.get(group)
        if audience is not None:
            audience.running = False
        for trial in self._trials.of_group(group):
            self._close(trial)
        return ()

    def _left(self, report: Report, now: float) -> Effects:
        group = str(dict(report.detail)["group"])
        self._held.discard(group)
        self._audiences.pop(group, None)
        return ()

    def _master_lost(self, report: Report, now: float) -> Effects:
        detail = dict(report.detail)
        trigger = {"silent": Trigger.F9, "error": Trigger.F10}.get(str(detail["why"]))
        trial = self._trials.at(report.address)
        if trigger is None or trial is None or trial.over:
            return ()
        if int(detail["block"]) > UNHEARD_BLOCK:
            trial.heard = True
        elif trigger is Trigger.F9 and int(detail["blocks"]) > UNHEARD_BLOCK:
            trial.heard = False
        # A sign, and told as one; it is held against nobody, since any loss can cause it.
        return (_report(trial, trigger, "nobody"),)

    def _unheard(self, address: str, now: float) -> Effects:
        trial = self._trials.at(address)
        if trial is None:
            return ()
        trial.heard = False
        return self._fail(trial, Trigger.F4, now)

    def _fell_back(self, report: Report, now: float) -> Effects:
        return self._blame(report.address, Trigger.F5, now)

    def _asked_port_69(self, report: Report, now: float) -> Effects:
        trial = self._trials.at(report.address)
        if trial is not None:
            self._deadlines.clear(trial.node)
        return ()

    def _fetched(self, report: Report, now: float) -> Effects:
        """Take a unicast transfer that was completed; a size probe is none, nor is one with option multicast."""
        detail = dict(report.detail)
        trial = self._trials.at(report.address)
        if trial is None or detail["end"] == "size probe" or "group" in detail or detail["file"] != trial.file:
            return ()
        return self._blame(report.address, Trigger.F5, now)

    def _swapped(self, report: Report, now: float) -> Effects:
        return self._blame(report.address, Trigger.F8, now)

    # -- verdicts -------------------------------------------------------------------------------------------------

    def _blame(self, address: str, trigger: Trigger, now: float) -> Effects:
        trial = self._trials.at(address)
        return () if trial is None else self._fail(trial, trigger, now)

    def _fail(self, trial: Trial, trigger: Trigger, now: float) -> Effects:
        if trial.over:
            return ()
        self._close(trial)
        trial.verdict = trigger
        before = self.memory.failed(trial.node, trial.fingerprint, trigger, now)
        if trigger not in _SHARED_TRIGGERS:
            return (_report(trial, trigger, "node"),)
        audience = self._audience(trial.group)
        audience.suffer(Charge(trial.node, before, now))
        trials = self._trials.audience(trial.group, now)
        failed = sum(each.verdict in _SHARED_TRIGGERS for each in trials)
        if failed < LEAST_SHARED or failed <= SHARED * len(trials):
            return (_report(trial, trigger, "node"),)
        audience.charge_network(self._fault_of_network(trials, now), self.memory, now)
        detail = (
            ("trigger", audience.why.name), ("reason", audience.why.value), ("group", trial.group), ("failed", failed),
            ("audience", len(trials)), ("seconds", round(audience.rests_until - now)),
            ("rate-percent", round(100 * audience.factor)),
        )  # fmt: skip
        return (_report(trial, trigger, "network"), Report(ReportKind.GROUP_RESTS, detail=detail))

    def _fault_of_network(self, trials: Iterable[Trial], now: float) -> Trigger:
        """Return F14 when nobody hears the group and nobody asks for its members."""
        heard = {each.heard for each in trials}
        is_deaf = False in heard and True not in heard
        return Trigger.F14 if is_deaf and self.querier.is_missing(now) else Trigger.F13

    # -- bookkeeping ----------------------------------------------------------------------------------------------

    def _audience(self, group: str) -> Audience:
        return self._audiences.setdefault(group, Audience())

    def _begin(self, node: NodeStage, fingerprint: Fingerprint, told: Told, now: float) -> Trial:
        self._deadlines.clear(node)
        trial = self._trials.begin(node, fingerprint, told, now)
        surplus = self._trials.surplus()
        if surplus is not None:
            self._deadlines.clear(surplus)
            self._trials.drop(surplus)
        return trial

    def _close(self, trial: Trial) -> None:
        trial.over = True
        self._deadlines.clear(trial.node)


def _patience(seconds: int) -> float:
    """Return how long a node may be silent that was told of a group with a T of ``seconds``."""
    return 4 * seconds + SILENCE_GRACE


def _report(trial: Trial, trigger: Trigger, charged: str, kind: ReportKind = ReportKind.MULTICAST_TROUBLE) -> Report:
    detail = (
        ("trigger", trigger.name), ("reason", trigger.value), ("group", trial.group),
        ("stage", trial.node.stage), ("charged", charged),
    )  # fmt: skip
    return Report(kind, trial.address, trial.node.hardware, detail)

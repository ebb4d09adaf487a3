"""What is known of one session, and how it is told; `mtftpd.core.mtftp.session` says what happens next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from math import inf

from mtftpd.core.effects import Drop, DropReason, Effects, Report, ReportKind
from mtftpd.core.groups import Binding
from mtftpd.core.images import MTFTP_BLOCK_SIZE, Image
from mtftpd.core.link.budget import GROUP_BURST, UNLIMITED, Allowance, LinkBudget
from mtftpd.core.mtftp.passes import GroupStatistics, Pass, Totals
from mtftpd.core.mtftp.states import TABLE, Event, First, Gather, Idle, Lockstep, Paced, Quiet, State
from mtftpd.core.mtftp.timing import give_up_time
from mtftpd.wire.datagram import Endpoint


@dataclass(slots=True, eq=False)
class Record:
    """The state of one binding; ``deadline`` is infinite when nothing is waited for."""

    binding: Binding
    budget: LinkBudget = UNLIMITED
    state: State = field(default_factory=Idle)
    deadline: float = inf
    master: Endpoint | None = None
    paused: bool = False
    """Whether no other pass is to begin."""
    factor: Callable[[float], float] = lambda _now: 1.0
    """Which part of its rate is used at a time, where there is no master."""
    _totals: Totals = field(default_factory=Totals)
    _waiting: set[str] = field(default_factory=set)
    """Addresses that opened in vain during the pass before: known to listen to the next."""
    _ended_at: float = -inf

    @property
    def is_idle(self) -> bool:
        """Whether the session holds nothing that would be lost with it."""
        return isinstance(self.state, Idle)

    def sends(self, image: Image) -> bool:
        """Return whether this very file is being sent, or about to be."""
        run = self._run
        binding = self.binding if run is None else run.binding
        return binding.image.key == image.key and (run is not None or isinstance(self.state, Gather))

    @property
    def is_running(self) -> bool:
        """Whether a pass is being sent."""
        return self._run is not None

    def images(self) -> frozenset[int]:
        """Return the keys of what is being sent and of what the next pass sends."""
        run = self._run
        bindings = (self.binding,) if run is None else (self.binding, run.binding)
        return frozenset(binding.image.key for binding in bindings)

    @property
    def awaited(self) -> Endpoint | None:
        """Whose acknowledgements are of interest: the master's, or those of one that was lost and may come back."""
        return self.state.former if isinstance(self.state, Paced) else self.master

    def counts_on(self, source: Endpoint) -> bool:
        """Return whether an ERROR from ``source`` would change anything."""
        state = self.state
        return self.master == source or (isinstance(state, Gather) and state.openers.get(source.address) == source)

    def is_wanted_by(self, address: str) -> bool:
        """Return whether ``address`` is the master, or has opened this group in vain."""
        waiting = self._run.waiting if self._run else self._waiting
        return address in waiting or (self.master is not None and self.master.address == address)

    def statistics(self) -> GroupStatistics:
        """Return a snapshot."""
        state, run = self.state, self._run
        return GroupStatistics(
            image=self.binding.image.name,
            group=str(self.binding.group),
            state=type(state).__name__.lower(),
            block=state.block if isinstance(state, First | Lockstep | Paced) else 0,
            blocks=run.blocks if run else self.binding.image.blocks(MTFTP_BLOCK_SIZE),
            master=str(self.master) if self.master else "",
            **asdict(self._totals.including(run)),
            waiting=len(run.waiting if run else self._waiting),
            started=run.started if run else 0.0,
            paused=self.paused,
        )

    def rest(self, now: float) -> None:
        """Begin as after a pass that did not end: a server before this one was killed in the middle of it."""
        self._move(Event.CHANGED, Quiet(), now + give_up_time(self.binding))

    def relieved(self, now: float) -> None:
        """Go on with a pass that waits for room in its socket."""
        state = self.state
        if isinstance(state, Paced) and state.former is None:
            self.deadline = min(max(state.pacer.deadline, now), state.deserted_at)

    @property
    def _run(self) -> Pass | None:
        return self.state.run if isinstance(self.state, First | Lockstep | Paced) else None

    def _allowance(self, state: Paced, now: float) -> Allowance:
        """Return what the link has room for: a stated pace may hand over more at once than ROMs can take."""
        group, burst = state.run.binding.group, max(GROUP_BURST, state.pacer.burst)
        return self.budget.allowance(group, MTFTP_BLOCK_SIZE, now, burst)

    def _leave_alone(self, state: First | Paced, now: float) -> Effects:
        report = self._account(state, ReportKind.PASS_ENDED, "deserted", now)
        self._move(Event.DESERTED, Quiet(), now + give_up_time(self.binding))
        return (report,)

    def _count_pass(self) -> None:
        """Take note of a pass that begins; whoever waits for it is known to the pass."""
        self._waiting = set()
        self._totals.passes += 1

    def _ignore(self, source: Endpoint, detail: str) -> Effects:
        self._totals.ignored += 1
        return (Drop(DropReason.PASS_RUNNING, source, detail),)

    def _account(self, state: First | Lockstep | Paced, kind: ReportKind, outcome: str, now: float) -> Report:
        run, totals = state.run, self._totals
        totals.sent += run.sent
        totals.repeats += run.repeats
        totals.stalls += run.stalls
        self._waiting = run.waiting
        self._ended_at = now
        return run.report_end(kind, outcome, state.block, now)

    def _move(self, event: Event, state: State, deadline: float) -> None:
        assert TABLE[type(self.state)][event] is type(state)
        self.state = state
        self.deadline = deadline
        self.master = state.master if isinstance(state, First | Lockstep) else None

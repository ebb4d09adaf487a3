"""The session of one MTFTP group.  Its rules, states and transitions are in `mtftpd.core.mtftp_states`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import inf

from mtftpd.core.budget import UNLIMITED, LinkBudget
from mtftpd.core.effects import Drop, DropReason, Effects, Report, ReportKind, SendRun
from mtftpd.core.groups import Binding
from mtftpd.core.images import MTFTP_BLOCK_SIZE, Image
from mtftpd.core.mtftp_pass import MAX_WAITING, GroupStatistics, Pass, Totals
from mtftpd.core.mtftp_states import TABLE, Event, First, Gap, Gather, Idle, Lockstep, Paced, Quiet, State
from mtftpd.core.mtftp_timing import (
    ECHO_AFTER,
    GAP,
    GATHER,
    MAX_ECHOES,
    MAX_REPEATS,
    first_deadline,
    give_up_time,
    may_go_on_without_first_ack,
    patience,
    serves_ipxe_only,
    silence_deadline,
)
from mtftpd.core.pacing import Pacer, interval_after
from mtftpd.core.rtt import RoundTrip
from mtftpd.core.unheard import Unheard
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.datagram import Endpoint


@dataclass(slots=True, eq=False)
class Session:
    """The machine of one binding; `tick` is due at ``deadline`` (infinity: never), ``master`` is whose ACKs count."""

    binding: Binding
    budget: LinkBudget = UNLIMITED
    state: State = field(default_factory=Idle)
    deadline: float = inf
    master: Endpoint | None = None
    _totals: Totals = field(default_factory=Totals)
    _waiting: set[str] = field(default_factory=set)
    """Addresses that opened in vain during the pass before: known to listen to the next."""
    _ended_at: float = -inf
    _unheard: Unheard = field(default_factory=Unheard)

    @property
    def is_idle(self) -> bool:
        """Whether the session holds nothing that would be lost with it."""
        return isinstance(self.state, Idle)

    def sends(self, image: Image) -> bool:
        """Return whether this very file is being sent, or about to be."""
        run = self._run
        binding = self.binding if run is None else run.binding
        return binding.image.key == image.key and (run is not None or isinstance(self.state, Gather))

    def images(self) -> frozenset[int]:
        """Return the keys of what is being sent and of what the next pass sends."""
        run = self._run
        bindings = (self.binding,) if run is None else (self.binding, run.binding)
        return frozenset(binding.image.key for binding in bindings)

    def counts_on(self, source: Endpoint) -> bool:
        """Return whether an ERROR from ``source`` would change anything."""
        state = self.state
        return self.master == source or (isinstance(state, Gather) and state.openers.get(source.address) == source)

    def open(self, source: Endpoint, now: float) -> Effects:
        """Take an MTFTP open for this group's image."""
        if self._unheard.is_left_alone(source.address, now):
            self._totals.ignored += 1
            return (Drop(DropReason.UNHEARD, source, "left to port 69"),)
        state = self.state
        match state:
            case Idle():
                hold = 0.0 if source.port == self.binding.group.port else GATHER
                gather = Gather({source.address: source})
                self._move(Event.OPEN, gather, now + hold)
                return () if hold else self._begin(Event.GATHERED, gather.openers, now)
            case Gather():
                first = next(iter(state.openers))
                if len(state.openers) < MAX_WAITING or source.address in state.openers:
                    state.openers[source.address] = source
                return () if source.address == first else self._ignore(source, "gathering openers")
            case Gap():
                return self._begin(Event.OPEN, {source.address: source}, now)
            case First() | Lockstep() if source.address == state.master.address:
                return self._reopen(state, source, now)
            case First() | Lockstep() | Paced():
                state.run.wanted_by(source.address)
                if ServerAction.NEVER_BACK in self.binding.without:
                    return (state.run.to_client(source, 1), state.run.again(1))
                if isinstance(state, First):
                    self.deadline = first_deadline(self.binding, state)
                if isinstance(state, Paced):
                    state.deserted_at = inf
                    self.deadline = state.pacer.deadline
                return self._ignore(source, f"block {state.block} of {state.run.blocks}")
            case _:
                self._totals.ignored += 1
                if len(self._waiting) < MAX_WAITING:
                    self._waiting.add(source.address)
                return (Drop(DropReason.QUIET, source),)

    def acked(self, number: int, now: float) -> Effects:
        """Take an ACK of the master: the caller has compared its address and port with `master`."""
        state = self.state
        if type(state) is Lockstep:
            block = state.block
            run = state.run
            if block <= number < run.blocks:
                trip = run.trip
                if state.clean:
                    trip.sample(now - state.sent_at)
                block += 1
                state.block = block
                state.sent_at = state.heard_at = now
                state.clean = True
                state.repeats = state.echoes = 0
                run.sent += 1
                self.deadline = now + trip.timeout()
                binding = run.binding
                return (SendRun(binding.data_socket, binding.group, binding.image, block, 1, MTFTP_BLOCK_SIZE),)
            return self._acked_out_of_line(state, number, now)
        assert isinstance(state, First)
        return self._acked_first(state, number, now)

    def error(self, source: Endpoint, now: float) -> Effects:
        """Take an ERROR of a client that this session `counts_on`: the client is gone.  It gets no answer."""
        state = self.state
        if isinstance(state, First | Lockstep):
            return self._lose_master(state, "error", now)
        assert isinstance(state, Gather)
        del state.openers[source.address]
        if not state.openers:
            self._move(Event.DESERTED, Idle(), inf)
        return (Drop(DropReason.UNEXPECTED, source, "ERROR before the pass"),)

    def desert(self, now: float) -> Effects:
        """Take note that the master has opened another file from the same port: it is no longer here."""
        state = self.state
        assert isinstance(state, First | Lockstep)
        return self._lose_master(state, "gone", now)

    def tick(self, now: float) -> Effects:
        """Do what is due at ``now``."""
        if now < self.deadline:
            return ()
        state = self.state
        match state:
            case Gather():
                return self._begin(Event.GATHERED, state.openers, now)
            case First():
                return self._first_unanswered(state, now)
            case Lockstep():
                return self._repeat(state, now)
            case Paced():
                return self._pace(state, now)
            case _:
                self._waiting = set()
                self._move(Event.EXPIRED, Idle(), inf)
                return ()

    def abort(self, reason: str, now: float) -> Effects:
        """End what is going on: the image cannot be read any longer, or the server stops."""
        state = self.state
        if isinstance(state, First | Lockstep | Paced):
            report = self._account(state, ReportKind.PASS_ABORTED, reason, now)
            self._move(Event.ABORT, Quiet(), now + give_up_time(self.binding))
            return (report,)
        if isinstance(state, Gather):
            self._move(Event.ABORT, Idle(), inf)
        return ()

    def is_wanted_by(self, address: str) -> bool:
        """Return whether ``address`` is the master, or has opened this group in vain."""
        waiting = self._run.waiting if self._run else self._waiting
        return address in waiting or (self.master is not None and self.master.address == address)

    def fell_back(self, address: str) -> bool:
        """Take note that ``address`` fetches the image by unicast; return whether it had opened this group before.

        A master keeps its role: several clients may share one address, and one that has left falls silent anyway.
        """
        if not self.is_wanted_by(address):
            return False
        (self._run.waiting if self._run else self._waiting).discard(address)
        self._totals.fallbacks += 1
        return True

    def rebind(self, binding: Binding, now: float) -> None:
        """Serve ``binding``, which has the same group, from the next pass on; a running pass ends with what it has."""
        changed = binding.image.digest != self.binding.image.digest
        quiet_until = self._ended_at + give_up_time(self.binding)
        self.binding = binding
        if changed and quiet_until > now and isinstance(self.state, Idle | Gather | Gap):
            self._move(Event.CHANGED, Quiet(), quiet_until)

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
        )

    @property
    def _run(self) -> Pass | None:
        return self.state.run if isinstance(self.state, First | Lockstep | Paced) else None

    def _begin(self, event: Event, openers: dict[str, Endpoint], now: float) -> Effects:
        """Start a pass with the first opener as master: its own copy of DATA 1 leaves before that of the group."""
        address, master = next(iter(openers.items()))
        trip = RoundTrip(cap=patience(self.binding))
        run = Pass(self.binding, master, now, trip, (self._waiting | openers.keys()) - {address})
        self._waiting = set()
        self._totals.passes += 1
        state = First(run, master, now)
        self._move(event, state, 0.0)
        self.deadline = first_deadline(self.binding, state)
        if ServerAction.WAIT_FOR_ACK_1 in self.binding.without:
            pacer = Pacer(interval_after(None), now)
            self._move(Event.MASTER_LOST, Paced(run, 1, pacer, inf), pacer.deadline)
        return (*run.first_blocks(master), run.report_start())

    def _reopen(self, state: First | Lockstep, source: Endpoint, now: float) -> Effects:
        """Answer the master, who has lost the current block or its place: both copies, at the port it has now."""
        self.master = state.master = source
        state.sent_at = now
        state.clean = False
        if isinstance(state, First):
            self.deadline = first_deadline(self.binding, state)
        else:
            state.heard_at = now
            self.deadline = silence_deadline(self.binding, state)
        return (state.run.to_client(source, state.block), state.run.again(state.block))

    def _ignore(self, source: Endpoint, detail: str) -> Effects:
        self._totals.ignored += 1
        return (Drop(DropReason.PASS_RUNNING, source, detail),)

    def _acked_first(self, state: First, number: int, now: float) -> Effects:
        run, master = state.run, state.master
        if number < 1:
            return (Drop(DropReason.STALE_ACK, master, f"ACK {number} of block 1"),)
        if number > run.blocks:
            return (Drop(DropReason.UNEXPECTED, master, f"ACK {number} of {run.blocks} blocks"),)
        # Block 1 has no timer: an ACK that is later than one may be the ROM's repetition, and says nothing.
        if state.clean and now - state.sent_at <= run.trip.timeout():
            run.trip.sample(now - state.sent_at)
        if run.blocks == 1:
            return self._finish(state, "acknowledged", now)
        if number == run.blocks:
            return self._lose_master(state, "complete", now)
        self._move(Event.ACKED, Lockstep(run, master, 2, now, now), now + run.trip.timeout())
        return (run.to_group(2),)

    def _acked_out_of_line(self, state: Lockstep, number: int, now: float) -> Effects:
        """Take an ACK that does not simply ask for the next block."""
        run, block = state.run, state.block
        if number > run.blocks:
            return (Drop(DropReason.UNEXPECTED, state.master, f"ACK {number} of {run.blocks} blocks"),)
        if number == run.blocks:
            if block == run.blocks:
                return self._finish(state, "acknowledged", now)
            return self._lose_master(state, "complete", now)
        if number == block - 1 and now - state.sent_at >= ECHO_AFTER and state.echoes < MAX_ECHOES:
            state.echoes += 1
            state.heard_at = now
            return self._send_again(state, now)
        return (Drop(DropReason.STALE_ACK, state.master, f"ACK {number} of block {block}"),)

    def _repeat(self, state: Lockstep, now: float) -> Effects:
        if state.repeats == MAX_REPEATS:
            return self._lose_master(state, "silent", now)
        if state.repeats == 0:
            state.run.stalls += 1
        state.repeats += 1
        return self._send_again(state, now)

    def _send_again(self, state: Lockstep, now: float) -> Effects:
        state.sent_at = now
        state.clean = False
        self.deadline = silence_deadline(self.binding, state)
        return (state.run.again(state.block),)

    def _first_unanswered(self, state: First, now: float) -> Effects:
        if may_go_on_without_first_ack(self.binding, state):
            return self._lose_master(state, "silent", now)
        report = self._account(state, ReportKind.PASS_ENDED, "unanswered", now)
        self._move(Event.EXPIRED, Idle(), inf)
        return (report,)

    def _lose_master(self, state: First | Lockstep, why: str, now: float) -> Effects:
        """Go on without the master, or end where nothing is left to send or nobody is left to send it to."""
        run, block = state.run, state.block
        self._totals.masters_lost += 1
        if block > 2:
            self._unheard.heard(state.master.address)
        elif self._was_never_heard(state, why):
            self._unheard.failed(state.master.address, now, self.binding.seconds + 0.1)
        lost = Report(
            ReportKind.MASTER_LOST,
            state.master.address,
            None,
            (("group", str(run.binding.group)), ("why", why), ("block", block), ("blocks", run.blocks)),
        )
        if block == run.blocks:
            return (lost, *self._finish(state, "unacknowledged", now))
        if isinstance(state, First) and not run.waiting and why != "complete":
            return (lost, *self._leave_alone(state, now))
        interval = interval_after(run.trip.smoothed)
        pacer = Pacer(interval, max(now, state.sent_at + interval))
        deserted_at = inf
        if why == "silent" and not run.waiting:
            heard_at = state.heard_at if isinstance(state, Lockstep) else state.sent_at
            deserted_at = heard_at + 3 * (self.binding.seconds + 0.1)
        self._move(Event.MASTER_LOST, Paced(run, block, pacer, deserted_at), pacer.deadline)
        return (lost,)

    def _pace(self, state: Paced, now: float) -> Effects:
        if now >= state.deserted_at:
            return self._leave_alone(state, now)
        run = state.run
        room, again = self.budget.allowance(run.binding.group, MTFTP_BLOCK_SIZE, now)
        count = max(1, min(state.pacer.take(now), run.blocks - state.block, room))
        effect = run.to_group(state.block + 1, count)
        state.block += count
        if state.block == run.blocks:
            return (effect, *self._finish(state, "unacknowledged", now))
        self.deadline = min(max(state.pacer.deadline, again), state.deserted_at)
        return (effect,)

    def _finish(self, state: First | Lockstep | Paced, outcome: str, now: float) -> Effects:
        """End a complete pass; if the group has got another content meanwhile, its listeners must leave first."""
        if isinstance(state, Lockstep) and outcome == "acknowledged":
            self._unheard.heard(state.master.address)
        report = self._account(state, ReportKind.PASS_ENDED, outcome, now)
        self._move(Event.FINISHED, Gap(), now + GAP)
        if state.run.binding.image.digest != self.binding.image.digest:
            self._move(Event.CHANGED, Quiet(), now + give_up_time(self.binding))
        return (report,)

    def _leave_alone(self, state: First | Paced, now: float) -> Effects:
        report = self._account(state, ReportKind.PASS_ENDED, "deserted", now)
        self._move(Event.DESERTED, Quiet(), now + give_up_time(self.binding))
        return (report,)

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

    def _was_never_heard(self, state: First | Lockstep, why: str) -> bool:
        """Return whether a master fell silent when DATA came to it by the group alone; iPXE has another way out."""
        is_early = isinstance(state, Lockstep) and state.block < state.run.blocks
        return is_early and why == "silent" and not serves_ipxe_only(self.binding)

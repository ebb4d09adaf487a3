"""The session of one MTFTP group.  Its rules, states and transitions are in `mtftpd.core.mtftp.states`."""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from math import inf

from mtftpd.core.effects import Drop, DropReason, Effects, ReportKind, new_run
from mtftpd.core.groups import Binding
from mtftpd.core.images import MTFTP_BLOCK_SIZE
from mtftpd.core.mtftp.audience import Audience
from mtftpd.core.mtftp.gears import Gears
from mtftpd.core.mtftp.pacing import Pacer, interval_after
from mtftpd.core.mtftp.pairs import LONGEST_HOLD
from mtftpd.core.mtftp.pass_rates import PassRates
from mtftpd.core.mtftp.passes import MAX_WAITING, Pass
from mtftpd.core.mtftp.record import Record
from mtftpd.core.mtftp.states import Event, First, Gap, Gather, Idle, Lockstep, Paced, Quiet
from mtftpd.core.mtftp.timing import (
    CONGESTED,
    ECHO_AFTER,
    GAP,
    GATHER,
    MAX_ECHOES,
    MAX_REPEATS,
    QUIET,
    desertion,
    first_deadline,
    give_up_time,
    may_go_on_without_first_ack,
    probe_wait,
    silence_deadline,
    was_never_heard,
)
from mtftpd.core.mtftp.unheard import Unheard
from mtftpd.core.rtt import RoundTrip
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.datagram import Endpoint


@dataclass(slots=True, eq=False)
class Session(Record):
    """The machine of one binding; `tick` is due at ``deadline`` (infinity: never), ``master`` is whose ACKs count."""

    _unheard: Unheard = field(default_factory=Unheard)
    rates: InitVar[PassRates | None] = None
    """What is known of the speed of ROMs; without it every pass that can have a master has one."""
    _gears: Gears = field(init=False)

    def __post_init__(self, rates: PassRates | None) -> None:
        self._gears = Gears(rates)
        self._gears.serve(self.binding)

    def open(self, source: Endpoint, now: float) -> Effects:
        """Take an MTFTP open for this group's image."""
        left = self._left_to_port_69(source, now)
        if left is not None:
            self._totals.ignored += 1
            return (Drop(left, source, "left to port 69"),)
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

    def _left_to_port_69(self, source: Endpoint, now: float) -> DropReason | None:
        """Return why an open gets no answer although no pass is running, so that its client turns to unicast."""
        if self._unheard.is_left_alone(source.address, now):
            return DropReason.UNHEARD
        if not self._gears.is_closed(now):
            self._take_note_of_open(source, now)
            if not self.is_running and self._gears.closes(self.binding.seconds, now):
                self._waiting = set()
        return DropReason.IN_VAIN if self._gears.is_closed(now) else None

    def acked(self, number: int, now: float) -> Effects:
        """Take an ACK of the master: the caller has compared its address and port with `master`."""
        state = self.state
        if type(state) is Lockstep:
            block = state.block
            run = state.run
            if block <= number < run.blocks:
                if block == run.pairs.last and run.pairs.holds(now):
                    self.deadline = now + LONGEST_HOLD
                    return ()
                trip = run.trip
                if state.clean:
                    trip.sample(now - state.sent_at)
                block += 1
                state.block = block
                state.sent_at = state.heard_at = now
                state.clean = True
                state.repeats = state.echoes = 0
                self.deadline = now + trip.timeout()
                if block == run.pairs.next:
                    state.clean = False
                    return run.both_copies(block)
                run.sent += 1
                binding = run.binding
                return (new_run((binding.data_socket, binding.group, binding.image, block, 1, MTFTP_BLOCK_SIZE, 0)),)
            return self._acked_out_of_line(state, number, now)
        assert isinstance(state, First | Paced)
        return (
            self._acked_first(state, number, now) if isinstance(state, First) else self._acked_again(state, number, now)
        )

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
        if isinstance(state, First | Lockstep):
            return self._lose_master(state, "gone", now)
        assert isinstance(state, Paced)
        state.former = None
        return ()

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
                return self._rested(now)

    def told(self, address: str, profile: str, now: float) -> None:
        """Take note that DHCP told a ROM of this kind of the group: it is about to listen."""
        self._gears.audience.told(address, profile, now)

    def gone(self, address: str, now: float) -> None:
        """Take note that what ``address`` does shows that it does not want the image from here any longer."""
        if self._gears.turned_away(address, self.binding.image.blocks(MTFTP_BLOCK_SIZE)):
            state = self.state
            if isinstance(state, Paced) and state.run.opener is None and not self._gears.audience:
                state.deserted_at = self.deadline = now

    def start(self, now: float) -> Effects:
        """Begin a pass without a master, on an operator's word; () when one runs, or no pace is known for one."""
        if not isinstance(self.state, Idle) or not self._gears.has_pace():
            return ()
        self._move(Event.OPEN, Gather({}), now)
        return self._begin_paced(self._waiting, now)

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

    def fell_back(self, address: str, now: float) -> bool:
        """Take note that ``address`` fetches the image by unicast; return whether it had opened this group before.

        A master keeps its role: several clients may share one address, and one that has left falls silent anyway.
        """
        self.gone(address, now)
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
        self._gears.serve(self.binding)
        if changed:
            self._gears.audience = Audience()
        if changed and quiet_until > now and isinstance(self.state, Idle | Gather | Gap):
            self._move(Event.CHANGED, Quiet(), quiet_until)

    def _begin(self, event: Event, openers: dict[str, Endpoint], now: float) -> Effects:
        """Start a pass with the first opener as master: its own copy of DATA 1 leaves before that of the group."""
        if event is Event.GATHERED and self._gears.paces(openers, self.binding.image.blocks(MTFTP_BLOCK_SIZE)):
            return self._begin_paced(self._waiting | openers.keys(), now)
        address, master = next(iter(openers.items()))
        others = (self._waiting | openers.keys()) - {address}
        pairs = self._gears.begin_lockstep(address, self.budget)
        run = Pass(self.binding, master, now, self._gears.trip(self.binding, self.budget), others, pairs)
        self._count_pass()
        state = First(run, master, now)
        self._move(event, state, first_deadline(self.binding, state))
        if ServerAction.WAIT_FOR_ACK_1 in self.binding.without:
            pacer = Pacer(interval_after(None), now)
            self._move(Event.MASTER_LOST, Paced(run, 1, pacer, inf), pacer.deadline)
        return (*run.first_blocks(master), run.report_start())

    def _begin_paced(self, waiting: set[str], now: float) -> Effects:
        """Start a pass that nobody acknowledges, for all of ``waiting`` and those who only listen."""
        run = Pass(self.binding, None, now, RoundTrip(), waiting)
        self._count_pass()
        state = Paced(run, 0, self._gears.begin_paced(now, self.factor(now)), inf)
        self._move(Event.PACED, state, now)
        return (*self._pace(state, now), run.report_start())

    def _rested(self, now: float) -> Effects:
        """Go on after a pause: with another pass, if there is somebody for it."""
        blocks, seconds = self.binding.image.blocks(MTFTP_BLOCK_SIZE), self.binding.seconds
        if isinstance(self.state, Gap) and not self.paused and self._gears.goes_on(blocks, seconds, now):
            return self._begin_paced(self._waiting, now)
        self._waiting = set()
        self._move(Event.EXPIRED, Idle(), inf)
        return ()

    def _take_note_of_open(self, source: Endpoint, now: float) -> None:
        seconds = self.binding.seconds
        if isinstance(self.state, Idle) and now - self._ended_at > 2 * seconds + QUIET:
            self._gears.audience.rest(now, 4 * seconds + 5)
        blocks = self.binding.image.blocks(MTFTP_BLOCK_SIZE)
        self._gears.opened(source.address, blocks, now, early=isinstance(self.state, Gap))

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

    def _acked_again(self, state: Paced, number: int, now: float) -> Effects:
        """Take an ACK of a master that was lost: only that of the block it is waited for says that it has no hole."""
        run, block, master = state.run, state.block, state.former
        assert master is not None
        state.former = None
        if number != state.first or number != block:
            return (Drop(DropReason.STALE_ACK, master, f"ACK {number} of block {block}, too late"),)
        run.came_back = True
        self._move(Event.MASTER_BACK, Lockstep(run, master, block + 1, now, now), now + run.trip.timeout())
        return (run.to_group(block + 1), run.report_back(master, block))

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
        if number == block - 1:
            run.acknowledged_again(number)
        return (Drop(DropReason.STALE_ACK, state.master, f"ACK {number} of block {block}"),)

    def _repeat(self, state: Lockstep, now: float) -> Effects:
        if state.run.pairs.is_holding:
            state.run.pairs.give_up()
            return self.acked(state.block, now)
        if state.repeats == MAX_REPEATS:
            return self._lose_master(state, "silent", now)
        if state.repeats == 0:
            state.run.stalls_at(state.block)
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
        elif was_never_heard(self.binding, state, why):
            self._unheard.failed(state.master.address, now, self.binding.seconds + 0.1)
        lost = run.report_lost(state.master, why, block)
        unanswered = why == "silent" and block > 1
        self._gears.answered(state.master.address, run, block, run.lost - unanswered)
        if block == run.blocks:
            return (lost, *self._finish(state, "unacknowledged", now))
        if isinstance(state, First) and not run.waiting and why != "complete":
            return (lost, *self._leave_alone(state, now))
        pacer = self._gears.carry_on(run.trip.smoothed, state.sent_at, now, self.factor(now))
        alone = why == "silent" and not (run.waiting or self._gears.audience.has_others(state.master.address))
        deserted_at = desertion(self.binding, state) if alone else inf
        former = state.master if why == "silent" and isinstance(state, Lockstep) else None
        self._move(Event.MASTER_LOST, Paced(run, block, pacer, deserted_at, former, block + 1), pacer.deadline)
        return (lost,)

    def _pace(self, state: Paced, now: float) -> Effects:
        if now >= state.deserted_at:
            return self._leave_alone(state, now)
        run = state.run
        if state.repeats_for_former():
            self.deadline = min(now + probe_wait(state, state.repeats), state.deserted_at)
            return (run.again(state.block),)
        if self.budget.congested:
            self.deadline = min(now + CONGESTED, state.deserted_at)
            return ()
        room, again = self._allowance(state, now)
        count = 1 if state.former else max(1, min(state.pacer.take(now), run.blocks - state.block, room))
        effect = run.to_group(state.block + 1, count)
        state.block += count
        if state.block == run.blocks:
            return (effect, *self._finish(state, "unacknowledged", now))
        later = max(state.pacer.deadline, again) if state.former is None else now + probe_wait(state, 0)
        self.deadline = min(later, state.deserted_at)
        return (effect,)

    def _finish(self, state: First | Lockstep | Paced, outcome: str, now: float) -> Effects:
        """End a complete pass; if the group has got another content meanwhile, its listeners must leave first."""
        self._learn_from(state, outcome, now)
        report = self._account(state, ReportKind.PASS_ENDED, outcome, now)
        self._move(Event.FINISHED, Gap(), now + GAP)
        if state.run.binding.image.digest != self.binding.image.digest:
            self._move(Event.CHANGED, Quiet(), now + give_up_time(self.binding))
        return (report,)

    def _learn_from(self, state: First | Lockstep | Paced, outcome: str, now: float) -> None:
        run, gears = state.run, self._gears
        if isinstance(state, Lockstep) and outcome == "acknowledged":
            self._unheard.heard(state.master.address)
            gears.answered(state.master.address, run, run.blocks, run.lost)
        if not isinstance(state, Paced):
            gears.audience.gone(state.master.address)
        gears.pass_ended(run.started, now, paced=run.opener is None)

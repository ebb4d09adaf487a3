"""The session of the group that is compiled into iPXE.  Its rules, states and transitions: `carousel_states`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from math import inf

from mtftpd.core.effects import Drop, DropReason, Effect, Effects, Report, ReportKind, SendRun
from mtftpd.core.groups import Binding
from mtftpd.core.images import MTFTP_BLOCK_SIZE, Image
from mtftpd.core.link.budget import UNLIMITED, LinkBudget
from mtftpd.core.mtftp.carousel_states import TABLE, Event, Gather, Idle, Poll, Quiet, State, Turn, first_withheld
from mtftpd.core.mtftp.listeners import Listener, Listeners
from mtftpd.core.mtftp.pacing import UNKNOWN
from mtftpd.core.mtftp.pass_rates import PassRates
from mtftpd.core.mtftp.passes import GroupStatistics, Pass, Totals
from mtftpd.core.mtftp.pilot import PilotPace
from mtftpd.core.mtftp.timing import GATHER, give_up_time
from mtftpd.core.rtt import RoundTrip
from mtftpd.wire.datagram import Endpoint

IPXE = "ipxe-mtftp"
"""The profile under which the pace is kept."""
ONCE_EACH = 0.02
"""Seconds in which a gap that several clients report is sent once."""
KEEP_ALIVE = 0.12
"""Seconds without a block after which the group hears one again: half of what makes iPXE leave, so one may get lost."""
FEW_REPAIRS = 32
"""Blocks, or a twentieth of the image, that one client may ask for one by one before another turn is the faster way."""


@dataclass(slots=True, eq=False)
class Carousel:
    """The machine of iPXE's group; `tick` is due at ``deadline`` (infinity: never).  It never has a master."""

    binding: Binding
    budget: LinkBudget = UNLIMITED
    rates: PassRates = field(default_factory=PassRates)
    state: State = field(default_factory=Idle)
    deadline: float = inf
    master: Endpoint | None = None
    paused: bool = False
    """Whether an operator lets nothing begin; what runs is completed, for iPXE would boot what it has."""
    factor: Callable[[float], float] = lambda _now: 1.0
    """Which part of its pace the group is sent with."""
    _listeners: Listeners = field(default_factory=Listeners)
    _totals: Totals = field(default_factory=Totals)
    _repaired: dict[int, float] = field(default_factory=dict)
    _ended_at: float = -inf

    @property
    def is_idle(self) -> bool:
        """Whether the session holds nothing that would be lost with it."""
        return isinstance(self.state, Idle)

    @property
    def is_running(self) -> bool:
        """Whether blocks are being sent."""
        return self._run is not None

    def sends(self, image: Image) -> bool:
        """Return whether this very file is being sent, or about to be."""
        run = self._run
        binding = self.binding if run is None else run.binding
        return binding.image.key == image.key and (run is not None or isinstance(self.state, Gather))

    def images(self) -> frozenset[int]:
        """Return the keys of what is being sent and of what the next turn sends."""
        run = self._run
        bindings = (self.binding,) if run is None else (self.binding, run.binding)
        return frozenset(binding.image.key for binding in bindings)

    def knows(self, source: Endpoint) -> bool:
        """Return whether an acknowledgement from ``source`` is of interest."""
        return self._listeners.at(source) is not None

    def counts_on(self, source: Endpoint) -> bool:
        """Return whether an ERROR from ``source`` would change anything."""
        return self.knows(source)

    def is_wanted_by(self, address: str) -> bool:
        """Return whether ``address`` has opened and not got everything."""
        return address in self._listeners

    def open(self, source: Endpoint, now: float) -> Effects:
        """Take an open: the client listens from now on."""
        state = self.state
        if isinstance(state, Quiet):
            self._totals.ignored += 1
            return (Drop(DropReason.QUIET, source),)
        listener, is_new = self._listeners.opened(source)
        match state:
            case Idle():
                self._move(Event.OPEN, Gather(), now + GATHER)
                return ()
            case Turn():
                if is_new:
                    state.left = self._turn_length(state.run)
                return self._ignore(source, f"block {state.block} of {state.run.blocks}")
            case Poll() if is_new and self._turn_length(state.run):
                return (*self._turn_again(state, now), *self._ignore(source, "another turn for it"))
            case Poll():
                listener.ask_at(now)
                self.deadline = now
                return self._ignore(source, "about to be asked")
            case _:
                return self._ignore(source, "gathering openers")

    def acked(self, source: Endpoint, number: int, now: float) -> Effects:
        """Take an acknowledgement of a listener that this session `knows`: how many blocks it holds without a gap."""
        run, listener = self._run, self._listeners.at(source)
        assert listener is not None
        if run is None or number > run.blocks:
            return (Drop(DropReason.UNEXPECTED, source, f"ACK {number}"),)
        if isinstance(self.state, Turn) and source == self.state.pilot:
            self.state.pace.acknowledged()
        if number == run.blocks:
            return self._served(run, source, now)
        progressed = listener.holds(number, now)
        if number >= first_withheld(run.binding.image) - 1:
            if not progressed and now - listener.asked_at < ONCE_EACH:
                return (Drop(DropReason.STALE_ACK, source, f"ACK {number}"),)
            listener.asked(now)
            return (self._missing(run, listener),)
        if isinstance(self.state, Poll):
            return self._repair(self.state, listener, now)
        return (Drop(DropReason.COUNTED, source, f"ACK {number}"),)

    def error(self, source: Endpoint, now: float) -> Effects:
        """Take an ERROR of a listener: it is gone, and gets no answer."""
        self.gone(source.address, now)
        return (Drop(DropReason.UNEXPECTED, source, "ERROR of a listener"),)

    def start(self, now: float) -> Effects:
        """Do nothing: iPXE asks when it listens, and is not there before."""
        return ()

    def rest(self, now: float) -> None:
        """Be quiet until those who listened to the server before this one have left; at the start only."""
        self._move(Event.CHANGED, Quiet(), now + give_up_time(self.binding))

    def told(self, address: str, profile: str, now: float) -> None:
        """Do nothing: iPXE opens before it listens, and only then is there a port to ask it at."""

    def gone(self, address: str, now: float) -> None:
        """Take note that ``address`` does not want the image from here any longer."""
        if self._listeners.remove(address) and not self._listeners and not self.is_idle:
            self.deadline = now

    def fell_back(self, address: str, now: float) -> bool:
        """Take note that ``address`` fetches the image by unicast; return whether it had opened this group before."""
        if address not in self._listeners:
            return False
        self.gone(address, now)
        self._totals.fallbacks += 1
        return True

    def tick(self, now: float) -> Effects:
        """Do what is due at ``now``."""
        if now < self.deadline:
            return ()
        state = self.state
        if not self._listeners and isinstance(state, Gather | Turn | Poll):
            return self._finish(now)
        match state:
            case Gather():
                return self._begin(now)
            case Turn():
                return self._turn(state, now)
            case Poll():
                return self._ask(state, now)
            case _:
                self._move(Event.EXPIRED, Idle(), inf)
                return ()

    def abort(self, reason: str, now: float) -> Effects:
        """End what is going on; whoever listens gets the image from port 69."""
        self._listeners.clear()
        run = self._run
        if run is None:
            if isinstance(self.state, Gather):
                self._move(Event.ABORT, Idle(), inf)
            return ()
        report = self._account(run, ReportKind.PASS_ABORTED, reason, now)
        self._move(Event.ABORT, Quiet(), now + give_up_time(self.binding))
        return (report,)

    def rebind(self, binding: Binding, now: float) -> None:
        """Serve ``binding`` once nobody listens any longer; who listens now ends with what there is now."""
        changed = binding.image.digest != self.binding.image.digest
        quiet_until = self._ended_at + give_up_time(self.binding)
        self.binding = binding
        if changed and quiet_until > now and isinstance(self.state, Idle | Gather):
            self._listeners.clear()
            self._move(Event.CHANGED, Quiet(), quiet_until)

    def statistics(self) -> GroupStatistics:
        """Return a snapshot."""
        state, run = self.state, self._run
        blocks = run.blocks if run else self.binding.image.blocks(MTFTP_BLOCK_SIZE)
        return GroupStatistics(
            image=self.binding.image.name,
            group=str(self.binding.group),
            state=type(state).__name__.lower(),
            block=state.block if isinstance(state, Turn) else blocks if isinstance(state, Poll) else 0,
            blocks=blocks,
            master="",
            **asdict(self._totals.including(run)),
            waiting=len(self._listeners),
            started=run.started if run else 0.0,
            paused=self.paused,
        )

    @property
    def _run(self) -> Pass | None:
        return self.state.run if isinstance(self.state, Turn | Poll) else None

    def _turn_length(self, run: Pass) -> int:
        """Return how many blocks go round: all but those that would tell the size."""
        return first_withheld(run.binding.image) - 1

    def _begin(self, now: float) -> Effects:
        pilot = self._listeners.first().source
        run = Pass(self.binding, None, now, RoundTrip(), self._listeners.addresses())
        self._totals.passes += 1
        known = self.rates.slowest({IPXE})
        pace = PilotPace(now, (UNKNOWN if known is None else known.interval) / self.factor(now))
        state = Turn(run, 0, self._turn_length(run), pace, pilot)
        self._move(Event.GATHERED, state, now)
        started = run.report_start()
        if not state.left:
            return (started, *self._end_turn(state, now))
        return (run.to_client(pilot, 1), *self._turn(state, now), started)

    def _turn(self, state: Turn, now: float) -> Effects:
        run = state.run
        room, again = self.budget.allowance(run.binding.group, MTFTP_BLOCK_SIZE, now)
        length = self._turn_length(run)
        first = state.block % length + 1
        count = max(1, min(state.pace.take(now), state.left, room, length - first + 1))
        state.block = first + count - 1
        state.left -= count
        effect = run.to_group(first, count)
        if not state.left:
            return (effect, *self._end_turn(state, now))
        self.deadline = max(state.pace.deadline, again)
        return (effect,)

    def _end_turn(self, state: Turn, now: float) -> Effects:
        """Ask everybody: within the time in which iPXE would leave."""
        self._repaired.clear()
        poll = Poll(state.run, now, state.pace)
        self._move(Event.TURNED, poll, now)
        for listener in self._listeners:
            listener.begin_poll(now)
        return self._ask(poll, now)

    def _ask(self, state: Poll, now: float) -> Effects:
        run, length = state.run, self._turn_length(state.run)
        effects: list[Effect] = [self._missing(run, listener) for listener in self._listeners.due(now)]
        if not self._listeners:
            return (*effects, *self._finish(now))
        if length and now >= state.sent_at + KEEP_ALIVE:
            state.sent_at = now
            effects.append(run.again(length))
        alive = state.sent_at + KEEP_ALIVE if length else inf
        self.deadline = min(self._listeners.next_deadline(), alive)
        return tuple(effects)

    def _missing(self, run: Pass, listener: Listener) -> SendRun:
        """Return what ``listener`` lacks, for it alone: the whole end at once, since it must not know half of it."""
        length = self._turn_length(run)
        if listener.held < 0:
            return run.to_client(listener.source, max(length, 1), 1 if length else run.blocks)
        end = listener.held >= length
        return run.to_client(listener.source, listener.held + 1, run.blocks - listener.held if end else 1)

    def _repair(self, state: Poll, listener: Listener, now: float) -> Effects:
        run, block = state.run, listener.held + 1
        listener.repairs += 1
        if listener.repairs > max(FEW_REPAIRS, run.blocks // 20):
            state.pace.slow_down(now)
            return self._turn_again(state, now)
        if now - self._repaired.get(block, -inf) < ONCE_EACH:
            return (Drop(DropReason.STALE_ACK, listener.source, f"block {block} was sent a moment ago"),)
        self._repaired[block] = state.sent_at = now
        return (run.again(block),)

    def _turn_again(self, state: Poll, now: float) -> Effects:
        pilot = self._listeners.first().source
        turn = Turn(state.run, 0, self._turn_length(state.run), PilotPace(now, state.pace.interval), pilot)
        self._move(Event.LACKING, turn, now)
        for listener in self._listeners:
            listener.repairs = 0
        return self._turn(turn, now)

    def _served(self, run: Pass, source: Endpoint, now: float) -> Effects:
        self.gone(source.address, now)
        detail = (("group", str(run.binding.group)), ("blocks", run.blocks))
        return (Report(ReportKind.LISTENER_DONE, source.address, None, detail),)

    def _finish(self, now: float) -> Effects:
        """End: everybody who is known has the image or has left."""
        state, run = self.state, self._run
        self._move(Event.SERVED, Idle(), inf)
        if run is None or not isinstance(state, Turn | Poll):
            return ()
        self.rates.answered(IPXE, state.pace.interval, run.blocks, 0)
        report = self._account(run, ReportKind.PASS_ENDED, "polled", now)
        if run.binding.image.digest != self.binding.image.digest:
            self._move(Event.CHANGED, Quiet(), now + give_up_time(self.binding))
        return (report,)

    def _account(self, run: Pass, kind: ReportKind, outcome: str, now: float) -> Report:
        self._totals = self._totals.including(run)
        self._ended_at = now
        return run.report_end(kind, outcome, run.blocks, now)

    def _ignore(self, source: Endpoint, detail: str) -> Effects:
        self._totals.ignored += 1
        return (Drop(DropReason.PASS_RUNNING, source, detail),)

    def _move(self, event: Event, state: State, deadline: float) -> None:
        assert TABLE[type(self.state)][event] is type(state)
        self.state = state
        self.deadline = deadline

"""One unicast transfer.  Its rules, states and transitions are in `mtftpd.core.tftp.states`."""

from __future__ import annotations

from typing import NamedTuple

from mtftpd.core.effects import ReportKind, Send, SendRun, new_run
from mtftpd.core.filenames import shown
from mtftpd.core.images import Image
from mtftpd.core.rtt import CAP, RoundTrip
from mtftpd.core.tftp.block_numbers import MAX_NUMBER, block_meant, number_on_wire
from mtftpd.core.tftp.negotiation import Granted, Pairs
from mtftpd.core.tftp.states import TABLE, Event, State
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.tftp import Error, ErrorCode, OptionAck, build

HALF_OPEN_SECONDS = 30.0
"""A first reply is forgotten after this: no ROM waits more than 20 s for one (quirk Q93)."""
REMINDERS = (1.0, 3.0, 7.0, 15.0)
"""Seconds after the first reply: all before a ROM has given up (quirk Q93).  A forged request draws five packets at the
most, and only to a node of ours."""
LINGER_SECONDS = 5.0
"""The slowest ROM re-sends its last ACK after 4 s (quirk Q94)."""
GIVE_UP_SECONDS = 60.0
"""The sum of the time-outs of one window: more than twice the 25 s of quirk Q92, and a client that writes to flash
pauses 10 s and more.  A server that was stopped for a while itself gives up on nobody."""
MAX_REPEATS = 100
"""Of one window at the client's own asking: GRUB asks 40 times (quirk Q94)."""
SETTLED_SECONDS = 0.5
"""After two quick repetitions the client is busy or gone, not unlucky: 1 % loss three times is 1 in 10**6."""
CARRIED_SECONDS = 1.0
"""A pause of seconds says little about the next block: no more of it than this is remembered."""
LAST_REPEATS = 3
LAST_WAITS = (0.5, 2.0)
"""Seconds between the repetitions of the last window, once the quick one had no answer (quirk Q87)."""
LAST_GRACE_SECONDS = 5.0
"""After the last repetition, for a client that asks again itself: U-Boot does after 5 s (quirk Q94)."""
PROBE_ERRORS = frozenset({0, 5, 8})
"""iPXE and PXELINUX end a size probe with ERROR 0, gPXE with 5, EDK1 and EDK2 with 8 (quirk Q82)."""

_TSIZE = b"tsize\0"
"""In an OACK: it told the size, which is all that some clients want (quirk Q82)."""

_SAMPLE_EVERY = 16
"""Windows between two measurements of the round trip: it changes with the load, not with every block."""
_NEVER = -2
"""No ACK has this number, nor is it the -1 of what is no ACK."""

_UNMEASURED = RoundTrip()
"""Shared by all transfers before their first sample."""


class Asked(NamedTuple):
    """A request that was accepted: who, for which name beneath the root; ``fingerprint`` tells a repetition."""

    peer: Endpoint
    name: str
    options: Pairs
    fingerprint: int


class Outcome(NamedTuple):
    """How a transfer ended; ``probe``: the client only wanted to know the size; ``linger``: late packets may come."""

    kind: ReportKind
    end: str
    probe: bool = False
    linger: bool = True


class Transfer:
    """One transfer.  The service calls `advance` when `awaited` arrives and the other methods for everything else.

    Block numbers are absolute.  The OACK counts as block 0.
    """

    __slots__ = (
        "_gap",
        "_laps",
        "_least_wait",
        "_reply",
        "_waited",
        "_went_back_at",
        "_window_at",
        "_without",
        "awaited",
        "base",
        "block_size",
        "fingerprint",
        "image",
        "last",
        "longest_wait",
        "name",
        "outcome",
        "peer",
        "reminders",
        "repeats",
        "resent",
        "retransmissions",
        "retries",
        "rollover",
        "rtt",
        "sent",
        "sent_at",
        "socket",
        "started",
        "state",
        "wait",
        "window",
    )

    def __init__(self, socket: int, asked: Asked, image: Image, granted: Granted, now: float) -> None:
        self.socket = socket
        self.peer = asked.peer
        self.name = asked.name
        self.fingerprint = asked.fingerprint
        self.image = image
        self.block_size = granted.block_size
        self.window = granted.window
        self.rollover = granted.rollover
        self._without = granted.without
        # RFC 2349 fixes the interval; we repeat earlier when the measured round trip says so, never later.
        self.longest_wait = CAP if granted.timeout is None else min(CAP, float(granted.timeout))
        self.last = image.blocks(granted.block_size)
        self.started = now
        # OFFERED and FIRST: what was sent, how often at the client's asking and how often unasked.
        self._reply = build(OptionAck(granted.options)) if granted.options else b""
        self.repeats = 0
        self.reminders = 0
        # SENDING and LAST: blocks base to sent are out since sent_at; if they were repeated, since _window_at.
        self.state = State.OFFERED if self._reply else State.FIRST
        self.base = self.sent = 0 if self._reply else 1
        self.sent_at = self._window_at = now
        self.wait = HALF_OPEN_SECONDS
        self.retries = 0
        self._waited = 0.0
        self._least_wait = 0.0
        self._went_back_at = -1.0
        self.rtt = _UNMEASURED
        self.retransmissions = 0
        self.resent = 0
        # The ACK that advance() may be called for, how many of those may follow one another, and how many next time.
        self.awaited = _NEVER
        self._laps = 0
        self._gap = 1
        # LINGER
        self.outcome: Outcome | None = None

    @property
    def deadline(self) -> float:
        """When `timeout` is to be called; in LINGER, when the socket is to be closed."""
        return self.sent_at + self.wait

    @property
    def progress_at(self) -> float:
        """When the window that is out was first sent, which is when the client was last heard of."""
        return self._window_at if self.retries else self.sent_at

    @property
    def half_open(self) -> bool:
        """Whether the client has not answered the first reply yet."""
        return self.state is State.OFFERED or self.state is State.FIRST

    @property
    def lossy(self) -> bool:
        """Whether this client lost so much of its windows that it is better off without (quirk Q96)."""
        repeats = self.retransmissions
        return self.window > 1 and repeats >= 4 and repeats * 8 * self.window > self.sent

    def first_reply(self) -> Send | SendRun:
        """Return the OACK, or DATA 1."""
        if self._reply:
            return Send(self.socket, self.peer, self._reply)
        return self._run(1, 1)

    def repeat_first_reply(self, now: float) -> Send | SendRun:
        """Answer the same request again, in the same words."""
        self.repeats += 1
        self.sent_at = now
        return self.first_reply()

    @property
    def reminder_at(self) -> float | None:
        """When the client is to be reminded of the first reply next if its address is ours; None for never."""
        may = self.half_open and not self.repeats and ServerAction.RETRANSMIT not in self._without
        return self.sent_at + REMINDERS[self.reminders] if may and self.reminders < len(REMINDERS) else None

    def remind(self) -> Send | SendRun:
        """Send the first reply again, unasked."""
        self.reminders += 1
        return self.first_reply()

    def advance(self, now: float) -> SendRun:
        """Send the next window, because the ACK with the number `awaited` came: the path of almost every block."""
        first = self.sent + 1
        window = self.window
        self.base = first
        self.sent += window
        self.sent_at = now
        self._laps = laps = self._laps - 1
        self.awaited = self.awaited + window if laps else _NEVER
        return new_run((self.socket, self.peer, self.image, first, window, self.block_size, self.rollover))

    def acknowledge(self, number: int, now: float) -> SendRun | None:
        """Take any ACK; returns what to send, or None if it is the end (see `outcome`) or means nothing."""
        block = block_meant(number, self.sent, self.rollover)
        if block < self.base:
            if ServerAction.IGNORE_DUP_ACK in self._without:
                return self._run(self.base, self.sent - self.base + 1)
            asks = block == self.base - 1 and 0 < self.retries < MAX_REPEATS
            return self._repeat_window(now) if asks and now - self.sent_at >= self.rtt.timeout() else None
        self._measure(block, now)
        if block == self.last:
            self.base = self.last + 1
            self._end(Event.COMPLETE, Outcome(ReportKind.TFTP_DONE, "complete"), now)
            return None
        if block < self.sent:
            if now - self._went_back_at < (self.rtt.smoothed or 0.0) / 2:
                # The rest of the window that was given up asks for the same again; what it asks for is on its way.
                self.base = block + 1
                return None
            self._went_back_at = now
            self.retransmissions += 1
            self.resent += self.sent - block
        return self._send_window(block + 1, now)

    def timeout(self, now: float) -> SendRun | None:
        """Take the passing of `deadline`; returns what to send again, or None if it is the end."""
        if self.half_open:
            end = "first packet never answered"
            self._end(Event.SILENCE, Outcome(ReportKind.TFTP_FAILED, end, linger=False), now)
            return None
        self._waited = self.wait if not self.retries else self._waited + self.wait
        if self.state is State.LAST and self.retries >= LAST_REPEATS:
            accepts = ServerAction.ACCEPT_NO_LAST_ACK not in self._without
            outcome = Outcome(
                ReportKind.TFTP_DONE if accepts else ReportKind.TFTP_FAILED, "last block not acknowledged"
            )
            self._end(Event.UNANSWERED, outcome, now)
            return None
        if self.state is State.SENDING and self._waited >= GIVE_UP_SECONDS:
            self._end(Event.SILENCE, Outcome(ReportKind.TFTP_FAILED, "client fell silent"), now)
            return None
        if ServerAction.RETRANSMIT in self._without:
            self.retries += 1
            self.sent_at = now
            return None
        return self._repeat_window(now)

    def abort(self, error: Error, now: float) -> None:
        """Take an ERROR of the client."""
        probe = self.state is State.OFFERED and _TSIZE in self._reply and error.code in PROBE_ERRORS
        if probe:
            outcome = Outcome(ReportKind.TFTP_DONE, "size probe", probe=True)
        else:
            text = f"aborted by client: {error.code} {shown(error.text)}".rstrip()
            outcome = Outcome(ReportKind.TFTP_FAILED, text)
        self._end(Event.ABORT, outcome, now)

    def end(self, outcome: Outcome, now: float) -> None:
        """End it for a reason of the server's own."""
        self._end(Event.ENDED, outcome, now)

    def give_up(self, text: str, now: float) -> Send:
        """End it with an ERROR to the client; ``text`` says why to both."""
        self._end(Event.ENDED, Outcome(ReportKind.TFTP_FAILED, text), now)
        return Send(self.socket, self.peer, build(Error(ErrorCode.NOT_DEFINED, text)))

    def _move(self, event: Event) -> None:
        self.state = TABLE[self.state][event]

    def _end(self, event: Event, outcome: Outcome, now: float) -> None:
        self._move(event)
        self.outcome = outcome
        self.awaited = _NEVER
        self.sent_at = now
        self.wait = LINGER_SECONDS

    def _run(self, first: int, count: int) -> SendRun:
        return SendRun(self.socket, self.peer, self.image, first, count, self.block_size, self.rollover)

    def _measure(self, block: int, now: float) -> None:
        """Take the round trip of the window that is out, if this ACK says something about it (RFC 6298 section 3).

        What was sent twice is no sample; until there is one, the wait stays as long as it had become.  A client that
        got slower than the timer is measured that way, a loss here and there is not mistaken for it.  The first reply
        has no timer, but who answers it later than one would have rung may have answered before, in vain.
        """
        late = self.half_open and now - self.sent_at > self.rtt.timeout()
        if self.retries:
            self._least_wait = min(self.wait, CARRIED_SECONDS)
            self._gap = 1
        elif not (self.repeats or late) and (block == self.sent or self.sent_at > self._went_back_at):
            if self.rtt is _UNMEASURED:
                self.rtt = RoundTrip()
            # A shell that takes the time once for many packets may be a little behind.
            self.rtt.sample(max(0.0, now - self.sent_at))
            self._least_wait = 0.0
            self._gap = min(2 * self._gap, _SAMPLE_EVERY)
        self.repeats = 0

    def _send_window(self, first: int, now: float) -> SendRun:
        self.base = first
        self.sent = min(first + self.window - 1, self.last)
        self.sent_at = now
        self.retries = 0
        self.wait = min(max(self.rtt.timeout(), self._least_wait), self.longest_wait)
        self._move(Event.TAIL if self.sent == self.last else Event.NEXT)
        self._count_laps()
        return self._run(first, self.sent - first + 1)

    def _count_laps(self) -> None:
        """Work out how many ACKs in a row need no thought: none ends the file, rolls the number over or is measured."""
        number = number_on_wire(self.sent, self.rollover)
        until_last = (self.last - 1 - self.sent) // self.window
        until_rollover = (MAX_NUMBER - number) // self.window
        self._laps = max(0, min(self._gap, until_last, until_rollover))
        self.awaited = number if self._laps else _NEVER

    def _repeat_window(self, now: float) -> SendRun:
        if not self.retries:
            self._window_at = self.sent_at
        self.retries += 1
        self.retransmissions += 1
        self.resent += self.sent - self.base + 1
        self.sent_at = now
        self.wait = self._next_wait()
        self.awaited = _NEVER
        return self._run(self.base, self.sent - self.base + 1)

    def _next_wait(self) -> float:
        if self.state is State.LAST:
            if self.retries >= LAST_REPEATS:
                return LAST_GRACE_SECONDS
            return min(max(LAST_WAITS[self.retries - 1], self.wait), self.longest_wait)
        settled = SETTLED_SECONDS if self.retries > 1 else 0.0
        return min(max(2 * self.wait, settled), self.longest_wait)

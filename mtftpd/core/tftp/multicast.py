"""The machine of one transfer with option multicast (RFC 2090): one block on its way at a time, to all.

The rules:

1. Clients are kept in the order in which they asked.  Each gets an OACK that names the group; the first is master.
2. ACK n of the master asks for block n + 1, forwards or backwards: whoever becomes master acknowledges what it has up
   to its first gap, so only gaps are sent again.  ACKs of others move nothing.
3. An ACK that asks for the block that is out already counts only when a round trip has passed: else each copy of an
   ACK would double everything after it (RFC 1123 4.2.3.1, Sorcerer's Apprentice).
4. Without an ACK the block is repeated, after a measured round trip and then more and more slowly.
5. Whoever acknowledges the last block has everything, master or not, and leaves; so does whoever sends an ERROR.
6. When the master leaves, or is silent or gets nowhere while others wait, the first of the others is made master by
   an OACK with 1.  Who is silent goes behind the others; who does not answer its OACK with 1 a second time is gone.
   That OACK names the group again, which RFC 2090 leaves open: its client may have lost the first one, and atftp
   0.8.0 gives up when the fields are empty.
7. The answer to a request is repeated only when the request is.  An OACK with 1 is repeated, because a listener has
   no reason to ask for anything.
8. No client is done before it says so: a listener that falls silent has failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from mtftpd.core.effects import Drop, DropReason, Effect, Effects, Report, ReportKind, Send, SendRun, Service
from mtftpd.core.filenames import shown
from mtftpd.core.images import Image
from mtftpd.core.rtt import CAP, INITIAL, RoundTrip
from mtftpd.core.tftp.negotiation import Granted
from mtftpd.core.tftp.transfer import GIVE_UP_SECONDS, HALF_OPEN_SECONDS, Asked, Outcome
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.tftp import Error, ErrorCode, OptionAck, Pairs, build

OPTION: Final = "multicast"
CALL_WAITS: Final = (0.3, 0.9, 2.7)
"""Seconds after each OACK that makes a master: three are lost once in 10**6 at 1 % loss."""
FIRST_CALLS: Final = 2
"""Copies, after which the next client is called instead; who has missed that is gone the second time.  A forged
request so draws six packets of its own size."""
FIRST_SECONDS: Final = 1.0
"""How long the first client may leave its OACK unanswered while others wait."""
SILENT_SECONDS: Final = 1.5
"""How long a master may get nowhere while others wait; alone, as long as in a unicast transfer.  When an ACK of atftp
is lost twice it says nothing for 5 s."""
MAX_DOUBLINGS: Final = 8
"""20 ms doubled eight times are 5 s, more than the longest wait."""
CAREFUL: Final = 4
"""Times the wait of the last master, before the round trip of the next one is known: at least 80 ms."""

_COMPLETE: Final = Outcome(ReportKind.TFTP_DONE, "complete")
_NO_ANSWER: Final = Outcome(ReportKind.TFTP_FAILED, "first packet never answered")
_NOT_THERE: Final = Outcome(ReportKind.TFTP_FAILED, "does not answer as the next master")
_SILENT: Final = Outcome(ReportKind.TFTP_FAILED, "client is silent")


class State(Enum):
    """Where a transfer is."""

    CALLED = "a client was made master, its ACK is awaited"
    SENDING = "a block is out, the ACK of the master is awaited"
    OVER = "no client is left"


class Event(Enum):
    """What moves a transfer from state to state."""

    ASKED = "the master asks for a block"
    MADE = "another client is made master"
    LEFT = "the last client is gone"


TABLE: dict[State, dict[Event, State]] = {
    State.CALLED: {Event.ASKED: State.SENDING, Event.MADE: State.CALLED, Event.LEFT: State.OVER},
    State.SENDING: {Event.ASKED: State.SENDING, Event.MADE: State.CALLED, Event.LEFT: State.OVER},
    State.OVER: {},
}


@dataclass(slots=True, eq=False)
class Member:
    """A client that asked and has not said that it has everything.

    ``heard``: it has answered something; ``missed_call``: but not the OACK that made it master.  ``block`` is the last
    that it acknowledged as master, at ``progress_at`` seconds.
    """

    asked: Asked
    granted: Granted
    started: float
    heard: bool = False
    missed_call: bool = False
    block: int = 0
    progress_at: float = 0.0

    @property
    def longest_wait(self) -> float:
        """Seconds between two copies of a block, at most."""
        return CAP if self.granted.timeout is None else min(CAP, float(self.granted.timeout))


class MulticastTransfer:
    """``image`` in blocks of ``block_size`` octets to ``group``; ``sent`` counts packets, ``repeats`` those again."""

    def __init__(self, image: Image, block_size: int, group: Endpoint) -> None:
        self.image = image
        self.started = 0.0
        self._gone: list[Endpoint] = []
        self.block_size = block_size
        self.group = group
        self.last = image.blocks(block_size)
        self.members: dict[Endpoint, Member] = {}
        self.state = State.CALLED
        # The master, what it was told or sent last and when; ``tries`` counts copies of that.
        self.master: Member | None = None
        self.block = 0
        self.sent_at = 0.0
        self.tries = 0
        self._is_first = True
        self._trip = RoundTrip()
        self.sent = 0
        self.repeats = 0
        self.furthest = 0
        self.masters_lost = 0

    @property
    def is_over(self) -> bool:
        """Whether nobody is left."""
        return self.state is State.OVER

    @property
    def deadline(self) -> float:
        """When `timeout` is to be called."""
        return self.sent_at + self._wait()

    # What clients say

    def join(self, member: Member, now: float) -> Effects:
        """Take a client that asks, or asks again, and answer it."""
        peer = member.asked.peer
        known = self.members.get(peer)
        if known is not None:
            return (self._answer(known),)
        self.members[peer] = member
        if self.master is None:
            self.started = now
            self._make(member, now)
            self._is_first = True
        return (self._answer(member), self._started(member))

    def acknowledge(self, peer: Endpoint, number: int, now: float) -> Effects:
        """Take an ACK of one of the clients."""
        member = self.members[peer]
        member.heard = True
        if number == self.last:
            member.block = number
            return self.leave(member, _COMPLETE, now)
        if member is not self.master:
            return (Drop(DropReason.NOT_THE_MASTER, peer, str(number)),)
        if number > self.last or self._is_copy(number, now):
            return (Drop(DropReason.STALE_ACK, peer, str(number)),)
        if number > member.block or self.state is State.CALLED:
            member.block = number
            member.progress_at = now
        elif self._is_stuck(member, now):
            return self._pass_over(member, now)
        if self.state is State.SENDING and number == self.block and not self.tries:
            self._trip.sample(max(0.0, now - self.sent_at))
        self.state = TABLE[self.state][Event.ASKED]
        self.block = number + 1
        self.tries = 0
        return (self._send(now),)

    def leave(self, member: Member, outcome: Outcome, now: float) -> Effects:
        """Let a client go, for the reason of ``outcome``."""
        del self.members[member.asked.peer]
        self._gone.append(member.asked.peer)
        effects: Effects = (self._ended(member, outcome, now),)
        if member is not self.master:
            return effects
        self.masters_lost += outcome is not _COMPLETE
        return effects + self._hand_over(now)

    def end(self, text: str, now: float) -> Effects:
        """End it with an ERROR to every client."""
        outcome = Outcome(ReportKind.TFTP_FAILED, text)
        effects: list[Effect] = []
        for member in self.members.values():
            error = build(Error(ErrorCode.NOT_DEFINED, text))
            effects += Send(Service.TFTP, member.asked.peer, error), self._ended(member, outcome, now)
        self._gone += self.members
        self.members.clear()
        return (*effects, *self._hand_over(now))

    def take_gone(self) -> list[Endpoint]:
        """Return who has left since this was last asked."""
        gone, self._gone = self._gone, []
        return gone

    # Time

    def timeout(self, now: float) -> Effects:
        """Take the passing of `deadline`."""
        master = self.master
        assert master is not None
        if self.state is State.SENDING:
            if self._is_stuck(master, now):
                return self._pass_over(master, now)
            self.tries += 1
            self.repeats += 1
            return (self._send(now),)
        if self._is_first:
            if now - self.sent_at >= HALF_OPEN_SECONDS:
                return self.leave(master, _NO_ANSWER, now)
            return self._pass_over(master, now)
        self.tries += 1
        if self.tries == FIRST_CALLS and not master.missed_call and len(self.members) > 1:
            master.missed_call = True
            return self._pass_over(master, now)
        # Alone it holds nobody up, and who was heard before may be writing to flash (quirk Q102).
        may_be_busy = master.heard and not self._is_stuck(master, now) and len(self.members) == 1
        if self.tries >= len(CALL_WAITS) and not may_be_busy:
            return self.leave(master, _NOT_THERE, now)
        self.sent_at = now
        return (self._answer(master),)

    def _wait(self) -> float:
        if self.state is State.SENDING and self.master is not None:
            return min(self._trip.timeout(min(self.tries, MAX_DOUBLINGS)), self.master.longest_wait)
        if self._is_first:
            return FIRST_SECONDS if len(self.members) > 1 else HALF_OPEN_SECONDS
        return CALL_WAITS[min(self.tries, len(CALL_WAITS) - 1)]

    def _is_copy(self, number: int, now: float) -> bool:
        """Return whether an ACK only asks once more for what is on its way."""
        is_out = self.state is State.SENDING and number == self.block - 1
        return is_out and now - self.sent_at < self._trip.timeout()

    def _is_stuck(self, master: Member, now: float) -> bool:
        return now - master.progress_at >= (SILENT_SECONDS if len(self.members) > 1 else GIVE_UP_SECONDS)

    # Masters

    def _pass_over(self, master: Member, now: float) -> Effects:
        """Make the next client master; the present one is asked again behind all others, and is gone if alone."""
        if len(self.members) == 1:
            return self.leave(master, _SILENT, now)
        self.masters_lost += 1
        self.members[master.asked.peer] = self.members.pop(master.asked.peer)
        return self._hand_over(now)

    def _hand_over(self, now: float) -> Effects:
        following = next(iter(self.members.values()), None)
        if following is None:
            self.master = None
            self.state = TABLE[self.state][Event.LEFT]
            return ()
        self._make(following, now)
        self.state = TABLE[self.state][Event.MADE]
        return (self._answer(following),)

    def _make(self, member: Member, now: float) -> None:
        self.master = member
        member.progress_at = now
        self._is_first = False
        # The next one is on the same link: what was measured is a better guess than none.
        self._trip = RoundTrip(initial=min(INITIAL, CAREFUL * self._trip.timeout()))
        self.sent_at = now
        self.tries = 0

    # What is sent

    def _send(self, now: float) -> SendRun:
        self.sent_at = now
        self.sent += 1
        self.furthest = max(self.furthest, self.block)
        return SendRun(Service.TFTP, self.group, self.image, self.block, 1, self.block_size)

    def _answer(self, member: Member) -> Send:
        value = f"{self.group.address},{self.group.port},{int(member is self.master)}"
        return Send(Service.TFTP, member.asked.peer, build(OptionAck(tuple(_options(member, value)))))

    # What is told

    def _started(self, member: Member) -> Report:
        return Report(ReportKind.TFTP_STARTED, member.asked.peer.address, detail=self._what(member))

    def _ended(self, member: Member, outcome: Outcome, now: float) -> Report:
        detail = (
            *self._what(member),
            ("blocks", member.block),
            ("milliseconds", round((now - member.started) * 1000)),
            ("end", outcome.end),
        )
        return Report(outcome.kind, member.asked.peer.address, detail=detail)

    def _what(self, member: Member) -> tuple[tuple[str, str | int], ...]:
        return (
            ("file", shown(member.asked.name)),
            ("size", self.image.size),
            ("block_size", self.block_size),
            ("window", 1),
            ("group", str(self.group)),
        )


def _options(member: Member, value: str) -> Iterator[tuple[str, str]]:
    """Give the granted options in the order asked, with ``value`` for multicast (quirk Q83)."""
    granted = dict(member.granted.options) | {OPTION: value}
    for name, _ in member.asked.options:
        if name in granted:
            yield name, granted.pop(name)


def wants_multicast(options: Pairs) -> bool:
    """Return whether a client asks for option multicast; its value should be empty, and says nothing else."""
    return any(name == OPTION for name, _ in options)

"""The multicast client of PXE 2.1: listen, open, receive (figures 2-5, 2-6, 2-7).

Rules
1. Listen first and send nothing while listening.  A block counts when it was sent to the group and client port by the
   boot server.  Every block restarts the wait of tag 5.
2. A wait that ends after blocks were heard starts another one of ``max(0, T4 - missed)``: who misses most asks first.
3. A wait that ends after nothing was heard opens: a read request without options from the client port to the server
   port, three times.  DATA by unicast makes this client the master, DATA from the group a listener again.
4. The master acknowledges every DATA, also what it already holds, to the port that it came from.
5. Whoever has the whole image leaves without a word.  Whoever fails goes to unicast TFTP.

PXE 2.1 defines tags 4 and 5 in three ways that contradict each other; with T4 = T5 they agree, and servers send that.
Here tag 4 is the wait before the first open and tag 5 the wait after anything else (table 2-1).

What firmwares do differently is in `mtftpd.rom.profiles.MtftpProfile`, and what they remember in `mtftpd.rom.blocks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from mtftpd.quirks.vocabulary import Mutation
from mtftpd.rom.actions import NOTHING, Actions, Bind, Enter, Join, Leave, Memory, Phase, Transmit, Unbind
from mtftpd.rom.blocks import BLOCK_SIZE, BlockMap, Blocks, LastGap, Step
from mtftpd.rom.profiles import MtftpProfile
from mtftpd.wire import tftp
from mtftpd.wire.datagram import Datagram, Endpoint

_DATA: Final = b"\0\3"
_ACK: Final = b"\0\4"


class State(Enum):
    """Where the client is."""

    LISTEN = "listen"
    OPEN = "open"
    RECEIVE = "receive"
    DONE = "done"
    FAILED = "failed"


class Event(Enum):
    """What moves it."""

    SILENCE = "nothing heard"
    CHOSEN = "chosen as the master"
    OVERHEARD = "heard the group while opening"
    INCOMPLETE = "last block, but blocks are missing"
    COMPLETE = "all blocks"
    UNANSWERED = "all tries of an ACK used up"
    EXHAUSTED = "all opens used up"
    VIOLATION = "what must not happen"


TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = {
    State.LISTEN: {
        Event.SILENCE: State.OPEN,
        Event.COMPLETE: State.DONE,
        Event.VIOLATION: State.FAILED,
    },
    State.OPEN: {
        Event.CHOSEN: State.RECEIVE,
        Event.OVERHEARD: State.LISTEN,
        Event.EXHAUSTED: State.FAILED,
        Event.VIOLATION: State.FAILED,
    },
    State.RECEIVE: {
        Event.INCOMPLETE: State.LISTEN,
        Event.COMPLETE: State.DONE,
        Event.UNANSWERED: State.OPEN,
        Event.EXHAUSTED: State.FAILED,
        Event.VIOLATION: State.FAILED,
    },
    State.DONE: {},
    State.FAILED: {},
}

_PHASES: Final = {
    State.LISTEN: Phase.LISTEN,
    State.OPEN: Phase.OPEN,
    State.RECEIVE: Phase.MASTER,
}


@dataclass(frozen=True, slots=True)
class Ticket:
    """What DHCP said about the transfer: ``listen`` is tag 4 and ``transmit`` tag 5, in seconds."""

    station: str
    server: str
    server_port: int
    group: Endpoint
    boot_file: bytes
    listen: float
    transmit: float
    port: int = 0
    """The local port of a client that does not ask from the client port; 0: it does."""


class Mtftp:
    """One download by multicast into ``memory``, of which ``limit`` octets exist."""

    def __init__(self, ticket: Ticket, profile: MtftpProfile, memory: Memory, limit: int = 1 << 30) -> None:
        self.state = State.LISTEN
        self.over = False
        self.reason = ""
        self.blocks: Blocks = BlockMap() if profile.remembers_blocks else LastGap()
        self.heard = 0
        self.duplicates = 0
        self.ignored = 0
        self.opens = 0
        self.acknowledgements = 0
        self._ticket = ticket
        self._profile = profile
        self._memory = memory
        self._limit = limit
        self._server = ticket.server
        self._group = ticket.group
        self._port = ticket.port or ticket.group.port
        self._station = Endpoint(ticket.station, self._port)
        self._peer = Endpoint(ticket.server, ticket.server_port)
        self._wait = ticket.transmit + profile.grace
        self._deadline: float | None = None
        self._tries = 0
        self._last = 0
        self._got_unicast = False
        self._got_group = False

    @property
    def complete(self) -> bool:
        """Whether the memory holds the whole image, ``blocks.length`` octets."""
        return self.state is State.DONE

    def start(self, now: float) -> Actions:
        """Join the group and listen."""
        self._deadline = now + self._ticket.listen + self._profile.grace
        self.blocks.begin()
        own = (Bind(self._port),) if self._port != self._group.port else ()
        return Bind(self._group.port), *own, Join(self._group), Enter(Phase.LISTEN, str(self._group))

    def next_deadline(self) -> float | None:
        """Return when the present wait ends; None before the start and after the end."""
        return self._deadline

    def receive(self, datagram: Datagram, now: float) -> Actions:
        """Take a datagram; what is not of this session is counted and gets no answer."""
        _, source, destination, data = datagram
        to_group = destination == self._group and Mutation.NO_IGMP not in self._profile.faults
        if (
            self._deadline is None
            or source[0] != self._server
            or (self._profile.only_server_port and source[1] != self._ticket.server_port)
            or not (to_group or (destination == self._station and self.state is not State.LISTEN))
        ):
            self.ignored += 1
            return NOTHING
        size = len(data) - 4
        if size < 0 or data[:2] != _DATA:
            return self._not_data(data, now)
        block = data[2] << 8 | data[3]
        if not block or size > BLOCK_SIZE or (block - 1) * BLOCK_SIZE + size > self._limit:
            return self._fail(Event.VIOLATION, f"block {block} of {size} octets cannot be taken", now)
        self.heard += 1
        if self.state is State.LISTEN:
            return self._hear(block, data, now)
        if self.state is State.OPEN:
            return self._answered(block, datagram, to_group, now)
        if self._profile.needs_group_copy and not to_group:
            self.ignored += 1
            return NOTHING
        return self._take(block, datagram, now)

    def tick(self, now: float) -> Actions:
        """End the present wait if it is over."""
        if self._deadline is None or now < self._deadline:
            return NOTHING
        if self.state is State.LISTEN:
            return self._listened(now)
        self._tries -= 1
        if self._tries > 0:
            self._deadline = now + self._wait
            if self.state is State.OPEN:
                return (self._request(),)
            return (self._acknowledge(),) if self._profile.answers_copies else NOTHING
        if self.state is State.OPEN:
            return self._fail(Event.EXHAUSTED, "no answer to the opens", now)
        return self._unanswered(now)

    # -- many blocks at once --------------------------------------------------------------------------------------

    def quiet_until(self, block: int) -> int:
        """Return up to where blocks behind ``block`` from the group make this client say and change nothing; 0: now.

        They are full and ascend; some of them may be lost.
        """
        return self.blocks.quiet_until(block) if self.state is State.LISTEN and self.blocks.heard else 0

    def hear_run(self, first: int, last: int, store: Callable[[int, int], None], now: float) -> None:
        """Take full blocks ``first`` to ``last`` as `receive` would one by one, the last at ``now``.

        None is beyond `quiet_until`.  ``store(offset, octets)`` puts what they hold into the memory.
        """
        count = last - first + 1
        self.heard += count
        self.duplicates += count - self.blocks.add_run(first, last)
        self._deadline = now + self._wait
        store((first - 1) * BLOCK_SIZE, count * BLOCK_SIZE)

    def hear_map(self, first: int, held: int, count: int, store: Callable[[int, int], None], now: float) -> bool:
        """Take ``count`` full blocks as `hear_run` would: those whose bits are set in ``held``, ``first`` the lowest.

        ``store(offset, held)`` puts what they hold into the memory.  False: a client that has no map takes runs alone.
        """
        blocks = self.blocks
        if not isinstance(blocks, BlockMap):
            return False
        self.heard += count
        self.duplicates += count - blocks.add_map(first, held)
        self._deadline = now + self._wait
        store((first - 1) * BLOCK_SIZE, held)
        return True

    # -- listen ---------------------------------------------------------------------------------------------------

    def _hear(self, block: int, data: bytes, now: float) -> Actions:
        self._deadline = now + self._wait
        step = self.blocks.add(block, len(data) - 4)
        if step is Step.NEW:
            self._memory.write((block - 1) * BLOCK_SIZE, data)
            return NOTHING
        if step is Step.HELD:
            self.duplicates += 1
            return NOTHING
        if step is Step.BROKEN:
            return self._fail(Event.VIOLATION, f"block {block} cannot follow", now)
        self._memory.write((block - 1) * BLOCK_SIZE, data)
        if step is Step.COMPLETE:
            return self._leave(Event.COMPLETE)
        self._listen_again(now)
        return NOTHING

    def _listened(self, now: float) -> Actions:
        """End a silence: a shorter wait for who heard something (CLI-07), else the turn to open."""
        if not self.blocks.heard or not self._profile.listens_again:
            return self._open(Event.SILENCE, now)
        self._listen_again(now)
        return NOTHING

    def _listen_again(self, now: float) -> None:
        self._deadline = now + max(0.0, self._ticket.listen - self.blocks.missed) + self._profile.grace
        self.blocks.begin()

    # -- open -----------------------------------------------------------------------------------------------------

    def _open(self, event: Event, now: float) -> Actions:
        moved = self._go(event)
        self._tries = self._profile.opens
        self._deadline = now + self._wait
        return moved, self._request()

    def _request(self) -> Transmit:
        self.opens += 1
        self._got_unicast = self._got_group = False
        request = tftp.Request(tftp.Opcode.RRQ, self._ticket.boot_file)
        return Transmit(self._port, self._peer, tftp.build(request))

    def _answered(self, block: int, datagram: Datagram, to_group: bool, now: float) -> Actions:
        if self._profile.needs_group_copy:
            return self._answered_twice(block, datagram, to_group, now)
        if to_group:
            return (self._overheard(0, now), *self._hear(block, datagram.data, now))
        return self._become_master(block, datagram, now)

    def _answered_twice(self, block: int, datagram: Datagram, to_group: bool, now: float) -> Actions:
        """Wait for DATA 1 by both ways; DATA 2 after the group's DATA 1 means that somebody else is the master."""
        if block != 1:
            if Mutation.OPEN_CORRUPTION in self._profile.faults and block == 2 and self._got_unicast:
                # It takes the second packet for the one that the first was a copy of.
                self._memory.write(0 if not self._got_group else BLOCK_SIZE, datagram.data)
                return (self._overheard(2, now),)
            follows = block == 2 and self._got_group
            if follows:
                self._memory.write(BLOCK_SIZE, datagram.data)
            return (self._overheard(2 if follows else 0, now),)
        self._memory.write(0, datagram.data)
        if to_group:
            self._got_group = True
        else:
            self._got_unicast = True
        if self._got_group and self._got_unicast:
            return self._become_master(block, datagram, now)
        self._deadline = now + self._wait
        return NOTHING

    def _overheard(self, after: int, now: float) -> Enter:
        self._deadline = now + self._wait
        self.blocks.begin(after)
        return self._go(Event.OVERHEARD)

    # -- receive --------------------------------------------------------------------------------------------------

    def _become_master(self, block: int, datagram: Datagram, now: float) -> Actions:
        moved = self._go(Event.CHOSEN)
        self.blocks.begin(strict=True)
        self._last = 0
        return (moved, *self._take(block, datagram, now))

    def _take(self, block: int, datagram: Datagram, now: float) -> Actions:
        data = datagram.data
        size = len(data) - 4
        step = self.blocks.add(block, size)
        if step is Step.BROKEN:
            return self._fail(Event.VIOLATION, f"block {block} cannot follow", now)
        if step is Step.HELD:
            self.duplicates += 1
        else:
            self._memory.write((block - 1) * BLOCK_SIZE, data)
        if block == self._last and self._profile.duplicates_cost_tries:
            self._tries -= 1
            if self._tries <= 0:
                return self._unanswered(now)
        else:
            self._tries = self._profile.acknowledgements
        is_copy = block == self._last
        self._last = block
        self._peer = datagram.source
        self._deadline = now + self._wait
        if is_copy and not self._profile.answers_copies:
            return NOTHING
        acknowledgement = self._acknowledge()
        if size == BLOCK_SIZE:
            return (acknowledgement,)
        if self.blocks.complete or not self._profile.checks_for_holes:
            return (acknowledgement, *self._leave(Event.COMPLETE))
        moved = self._go(Event.INCOMPLETE)
        self._listen_again(now)
        return acknowledgement, moved

    def _acknowledge(self) -> Transmit:
        self.acknowledgements += 1
        return Transmit(self._port, self._peer, _ACK + self._last.to_bytes(2, "big"))

    def _unanswered(self, now: float) -> Actions:
        """Give up the role of the master, whose server has gone; with all blocks held nothing is lost."""
        if self.blocks.complete:
            return self._leave(Event.COMPLETE)
        if not self._profile.opens_again:
            return self._fail(Event.EXHAUSTED, f"no block after {self._last}", now)
        self._peer = Endpoint(self._server, self._ticket.server_port)
        return self._open(Event.UNANSWERED, now)

    # -- the end --------------------------------------------------------------------------------------------------

    def _not_data(self, data: bytes, now: float) -> Actions:
        if data[:2] == b"\0\5":
            return self._leave(Event.VIOLATION, "the server sent an ERROR")
        if self._profile.only_data:
            return self._fail(Event.VIOLATION, "not a DATA packet", now)
        self.ignored += 1
        return NOTHING

    def _fail(self, event: Event, reason: str, now: float) -> Actions:
        """Fail; a master tells the server (PXE 2.1 2.4.10.3), a listener must not send."""
        if self.state is not State.RECEIVE:
            return self._leave(event, reason)
        error = tftp.build(tftp.Error(self._profile.error_code))
        return (Transmit(self._port, self._peer, error), *self._leave(event, reason))

    def stop(self) -> Actions:
        """Give back what is open, without a word to anybody."""
        self.over = True
        self._deadline = None
        own = (Unbind(self._port),) if self._port != self._group.port else ()
        return Leave(self._group), *own, Unbind(self._group.port)

    def _leave(self, event: Event, reason: str = "") -> Actions:
        self.state = TRANSITIONS[self.state][event]
        self.reason = reason
        return self.stop()

    def _go(self, event: Event) -> Enter:
        self.state = TRANSITIONS[self.state][event]
        return Enter(_PHASES[self.state])

"""The session of one MTFTP group: PXE 2.1 section 2.4.10 and draft-viswanathan-remote_boot-mtftp-00.

Rules
  1. A pass sends all blocks 1 to N to the group in ascending order, whatever its master holds.  The newest block may be
     repeated; a lower one never follows, because Intel's EFI client leaves for unicast when it sees one.
  2. A pass begins with DATA 1 to the client that opened (now the master) and, directly behind, DATA 1 to the group.
     No second client is ever sent DATA 1 by unicast: EFI would store block 2 over block 1.
  3. While there is a master no block leaves before its predecessor is acknowledged.  An ACK acknowledges everything
     up to its number (iPXE sends its first gap), but no block is skipped.
  4. A stale ACK makes nothing leave (Sorcerer's Apprentice), unless it repeats the predecessor of the current block
     0.1 s or more after that was sent: then the master asks for it.
  5. Timers repeat a block twice at most: each copy costs an EFI master one of its three tries.  DATA 1 is repeated
     only when its opener asks again.
  6. A master that is silent, complete or in error loses its role; the pass goes on without acknowledgements, slower
     than the master had kept up with, for those who only listen.  Nobody hears of it: never an ERROR.
  7. An open during a pass is met with silence.  Only the master's address may open again: it gets the current block.
  8. After a complete pass the group rests for `GAP`, so that clients with holes can open; after an incomplete one
     until every listener has given up (`QUIET` beyond T), so that block 1 is not lower than what they heard.
  9. A client that was master twice and never acknowledged what went to the group is met with silence for a while, so
     that it goes to port 69: multicast does not reach it, and figure 2-7 would let it open for ever.  So is every
     client while many have opened after three passes that they heard (`mtftpd.core.mtftp.gears`, rule 5).
 10. Without ``--faithful`` there is a second gear, in which the server is its own master (`mtftpd.core.mtftp.gears`):
     the same blocks in the same order to the group, DATA 1 by unicast to nobody.  Rules 1 and 3 hold: it is never taken
     while a pass has a real master.
11. atftp answers no repetition: a master whose acknowledgement was lost is silent until it hears the next block.  The
    first blocks after a loss are sent like those of lock-step, one by one: if the lost master acknowledges the newest
    of them, it has missed nothing and is master again.

Whoever listens is never counted as served: the server hears nothing of them (PXE 2.1 section 2.4.10.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mtftpd.core.mtftp.pacing import Pacer
from mtftpd.core.mtftp.passes import Pass
from mtftpd.wire.datagram import Endpoint

PROBES = 2
"""Blocks for which a lost master is waited for: with 1 % of loss both of its ACKs are lost once in ten thousand."""
PROBE_REPEATS = 1
"""More copies of each, so that a master that lost the block itself answers after all."""


@dataclass(slots=True, eq=False)
class Idle:
    """Nothing is going on."""


@dataclass(slots=True, eq=False)
class Gather:
    """Clients have opened and are kept waiting; the first will be master."""

    openers: dict[str, Endpoint]


@dataclass(slots=True, eq=False)
class First:
    """DATA 1 is out, to the master and to the group; no ACK yet."""

    run: Pass
    master: Endpoint
    sent_at: float
    clean: bool = True
    """The block was sent once, so that its ACK can be timed (Karn)."""
    block: int = 1


@dataclass(slots=True, eq=False)
class Lockstep:
    """The master acknowledges block after block; ``block`` is the newest that was sent."""

    run: Pass
    master: Endpoint
    block: int
    sent_at: float
    heard_at: float
    clean: bool = True
    repeats: int = 0
    echoes: int = 0


@dataclass(slots=True, eq=False)
class Paced:
    """Nobody acknowledges; ``block`` is the newest that was sent, 0 before the first.

    At ``deserted_at`` the last known client is gone.
    """

    run: Pass
    block: int
    pacer: Pacer
    deserted_at: float
    former: Endpoint | None = None
    """The master that fell silent, as long as it may only not have answered a repetition (rule 11)."""
    first: int = 0
    """The block that it is waited for: the first that was sent without it, or a later one."""
    repeats: int = 0
    probes: int = 0

    def repeats_for_former(self) -> bool:
        """Return whether the newest block leaves once more, before the next one, for a lost master to acknowledge."""
        if self.former is None or self.block != self.first:
            return False
        if self.repeats < PROBE_REPEATS:
            self.repeats += 1
            return True
        self.first += 1
        self.repeats = 0
        self.probes += 1
        if self.probes == PROBES:
            self.former = None
        return False


@dataclass(slots=True, eq=False)
class Gap:
    """A complete pass has ended a moment ago."""


@dataclass(slots=True, eq=False)
class Quiet:
    """A pass ended before its time, or the group has changed its content: wait until every listener has given up."""


State = Idle | Gather | First | Lockstep | Paced | Gap | Quiet


class Event(Enum):
    """What moves a session; a packet or a timer that moves nothing is no event."""

    OPEN = "open"
    GATHERED = "gathered"
    PACED = "the server is master"
    ACKED = "acked"
    FINISHED = "finished"
    MASTER_LOST = "master lost"
    MASTER_BACK = "the lost master acknowledges"
    DESERTED = "deserted"
    EXPIRED = "expired"
    CHANGED = "content changed"
    ABORT = "abort"


TABLE: dict[type[State], dict[Event, type[State]]] = {
    Idle: {Event.OPEN: Gather, Event.CHANGED: Quiet},
    Gather: {
        Event.GATHERED: First,
        Event.PACED: Paced,
        Event.DESERTED: Idle,
        Event.CHANGED: Quiet,
        Event.ABORT: Idle,
    },
    First: {
        Event.ACKED: Lockstep,
        Event.FINISHED: Gap,
        Event.MASTER_LOST: Paced,
        Event.DESERTED: Quiet,
        Event.EXPIRED: Idle,
        Event.ABORT: Quiet,
    },
    Lockstep: {
        Event.ACKED: Lockstep,
        Event.FINISHED: Gap,
        Event.MASTER_LOST: Paced,
        Event.ABORT: Quiet,
    },
    Paced: {Event.MASTER_BACK: Lockstep, Event.FINISHED: Gap, Event.DESERTED: Quiet, Event.ABORT: Quiet},
    Gap: {Event.OPEN: First, Event.PACED: Paced, Event.EXPIRED: Idle, Event.CHANGED: Quiet},
    Quiet: {Event.EXPIRED: Idle},
}
"""Every transition there is; a missing key is a bug.  ACKED in `Lockstep` changes its data in place."""

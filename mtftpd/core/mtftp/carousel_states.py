"""The session of the group that is compiled into iPXE, as data: a carousel that polls its listeners.

What iPXE does (its ``tftp.c``, and the same in ROMs of 2019): it asks at once, 0.25 s and 0.5 s later, and turns to
port 69 after 0.75 s.  It takes blocks in any order and acknowledges nothing until a packet comes to it by unicast; from
then on it answers each block with the number of blocks that it holds without a gap.  A silence of 0.25 s sends it to
port 69, and there it is lost if it knows the size of the image already: it boots what it has, holes included.

Rules
1. Nothing that would tell a listener the size goes to the group: neither the last block nor the one before it where
   the last one is empty.  Both leave by unicast, to a client that has said that it holds all the rest.
   So whoever is missed, for whatever reason, gets the whole image from port 69.
2. The other blocks go round and round until everybody who opened has had a full turn.
3. DATA 1 goes to the first opener by unicast: its acknowledgements are the pilot of the pace
   (`mtftpd.core.mtftp.pilot`).
4. Behind the last turn everybody is sent one block by unicast, and answers with its first gap.  Gaps are sent to the
   group, once for all who lack the same block; a client that does not answer is asked again, and then left alone.
5. Whoever lacks much gets another turn, at a lower pace, and so does who opens while others are asked.
6. Nobody is answered with an ERROR, and an open never by anything but this.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mtftpd.core.images import MTFTP_BLOCK_SIZE, Image
from mtftpd.core.mtftp.passes import Pass
from mtftpd.core.mtftp.pilot import PilotPace
from mtftpd.wire.datagram import Endpoint


@dataclass(slots=True, eq=False)
class Idle:
    """Nothing is going on."""


@dataclass(slots=True, eq=False)
class Gather:
    """Clients have opened and are kept waiting for others."""


@dataclass(slots=True, eq=False)
class Turn:
    """``block`` is the newest that was sent, 0 before the first; ``left`` are still to come, round the end if need be.

    The acknowledgements of ``pilot`` count for the pace.
    """

    run: Pass
    block: int
    left: int
    pace: PilotPace
    pilot: Endpoint


@dataclass(slots=True, eq=False)
class Poll:
    """Everybody is asked what is missing; ``sent_at`` is when the group heard something last."""

    run: Pass
    sent_at: float
    pace: PilotPace


@dataclass(slots=True, eq=False)
class Quiet:
    """The image has changed or an operator has stopped this: wait until everybody has left for port 69."""


State = Idle | Gather | Turn | Poll | Quiet


class Event(Enum):
    """What moves the session."""

    OPEN = "open"
    GATHERED = "gathered"
    TURNED = "turned"
    LACKING = "another turn is needed"
    SERVED = "nobody is left"
    ABORT = "abort"
    CHANGED = "content changed"
    EXPIRED = "expired"


TABLE: dict[type[State], dict[Event, type[State]]] = {
    Idle: {Event.OPEN: Gather, Event.CHANGED: Quiet},
    Gather: {Event.GATHERED: Turn, Event.SERVED: Idle, Event.ABORT: Idle, Event.CHANGED: Quiet},
    Turn: {Event.TURNED: Poll, Event.SERVED: Idle, Event.ABORT: Quiet},
    Poll: {Event.LACKING: Turn, Event.SERVED: Idle, Event.ABORT: Quiet},
    Quiet: {Event.EXPIRED: Idle},
}
"""Every transition there is; a missing key is a bug."""


def first_withheld(image: Image) -> int:
    """Return the first block that tells iPXE the size: the one that reaches the end of the image (rule 1)."""
    return max(1, -(-image.size // MTFTP_BLOCK_SIZE))

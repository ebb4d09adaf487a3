"""The machine of one unicast transfer: RFC 1350 with the options of RFC 2347, read requests only.

The rules:

1. The first reply is an OACK, or DATA 1 when no option was granted.  Until the client has answered it, nothing is
   sent again unasked: its request may have been forged, and nearly every ROM repeats its own.  Only a client to which
   we have given its address is reminded a few times, unless it repeats itself: some never do (quirk Q92).
2. Then a window of blocks is out (one block without RFC 7440).  An ACK of a block in it sends the window that starts
   behind that block, but goes back at most once in a round trip; an ACK of the last block of the file is the end.
3. An ACK of anything else is ignored (RFC 1123 4.2.3.1, Sorcerer's Apprentice).  The one exception: the ACK before the
   window, when the window has been repeated at least once and a round trip ago, is the client asking for it.
4. Without an answer the window is repeated: after a measured round trip, after twice that, then more and more slowly;
   a ROM may never ask again (quirk Q92) or may be writing to flash (quirk Q102).
5. The last ACK is optional (quirk Q87): a last window that was repeated without an answer is a transfer that is done.
6. An ERROR ends the transfer and is never answered.
7. When it is over, the socket lingers: late packets must not draw an ICMP message (mtftp.md FBK-02).
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a transfer is; what each state knows besides is in the comments of `mtftpd.core.tftp.transfer.Transfer`."""

    OFFERED = "OACK sent, ACK 0 awaited"
    FIRST = "DATA 1 sent, ACK 1 awaited"
    SENDING = "a window is out"
    LAST = "the last window is out"
    LINGER = "over, the socket stays open for late packets"


class Event(Enum):
    """What moves a transfer from state to state."""

    NEXT = "an ACK in the window; more than one window is left"
    TAIL = "an ACK in the window; the next window is the last"
    COMPLETE = "an ACK of the last block"
    UNANSWERED = "the last window was repeated often enough"
    SILENCE = "the client says nothing any more"
    ABORT = "the client sent an ERROR"
    ENDED = "the server ends it: file changed, client started over, room needed"


TABLE: dict[State, dict[Event, State]] = {
    State.OFFERED: {
        Event.NEXT: State.SENDING,
        Event.TAIL: State.LAST,
        Event.SILENCE: State.LINGER,
        Event.ABORT: State.LINGER,
        Event.ENDED: State.LINGER,
    },
    State.FIRST: {
        Event.NEXT: State.SENDING,
        Event.TAIL: State.LAST,
        Event.COMPLETE: State.LINGER,
        Event.SILENCE: State.LINGER,
        Event.ABORT: State.LINGER,
        Event.ENDED: State.LINGER,
    },
    State.SENDING: {
        Event.NEXT: State.SENDING,
        Event.TAIL: State.LAST,
        Event.SILENCE: State.LINGER,
        Event.ABORT: State.LINGER,
        Event.ENDED: State.LINGER,
    },
    State.LAST: {
        Event.TAIL: State.LAST,
        Event.COMPLETE: State.LINGER,
        Event.UNANSWERED: State.LINGER,
        Event.ABORT: State.LINGER,
        Event.ENDED: State.LINGER,
    },
    State.LINGER: {},
}

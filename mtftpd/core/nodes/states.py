"""The life cycle of one boot as the server sees it: states, what moves a node from one to the next, and how long.

The server never sees a node, only its packets, so every state is what the evidence says.  Rules:

1. Evidence that says nothing new about a node in its state has no entry in `MOVES`, and changes nothing.
2. A state that was not announced by a packet of the node itself is inferred, and marked so (`INFERRED`).
3. `NodeState.DONE` needs an acknowledgement of the last block, or evidence that came after it.  A listener never sends
   one, and a last block may go unacknowledged because the node died: both are `NodeState.MAYBE_DONE`.
4. Every state that a node must leave by itself has a time-out, and what comes then has a reason.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class NodeState(Enum):
    """Where a node is in its boot; the value is the word in status, events and hooks."""

    __hash__ = object.__hash__  # A member is equal to itself alone; hashing its name is Python, and costs 0.2 us.

    DISCOVER = "discover"
    IGNORED = "ignored"
    OFFERED = "offered"
    LOST_OFFER = "lost-offer"
    REQUESTED = "requested"
    TAKEN = "taken-by-other"
    REFUSED = "refused"
    ACKED = "acked"
    SILENT = "acked-silent"
    DISCOVERY = "discovery"
    PROBE = "probe"
    LISTEN = "mcast-listen"
    OPEN = "mcast-open"
    MASTER = "mcast-master"
    PASSIVE = "mcast-passive"
    MAYBE_DONE = "done?"
    FALLBACK = "fallback"
    QUEUED = "queued"
    UNICAST = "unicast"
    DONE = "done"
    NEXT_STAGE = "next-stage"
    OS = "os"
    STALLED = "stalled"
    ABORTED = "aborted"
    GAVE_UP = "gave-up"


S = NodeState

FAILED: Final = frozenset({S.IGNORED, S.LOST_OFFER, S.REFUSED, S.SILENT, S.STALLED, S.ABORTED, S.GAVE_UP})
"""The boot did not go on from here, as far as anybody knows."""

INFERRED: Final = frozenset({S.LISTEN, S.PASSIVE, S.MAYBE_DONE, S.LOST_OFFER, S.SILENT, S.STALLED, S.GAVE_UP})
"""No packet of the node says so."""

SUCCEEDED: Final = frozenset({S.DONE, S.MAYBE_DONE, S.OS})
RESTING: Final = FAILED | SUCCEEDED | {S.TAKEN}
"""Nothing is waited for."""


class Evidence(Enum):
    """What moves a node; the value is for people."""

    __hash__ = object.__hash__  # A member is equal to itself alone; hashing its name is Python, and costs 0.2 us.

    DISCOVER = "DISCOVER"
    NOT_ANSWERED = "a request that was not answered"
    OFFER = "OFFER sent"
    REQUEST = "REQUEST"
    OTHER_SERVER = "REQUEST to another server"
    NAK = "NAK sent"
    ACK = "ACK sent"
    PXE_REQUEST = "a question to the boot server"
    GROUP_KNOWN = "it was told of a group and may be listening"
    OPEN = "an open that waits for the next pass"
    PASS_JOINED = "its group is sending"
    PASS_BEGUN = "DATA 1 was sent to it as the master of a pass"
    PASS_OVER = "the pass ended and it was not there from the beginning to the end"
    NOTHING_MISSED = "the pass ended and it asks for nothing"
    ALL_ACKNOWLEDGED = "it acknowledged the last block"
    LAST_UNACKNOWLEDGED = "the last block was sent and not acknowledged"
    TURNED_TO_UNICAST = "it asks port 69 for what its group carries"
    HELD = "its request waits for room on the link"
    TRANSFER = "a transfer began"
    SIZE_KNOWN = "it only asked for the size"
    NEXT_FILE = "it asks for another file"
    NEXT_PROGRAM = "what it has loaded asks for an address"
    CONFIRMED = "what came next shows that it has everything"
    SYSTEM = "DHCP of a system, not of a boot ROM"
    SILENCE = "no sign of life"
    ERROR = "ERROR"
    RELEASED = "it gave its address back"
    FROM_SCRATCH = "DISCOVER from scratch"


E = Evidence

_ANY: Final = frozenset(NodeState)
_AT_WORK: Final = _ANY - RESTING
_ASKING: Final = frozenset({S.DISCOVER, S.IGNORED})
_LISTENING: Final = frozenset({S.ACKED, S.LISTEN, S.PROBE, S.OPEN, S.DISCOVERY})

MOVES: Final[dict[Evidence, tuple[frozenset[NodeState], NodeState]]] = {
    E.DISCOVER: (_ANY, S.DISCOVER),
    E.NOT_ANSWERED: (frozenset({S.DISCOVER, S.REQUESTED, S.DISCOVERY}), S.IGNORED),
    E.OFFER: (_ASKING, S.OFFERED),
    E.REQUEST: (_ANY, S.REQUESTED),
    E.OTHER_SERVER: (frozenset({S.REQUESTED}), S.TAKEN),
    E.NAK: (frozenset({S.REQUESTED}), S.REFUSED),
    E.ACK: (_ASKING | {S.REQUESTED, S.DISCOVERY}, S.ACKED),
    E.PXE_REQUEST: (_ANY, S.DISCOVERY),
    E.GROUP_KNOWN: (frozenset({S.ACKED, S.PROBE}), S.LISTEN),
    E.OPEN: (_ANY - {S.MASTER, S.PASSIVE}, S.OPEN),
    E.PASS_JOINED: (_LISTENING, S.PASSIVE),
    E.PASS_BEGUN: (_ANY, S.MASTER),
    E.PASS_OVER: (frozenset({S.PASSIVE}), S.LISTEN),
    E.NOTHING_MISSED: (frozenset({S.PASSIVE}), S.MAYBE_DONE),
    E.ALL_ACKNOWLEDGED: (_ANY, S.DONE),
    E.LAST_UNACKNOWLEDGED: (_ANY - {S.DONE, S.OS}, S.MAYBE_DONE),
    E.TURNED_TO_UNICAST: (frozenset({S.OPEN, S.MASTER, S.PASSIVE, S.STALLED, S.MAYBE_DONE, S.SILENT}), S.FALLBACK),
    E.HELD: (_ANY, S.QUEUED),
    E.TRANSFER: (_ANY, S.UNICAST),
    E.SIZE_KNOWN: (frozenset({S.UNICAST}), S.PROBE),
    E.CONFIRMED: (frozenset({S.MAYBE_DONE}), S.DONE),
    E.NEXT_FILE: (frozenset({S.DONE}), S.NEXT_STAGE),
    E.NEXT_PROGRAM: (frozenset({S.DONE}), S.NEXT_STAGE),
    E.SYSTEM: (_ANY - {S.OS}, S.OS),
    E.SILENCE: (_AT_WORK, S.STALLED),
    E.ERROR: (_AT_WORK, S.ABORTED),
    E.RELEASED: (_AT_WORK, S.GAVE_UP),
    E.FROM_SCRATCH: (_AT_WORK | {S.MAYBE_DONE}, S.GAVE_UP),
}
"""From which states evidence moves a node, and to which one; a node in another state stays where it is."""

SILENT_FROM: Final = {
    S.OFFERED: S.LOST_OFFER,
    S.ACKED: S.SILENT,
    S.PROBE: S.SILENT,
    S.LISTEN: S.SILENT,
}
"""Where `Evidence.SILENCE` leads from these states, in place of `NodeState.STALLED`."""

OFFER_SECONDS: Final = 70.0
"""How long an OFFER is good for: as long as its address is held (`mtftpd.core.addresses.leases.OFFER_HOLD_SECONDS`)."""
QUIET_SECONDS: Final = 60.0
"""A DISCOVER after this silence begins another attempt."""


def patience(state: NodeState, seconds: float) -> float | None:
    """Return how long a node may stay in ``state`` without a sign, None for ever; ``seconds`` is T of its group.

    After the ACK: T of listening, three opens at intervals of T, and 5 s of a slow ROM.
    """
    if state is S.OFFERED:
        return OFFER_SECONDS
    if state in (S.ACKED, S.PROBE, S.LISTEN, S.OPEN, S.QUEUED):
        return 4 * seconds + 5
    return None


def destination(state: NodeState, evidence: Evidence) -> NodeState | None:
    """Return where ``evidence`` moves a node that is in ``state``, or None when it stays."""
    origins, target = MOVES[evidence]
    if state not in origins:
        return None
    return SILENT_FROM.get(state, target) if evidence is E.SILENCE else target

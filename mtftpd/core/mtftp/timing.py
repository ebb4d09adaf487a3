"""How long a session waits for what; all times in seconds."""

from __future__ import annotations

from mtftpd.core.effects import Service
from mtftpd.core.groups import Binding
from mtftpd.core.mtftp.states import First, Lockstep, Paced
from mtftpd.core.rtt import FLOOR

GATHER = 0.2
"""Seconds that a first open waits for others, while clients that did not listen before (iPXE) get ready for block 1.

iPXE repeats its open after 0.25 s and gives up at 0.75 s.  An open from the client port comes from a ROM that has
listened for T already, as have its neighbours: that one does not wait.
"""
GAP = 0.18
"""Seconds between passes: more than the 0.1 s timer of an EFI client with holes, less than iPXE's 0.25 s."""
QUIET = 0.2
"""Seconds beyond T: EFI adds 0.1 s to every timer, and the other 0.1 s is for the network."""
HASTE = 0.001
"""Seconds that an acknowledgement is waited for at the least before a block is repeated for the first time: several
times what a ROM takes, and the grain of timers.  With 1 % of loss one block in fifty waits for it; were it 20 ms, those
waits would take three times as long as all the blocks.  A timer that rang too early costs one packet, and waits longer
from then on (`RoundTrip.was_hasty`)."""
MAX_REPEATS = 2
"""Timer repetitions of one block; EFI gives up at the third copy."""
MAX_ECHOES = 3
"""Repetitions of one block that the master asked for; EFI sends an ACK three times."""
ECHO_AFTER = 0.1
"""Seconds since the block was sent, before a repeated ACK of its predecessor is a question and not a duplicate."""
LONGEST_PATIENCE = 1.0
"""Seconds since the master was heard, after which the pass goes on without it; T/2 where that is less."""
IPXE_PATIENCE = 0.2
"""The same on iPXE's own group, whose listeners leave after 0.25 s of silence and then boot what they have."""


BACK_PATIENCE = 0.15
"""The same for a master that was lost before and came back: it is one that answers no repetition (atftp)."""

CONGESTED = 0.1
"""Seconds until a pass looks by itself whether its socket has room; it is told when there is."""

LONGEST_PROBE = 0.1
"""Seconds that listeners wait for a lost master at a time: all keep awake for 0.25 s (iPXE) or T."""


def serves_ipxe_only(binding: Binding) -> bool:
    """Return whether nobody but iPXE can have opened here."""
    return binding.socket == Service.MTFTP_IPXE


def patience(binding: Binding) -> float:
    """Return how long a master may be silent before the pass goes on without it."""
    return IPXE_PATIENCE if serves_ipxe_only(binding) else min(binding.seconds / 2, LONGEST_PATIENCE)


def give_up_time(binding: Binding) -> float:
    """Return after which silence every listener has given up."""
    return binding.seconds + QUIET


def may_go_on_without_first_ack(binding: Binding, state: First) -> bool:
    """Only iPXE can be sent block 2 while it may hold no more than the unicast copy of block 1 (rule 2)."""
    return serves_ipxe_only(binding) and bool(state.run.waiting)


def first_deadline(binding: Binding, state: First) -> float:
    """Return until when the ACK of block 1 is waited for."""
    waits = patience(binding) if may_go_on_without_first_ack(binding, state) else give_up_time(binding)
    return state.sent_at + waits


def silence_deadline(binding: Binding, state: Lockstep) -> float:
    """Return when to repeat the block, or when to give the master up once that has been done often enough."""
    timeout = state.run.trip.timeout
    if state.repeats < MAX_REPEATS:
        wait = timeout(state.repeats)
        # The last copy must not be lost in the same burst as the others, or meet a master that is still busy.
        return state.sent_at + (max(wait, FLOOR) if state.repeats else wait)
    patient = BACK_PATIENCE if state.run.came_back else patience(binding)
    return max(state.heard_at + patient, state.sent_at + timeout())


def desertion(binding: Binding, state: First | Lockstep) -> float:
    """Return when a silent master who was the only client that is known has gone for good (requirement ACK-11)."""
    heard_at = state.heard_at if isinstance(state, Lockstep) else state.sent_at
    return heard_at + 3 * (binding.seconds + 0.1)


def probe_wait(state: Paced, repeats: int) -> float:
    """Return how long a lost master has for a block that was repeated so often, with all others kept waiting."""
    return min(state.run.trip.timeout(repeats), LONGEST_PROBE)


def was_never_heard(binding: Binding, state: First | Lockstep, why: str) -> bool:
    """Return whether a master fell silent when DATA came to it by the group alone; iPXE has another way out."""
    is_early = isinstance(state, Lockstep) and state.block < state.run.blocks
    return is_early and why == "silent" and not serves_ipxe_only(binding)

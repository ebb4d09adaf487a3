"""How a boot is judged: from what has been seen of it to findings.  None: nothing can be said yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from mtftpd.conformance.clinic.effects import OTHER, SWAPPABLE
from mtftpd.conformance.clinic.findings import Finding, Trait
from mtftpd.conformance.clinic.visit import Visit
from mtftpd.quirks.vocabulary import Mutation as F

REFUSALS: Final = 3
"""A DISCOVER of one boot that comes for the third time has found no OFFER good."""
REPEATS: Final = 3
ARP_REQUESTS: Final = 8
"""Of so many ARP requests, one each block, a network does not lose all, nor all their answers."""
NOT_TAKEN: Final = "asks for the file and does not take it"


class Judgement(NamedTuple):
    """Findings, and for people what was seen; ``mode`` is whether a way of multicast can be used."""

    said: str
    findings: tuple[Finding, ...] = ()
    mode: bool | None = None


Judge = Callable[[Visit, bool], Judgement | None]


def careful(visit: Visit, ended: bool) -> Judgement | None:
    """Judge the boot in which nothing was wrong."""
    if visit.finished:
        slow = visit.discovers_needed > 1
        return Judgement("boots, after a second OFFER" if slow else "boots", mode=not slow)
    if visit.refused >= REFUSALS:
        return Judgement("takes no OFFER", mode=False)
    if not ended:
        return None
    if visit.all_sent and not visit.gave_up:
        return Judgement("boots, and leaves without the last ACK", (F.NO_LAST_ACK,), True)
    return Judgement(NOT_TAKEN if visit.reads else "asks for no file", mode=False)


def cured(fault: Finding) -> Judge:
    """Return the judge of a boot with one thing that helps a client that did not take the careful reply."""

    def judge(visit: Visit, ended: bool) -> Judgement | None:
        if visit.reads and visit.discovers_needed <= 1:
            return Judgement("boots so", (fault,))
        return Judgement("does not help") if ended or visit.refused >= REFUSALS or visit.reads else None

    return judge


def reads(fault: Finding, refusals: int = REFUSALS) -> Judge:
    """Return the judge of a reply: who goes on to ask for the file could read it."""

    def judge(visit: Visit, ended: bool) -> Judgement | None:
        if visit.reads or visit.opens:
            return Judgement("takes it")
        if visit.refused >= refusals:
            return Judgement("does not take the OFFER", (fault,))
        return Judgement("asks for no file after it", (fault,)) if ended else None

    return judge


def finishes(fault: Finding) -> Judge:
    """Return the judge of a boot that must end with the whole file."""

    def judge(visit: Visit, ended: bool) -> Judgement | None:
        if visit.finished:
            return Judgement("takes the whole file")
        if not ended:
            return None
        return Judgement("takes it") if visit.all_sent and not visit.gave_up else Judgement("gives up", (fault,))

    return judge


def oack(visit: Visit, ended: bool) -> Judgement | None:
    """Judge whether options are survived that were asked for."""
    if visit.acknowledged(0):
        return Judgement("takes the options that it asks for")
    if visit.granted and (visit.repeated_reads >= REPEATS or ended):
        return Judgement("hangs when it is granted what it asks for", (F.HANG_ON_OACK,))
    return Judgement("asks for none") if ended or visit.finished else None


def large(fault: Finding) -> Judge:
    """Return the judge of large blocks."""

    def judge(visit: Visit, ended: bool) -> Judgement | None:
        if any(ack.number for ack in visit.acks):
            return Judgement(f"takes blocks of {visit.granted.get('blksize', '512')}")
        lost = visit.repeated(0) >= REPEATS or ended
        return Judgement(f"hears no block of {visit.granted.get('blksize', '512')}", (fault,)) if lost else None

    return judge


def unasked(visit: Visit, ended: bool) -> Judgement | None:
    """Judge an OACK with one option too many."""
    if visit.acknowledged(0):
        return Judgement("does not mind")
    return Judgement("refuses the OACK", (F.REJECT_UNASKED_OACK,)) if ended else None


def window(visit: Visit, ended: bool) -> Judgement | None:
    """Judge the loss of the second block of a window."""
    if any(ack.number for ack in visit.acks):
        return Judgement("asks for what was lost")
    return Judgement("dies of a block lost in a window", (F.DIE_IN_WINDOW,)) if ended else None


def own_port(visit: Visit, ended: bool) -> Judgement | None:
    """Judge DATA that comes from a port of its own."""
    if visit.acks:
        return Judgement("takes it")
    deaf = ended or visit.repeated_reads >= REPEATS
    return Judgement("does not hear it", (F.ONLY_PORT_69,)) if deaf else None


def stranger(visit: Visit, ended: bool) -> Judgement | None:
    """Judge a block from a port that has no transfer."""
    if any(ack.port == OTHER for ack in visit.acks):
        return Judgement("takes it, and answers there", (F.ANY_TID,))
    return Judgement("ignores it") if visit.acknowledged(3) or ended else None


def duplicates(visit: Visit, ended: bool) -> Judgement | None:
    """Judge many copies of one block."""
    if visit.acknowledged(3):
        return Judgement("bears them")
    return Judgement("dies of them", (F.DIE_OF_DUPLICATES,)) if ended else None


def silence(visit: Visit, ended: bool) -> Judgement | None:
    """Judge a server that stops in the middle."""
    if visit.repeated(2):
        return Judgement("repeats its ACK")
    if visit.pause_ended or ended:
        return Judgement("waits without a word", (F.NEVER_RETRANSMIT,))
    return None


def arp(visit: Visit, ended: bool) -> Judgement | None:
    """Judge whether the client can be found while it loads."""
    if visit.arp_answered:
        return Judgement("answers ARP")
    if not (ended or (visit.finished and visit.pause_ended)):
        return None
    if visit.arp_asked < ARP_REQUESTS:
        return Judgement("is gone before it can be asked")
    return Judgement(f"answers none of {visit.arp_asked} ARP requests", (Trait.ARP_SILENT,))


def rollover(visit: Visit, ended: bool) -> Judgement | None:
    """Judge how blocks are counted behind 65,535."""
    if visit.rolled_to is not None:
        return Judgement(f"goes on at {visit.rolled_to}", (Trait.ROLLS_OVER_TO_1,) if visit.rolled_to else ())
    if not ended:
        return None
    if visit.reached_turn:
        return Judgement("ends at block 65,535", (Trait.NO_ROLLOVER,))
    return Judgement("takes no file as long as that" if visit.granted else "asks for no block size")


def group_only(visit: Visit, ended: bool) -> Judgement | None:
    """Judge whether the client can do multicast at all."""
    if visit.refused >= REFUSALS or (ended and not visit.reads and not visit.opens):
        return Judgement("does not take an OFFER with tags 1 to 5", (F.REJECT_43_1_5,), False)
    if not visit.opens:
        return Judgement("goes to port 69", (Trait.NO_MULTICAST,), False) if visit.finished or ended else None
    if visit.fell_back or (ended and visit.later_opens):
        return Judgement("opens, and does not hear the group", (F.NO_IGMP,), False)
    return Judgement("hears the group", (), True) if ended else None


def group_silent(visit: Visit, ended: bool) -> Judgement | None:
    """Judge opens that nobody answers."""
    if visit.fell_back and visit.opens:
        waited = visit.fell_back.when - visit.opens[0].when
        return Judgement(f"{len(visit.opens)} opens, then port 69 after {waited:.2f} s")
    if not ended:
        return None
    if visit.opens:
        return Judgement(f"{len(visit.opens)} opens, then nothing", (F.NO_FALLBACK,))
    return Judgement("does not open")


def swapped_ports(visit: Visit, ended: bool) -> Judgement | None:
    """Judge where the opens go."""
    if visit.opens:
        wrong = visit.opens[0].port != SWAPPABLE[1]
        return Judgement("takes them for big-endian", (F.BE_PORTS,)) if wrong else Judgement("reads them right")
    return Judgement("does not open") if ended else None


def lockstep(visit: Visit, ended: bool) -> Judgement | None:
    """Judge the session of the documents."""
    if visit.group_finished:
        return Judgement(f"takes the whole file as master, {len(visit.group_acks)} ACKs", (), True)
    if visit.fell_back:
        return Judgement(f"to port 69 after {len(visit.group_acks)} ACKs", (), False)
    return Judgement("does not take the whole file", (), False) if ended else None


def group_first(visit: Visit, ended: bool) -> Judgement | None:
    """Judge the group's DATA 1 before the unicast one."""
    if visit.group_acks and not visit.later_opens:
        return Judgement("acknowledges", (), True)
    if visit.later_opens or visit.fell_back or (ended and visit.opens):
        return Judgement("listens, and acknowledges nothing", (Trait.LISTENS_AFTER_GROUP_COPY,), False)
    return Judgement("does not open") if ended else None


def other_port(visit: Visit, ended: bool) -> Judgement | None:
    """Judge DATA 1 by unicast from a port of its own."""
    if any(ack.number > 1 for ack in visit.group_acks):
        return Judgement("goes on with the group", (), True)
    if not (visit.fell_back or ended or len(visit.opens) > REPEATS):
        return None
    if visit.group_acks:
        return Judgement("hears that port alone, and not the group", (Trait.LOCKS_FIRST_PORT,), False)
    return Judgement("does not hear it", (Trait.ONLY_SERVER_PORT,), False)


def group_error(visit: Visit, ended: bool) -> Judgement | None:
    """Judge an ERROR in answer to an open."""
    if visit.fell_back:
        return Judgement("goes to port 69")
    return Judgement("ends the boot", (Trait.ERROR_IS_FATAL,)) if ended and visit.opens else None


def tail(visit: Visit, ended: bool) -> Judgement | None:
    """Judge a listener that came too late."""
    if visit.later_opens:
        return Judgement("opens again", (), True)
    if visit.fell_back:
        return Judgement("goes to port 69", (Trait.NO_SECOND_OPEN,), False)
    return Judgement("does not open again", (Trait.NO_SECOND_OPEN,), False) if ended else None


def back(visit: Visit, ended: bool) -> Judgement | None:
    """Judge a block number that goes back."""
    if visit.fell_back or visit.later_opens:
        return Judgement("stops listening", (Trait.NO_STEP_BACK,), False)
    return Judgement("bears it", (), True) if ended else None


def group_duplicates(visit: Visit, ended: bool) -> Judgement | None:
    """Judge many copies of a block from the group."""
    if visit.fell_back:
        return Judgement("gives the group up", (Trait.DUPLICATES_COST_TRIES,))
    return Judgement("bears them") if visit.group_finished or ended else None


def second_only(visit: Visit, ended: bool) -> Judgement | None:
    """Judge whether DATA 2 is taken for the first block."""
    if visit.group_acks:
        return Judgement("is the master after DATA 1 by unicast alone")
    if visit.fell_back or visit.later_opens:
        return Judgement("asks for DATA 1 again")
    if ended and visit.opens:
        return Judgement("asks for nothing more: the image is wrong", (F.OPEN_CORRUPTION,))
    return Judgement("does not open") if ended else None


def no_pad(visit: Visit, ended: bool) -> Judgement | None:
    """Judge an option directly behind the name."""
    named = next((read.name for read in (*visit.opens, *visit.reads) if read.name), None)
    if named is not None:
        if len(named) > len(visit.boot_file) + 1 and named.startswith(visit.boot_file):
            return Judgement("reads on behind the name", (F.OPTION67_TO_NUL,))
        return Judgement("reads the name by its length")
    return reads(F.OVERWRITE_AFTER_67)(visit, ended)


def foreign(visit: Visit, ended: bool) -> Judgement | None:
    """Judge an OFFER with another hardware address."""
    if visit.foreign:
        return Judgement("takes the OFFER of somebody else", (F.ACCEPT_FOREIGN_OFFER,))
    return Judgement("ignores it") if visit.reads or visit.opens or ended else None


def nak(visit: Visit, ended: bool) -> Judgement | None:
    """Judge a NAK of a server that was not asked."""
    if visit.restarted:
        return Judgement("starts again", (F.RESTART_ON_ANY_NAK,))
    return Judgement("ignores it") if visit.reads or visit.opens or ended else None

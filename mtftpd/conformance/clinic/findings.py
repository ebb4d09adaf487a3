"""What a boot can show of a ROM: its faults in the words of the quirk records, and traits that have no record.

`SHOWN` says which quirk a finding is; `UNSEEN` says of every other quirk why a server cannot see it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from mtftpd.quirks.vocabulary import Mutation


class Trait(Enum):
    """What is not a mutation of a simulated client; the value is its name in reports."""

    ASKS_4011 = "asks_4011"
    ENDS_SIZE_PROBE = "ends_size_probe"
    SYSTEM_ASKS = "system_asks"
    SHARED_UUID = "uuid_of_nobody"
    NO_MULTICAST = "no_multicast"
    NEEDS_OPTIONS = "needs_options"
    LISTENS_AFTER_GROUP_COPY = "listens_after_group_copy"
    ONLY_SERVER_PORT = "only_server_port"
    LOCKS_FIRST_PORT = "locks_first_port"
    NO_STEP_BACK = "no_step_back"
    ERROR_IS_FATAL = "error_is_fatal"
    NO_SECOND_OPEN = "no_second_open"
    DUPLICATES_COST_TRIES = "duplicates_cost_tries"
    ROLLS_OVER_TO_1 = "rolls_over_to_1"
    NO_ROLLOVER = "no_rollover"
    ARP_SILENT = "arp_silent"


Finding = Mutation | Trait

F = Mutation

SHOWN: Final[dict[Finding, str]] = {
    F.OPTION67_TO_NUL: "Q01", F.FF_NAME: "Q01", F.EMPTY_NAME: "Q02", F.OVERWRITE_AFTER_67: "Q03",
    F.NUL_STRINGS: "Q04", F.DROP_IF_SHORT: "Q07", F.NEED_58: "Q10", F.DROP_IF_ORDER: "Q11", F.NEED_43_6: "Q12",
    Trait.ASKS_4011: "Q12", F.REJECT_43_1_5: "Q13", F.REJECT_BARE_43_1_5: "Q13", F.BE_PORTS: "Q15",
    F.IGNORE_TAG_6: "Q16", F.OWN_CLASS: "Q18", F.NEED_60: "Q19", F.NEED_97: "Q19", F.ARCHITECTURE_9: "Q20",
    F.ONLY_SIADDR: "Q22", F.ONLY_67: "Q24", F.BUFFER_OF_13: "Q25", F.NEED_ONE_ROUTER: "Q27",
    F.DEAF_AFTER_SEND: "Q41", F.ACCEPT_FOREIGN_OFFER: "Q44", F.CIADDR_IN_DISCOVER: "Q47",
    F.RESTART_ON_ANY_NAK: "Q50", Trait.SHARED_UUID: "Q53", F.THREE_NICS: "Q54", F.SAYS_IPXE: "Q59",
    Trait.SYSTEM_ASKS: "Q61",
    F.DROP_BIG: "Q65", F.DROP_1000: "Q65", F.ASK_8192: "Q67", F.ONLY_PORT_69: "Q69", F.NEEDS_TRAFFIC: "Q77",
    F.NEVER_REQUEST: "Q77", F.NO_IGMP: "Q80", F.HANG_ON_OACK: "Q81", Trait.ENDS_SIZE_PROBE: "Q82",
    F.DIE_OF_ERROR_REPLY: "Q82", F.REJECT_UNASKED_OACK: "Q83", F.NO_LAST_ACK: "Q87", F.DUP_RRQ: "Q88",
    F.DUP_ACK: "Q90", F.NEVER_RETRANSMIT: "Q92", F.DIE_IN_WINDOW: "Q96", F.BACKSLASH_NAME: "Q100",
    F.NETASCII: "Q101", Trait.LISTENS_AFTER_GROUP_COPY: "Q107", F.OPEN_CORRUPTION: "Q108", Trait.NO_STEP_BACK: "Q109",
    Trait.ONLY_SERVER_PORT: "Q111",
}  # fmt: skip
"""Finding -> number of the quirk that it is a sign of."""

TOGETHER: Final = {"Q48": frozenset({F.BROADCAST_ONLY, F.NO_BROADCAST_FLAG})}
"""Quirks that take two: not to hear a unicast is right for whoever has asked for broadcasts."""

UNSEEN: Final = {
    "Q33": "what a client makes of another type on port 4011 helps nobody: every client takes the ACK there",
    "Q49": "needs replies to the broadcast address of the subnet, which no server sends any more",
}
"""Quirks for which there is no probe, with the reason."""

UNSEEN_FAULTS: Final = {
    F.DROP_BIG: "of a client that asks for no block larger than a frame: none is ever sent to it",
    F.OPTION67_TO_NUL: "of a client that names no file in its requests: the name that it has read shows nowhere",
    F.DIE_IN_WINDOW: "of a client that asks for no windows: none is lost",
    F.DIE_OF_ERROR_REPLY: "of a client that ends no transfer with an ERROR: there is none to answer",
    F.NO_IGMP: "of a client that reads no tags 1 to 5: it joins no group",
    F.BE_PORTS: "of a client that reads no tags 1 to 5: it uses none of the ports",
    F.OPEN_CORRUPTION: "of a client that is a master after DATA 1 by unicast alone: it never waits for the copy",
    F.NO_FALLBACK: "of a client that reads no tags 1 to 5: it has nothing to fall back from",
}
"""Faults that show on some clients only, with the reason why they cannot on others."""

ABOUT: Final[dict[Finding, str]] = {
    Trait.ASKS_4011: "an offer with option 60 and without 43 sends it to port 4011",
    Trait.ENDS_SIZE_PROBE: "asks for the size first and ends that transfer with an ERROR",
    Trait.SYSTEM_ASKS: "a system without option 60 asks for an address after the boot",
    Trait.SHARED_UUID: "its option 97 is all zeros or all ones",
    Trait.NEEDS_OPTIONS: "takes no file from a server that grants none of its options",
    Trait.NO_MULTICAST: "was told of a group and went to port 69",
    Trait.LISTENS_AFTER_GROUP_COPY: "acknowledges nothing when the group's DATA 1 comes before the unicast one",
    Trait.ONLY_SERVER_PORT: "does not hear DATA that comes from another port than that of tag 3",
    Trait.LOCKS_FIRST_PORT: "hears the group only from the port that the first block came from",
    Trait.NO_STEP_BACK: "stops listening when a lower block number comes from the group",
    Trait.ERROR_IS_FATAL: "an ERROR in answer to its open ends the boot",
    Trait.NO_SECOND_OPEN: "goes to port 69 when a pass ends that it heard the end of alone",
    Trait.DUPLICATES_COST_TRIES: "gives the group up when a block comes several times",
    Trait.ROLLS_OVER_TO_1: "counts blocks from 65,535 on at 1: serve it with rollover 1",
    Trait.NO_ROLLOVER: "takes no file of more than 65,535 blocks",
    Trait.ARP_SILENT: "answers no ARP while it loads: it is lost without a neighbour entry, which mtftpd sets for all",
    F.BROADCAST_ONLY: "does not hear replies by unicast",
    F.NO_BROADCAST_FLAG: "does not ask for broadcasts",
    F.WINDOW_4: "asks for windows",
    F.ANY_TID: "takes DATA from any port and answers there",
    F.DIE_OF_DUPLICATES: "dies of many copies of one block",
    F.NO_FALLBACK: "does not go to port 69 when its open is not answered",
}
"""What findings mean that are no quirk by themselves, or not in the words of the record."""


def telling(findings: Iterable[Finding]) -> list[Finding]:
    """Return those of ``findings`` that mean something, by name: of `TOGETHER` one says nothing without the other."""
    held = frozenset(findings)
    halves = frozenset().union(*(both - held and both for both in TOGETHER.values()))
    return sorted(held - halves, key=lambda each: each.value)


def named(name: str) -> Finding:
    """Return the finding called ``name``; raises ValueError."""
    try:
        return Mutation(name)
    except ValueError:
        return Trait(name)


def quirks_of(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return the numbers of the quirks that ``findings`` are signs of, in the order of the catalogue."""
    held = frozenset(findings)
    numbers = {SHOWN[each] for each in held if each in SHOWN}
    numbers |= {number for number, both in TOGETHER.items() if both <= held}
    return tuple(sorted(numbers, key=lambda number: int(number[1:])))

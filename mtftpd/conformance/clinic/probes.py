"""The table of probes: what is sent differently in one boot, whom that concerns, and how the boot is judged.

A judge looks at a visit each time something happened, and a last time when it has ``ended``; it returns None as long as
nothing can be said.  Probes come in the order of the table, which is that of what they need to know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mtftpd.conformance.clinic import judges
from mtftpd.conformance.clinic.chart import Chart
from mtftpd.conformance.clinic.findings import Trait
from mtftpd.conformance.clinic.judges import Judge
from mtftpd.conformance.clinic.long_download import SMALLEST
from mtftpd.conformance.clinic.styles import Session, Style, Tags, Transfer, Trouble
from mtftpd.quirks.vocabulary import Mutation as F

ETHERNET_BLOCK: Final = 1_468
"""What fits one frame: 1,500 less 28 of IP and UDP and 4 of TFTP."""
FRAGMENTED: Final = 8_192

_NEEDED: Final = ((F.NEED_58, 58), (F.NEED_97, 97), (F.NEED_ONE_ROUTER, 3))
"""What a patient must be told in a short reply too."""

PLAIN_TRANSFER: Final = Transfer()

Applies = Callable[[Chart], bool]


def _always(_chart: Chart) -> bool:
    return True


@dataclass(frozen=True)
class Probe:
    """One boot: ``reply`` holds the changed fields of `Reply`."""

    id: str
    about: str
    judge: Judge
    reply: Mapping[str, Any] = field(default_factory=dict)
    transfer: Transfer = PLAIN_TRANSFER
    session: Session = Session.SILENT
    applies: Applies = _always

    def style(self, chart: Chart) -> Style:
        """Return what this boot is answered with, given what the patient is known to need."""
        changes = dict(self.reply)
        if "tags" in changes and chart.shows(F.IGNORE_TAG_6) and changes["tags"] is Tags.GROUP:
            changes["tags"] = Tags.BARE
        if self.id == "no-pad" and chart.shows(F.EMPTY_NAME) and chart.modes.get("group-only"):
            # Its requests to port 69 name nothing, but its opens do.
            changes["tags"] = Tags.GROUP
        if self.id == "short":
            changes["needs"] = frozenset(code for fault, code in _NEEDED if chart.shows(fault))
        transfer = replace(self.transfer, grants=self.transfer.grants or chart.needs_options)
        return Style(replace(chart.careful(), **changes), transfer, self.session)


def _boots(chart: Chart) -> bool:
    return chart.modes.get("careful", False) or bool(chart.cure)


def _stuck(chart: Chart) -> bool:
    return "careful" in chart.outcomes and not _boots(chart) and not _refuses_file(chart)


def _refuses_file(chart: Chart) -> bool:
    return "careful" in chart.outcomes and chart.outcomes["careful"].said == judges.NOT_TAKEN


def _options(chart: Chart) -> bool:
    return (_boots(chart) or _refuses_file(chart)) and bool(chart.asked)


def _granted(chart: Chart) -> bool:
    return _boots(chart) and bool(chart.asked) and not chart.shows(F.HANG_ON_OACK)


def _multicast(chart: Chart) -> bool:
    return _boots(chart) and bool(chart.modes.get("group-only"))


def _falls_back(chart: Chart) -> bool:
    return _multicast(chart) and not chart.shows(F.NO_FALLBACK)


def _reads_43(chart: Chart) -> bool:
    return _boots(chart) and not chart.shows(F.IGNORE_TAG_6)


def _bare(chart: Chart) -> bool:
    return _reads_43(chart) and not chart.is_ipxe and not chart.shows(F.NEED_43_6, F.REJECT_43_1_5)


def _plain_group(chart: Chart) -> bool:
    return _multicast(chart) and not chart.is_ipxe


def _pads(chart: Chart) -> bool:
    return _boots(chart) and not chart.shows(F.NUL_STRINGS)


_GROUP: Final = {"tags": Tags.GROUP}

PROBES: Final = (
    Probe("careful", "everything that a known ROM wants, and nothing else", judges.careful),
    Probe("late", "the OFFER a second later", judges.cured(F.DEAF_AFTER_SEND), {"delay": 1.3}, applies=_stuck),
    Probe("twice", "OFFER and ACK twice", judges.cured(F.NEEDS_TRAFFIC), {"copies": 2}, applies=_stuck),
    Probe(
        "without-43", "no option 43, and an answer on port 4011", judges.cured(F.IGNORE_TAG_6), {"tags": Tags.NONE},
        applies=_stuck,
    ),
    Probe("options", "TFTP options granted", judges.oack, transfer=Transfer(grants=True), applies=_options),
    Probe(
        "frame", "blocks as large as a frame", judges.large(F.DROP_1000), transfer=Transfer(True, ETHERNET_BLOCK),
        applies=lambda chart: _granted(chart) and chart.asked.get("blksize", 0) > 1_000,
    ),
    Probe(
        "fragments", "blocks in several fragments", judges.large(F.DROP_BIG), transfer=Transfer(True, FRAGMENTED),
        applies=lambda chart: _granted(chart) and chart.asked.get("blksize", 0) > ETHERNET_BLOCK
        and not chart.shows(F.DROP_1000),
    ),
    Probe(
        "unasked", "an option granted that was not asked for", judges.unasked,
        transfer=Transfer(True, extra_option=True),
        applies=_granted,
    ),
    Probe(
        "window", "a block lost inside a window", judges.window, transfer=Transfer(True, window=True),
        applies=lambda chart: _granted(chart) and chart.asked.get("windowsize", 0) > 1,
    ),
    Probe("own-port", "DATA from another port", judges.own_port, transfer=Transfer(own_port=True), applies=_boots),
    Probe(
        "stranger", "one block from a port that has no transfer", judges.stranger,
        transfer=Transfer(trouble=Trouble.STRANGER), applies=_boots,
    ),
    Probe(
        "duplicates", "one block twenty times", judges.duplicates, transfer=Transfer(trouble=Trouble.DUPLICATES),
        applies=_boots,
    ),
    Probe(
        "silence", "a server that stops for 12 s", judges.silence, transfer=Transfer(trouble=Trouble.PAUSE),
        applies=_boots,
    ),
    Probe(
        "arp", "who has its address, asked while it loads", judges.arp, transfer=Transfer(asks_arp=True), applies=_boots
    ),
    Probe(
        "error-reply", "an ERROR in answer to the client's", judges.finishes(F.DIE_OF_ERROR_REPLY),
        transfer=Transfer(True, error_to_error=True),
        applies=lambda chart: _granted(chart) and chart.shows(Trait.ENDS_SIZE_PROBE),
    ),
    Probe("no-43", "option 60 without 43", judges.reads(F.NEED_43_6), {"tags": Tags.NONE}, applies=_reads_43),
    Probe(
        "group-only", "a group, and every block to it without a master", judges.group_only, _GROUP,
        session=Session.GROUP_ONLY,
        applies=_boots,
    ),
    Probe("group-silent", "opens that nobody answers", judges.group_silent, _GROUP, applies=_multicast),
    Probe(
        "bare-tags", "tags 1 to 5 without tag 6", judges.reads(F.REJECT_BARE_43_1_5), {"tags": Tags.BARE}, applies=_bare
    ),
    Probe(
        "swapped-ports", "ports of tags 2 and 3 that differ in the other byte order", judges.swapped_ports,
        {"tags": Tags.GROUP, "swappable_ports": True}, session=Session.LOCKSTEP, applies=_plain_group,
    ),
    Probe(
        "lockstep", "DATA 1 by unicast, then the group", judges.lockstep, _GROUP, session=Session.LOCKSTEP,
        applies=_multicast,
    ),
    Probe(
        "group-first", "DATA 1 from the group before the unicast one", judges.group_first, _GROUP,
        session=Session.GROUP_FIRST, applies=_multicast,
    ),
    Probe(
        "other-port", "DATA 1 by unicast from another port", judges.other_port, _GROUP, session=Session.OTHER_PORT,
        applies=_multicast,
    ),
    Probe("group-error", "an ERROR in answer to an open", judges.group_error, _GROUP, session=Session.ERROR,
          applies=_falls_back),
    Probe("tail", "the second half of a pass", judges.tail, _GROUP, session=Session.TAIL, applies=_multicast),
    Probe("back", "a block of the group out of order", judges.back, _GROUP, session=Session.BACK, applies=_falls_back),
    Probe(
        "group-duplicates", "a block from the group many times", judges.group_duplicates, _GROUP,
        session=Session.DUPLICATES, applies=_falls_back,
    ),
    Probe(
        "second-only", "DATA 1 by unicast alone, the rest from the group", judges.second_only, _GROUP,
        session=Session.SECOND_ONLY, applies=_multicast,
    ),
    Probe("order", "option 53 behind the others", judges.reads(F.DROP_IF_ORDER), {"type_first": False}, applies=_boots),
    Probe("no-nul", "option 67 without a NUL", judges.reads(F.NUL_STRINGS), {"ends_name": False}, applies=_boots),
    Probe(
        "no-pad", "option 54 directly behind option 67", judges.no_pad, {"ends_name": False, "pads_name": False},
        applies=_pads,
    ),
    Probe("no-58", "no options 58 and 59", judges.reads(F.NEED_58), {"without": frozenset({58, 59})}, applies=_boots),
    Probe("no-60", "neither 60 nor 43", judges.reads(F.NEED_60, 4), {"without": frozenset({43, 60})}, applies=_boots),
    Probe("no-97", "no option 97", judges.reads(F.NEED_97), {"without": frozenset({97})}, applies=_boots),
    Probe("no-67", "the name in the header", judges.reads(F.ONLY_67), {"without": frozenset({67})}, applies=_boots),
    Probe("no-siaddr", "the server in option 54 alone", judges.reads(F.ONLY_SIADDR), {"siaddr": False}, applies=_boots),
    Probe("two-routers", "two routers in option 3", judges.reads(F.NEED_ONE_ROUTER), {"routers": 2}, applies=_boots),
    Probe("short", "replies shorter than 300 octets", judges.reads(F.DROP_IF_SHORT), {"short": True}, applies=_boots),
    Probe("unicast", "replies by unicast", judges.reads(F.BROADCAST_ONLY), {"by_unicast": True}, applies=_boots),
    Probe("foreign", "an OFFER for somebody else first", judges.foreign, {"foreign_first": True}, applies=_boots),
    Probe("nak", "a NAK of another server before the ACK", judges.nak, {"nak_first": True}, applies=_boots),
    Probe(
        "size", "option 13 far too small", judges.finishes(F.BUFFER_OF_13), {"boot_blocks": 1}, applies=_boots
    ),
    Probe(
        "rollover", "a file of 65,536 blocks", judges.rollover, {"boot_blocks": 1_024},
        transfer=Transfer(True, SMALLEST, long=True),
        applies=lambda chart: _granted(chart) and chart.asked.get("blksize", 0) >= SMALLEST,
    ),
)  # fmt: skip


def to_do(chart: Chart, probes: Iterable[Probe] = PROBES) -> tuple[Probe, ...]:
    """Return those of ``probes`` that are still to be made, as far as that is known now."""
    done = chart.outcomes.keys() | chart.left_out.keys()
    return tuple(each for each in probes if each.id not in done and each.applies(chart))


BY_ID: Final = {probe.id: probe for probe in PROBES}

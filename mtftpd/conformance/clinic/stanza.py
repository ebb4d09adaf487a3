"""What is to be pasted: a ``[[node]]`` of the configuration, and records of the client and of what is new about it."""

from __future__ import annotations

import json
from typing import Final

from mtftpd.conformance.clinic.chart import Chart
from mtftpd.conformance.clinic.findings import ABOUT, SHOWN, TOGETHER, Finding, quirks_of, telling
from mtftpd.quirks.evidence import evidence_of
from mtftpd.quirks.matching import Identification, identify
from mtftpd.quirks.records import by_number
from mtftpd.quirks.vocabulary import Mutation as F
from mtftpd.quirks.vocabulary import ServerAction as A
from mtftpd.wire import bootp
from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.options import Options

HELP: Final[dict[Finding, A]] = {
    F.BROADCAST_ONLY: A.FORCE_BROADCAST, F.BUFFER_OF_13: A.OMIT_13, F.DEAF_AFTER_SEND: A.DELAY_REPLY,
    F.DIE_IN_WINDOW: A.WINDOW_1, F.DROP_1000: A.SMALL_BLOCKS, F.HANG_ON_OACK: A.REFUSE_OPTIONS,
    F.IGNORE_TAG_6: A.OMIT_43, F.NEEDS_TRAFFIC: A.REPEAT_OFFER, F.ONLY_PORT_69: A.SINGLE_PORT,
    F.REJECT_43_1_5: A.OMIT_43_1_5, F.REJECT_BARE_43_1_5: A.ADD_43_6,
}  # fmt: skip
"""Work-arounds that a server would have to learn first; all others are done for everybody."""

MODES: Final = {
    "lockstep": "lock-step: it can be the master of a pass",
    "group-only": "paced: it takes a pass that nobody acknowledges",
    "tail": "late: it asks again for what it missed at the beginning of a pass",
    "back": "any order: it bears blocks out of order",
}
"""Probe -> what it says about multicast when it went well."""


def modes(chart: Chart) -> list[str]:
    """Return the ways of multicast that the patient can use."""
    return [mode for probe, mode in MODES.items() if chart.modes.get(probe)] if chart.modes.get("group-only") else []


def identification(chart: Chart) -> Identification:
    """Return which known client the patient's DISCOVER looks like."""
    octets = chart.hardware[0]
    message = DhcpMessage(
        bootp.BOOTREQUEST, 0, octets.ljust(16, b"\0"), hlen=len(octets), options=Options(chart.options)
    )
    return identify(evidence_of(message))


def node_stanza(chart: Chart) -> str:
    """Return the ``[[node]]`` for the configuration of mtftpd."""
    hardware = [octets.hex(":") for octets in chart.hardware]
    lines = ["[[node]]", f"hardware = {json.dumps(hardware if len(hardware) > 1 else hardware[0])}"]
    profile = identification(chart).profile
    if profile.id != "unknown":
        lines.append(f"rom = {json.dumps(profile.id)}")
    if chart.modes.get("group-only") is False:
        lines.append("multicast = false")
    helps = sorted({HELP[found].value for found in telling(chart.findings) if found in HELP})
    if helps:
        lines.append(f"with = {json.dumps(helps)}")
    return "\n".join(lines) + "\n"


def records(chart: Chart) -> str:
    """Return the client, and each finding that has no quirk, as records in TOML."""
    name = f"clinic-{chart.hardware[0].hex()}"
    lines = [
        "[[profile]]",
        f"id = {json.dumps(name)}",
        f"about = {json.dumps('looks like ' + identification(chart).profile.id)}",
        f"multicast = {json.dumps(bool(modes(chart)))}",
        f"architectures = [{chart.architecture}]",
        f"parameters = {json.dumps(chart.options.get(55, b'').hex())}",
        f"quirks = {json.dumps(list(quirks_of(chart.findings)))}",
    ]
    together = [both for both in TOGETHER.values() if both <= chart.findings]
    for found in telling(chart.findings):
        if found in SHOWN or any(found in both for both in together):
            continue
        probes = [each.probe for each in chart.outcomes.values() if found in each.findings]
        lines += [
            "",
            "[[quirk]]",
            f"id = {json.dumps(found.value.replace('_', '-'))}",
            f"symptom = {json.dumps(about(found))}",
            f"match = {json.dumps([name])}",
            f"evidence = {json.dumps('mtftpd conformance rom, ' + (', '.join(probes) or 'every boot'))}",
        ]
    return "\n".join(lines) + "\n"


def about(found: Finding) -> str:
    """Return one line on what ``found`` means."""
    return ABOUT.get(found) or by_number()[SHOWN[found]].symptom

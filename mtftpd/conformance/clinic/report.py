"""The report of an examination: as text, as values for JSON, and as one HTML page with the packets of each boot."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any, Final

from mtftpd.conformance.clinic import stanza
from mtftpd.conformance.clinic.chart import Chart, to_plain
from mtftpd.conformance.clinic.findings import UNSEEN, UNSEEN_FAULTS, quirks_of
from mtftpd.conformance.clinic.probes import PROBES, to_do
from mtftpd.quirks.records import by_number

_STYLE: Final = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.2em .7em;border-bottom:1px solid #ddd}"
    "pre{background:#f5f5f5;padding:.7em;overflow:auto;font-size:13px}.found{color:#b00020;font-weight:600}"
)


def plain(chart: Chart) -> dict[str, Any]:
    """Return everything as values that JSON has."""
    known = {
        "quirks": list(quirks_of(chart.findings)),
        "multicast": stanza.modes(chart),
        "to-do": [probe.id for probe in to_do(chart)],
        "left-out": chart.left_out,
    }
    if not chart.hardware:
        return to_plain(chart) | known
    looks_like = stanza.identification(chart)
    return to_plain(chart) | known | {
        "profile": looks_like.profile.id,
        "node": stanza.node_stanza(chart),
        "records": stanza.records(chart),
    }  # fmt: skip


def summary(chart: Chart) -> str:
    """Return the report for a terminal."""
    return "\n".join(_lines(chart))


def _lines(chart: Chart) -> Iterator[str]:
    if not chart.hardware:
        yield "No machine has asked to boot."
        return
    found = stanza.identification(chart)
    names = ", ".join(octets.hex(":") for octets in chart.hardware)
    yield f"{names}: {chart.boots} boots, {len(chart.outcomes)} probes"
    yield f"looks like {found.profile.id}: {found.profile.about} ({found.step.value}: {found.why})"
    yield ""
    yield "Quirks"
    records = by_number()
    yield from [f"  {number:5} {records[number].id}: {records[number].symptom}" for number in quirks_of(chart.findings)]
    yield "Seen of it"
    yield from [
        f"  {found.value}: {stanza.about(found)}" for found in sorted(chart.findings, key=lambda each: each.value)
    ]
    yield "Multicast"
    yield from [f"  {mode}" for mode in stanza.modes(chart)] or ["  none"]
    if chart.patience is not None:
        yield f"  it waits {chart.patience:.2f} s for an answer to its opens"
    if chart.left_out:
        yield "Left out"
    yield from [f"  {probe}: {why}" for probe, why in chart.left_out.items()]
    yield ""
    yield "# For the configuration of mtftpd:"
    yield stanza.node_stanza(chart)
    yield "# For the records of quirks:"
    yield stanza.records(chart)


def page(chart: Chart) -> str:
    """Return the report as a page that needs nothing else."""
    return "\n".join(
        ['<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Clinic</title>',
         f"<style>{_STYLE}</style></head><body><h1>Report of the clinic</h1>",
         f"<pre>{escape(summary(chart))}</pre><h2>Probes</h2><table>", *_rows(chart), "</table>",
         "<h2>Packets</h2>", *_packets(chart), "<h2>What no boot can show</h2><ul>", *_unseen(), "</ul></body></html>"]
    )  # fmt: skip


def _rows(chart: Chart) -> Iterator[str]:
    yield "<tr><th>probe</th><th>what is sent</th><th>what it does</th><th>found</th></tr>"
    for probe in PROBES:
        outcome = chart.outcomes.get(probe.id)
        why_not = chart.left_out.get(probe.id, "")
        said = outcome.said if outcome else f"not tried: {why_not}".rstrip(": ")
        found = ", ".join(each.value for each in outcome.findings) if outcome else ""
        cells = "".join(f"<td>{escape(text)}</td>" for text in (probe.id, probe.about, said))
        yield f'<tr>{cells}<td class="found">{escape(found)}</td></tr>'


def _packets(chart: Chart) -> Iterator[str]:
    for outcome in chart.outcomes.values():
        lines = "\n".join(outcome.lines)
        yield f"<h3>{escape(outcome.probe)}: {escape(outcome.said)}</h3><pre>{escape(lines)}</pre>"


def _unseen() -> Iterator[str]:
    for number, why in UNSEEN.items():
        yield f"<li>{number} {escape(by_number()[number].id)}: {escape(why)}</li>"
    for fault, why in UNSEEN_FAULTS.items():
        yield f"<li>{escape(fault.value)} {escape(why)}</li>"

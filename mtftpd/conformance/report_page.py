"""The report of a run as one HTML page that needs nothing else: no script, no picture, no second run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from html import escape
from typing import Final

from mtftpd import __version__
from mtftpd.conformance.ladder import ladder
from mtftpd.conformance.report_files import line_of
from mtftpd.conformance.results import Report, Result
from mtftpd.conformance.verdicts import Verdict

_MAX_DECODED: Final = 60
"""Packets of one failure that are shown field by field; the others are one line each."""

_STYLE: Final = """
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#1b1b1b;background:#fff}
h1,h2,h3{line-height:1.2}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.3em .6em;border-bottom:1px solid #ddd}
pre{background:#f5f5f5;padding:.7em;overflow:auto;font-size:13px}section.failure{border-left:4px solid #b00020;
padding-left:1em;margin:2em 0}.v{font-weight:600;white-space:nowrap}.pass{color:#0a6b2d}.fail{color:#b00020}
.inconclusive{color:#8a5a00}.not-applicable,.not-run{color:#666}svg{max-width:100%;height:auto;background:#fcfcfc}
svg text{font:11px system-ui,sans-serif;fill:#222}svg .head{font-weight:600;text-anchor:middle}
svg .life{stroke:#bbb}svg .label,svg .ports{text-anchor:middle}svg .ports,svg .time,svg .gap{fill:#777;font-size:9px}
svg .sent line{stroke:#1a5fb4}svg .sent polygon{fill:#1a5fb4}svg .heard line{stroke:#444}svg .heard polygon{fill:#444}
svg .bad line{stroke:#b00020;stroke-width:2.5}svg .bad polygon,svg .bad .label{fill:#b00020}
"""


def page(report: Report) -> str:
    """Return the whole page."""
    return "\n".join(
        ["<!DOCTYPE html>", '<html lang="en">', *_head(report), "<body>", *_body(report), "</body></html>"]
    )


def _head(report: Report) -> Iterator[str]:
    yield '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    yield f"<title>Conformance of {escape(report.target)}</title><style>{_STYLE}</style></head>"


def _body(report: Report) -> Iterator[str]:
    verdict = "no MUST failed" if report.conforms else "at least one MUST failed"
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(report.started))
    yield f"<h1>Conformance of {escape(report.target)}: {verdict}</h1>"
    if report.interrupted:
        yield f'<p class="fail">This run was interrupted: {escape(report.interrupted)}. Cases are missing.</p>'
    yield f"<p>mtftpd {escape(__version__)}, {when}, {report.seconds:.1f} s. "
    yield ", ".join(f'<span class="v {v.value}">{n} {v.value}</span>' for v, n in report.counts.items() if n) + ".</p>"
    yield from _found(report)
    failures = [result for result in report.results if result.verdict is Verdict.FAIL]
    if failures:
        yield "<h2>Failures</h2>"
        for result in sorted(failures, key=lambda result: not result.breaks_a_must):
            yield from _failure(result, report.target)
    yield from _undecided(report)
    yield from _requirements(report)
    yield from _cases(report)


def _found(report: Report) -> Iterator[str]:
    yield "<h2>What the target does</h2><table>"
    for name, value in report.found.plain().items():
        shown = ", ".join(map(_fact, value)) if isinstance(value, list) else str(value)
        yield f"<tr><th>{escape(name.replace('_', ' '))}</th><td>{escape(shown) or '-'}</td></tr>"
    yield "</table>"


def _fact(value: object) -> str:
    return " ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else str(value)


def _failure(result: Result, target: str) -> Iterator[str]:
    case, evidence = result.case, result.evidence
    weight = "MUST" if result.breaks_a_must else "SHOULD"
    yield f'<section class="failure" id="{case.name}"><h3>{escape(case.name)} ({case.suite}, {weight})</h3>'
    yield f"<p>{escape(case.title)}</p><ul>"
    for row in case.requirements:
        source = escape("; ".join(row.source))
        yield f"<li><b>{row.id}</b> {row.level.value}: {escape(row.statement)} <i>({source})</i></li>"
    yield "</ul>"
    if evidence is not None:
        number = f"packet {evidence.packet.number}" if evidence.packet else "no packet"
        rows = [("field", evidence.field), ("expected", evidence.expected), ("got", evidence.got), ("in", number)]
        if evidence.source:
            rows.append(("source", evidence.source))
        yield "<table>" + "".join(f"<tr><th>{k}</th><td>{escape(v)}</td></tr>" for k, v in rows) + "</table>"
        if evidence.packet is not None:
            yield f"<pre>{escape(line_of(evidence.packet))}\n\n{escape(evidence.packet.description)}</pre>"
    if result.packets:
        yield ladder(result.packets, target, evidence.packet if evidence else None)
        yield "<details><summary>Every packet</summary><pre>"
        for place, packet in enumerate(result.packets):
            yield escape(line_of(packet))
            if place < _MAX_DECODED:
                yield escape("\n".join(f"        {line}" for line in packet.description.splitlines()))
        yield "</pre></details>"
    yield "</section>"


def _undecided(report: Report) -> Iterator[str]:
    rows = [result for result in report.results if result.verdict is Verdict.INCONCLUSIVE]
    if rows:
        yield "<h2>Inconclusive</h2><table><tr><th>case</th><th>why</th></tr>"
        for result in rows:
            yield f"<tr><td>{escape(result.case.name)}</td><td>{escape(result.reason)}"
            if result.packets:
                lines = "\n".join(line_of(packet) for packet in result.packets[:_MAX_DECODED])
                yield f"<details><summary>packets</summary><pre>{escape(lines)}</pre></details>"
            yield f"{f'<pre>{escape(result.trouble)}</pre>' if result.trouble else ''}</td></tr>"
        yield "</table>"


def _requirements(report: Report) -> Iterator[str]:
    yield "<h2>By requirement</h2><table>"
    yield "<tr><th>id</th><th>level</th><th>verdict</th><th>statement</th><th>source</th><th>cases</th></tr>"
    for requirement, verdict, results in report.by_requirement():
        cases = ", ".join(
            f'<a href="#{result.case.name}">{result.case.name}</a>'
            if result.verdict is Verdict.FAIL
            else escape(result.case.name)
            for result in results
        )
        yield (
            f"<tr><td>{requirement.id}</td><td>{requirement.level.value}</td>{_verdict(verdict)}"
            f"<td>{escape(requirement.statement)}</td><td>{escape('; '.join(requirement.source))}</td>"
            f"<td>{cases}</td></tr>"
        )
    yield "</table>"


def _cases(report: Report) -> Iterator[str]:
    yield "<h2>By case</h2><table><tr><th>suite</th><th>case</th><th>verdict</th><th>what passes</th><th>s</th></tr>"
    for result in report.results:
        why = f"<br><i>{escape(result.reason)}</i>" if result.reason else ""
        yield (
            f"<tr><td>{result.case.suite}</td><td>{escape(result.case.name)}</td>{_verdict(result.verdict)}"
            f"<td>{escape(result.case.title)}{why}</td><td>{result.seconds:.1f}</td></tr>"
        )
    yield "</table>"


def _verdict(verdict: Verdict) -> str:
    return f'<td class="v {verdict.value}">{verdict.value}</td>'

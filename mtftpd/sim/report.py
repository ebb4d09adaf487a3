"""The report of a simulation as one HTML file: numbers, a curve of booted nodes, and pictures of the memories."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from typing import Final

from mtftpd.sim.heat import Picture, png
from mtftpd.sim.outcome import Outcome

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff }
table { border-collapse: collapse } th, td { text-align: left; padding: .2rem 1rem .2rem 0; vertical-align: top }
th { font-weight: 600 } figure { margin: 1rem 0 } img { width: 100%; image-rendering: pixelated;
       border: 1px solid #999; max-height: 24rem } svg { width: 100%; height: auto }
figcaption { color: #555 }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } figcaption { color: #aaa }
       img { filter: invert(1) hue-rotate(180deg) } }
"""
_WIDTH, _HEIGHT = 800, 160


def lines(outcome: Outcome) -> list[tuple[str, str]]:
    """Return the table of an outcome as names and values, for people."""
    summary, traffic = outcome.summary(), outcome.traffic
    times = outcome.boot_seconds()
    packets = traffic.group_blocks + traffic.unicast_blocks
    rows = [
        ("booted", f"{outcome.booted} of {len(outcome.nodes)}{_ways(summary['by_way'])}"),
        ("lost", _with_reasons(outcome.lost, outcome.failures())),
        ("fell back", _with_reasons(summary["fell_back"], outcome.fallbacks())),
        ("first, median, last", " / ".join(f"{each:.2f} s" for each in times) if times else "-"),
        ("passes", f"{traffic.passes}, {traffic.masters_lost} masters lost"),
        (
            "DATA packets",
            f"{packets} ({traffic.group_blocks} to the group, {traffic.unicast_blocks} by unicast);"
            f" ideal {traffic.ideal} ({packets / traffic.ideal:.2f} x)",
        ),
        ("DHCP retries", str(summary["dhcp_retries"])),
        (
            "dropped",
            f"{traffic.dropped_by_switch} by switches, {traffic.dropped_by_rom} by ROMs;"
            f" {traffic.collisions} collisions",
        ),
    ]
    if outcome.wrong:
        rows.insert(2, ("WRONG IMAGE", str(outcome.wrong)))
    return rows


def html(outcome: Outcome, conditions: str, pictures: Sequence[Picture], columns: int) -> str:
    """Return the whole page; ``conditions`` says what was simulated."""
    title = f"{len(outcome.nodes)} nodes on {outcome.topology}"
    table = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in lines(outcome))
    figures = "".join(_figure(picture, columns) for picture in pictures)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(title)}</h1><p>{escape(conditions)}</p><table>{table}</table>"
        f"<h2>Booted nodes over time</h2>{_curve(outcome)}"
        "<h2>Memory over time</h2><p>A row is a node, the first at the top; from left to right is the image; black is "
        f"held. There is no picture where nothing had changed.</p>{figures}"
        "</body></html>\n"
    )


def _figure(picture: Picture, columns: int) -> str:
    image = b64encode(png(columns, picture.rows)).decode("ascii")
    text = f"after {picture.when:.2f} s"
    return (
        f'<figure><img alt="what each node holds {text}" src="data:image/png;base64,{image}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _curve(outcome: Outcome) -> str:
    """Return the number of booted nodes over time as a picture of steps."""
    ended = sorted(node.ended for node in outcome.nodes if node.booted)
    longest, most = outcome.seconds or 1.0, len(outcome.nodes)
    points, before = [f"0,{_HEIGHT}"], float(_HEIGHT)
    for count, when in enumerate(ended, 1):
        x, y = round(when / longest * _WIDTH, 1), round(_HEIGHT * (1 - count / most), 1)
        points += [f"{x},{before}", f"{x},{y}"]
        before = y
    points.append(f"{_WIDTH},{before}")
    return (
        f'<svg viewBox="0 -10 {_WIDTH} {_HEIGHT + 30}" role="img" aria-label="booted nodes over time">'
        f'<polyline fill="none" stroke="#2a7" stroke-width="2" points="{" ".join(points)}"/>'
        f'<text x="0" y="2" fill="currentColor" font-size="12">{most} nodes</text>'
        f'<text x="0" y="{_HEIGHT + 16}" fill="currentColor" font-size="12">0 s</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 16}" fill="currentColor" font-size="12" text-anchor="end">'
        f"{longest:.2f} s</text></svg>"
    )


def _ways(ways: dict[str, int]) -> str:
    return f" ({', '.join(f'{count} by {way}' for way, count in ways.items())})" if ways else ""


def _with_reasons(count: int, reasons: dict[str, int], most: int = 8) -> str:
    if not count:
        return "0"
    shown = [f"{number} x {reason}" for reason, number in reasons.items()][:most]
    more = [f"{len(reasons) - most} other reasons"] if len(reasons) > most else []
    return f"{count}: {', '.join(shown + more)}"

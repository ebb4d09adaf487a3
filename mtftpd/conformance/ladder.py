"""The packets of a case as a ladder: a line down for each address, an arrow across for each packet, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from ipaddress import IPv4Address
from typing import Final

from mtftpd.conformance.packets import FIRST, Packet

MAX_ROWS: Final = 120
"""Arrows of one ladder; of a longer case the first and the last half of that, and what is around the failure."""

_LEFT: Final = 90
_COLUMN: Final = 260
_ROW: Final = 34
_HEAD: Final = 40
_CHARACTER: Final = 6
"""Pixels of an average character of a label."""
_SHORTEST: Final = 40


def ladder(packets: Sequence[Packet], target: str, marked: Packet | None = None) -> str:
    """Return an SVG element with ``packets``; ``marked`` is drawn in red, and a gap says how many are left out."""
    rows = _chosen(packets, marked)
    columns = _columns(rows, target)
    width, height = _LEFT + _COLUMN * max(1, len(columns) - 1) + 160, _HEAD + _ROW * (len(rows) + 1)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">']
    for address, x in columns.items():
        name = f"{address} (target)" if address == target else address
        parts.append(f'<text class="head" x="{x}" y="16">{escape(name)}</text>')
        parts.append(f'<line class="life" x1="{x}" y1="24" x2="{x}" y2="{height}"/>')
    missing = _gaps(packets, rows)
    for row, packet in enumerate(rows):
        y = _HEAD + _ROW * row + 14
        if missing[row]:
            parts.append(f'<text class="gap" x="4" y="{y - 18}">{missing[row]} more</text>')
        parts.append(_arrow(packet, columns, y, marked is not None and packet.number == marked.number))
    return "".join([*parts, "</svg>"])


def _arrow(packet: Packet, columns: dict[str, int], y: int, is_marked: bool) -> str:
    start, end = columns[packet.source.address], columns[packet.destination.address]
    if start == end:
        end = start + 40
    kind = "bad" if is_marked else "sent" if packet.sent else "heard"
    tip = 7 if end > start else -7
    label = f"{packet.number}. {packet.summary}"
    middle, width = (start + end) // 2, abs(end - start)
    ports = f"{packet.source.port} > {packet.destination.port}"
    return (
        f'<g class="{kind}"><text class="time" x="4" y="{y}">{packet.time:.4f}</text>'
        f'<line x1="{start}" y1="{y}" x2="{end}" y2="{y}"/>'
        f'<polygon points="{end},{y} {end - tip},{y - 4} {end - tip},{y + 4}"/>'
        f'<text class="label" x="{middle}" y="{y - 5}"><title>{escape(packet.summary)}</title>'
        f"{escape(_short(label, width))}</text>"
        f'<text class="ports" x="{middle}" y="{y + 11}">{ports}</text></g>'
    )


def _gaps(packets: Sequence[Packet], rows: Sequence[Packet]) -> list[int]:
    """Return how many packets are left out before each of ``rows``: by the ladder, and by the trace of a long case."""
    kept = {packet.number: place for place, packet in enumerate(packets)}
    lost = max(kept, default=0) - len(kept)
    gaps, before = [], -1
    for packet in rows:
        gap = kept[packet.number] - before - 1
        if lost and packet.number > FIRST:
            gap, lost = gap + lost, 0
        gaps.append(gap)
        before = kept[packet.number]
    return gaps


def _short(text: str, width: int) -> str:
    """Return as much of a label as there is room for beside an arrow of ``width``."""
    room = max(_SHORTEST, width // _CHARACTER)
    return text if len(text) <= room else f"{text[: room - 2]}.."


def _columns(packets: Sequence[Packet], target: str) -> dict[str, int]:
    """Return the place of each address: ours, then the target, then groups and everybody."""
    addresses = {end.address for packet in packets for end in (packet.source, packet.destination)} | {target}

    def order(address: str) -> tuple[int, int]:
        parsed = IPv4Address(address)
        everybody = parsed.is_multicast or address == "255.255.255.255"
        return (1 if address == target else 2 if everybody else 0, int(parsed))

    return {address: _LEFT + _COLUMN * place for place, address in enumerate(sorted(addresses, key=order))}


def _chosen(packets: Sequence[Packet], marked: Packet | None) -> list[Packet]:
    if len(packets) <= MAX_ROWS:
        return list(packets)
    half = MAX_ROWS // 2
    wanted = {packet.number for packet in (*packets[:half], *packets[-half:])}
    if marked is not None:
        wanted |= set(range(marked.number - 5, marked.number + 6))
    return [packet for packet in packets if packet.number in wanted]

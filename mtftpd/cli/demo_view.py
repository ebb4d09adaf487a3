"""What ``mtftpd demo`` shows: a table that moves on a terminal, a line a second elsewhere, and the summary."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from mtftpd.rom.actions import Phase

if TYPE_CHECKING:
    from rich.console import Group

    from mtftpd.daemon.demo import Demo
    from mtftpd.daemon.demo_results import DemoResult, NodeRecord

LINE_INTERVAL: Final = 1.0
_ORDER: Final = tuple(phase.value for phase in Phase)
_STYLES: Final = {
    Phase.MASTER.value: "bold cyan",
    Phase.UNICAST.value: "yellow",
    Phase.DONE.value: "green",
    Phase.FAILED.value: "bold red",
}
_BAR: Final = 20


def show_lines(demo: Demo) -> DemoResult:
    """Run ``demo`` and print a line a second, and one for each node that failed."""
    click.echo(f"{len(demo.records)} nodes, {_octets(demo.size)} image, {demo.where}")
    next_line = time.monotonic()
    for changed in demo.run():
        for record in changed:
            if record.phase == Phase.FAILED.value:
                click.echo(f"node {record.number}: {record.detail}")
        if time.monotonic() >= next_line:
            next_line = time.monotonic() + LINE_INTERVAL
            click.echo(f"{demo.elapsed:6.1f} s  {_phases(demo.records)}")
    result = demo.result()
    click.echo(summary(result))
    return result


def show_table(demo: Demo) -> DemoResult:
    """Run ``demo`` under a live table."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    room = max(1, console.height - 6)
    # No refreshing thread: this process forks.
    with Live(console=console, auto_refresh=False, transient=False) as live:
        for _ in demo.run():
            live.update(_table(demo, room), refresh=True)
        live.update(_table(demo, room), refresh=True)
    result = demo.result()
    console.print(summary(result), highlight=False, style="green" if result.ok else "red")
    return result


def _table(demo: Demo, room: int) -> Group:
    """Return the table of as many nodes as there is room for, those that are still busy first."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table("node", "address", "phase", "image", "", box=None, pad_edge=False)
    shown = demo.records
    if len(shown) > room:
        shown = sorted(shown, key=lambda record: (record.ended, record.number))[:room]
    for record in shown:
        style = _STYLES.get(record.phase, "")
        table.add_row(
            str(record.number), record.address, Text(record.phase, style), _bar(record, demo.size), Text(_why(record))
        )
    head = f"{len(demo.records)} nodes, {_octets(demo.size)} image, {demo.where}"
    return Group(Text(head, "bold"), table, Text(f"{demo.elapsed:.1f} s  {_phases(demo.records)}"))


def _bar(record: NodeRecord, size: int) -> str:
    share = min(1.0, record.octets / size) if size else float(record.ended)
    full = round(share * _BAR)
    return "#" * full + "." * (_BAR - full) + f" {share:4.0%}"


def _why(record: NodeRecord) -> str:
    if record.phase == Phase.FAILED.value:
        return record.detail
    return f"fell back: {record.fallback}" if record.fallback else record.via


def _phases(records: Sequence[NodeRecord]) -> str:
    counted = Counter(record.phase for record in records)
    return ", ".join(f"{counted[phase]} {phase}" for phase in _ORDER if counted[phase])


def summary(result: DemoResult) -> str:
    """Return the summary for people."""
    ideal = result.ideal_blocks
    lines = [
        "",
        f"{result.booted} of {result.nodes} nodes booted; {result.verified} images verified by SHA-256 "
        f"({result.image_sha256[:16]}...)",
        f"{result.listened} listened, {result.masters} as master, {result.unicast} by unicast{_times(result)}",
        f"multicast blocks sent: {result.multicast_blocks} in {result.passes} passes, ideal {ideal} in one "
        f"({result.multicast_blocks / ideal:.2f} x), {result.repeats} repeats; unicast: {result.unicast_blocks}",
        f"{result.lost_datagrams} datagrams lost on purpose, {result.overflowed} by sockets without room",
    ]
    lines += [f"fallback: {count} x {reason}" for reason, count in result.fallbacks.items()]
    lines += [f"failed: {count} x {reason}" for reason, count in result.failures.items()]
    return "\n".join(lines)


def _times(result: DemoResult) -> str:
    if not result.booted:
        return ""
    return f"; first after {result.first_seconds:.2f} s, last after {result.seconds:.2f} s"


def _octets(size: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"

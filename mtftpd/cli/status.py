"""``mtftpd status``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtftpd.cli.control import age, clean, connect, control_options, print_json

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

    from mtftpd.daemon.client import Client

_EXAMPLES = """\b
Examples:
  mtftpd status --watch
  mtftpd status --json --control /run/mtftpd/control.sock
"""

_NOTES = """\b
A state with an asterisk is inferred: no packet of the node says so. "done?" is a node that has listened to a whole
pass, or whose last ACK is missing, and asks for nothing more; "done" has acknowledged everything, or what came
afterwards shows that it has everything. "<=" is what was sent to the group of a listener, not what it has. "#2/5" is
the second of five nodes whose first packet waits for room on the link, for 3 seconds at most."""

MAX_ALARMS = 8
"""Alarms on one page: nodes need room, too."""
INTERVAL = 1.0
"""Seconds between two looks."""
_QUIET = ("done", "done?", "os")
_STYLES = {"done": "green", "os": "green", "mcast-master": "bold cyan", "unicast": "yellow"}
_BAD = ("acked-silent", "stalled", "aborted", "gave-up", "lost-offer", "refused", "ignored")


@click.command(epilog=f"{_NOTES}\n\n{_EXAMPLES}")
@click.option("--watch", is_flag=True, help="Show it again every second until interrupted.")
@control_options
def command(control: Path | None, as_json: bool, watch: bool) -> int:
    """Show nodes by state, multicast sessions, transfers, foreign DHCP servers and alarms."""
    if watch and as_json:
        raise click.UsageError("--watch is for people; repeat --json yourself")
    with connect(control) as server:
        if as_json:
            print_json(_picture(server))
            return 0
        if watch:
            return _watch(server)
        from rich.console import Console

        Console(soft_wrap=True).print(_render(_picture(server), None))
    return 0


def _picture(server: Client) -> dict[str, Any]:
    nodes = {each["hardware"] or each["address"]: each for each in server.pages("nodes", "nodes")}
    return {**server.ask("status"), "hosts": list(nodes.values())}


def _watch(server: Client) -> int:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(_render(_picture(server), console.height), refresh=True)
                time.sleep(INTERVAL)
    except KeyboardInterrupt:
        return 0


def _render(picture: dict[str, Any], height: int | None) -> Group:
    """Return the page; with a ``height`` only as many nodes as there is room for, those at work and failed first."""
    from rich.console import Group
    from rich.text import Text

    states = picture["nodes"]["states"]
    counted = ", ".join(f"{count} {state}" for state, count in states.items()) or "none"
    head = f"mtftpd {picture['version']}, up {age(picture['uptime'])}; {sum(states.values())} nodes: {counted}"
    tftp = picture["tftp"]
    second = (
        f"{len(tftp['transfers'])} transfers, {tftp['done']} done, {tftp['failed']} failed, {tftp['refused']} refused"
    )
    parts: list[RenderableType] = [Text(head, "bold"), Text(second), Text(_link(picture["budget"]))]
    parts += [*(Text(line, "red") for line in _alarms(picture["nodes"])), Text()]
    parts += [_sessions(picture["mtftp"]["groups"]), Text()]
    room = None if height is None else max(1, height - len(parts) - len(picture["mtftp"]["groups"]) - 3)
    parts.append(_hosts(picture["hosts"], room))
    return Group(*parts)


def _alarms(nodes: dict[str, Any]) -> list[str]:
    """Return one line for each alarm, the newest last, and one for all other DHCP servers together."""
    alarms = nodes["alarms"]
    lines = [
        f"alarm: {clean(each['text'])} ({each['count']} x, {age(each['age'])} ago)" for each in alarms[-MAX_ALARMS:]
    ]
    if len(alarms) > MAX_ALARMS:
        lines.insert(0, f"{len(alarms) - MAX_ALARMS} older alarms: mtftpd status --json")
    if nodes["foreign_servers"]:
        lines.append(f"other DHCP servers: {', '.join(nodes['foreign_servers'])}")
    return lines


def _link(budget: dict[str, Any]) -> str:
    """Return one line about the use of the link."""
    if not budget["rate"]:
        return "link: no limit"
    text = f"link: {budget['sending'] / 1e6:.1f} of {budget['rate'] / 1e6:g} Mbit/s ({budget['link']})"
    if budget["waiting"]:
        text += f", {budget['waiting'] / 1e3:.0f} kB wait"
    return f"{text}, {len(budget['queue'])} nodes wait for their first packet" if budget["queue"] else text


def _sessions(groups: list[dict[str, Any]]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    from mtftpd.cli.session import row_of

    table = Table(
        "group", "image", "state", "pass", "block", "master", "waiting", "loss", "rate", box=None, pad_edge=False
    )
    for each in groups:
        table.add_row(*(Text(cell) for cell in row_of(each)))
    return table


def _hosts(hosts: list[dict[str, Any]], room: int | None) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    from mtftpd.cli.node_rows import TITLES, row_of

    table = Table(*(title.lower() for title in TITLES), box=None, pad_edge=False)
    ordered = sorted(hosts, key=lambda host: (host["state"] in _QUIET, host["age"]))
    for host in ordered[:room]:
        style = "red" if host["state"] in _BAD else _STYLES.get(host["state"], "")
        cells = row_of(host)
        table.add_row(*(Text(cell, style if n == 2 else "", overflow="fold") for n, cell in enumerate(cells)))
    if room is not None and len(hosts) > room:
        table.add_row(f"{len(hosts) - room} more: mtftpd host list")
    return table

"""``mtftpd trace``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtftpd.cli.control import clean, connect, control_options, print_json

if TYPE_CHECKING:
    from mtftpd.daemon.client import Client

_EXAMPLES = """\b
Examples:
  mtftpd trace 52:54:00:12:34:56 --follow
  mtftpd trace 192.168.7.100 --json
"""

_NOTES = """\b
The first call begins the trace of a node, which may be one that has not been seen yet, and shows the transitions that
are known already ("before"); later calls show what has happened since. The server keeps the last 4,096 entries of
at most 8 nodes, and ends a trace that nobody has asked about for ten minutes. Blocks and ACKs in a row are one entry a
second. Packets are those that the server receives and sends: what a node hears from others is not among them."""

INTERVAL = 0.3
"""Seconds between two questions while following."""


@click.command(epilog=f"{_NOTES}\n\n{_EXAMPLES}")
@click.argument("node")
@click.option("--follow", is_flag=True, help="Go on until interrupted.")
@click.option("--stop", is_flag=True, help="End the trace of this node.")
@control_options
def command(control: Path | None, as_json: bool, node: str, follow: bool, stop: bool) -> int:
    """Show every packet and decision of one NODE, named by hardware address or IPv4 address.

    With --json and --follow every entry is a line of its own.
    """
    if follow and stop:
        raise click.UsageError("--follow and --stop are two different things")
    with connect(control) as server:
        if stop:
            answer = server.ask("trace-stop", node=node)
            if as_json:
                print_json(answer)
            return 0
        if follow:
            return _follow(server, node, as_json)
        entries = _entries(server, node, 0)
    if as_json:
        print_json(entries)
    else:
        _print(entries)
    return 0


def _entries(server: Client, node: str, after: int) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    while page := server.ask("trace", node=node, after=after)["entries"]:
        entries += page
        after = page[-1]["number"]
    return entries


def _follow(server: Client, node: str, as_json: bool) -> int:
    after = 0
    try:
        while True:
            entries = _entries(server, node, after)
            for entry in entries:
                after = entry["number"]
                if as_json:
                    click.echo(json.dumps(entry))
            if not as_json:
                _print(entries)
            time.sleep(INTERVAL)
    except KeyboardInterrupt:
        return 0


def _print(entries: list[dict[str, Any]]) -> None:
    for entry in entries:
        click.echo(clean(f"{entry['time']} {entry['kind']:8} {entry['text']}"))

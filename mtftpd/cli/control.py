"""What the commands that ask a running server have in common."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mtftpd.daemon.client import Client


def control_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--control`` and ``--json`` to a command."""
    function = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)
    return click.option(
        "--control",
        metavar="SOCKET",
        type=click.Path(path_type=Path),
        help="Socket of the server. Default: $MTFTPD_CONTROL, else /run/mtftpd/control.sock.",
    )(function)


def connect(control: Path | None) -> Client:
    """Return a connection to the server; the exit status is 69 when there is none."""
    from mtftpd.daemon.client import Client, socket_path

    return Client(socket_path(control, os.environ))


def print_json(value: Any) -> None:
    """Print one answer."""
    click.echo(json.dumps(value, indent=2))


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns; the last one is as wide as its text."""
    widths = [max(len(row[n]) for row in (titles, *rows)) for n in range(len(titles))]
    for row in (titles, *rows):
        line = "  ".join(clean(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def clean(text: str) -> str:
    """Return ``text`` without what could steer a terminal: some of it comes from the network."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def rate(octets: int) -> str:
    """Write octets a second for people."""
    return f"{octets / 1e6:.1f} MB/s" if octets >= 100_000 else f"{octets / 1e3:.1f} kB/s" if octets else ""


def age(seconds: float) -> str:
    """Write an age for people."""
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def progress(view: dict[str, Any]) -> str:
    """Write how far a node has got; a bound is what its group has been sent, not what it has."""
    if not view["blocks"]:
        return ""
    word = {"bound": "<=", "sent": "sent ", "queued": "#"}.get(view["kind"], "")
    return f"{word}{view['block']}/{view['blocks']}"

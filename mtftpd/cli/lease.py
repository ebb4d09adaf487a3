"""``mtftpd lease``."""

from __future__ import annotations

from pathlib import Path

import click

from mtftpd.cli.control import age, connect, control_options, print_json, print_table

_EXAMPLES = """\b
Examples:
  mtftpd lease list
  mtftpd lease release 192.168.7.100
"""


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """Show or release the leases of the running server."""


@command.command(
    "list",
    epilog="""\b
Examples:
  mtftpd lease list
  mtftpd lease list --json
""",
)
@control_options
def list_leases(control: Path | None, as_json: bool) -> int:
    """List all leases.

    A free one is kept for its client as long as nobody else needs it.
    """
    with connect(control) as server:
        leases = list(server.pages("leases", "leases"))
    if as_json:
        print_json(leases)
        return 0
    rows = [
        (each["address"], each["client"] or "-", each["state"], "" if each["seconds"] is None else age(each["seconds"]))
        for each in leases
    ]
    print_table(("ADDRESS", "CLIENT", "STATE", "LEFT"), rows)
    return 0


@command.command(
    epilog="""\b
Examples:
  mtftpd lease release 192.168.7.100
  mtftpd lease release 192.168.7.100 --json
"""
)
@click.argument("address")
@control_options
def release(control: Path | None, as_json: bool, address: str) -> int:
    """Let go of the lease of ADDRESS.

    Its client is not told, so be sure that it is off.
    """
    with connect(control) as server:
        answer = server.ask("release", address=address)
    if as_json:
        print_json(answer)
    return 0

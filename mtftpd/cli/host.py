"""``mtftpd host``."""

from __future__ import annotations

from pathlib import Path

import click

from mtftpd.cli.control import age, connect, control_options, print_json, print_table
from mtftpd.cli.node_rows import TITLES, row_of

_EXAMPLES = """\b
Examples:
  mtftpd host list --state stalled
  mtftpd host show 52:54:00:12:34:56
"""


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """Show the nodes that the running server knows, or forget one."""


@command.command(
    "list",
    epilog="""\b
Examples:
  mtftpd host list
  mtftpd host list --state stalled --state acked-silent --json
""",
)
@click.option("--state", "states", multiple=True, metavar="STATE", help="Only nodes in this state. Repeatable.")
@control_options
def list_hosts(control: Path | None, as_json: bool, states: tuple[str, ...]) -> int:
    """List all nodes with state, age, file and block."""
    with connect(control) as server:
        nodes = {each["hardware"] or each["address"]: each for each in server.pages("nodes", "nodes")}
    chosen = [each for each in nodes.values() if not states or each["state"] in states]
    if as_json:
        print_json(chosen)
        return 0
    print_table(TITLES, [row_of(each) for each in chosen])
    return 0


@command.command(
    epilog="""\b
Examples:
  mtftpd host show 52:54:00:12:34:56
  mtftpd host show 192.168.7.100 --json
"""
)
@click.argument("node")
@control_options
def show(control: Path | None, as_json: bool, node: str) -> int:
    """Show the last transitions of NODE, and its last boots.

    NODE is a hardware address or an IPv4 address. With --state on the server, boots are remembered when it starts
    again.
    """
    with connect(control) as server:
        answer = server.ask("node", node=node)
    if as_json:
        print_json(answer)
        return 0
    for name, value in answer["node"].items():
        text = ", ".join(value) if isinstance(value, list) else "" if value is None else value
        click.echo(f"{name:10} {text}")
    click.echo()
    rows = [
        (f"-{step['age']:.3f} s", step["state"], "inferred" if step["inferred"] else "", step["reason"], step["packet"])
        for step in answer["history"]
    ]
    print_table(("TIME", "STATE", "", "REASON", "PACKET"), rows)
    if answer["past"]:
        click.echo()
        print_table(
            ("ATTEMPT", "BEGAN", "ENDED", "STATE", "REASON"),
            [
                (
                    str(each["attempt"]),
                    f"-{age(each['began'])}",
                    f"-{age(each['ended'])}",
                    each["state"],
                    each["reason"],
                )
                for each in answer["past"]
            ],
        )
    return 0


@command.command(
    epilog="""\b
Examples:
  mtftpd host forget 52:54:00:12:34:56
  mtftpd host forget 192.168.7.100 --json
"""
)
@click.argument("node")
@control_options
def forget(control: Path | None, as_json: bool, node: str) -> int:
    """Forget NODE, and what was learnt of it.

    NODE is a hardware address or an IPv4 address. Its lease stays, and what runs runs on; its next boot is told of
    multicast again.
    """
    with connect(control) as server:
        answer = server.ask("forget", node=node)
    if as_json:
        print_json(answer)
    return 0

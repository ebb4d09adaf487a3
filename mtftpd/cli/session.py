"""``mtftpd session``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mtftpd.cli.control import connect, control_options, print_json, print_table, progress, rate

_EXAMPLES = """\b
Examples:
  mtftpd session list
  mtftpd session stop 239.1.1.1:1799
"""


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """Show the multicast sessions of the running server, and stop, pause or start them."""


@command.command(
    "list",
    epilog="""\b
Examples:
  mtftpd session list
  mtftpd session list --json --control /run/mtftpd/control.sock
""",
)
@control_options
def list_sessions(control: Path | None, as_json: bool) -> int:
    """List the session of every group: one image each."""
    with connect(control) as server:
        sessions = server.ask("sessions")["sessions"]
    if as_json:
        print_json(sessions)
        return 0
    titles = ("GROUP", "IMAGE", "STATE", "PASS", "BLOCK", "MASTER", "WAITING", "LOSS", "RATE")
    print_table(titles, [row_of(each) for each in sessions])
    return 0


@command.command(
    epilog="""\b
Examples:
  mtftpd session show 239.1.1.1:1799
  mtftpd session show 239.1.1.1:1799 --json
"""
)
@click.argument("group")
@control_options
def show(control: Path | None, as_json: bool, group: str) -> int:
    """Show the session of GROUP, and the nodes that were told of it.

    GROUP is the address and port, as `list` shows them.
    """
    with connect(control) as server:
        answer = server.ask("sessions", group=group)
    if as_json:
        print_json(answer)
        return 0
    for name, value in answer["session"].items():
        click.echo(f"{name:14} {value}")
    click.echo()
    rows = [[each["hardware"] or "", each["address"], each["state"], progress(each)] for each in answer["nodes"]]
    print_table(("NODE", "ADDRESS", "STATE", "BLOCK"), rows)
    return 0


@command.command(
    epilog="""\b
Examples:
  mtftpd session stop 239.1.1.1:1799
  mtftpd session stop 239.1.1.1:1799 --control /run/mtftpd/control.sock
"""
)
@click.argument("group")
@control_options
def stop(control: Path | None, as_json: bool, group: str) -> int:
    """End the pass that runs on GROUP.

    The group is silent until its listeners have given up; they turn to unicast or open again, which begins another
    pass. No ERROR is sent.
    """
    return _tell("stop-session", control, as_json, group)


@command.command(
    epilog="""\b
Examples:
  mtftpd session pause 239.1.1.1:1799
  mtftpd session pause 239.1.1.1:1799 --control /run/mtftpd/control.sock
"""
)
@click.argument("group")
@control_options
def pause(control: Path | None, as_json: bool, group: str) -> int:
    """End the pass that runs on GROUP, and begin no other.

    New nodes are not told of the group and boot by unicast at once. Nodes that were told of it are met with silence:
    they turn to unicast after one time of listening and three of opening. The pass stops behind the block that was sent
    last; only the group of iPXE completes its pass, because iPXE boots what it has when a group falls silent.

    A pause ends with `start`, and with the server: it is not written down.
    """
    return _tell("pause-session", control, as_json, group)


@command.command(
    epilog="""\b
Examples:
  mtftpd session start 239.1.1.1:1799
  mtftpd session start 239.1.1.1:1799 --control /run/mtftpd/control.sock
"""
)
@click.argument("group")
@control_options
def start(control: Path | None, as_json: bool, group: str) -> int:
    """End the pause or the rest of GROUP, and begin a pass.

    A group rests after many of its nodes have failed. New nodes are told of it again. A pass begins at once, without a
    master and from the first block, where nodes were told of the group and it is known how fast their kind is;
    otherwise with the first client that opens it.
    """
    return _tell("start-session", control, as_json, group)


def _tell(what: str, control: Path | None, as_json: bool, group: str) -> int:
    with connect(control) as server:
        answer = server.ask(what, group=group)
    if as_json:
        print_json(answer)
    return 0


def row_of(session: dict[str, Any]) -> tuple[str, ...]:
    """Return one line of the table."""
    block = f"{session['block']}/{session['blocks']}" if session["block"] else f"-/{session['blocks']}"
    state = "paused" if session["paused"] and not session["block"] else session["state"]
    return (
        session["group"], session["image"], state, str(session["passes"]), block, session["master"] or "-",
        str(session["waiting"]), f"{session['loss']:.1%}" if session["loss"] else "", rate(session["rate"]),
    )  # fmt: skip

"""``mtftpd check``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from mtftpd.cli.options import NOTES, HeadedCommand, shared_options, sources

_EXAMPLES = """\b
Examples:
  mtftpd check --config /etc/mtftpd/mtftpd.toml
  mtftpd check --group 239.1.1.1 --root /srv/mtftpd --image nbp=nbp.bin --json
  mtftpd check --node 52:54:00:12:34:56
  mtftpd check --example > /etc/mtftpd/mtftpd.toml
"""


@click.command(cls=HeadedCommand, epilog=f"{NOTES}\n\n{_EXAMPLES}")
@shared_options
@click.option("--node", metavar="NODE", help="What this node would get: a hardware address, a UUID or a name.")
@click.option("--relay", metavar="ADDRESS", help="With --node: it is behind the relay agent that has this address.")
@click.option("--example", is_flag=True, help="Print a commented example of the file instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config: Path | None, as_json: bool, **given: Any) -> int:
    """Print the effective configuration, where each value comes from, and the group of each image.

    With --node, print what is in force for one node, and which section says so.  Nothing is sent and no port is
    opened.  Takes the options of serve; exits with 78 when serve would.
    """
    from mtftpd.daemon.check import check, check_node
    from mtftpd.daemon.example import EXAMPLE

    node, relay, wants_example = given.pop("node"), given.pop("relay"), given.pop("example")
    if relay is not None and node is None:
        raise click.UsageError("--relay says where a node is: add --node")
    said = sources(dict(os.environ), config, given)
    if wants_example:
        click.echo(EXAMPLE, nl=False)
    elif node is not None:
        click.echo(check_node(said, node, relay, as_json=as_json))
    else:
        click.echo(check(said, as_json=as_json))
    return 0

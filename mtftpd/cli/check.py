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
"""


@click.command(cls=HeadedCommand, epilog=f"{NOTES}\n\n{_EXAMPLES}")
@shared_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config: Path | None, as_json: bool, **given: Any) -> int:
    """Print the effective configuration, where each value comes from, and the group of each image.

    Nothing is sent and no port is opened.  Takes the options of serve; exits with 78 when serve would.
    """
    from mtftpd.daemon.check import check

    click.echo(check(sources(dict(os.environ), config, given), as_json=as_json))
    return 0

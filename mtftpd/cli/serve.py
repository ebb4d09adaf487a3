"""``mtftpd serve``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from mtftpd.cli.options import NOTES, HeadedCommand, shared_options, sources

_EXAMPLES = """\b
Examples:
  mtftpd serve --group 239.1.1.1 --root /srv/mtftpd --image nbp=nbp.bin
  mtftpd serve --mode dhcp --range 10.0.0.100-10.0.0.200 --interface eth1 --group 239.1.1.1 \\
               --image node=node.img --boot-file-for uefi-x64=grub.efi
"""

_SIGNALS = """\b
Signals: TERM and INT stop (running transfers may finish, a second signal ends them),
HUP reloads the configuration, USR1 logs the state."""


@click.command(cls=HeadedCommand, epilog=f"{_SIGNALS}\n\n{NOTES}\n\n{_EXAMPLES}")
@shared_options
def command(config: Path | None, **given: Any) -> int:
    """Serve DHCP, PXE, MTFTP and TFTP on one interface until told to stop.

    Needs the right to bind the ports 67, 69 and 4011 (root, or CAP_NET_BIND_SERVICE).  CAP_NET_RAW saves broadcasts,
    and with CAP_NET_ADMIN and --state clients are found that answer no ARP.
    """
    from mtftpd.daemon.serve import serve

    return serve(sources(dict(os.environ), config, given))

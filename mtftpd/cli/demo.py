"""``mtftpd demo``."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from types import FrameType

    from mtftpd.daemon.demo import Demo
    from mtftpd.daemon.demo_results import DemoResult

_EXAMPLES: Final = """\b
Examples:
  mtftpd demo
  mtftpd demo --nodes 100 --loss 1% --image /boot/vmlinuz
"""

_NOTES: Final = """\b
The server is the one of "mtftpd serve"; every node is a process that speaks DHCP, MTFTP and TFTP like a boot ROM.
As root everything happens in network namespaces made for it, with the real ports; otherwise on loopback with
other ports. Nothing leaves this machine. Loss is drawn by each node for what it receives and for what it sends.
Exit status: 0 every node booted the right image, 1 one did not, 69 the server did not start."""

_MAX_LOSS: Final = 50.0


class Percentage(click.ParamType[float]):
    """A percentage, with or without its sign; the value is a fraction."""

    name = "percentage"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the fraction that ``value`` stands for."""
        if isinstance(value, float):
            return value
        try:
            percent = float(str(value).removesuffix("%"))
        except ValueError:
            self.fail(f"{value!r} is no percentage; write 1% or 0.5%", param, ctx)
        if not 0 <= percent <= _MAX_LOSS:
            self.fail(f"{value} is not between 0% and {_MAX_LOSS:.0f}%", param, ctx)
        return percent / 100


@click.command(epilog=f"{_NOTES}\n\n{_EXAMPLES}")
@click.option("--nodes", type=click.IntRange(1, 1000), default=24, show_default=True, help="How many nodes to boot.")
@click.option(
    "--image",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What they boot. Default: 4 MiB of random octets.",
)
@click.option("--loss", metavar="N%", type=Percentage(), default=0.0, help="Packets lost, each way. Default: none.")
@click.option("--rom", type=click.Choice(["spec", "edk1"]), default="spec", show_default=True, help="Kind of ROM.")
@click.option("--seed", type=int, default=1, show_default=True, help="For the loss.")
@click.option(
    "--limit",
    metavar="SECONDS",
    type=click.FloatRange(0.1),
    default=300.0,
    show_default=True,
    help="Nodes that take longer have failed.",
)
@click.option("--loopback", is_flag=True, help="Use loopback even as root.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON and nothing else.")
def command(rom: str, as_json: bool, **given: Any) -> int:
    """Boot simulated nodes from the real server, on this machine."""
    from mtftpd.daemon.demo import Demo, DemoSettings
    from mtftpd.rom.profiles import PROFILES

    settings = DemoSettings(profile=PROFILES[rom], **given)
    former = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with Demo(settings) as demo:
            result = _show(demo, quiet=as_json)
    except KeyboardInterrupt:
        click.echo("mtftpd: interrupted; everything is cleaned up", err=True)
        return 130
    finally:
        signal.signal(signal.SIGTERM, former)
    if as_json:
        click.echo(json.dumps({"ok": result.ok, **asdict(result)}, indent=2))
    return 0 if result.ok else 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End by way of every clean-up, as an interrupt does."""
    raise KeyboardInterrupt


def _show(demo: Demo, *, quiet: bool) -> DemoResult:
    """Run the demo in front of somebody: a table on a terminal, lines in a file, nothing beside JSON."""
    if quiet:
        for _ in demo.run():
            pass
        return demo.result()
    from mtftpd.cli import demo_view

    if sys.stdout.isatty():
        return demo_view.show_table(demo)
    return demo_view.show_lines(demo)

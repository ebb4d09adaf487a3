"""The commands.  Each lives in a module of its own, which is imported when the command is called and not before."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from mtftpd import __version__
from mtftpd.errors import StartupError

COMMANDS = {
    "serve": "Serve DHCP, PXE, MTFTP and TFTP until told to stop.",
    "check": "Print the effective configuration; nothing is sent.",
    "status": "Show what the running server and its nodes are doing.",
    "trace": "Show every packet and decision of one node.",
    "session": "Show, stop, pause and start the multicast sessions.",
    "lease": "Show or release the leases of the running server.",
    "host": "Show the nodes that the running server knows, or forget one.",
    "demo": "Boot simulated nodes from the real server, here.",
    "simulate": "Boot thousands of simulated nodes in virtual time.",
    "rom": "What is known of boot ROMs; which ones are in a capture.",
    "conformance": "Test any boot server, or the ROM of a machine.",
    "decode": "Show packets: a capture file, or hex, one line each.",
}
"""Name and summary; the command is ``command`` in the module ``mtftpd.cli.NAME``."""

EXAMPLES = """\b
Examples:
  mtftpd check --group 239.1.1.1 --root /srv/mtftpd --image nbp=nbp.bin
  mtftpd serve --group 239.1.1.1 --root /srv/mtftpd --image nbp=nbp.bin
"""

EXIT_CODES = """Exit status: 0 all right, 1 failed, 2 wrong usage, 69 port, interface or server not available,
77 capability missing, 78 configuration invalid."""


class LazyGroup(click.Group):
    """Knows the names and summaries of all commands without importing any of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are useful."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"mtftpd.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command for one that does not exist."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no such command {args[0]!r}; there are: {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.command(
    cls=LazyGroup,
    epilog=f"{EXIT_CODES}\n\n{EXAMPLES}",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="mtftpd")
def group() -> None:
    """One boot server for diskless clusters: DHCP, PXE, multicast TFTP and TFTP in one process."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave the process with its exit status."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; errors that people can act on are lines, not tracebacks."""
    try:
        result: Any = group.main(arguments, prog_name="mtftpd", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except StartupError as error:
        for line in str(error).splitlines():
            click.echo(f"mtftpd: {line}", err=True)
        return error.exit_code
    return result if isinstance(result, int) else 0

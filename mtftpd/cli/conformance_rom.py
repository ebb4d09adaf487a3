"""``mtftpd conformance rom``: examine the ROM of one machine, boot by boot."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

import click

from mtftpd.errors import BadConfig, Unavailable

_NOTES: Final = """\b
Switch the machine on with network boot before the disk. The clinic is its only DHCP and boot server: stop any other on
the segment. Each boot tries one thing, see --list; a full examination takes about 45 boots. The file that is served
resets BIOS and x64 EFI machines, so that they boot again by themselves; others have to be switched off and on, and so
has a BIOS without room for the 512 KiB of the probe rollover. A boot that ends without a file is tried once more.
With --state an examination that was stopped (Ctrl-C, SIGTERM) goes on where it was. The last addresses of the
interface's network are given to the machine, up to four interfaces of it; say --address when they are in use. Without
CAP_NET_RAW the probes that need frames are left out, and the report says so.
Exit status: 0 everything was tried, 1 stopped before, 2 wrong usage, 69 port or interface not available, 77 capability
missing, 78 a value that is wrong."""

_EXAMPLES: Final = """\b
Examples:
  mtftpd conformance rom --interface eth1 --state blade7.json --report blade7.html
  mtftpd conformance rom --interface eth1 --hardware 52:54:00:12:34:56 --probe careful --probe group-only
"""


@click.command(epilog=f"{_NOTES}\n\n{_EXAMPLES}")
@click.option("--interface", metavar="IF", help="Interface that the machine is on.")
@click.option("--hardware", metavar="MAC", help="The machine. Default: the first one that asks to boot.")
@click.option("--address", metavar="ADDRESS", help="First of five addresses to give out.")
@click.option(
    "--state", type=click.Path(path_type=Path), metavar="FILE", help="Keep what was found, and go on from it."
)
@click.option("--image", type=click.Path(path_type=Path), metavar="FILE", help="Serve this file in place of ours.")
@click.option("--probe", "only", multiple=True, metavar="ID", help="Only this probe. Repeatable.")
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Write a page with the packets.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--list", "listed", is_flag=True, help="Print the probes, and serve nobody.")
def rom(**given: Any) -> int:
    """Find out what the ROM of a machine can bear, and how to serve it."""
    from mtftpd.conformance.clinic.probes import BY_ID, PROBES

    unknown = [name for name in given["only"] if name not in BY_ID]
    if unknown:
        raise BadConfig(f"--probe {unknown[0]}: no such probe; mtftpd conformance rom --list shows them")
    probes = tuple(probe for probe in PROBES if not given["only"] or probe.id in given["only"])
    if given["listed"]:
        for probe in probes:
            click.echo(f"{probe.id:18} {probe.about}")
        return 0
    if given["interface"] is None:
        raise click.UsageError("say where the machine is: --interface IF")
    return _examine(given, probes)


def _examine(given: dict[str, Any], probes: tuple[Any, ...]) -> int:
    import trio

    from mtftpd.conformance.clinic import report
    from mtftpd.conformance.clinic.probes import to_do
    from mtftpd.conformance.clinic.shell import Surgery, examine, load

    surgery = Surgery(
        given["interface"], probes, _hardware(given["hardware"]), _address(given["address"]), given["state"],
        _image(given["image"]), lambda text: click.echo(text, err=True), load(given["state"]),
    )  # fmt: skip
    trio.run(examine, surgery)
    chart = surgery.chart
    if given["report"] is not None:
        _write(given["report"], report.page(chart))
    click.echo(json.dumps(report.plain(chart), indent=2) if given["as_json"] else report.summary(chart))
    return 1 if to_do(chart, probes) else 0


def _hardware(text: str | None) -> bytes:
    try:
        octets = bytes.fromhex((text or "").replace(":", "").replace("-", ""))
    except ValueError:
        octets = b"?"
    if len(octets) not in (0, 6):
        raise BadConfig(f"--hardware {text}: not a hardware address such as 52:54:00:12:34:56")
    return octets


def _address(text: str | None) -> IPv4Address | None:
    try:
        return None if text is None else IPv4Address(text)
    except ValueError:
        raise BadConfig(f"--address {text}: not an IPv4 address such as 192.168.7.200") from None


_MAX_IMAGE: Final = 512 * 1024
"""Octets of an image: BIOS has no room for more, and each boot takes it block by block."""


def _image(path: Path | None) -> bytes:
    if path is None:
        return b""
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise Unavailable(f"--image {path}: {error.strerror}") from error
    if not 3_000 < len(octets) <= _MAX_IMAGE:
        raise BadConfig(f"--image {path}: has {len(octets)} octets; give a file of 3,001 to {_MAX_IMAGE}")
    return octets


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise Unavailable(f"--report {path}: {error.strerror}") from error

"""``mtftpd rom``: what is known of clients, and what a capture says of those in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Final

import click

from mtftpd.errors import Malformed
from mtftpd.quirks.evidence import Evidence, evidence_of
from mtftpd.quirks.matching import identify
from mtftpd.quirks.profiles import PROFILES, Profile
from mtftpd.quirks.records import Quirk, by_number
from mtftpd.wire.bootp import BOOTREQUEST, DhcpMessage
from mtftpd.wire.captures import CaptureReader
from mtftpd.wire.dissect import dissect_frame
from mtftpd.wire.pcapng import Captured

_CHUNK: Final = 1 << 16

_MAX_PROGRAMS: Final = 4_096
"""Programs of a capture that are told apart: 4,096 * about 500 bytes are 2 MB."""

_EXAMPLES = """\b
Examples:
  mtftpd rom show edk2-now
  mtftpd rom match boot.pcapng
"""


@click.group("rom", epilog=_EXAMPLES)
def rom() -> None:
    """Tell what is known of the faults of boot ROMs, and what the server does about them."""


@rom.command("list", epilog="\b\nExamples:\n  mtftpd rom list\n  mtftpd rom list --quirks\n")
@click.option("--quirks", is_flag=True, help="List the quirks instead of the clients.")
def list_(quirks: bool) -> None:
    """List the clients that are known, or all quirks, one line each."""
    if quirks:
        for number, quirk in by_number().items():
            click.echo(f"{number:5} {quirk.layer.value:6} {quirk.id:28} {quirk.symptom}")
        return
    for profile in PROFILES.values():
        click.echo(f"{profile.id:14} {profile.about}")


@rom.command(epilog="\b\nExamples:\n  mtftpd rom show intel-bios\n  mtftpd rom show Q81\n")
@click.argument("name", metavar="ID")
def show(name: str) -> None:
    """Show one client or one quirk.

    ID is that of a client, or the number or the id of a quirk.
    """
    if name in PROFILES:
        _show_profile(PROFILES[name])
        return
    for number, quirk in by_number().items():
        if name in (number, quirk.id):
            _show_quirk(quirk)
            return
    raise click.UsageError(f"no client and no quirk is called {name!r}; see mtftpd rom list [--quirks]")


@rom.command(epilog="\b\nExamples:\n  mtftpd rom match boot.pcapng\n  tcpdump -w - port 67 | mtftpd rom match -\n")
@click.argument("file", type=click.File("rb"))
def match(file: IO[bytes]) -> None:
    """Tell which clients are in a capture.

    They are recognised by their DHCP requests; the capture is a pcapng or pcap file.

    One paragraph for each program on each hardware address: a ROM, a loader and a system are three.  The fingerprint
    is what to send in when a client needs a work-around that it does not get.
    """
    found = 0
    try:
        for evidence in _programs(file):
            found += 1
            _show_match(evidence)
    except Malformed as problem:
        raise click.ClickException(f"{file.name}: {problem}") from problem
    if not found:
        raise click.ClickException(f"{file.name}: there is no DHCP request in it")


def _programs(file: IO[bytes]) -> Iterator[Evidence]:
    """Yield the evidence of every program once, in the order of their first request."""
    seen: set[object] = set()
    reader = CaptureReader()
    while chunk := file.read(_CHUNK):
        for record in reader.feed(chunk):
            if not isinstance(record, Captured):
                continue
            for layer in dissect_frame(record.data, record.interface.link_type):
                message = layer.value
                if not isinstance(message, DhcpMessage) or message.op != BOOTREQUEST:
                    continue
                evidence = evidence_of(message)
                key = (evidence.hardware, evidence.fingerprint)
                if key not in seen and len(seen) < _MAX_PROGRAMS:
                    seen.add(key)
                    yield evidence
    reader.finish()


def _show_match(evidence: Evidence) -> None:
    profile, step, why = identify(evidence)
    click.echo(f"{evidence.hardware}  {profile.id}: {profile.about}")
    click.echo(f"  by           {step.value}: {why}")
    click.echo(f"  fingerprint  {evidence.fingerprint}")
    _show_faults(profile)


def _show_profile(profile: Profile) -> None:
    click.echo(f"{profile.id}: {profile.about}")
    click.echo(f"  multicast    {'may be told of a group' if profile.multicast else 'is never told of a group'}")
    click.echo(f"  recognised   {_recognised_by(profile)}")
    _show_faults(profile)


def _recognised_by(profile: Profile) -> str:
    words = [f"user class or option 60 {name.decode('ascii')}" for name in profile.user_classes]
    words += [f"option 55 {listed.hex(' ')}" for listed in profile.parameters]
    words += [f"hardware address {oui.hex(':')}" for oui in profile.ouis]
    words += [f"architecture {', '.join(map(str, profile.architectures))}"] if profile.architectures else []
    if profile.id == "os-dhclient":
        words.append("neither option 60 nor 93 of a boot client")
    return "; ".join(words) or "by nothing on the wire"


def _show_faults(profile: Profile) -> None:
    quirks = by_number()
    for number in profile.quirks:
        actions = ", ".join(action.value for action in quirks[number].actions)
        click.echo(f"  {number:4} {quirks[number].id}: {actions}")


def _show_quirk(quirk: Quirk) -> None:
    click.echo(f"{quirk.number} {quirk.id} ({quirk.layer.value})")
    click.echo(f"  seen         {quirk.symptom}")
    click.echo(f"  clients      {', '.join(quirk.match) or 'any'}")
    click.echo(f"  the server   {', '.join(action.value for action in quirk.actions)}")
    click.echo(f"  simulated    {', '.join(fault.value for fault in quirk.mutations) or 'by any ROM'}")
    click.echo(f"  evidence     {quirk.evidence}")
    click.echo(f"  confidence   {quirk.confidence.value}")


command = rom
"""The name under which the group looks for it."""

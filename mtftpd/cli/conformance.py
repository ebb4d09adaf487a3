"""``mtftpd conformance``: judge a server by what the documents ask of it."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mtftpd.cli.conformance_rom import rom
from mtftpd.errors import BadConfig

if TYPE_CHECKING:
    from mtftpd.conformance.findings import Session
    from mtftpd.conformance.results import Report

_NOTES: Final = """\b
Every case is a client, well or ill behaved, that judges one requirement or a few; see --list. A case passes, fails,
is inconclusive (it could not be brought to the point) or not applicable (the target has no such service).
What the target serves is found out first, by DHCP; tell what DHCP does not tell with --image and --mtftp. Requests
for DHCP and PXE come from made-up hardware addresses (02:...), which give back what they get: 40 free addresses are
enough, of which three are declined and one is asked for by BOOTP. They need a packet socket (root, or CAP_NET_RAW),
and a target on the same link but not on this machine.
The exit status judges MUST and MUST NOT alone. An interrupted run (Ctrl-C, SIGTERM) writes its reports too.
Exit status: 0 no MUST failed, 1 a MUST failed, 2 wrong usage, 69 the target answers nothing that was asked for, or
the interface is not available, 77 capability missing, 78 a name that does not exist, 130 interrupted."""

_EXAMPLES: Final = """\b
Examples:
  mtftpd conformance server --target 192.168.7.1 --html report.html --pcap packets/
  mtftpd conformance server --target 10.0.0.2 --suite tftp --image pxelinux.0 --junit result.xml
"""

_SUITES: Final = "dhcp,pxe,mtftp,tftp"


@click.group("conformance", epilog=_EXAMPLES)
def conformance() -> None:
    """Test any boot server against numbered requirements, or find out what the ROM of a machine can bear."""


@conformance.command(epilog=f"{_NOTES}\n\n{_EXAMPLES}")
@click.option("--target", metavar="ADDRESS", help="The server under test, by its IPv4 address.")
@click.option(
    "--interface", metavar="IF", help="Interface to be a client on. Default: the one on the target's network."
)
@click.option("--suite", default=_SUITES, show_default=True, metavar="LIST", help="Which protocols to test.")
@click.option("--image", multiple=True, metavar="NAME", help="File that the target serves, up to 4 MiB. Repeatable.")
@click.option(
    "--mtftp", multiple=True, metavar="NAME=GROUP:CPORT:SPORT", help="Multicast session of the target. Repeatable."
)
@click.option(
    "--select", multiple=True, metavar="ID", help="Only this case, or the cases of this requirement. Repeatable."
)
@click.option("--patience", default=5.0, show_default=True, metavar="SECONDS", help="How long to wait for an answer.")
@click.option(
    "--tftp-port", default=69, show_default=True, metavar="PORT", help="Where the target takes TFTP requests."
)
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML.")
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a page with the evidence of each failure."
)
@click.option(
    "--pcap", type=click.Path(path_type=Path), metavar="DIR", help="Write the packets of each case as pcapng."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--list", "listed", is_flag=True, help="Print the cases with their requirements, and test nothing.")
def server(**given: Any) -> int:
    """Test a server from outside, over real sockets."""
    from mtftpd.conformance.registry import selected

    suites = tuple(filter(None, given["suite"].split(",")))
    cases = selected(suites, given["select"])
    if given["listed"]:
        for case in cases:
            click.echo(f"{case.suite:6} {case.name:44} {' '.join(case.ids)}  {case.title}")
        return 0
    if given["target"] is None:
        raise click.UsageError("name the server under test: --target ADDRESS")
    return _run(given, cases)


def _run(given: dict[str, Any], cases: tuple[Any, ...]) -> int:
    from mtftpd.cli.conformance_view import View, summary
    from mtftpd.conformance.discovery import Told
    from mtftpd.conformance.lab import Target
    from mtftpd.conformance.server_suite import Outputs, Plan, run_server_suite

    target = Target(_address(given["target"]), patience=given["patience"], tftp_port=given["tftp_port"])
    told = Told(given["image"], tuple(_session(each) for each in given["mtftp"]))
    outputs = Outputs(given["junit"], given["html"], given["pcap"])
    with View(len(cases), str(target)) as view:
        report = run_server_suite(Plan(target, cases, told, given["interface"]), outputs, view)
    if given["as_json"]:
        from mtftpd.conformance.results import plain

        click.echo(json.dumps(plain(report), indent=2))
    else:
        click.echo(summary(report))
    return _status(report)


def _status(report: Report) -> int:
    from mtftpd.conformance.verdicts import Verdict

    if report.interrupted:
        return 130
    if not report.conforms:
        return 1
    counts = report.counts
    if not counts[Verdict.PASS] and not counts[Verdict.FAIL] and not counts[Verdict.INCONCLUSIVE]:
        click.echo(f"mtftpd: {report.target} answers nothing that these suites ask for", err=True)
        return 69
    return 0


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise BadConfig(f"--target {text}: not an IPv4 address such as 192.168.7.1") from None


def _session(text: str) -> Session:
    from mtftpd.conformance.findings import Session

    name, _, rest = text.partition("=")
    try:
        group, client_port, server_port = rest.split(":")
        session = Session(name, str(IPv4Address(group)), int(client_port), int(server_port))
    except ValueError:
        raise BadConfig(f"--mtftp {text}: write NAME=GROUP:CPORT:SPORT, as in img=239.1.1.1:1758:1759") from None
    if not name or not IPv4Address(group).is_multicast:
        raise BadConfig(f"--mtftp {text}: NAME is empty, or {group} is no multicast group")
    return session


conformance.add_command(rom)

command = conformance
"""The name under which the group looks for it."""

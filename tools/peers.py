"""Judge the servers that everybody uses: ``python -m tools.peers`` runs the conformance suite against each.

``--write`` puts the table into ``specs/peers.md``.  Needs root and the packages of ``tools/debian-packages``; every
server runs in a network segment of its own, all at the same time: most of a run is waiting.
"""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from mtftpd.conformance.registry import all_cases
from mtftpd.conformance.requirements import specification
from tools.bench.peers import HPA
from tools.lab.segment import SERVER_ADDRESS, Segment, run, stop

TABLE: Final = Path(__file__).parents[1] / "specs" / "peers.md"
HEAD: Final = """\
# What other boot servers do

Made by `python -m tools.peers --write`, which runs `mtftpd conformance server` against each, with the configuration in
`tools/peers.py`; do not edit. `tests/interop/test_peers.py` runs them in CI and asserts what is known of them.
`-` is a requirement that does not apply to the server, or was not tried; `?` is one that could not be judged.
A requirement fails when one of its cases does; where documents disagree the rulings of [README.md](README.md) count.
"""
CELLS: Final = {"pass": "pass", "fail": "**fail**", "not-applicable": "-", "": "-", "inconclusive": "?", "not-run": "?"}
WORST_FIRST: Final = ("fail", "inconclusive", "not-run", "pass", "not-applicable")
Report = dict[str, Any]
SECONDS: Final = 240.0
"""For one part of the cases: about 70 on an idle machine."""
FILES: Final = {"boot.img": 20_000, "second.img": 2_048, "empty.img": 0}
TOO_LARGE: Final = 65_535 * 512
"""Octets: its 65,536th block, which is empty, has no number."""
GROUPS: Final = {"boot.img": "239.1.1.1", "second.img": "239.1.1.2", "large.img": "239.1.1.3"}
CLIENT_PORT: Final = 1799
SERVER_PORT: Final = 1542

DHCPD: Final = f"""\
option space PXE;
option PXE.discovery-control code 6 = unsigned integer 8;
subnet 10.77.0.0 netmask 255.255.0.0 {{
  range 10.77.100.1 10.77.250.250;
  option routers {SERVER_ADDRESS};
  class "boot clients" {{
    match if substring(option vendor-class-identifier, 0, 9) = "PXEClient";
    option vendor-class-identifier "PXEClient";
    vendor-option-space PXE;
    option PXE.discovery-control 10;
    filename "boot.img";
    next-server {SERVER_ADDRESS};
  }}
}}
"""


@dataclass(frozen=True)
class Peer:
    """A server: the Debian ``package``, its ``command`` for a folder with the files in ``root``, and its UDP port.

    ``parts`` are runs of ``mtftpd conformance server``, each by its arguments.
    """

    package: str
    command: Callable[[Path], Sequence[str | Path]]
    port: int
    parts: tuple[tuple[str, ...], ...]


def _atftpd(folder: Path) -> Sequence[str | Path]:
    groups = folder / "groups"
    groups.write_text("".join(f"{name} {group} {CLIENT_PORT}\n" for name, group in GROUPS.items()))
    return ["atftpd", "--daemon", "--no-fork", "--bind-address", SERVER_ADDRESS, "--user", "root", "--group", "root",
            "--logfile", "/dev/null", "--mtftp", groups, "--mtftp-port", str(SERVER_PORT), folder / "root"]  # fmt: skip


def _tftpd_hpa(folder: Path) -> Sequence[str | Path]:
    return [HPA, "--foreground", "--listen", "--address", f"{SERVER_ADDRESS}:69", "--user", "root", "--secure",
            folder / "root"]  # fmt: skip


def _dnsmasq(folder: Path) -> Sequence[str | Path]:
    return ["dnsmasq", "--no-daemon", "--port=0", "--conf-file=/dev/null", "--user=root", "--interface=eth0",
            "--bind-interfaces", "--dhcp-range=10.77.100.1,10.77.250.250,255.255.0.0", "--dhcp-authoritative",
            "--leasefile-ro", "--no-ping", "--pxe-service=x86PC,Node,boot.img", "--enable-tftp",
            f"--tftp-root={folder / 'root'}", "--dhcp-boot=boot.img"]  # fmt: skip


def _dhcpd(folder: Path) -> Sequence[str | Path]:
    configuration, leases = folder / "dhcpd.conf", folder / "leases"
    configuration.write_text("authoritative;\nping-check false;\n" + DHCPD)
    leases.touch()
    return ["dhcpd", "-4", "-f", "-q", "-cf", configuration, "-lf", leases, "-pf", folder / "pid", "eth0"]


_IMAGES: Final = tuple(word for name in FILES for word in ("--image", name))
_SESSIONS: Final = tuple(
    word for name, group in GROUPS.items() for word in ("--mtftp", f"{name}={group}:{CLIENT_PORT}:{SERVER_PORT}")
)


def _multicast_parts(count: int) -> Iterator[tuple[str, ...]]:
    """Yield the cases of MTFTP in ``count`` parts: they take turns, and each waits long for a server that is stuck."""
    names = [case.name for case in all_cases() if case.suite == "mtftp"]
    for number in range(count):
        chosen = (word for name in names[number::count] for word in ("--select", name))
        yield ("--suite", "mtftp", *_SESSIONS, *chosen)


PEERS: Final[Mapping[str, Peer]] = {
    "dnsmasq": Peer("dnsmasq-base", _dnsmasq, 67, (("--suite", "dhcp,pxe,tftp", *_IMAGES),)),
    "tftpd-hpa": Peer("tftpd-hpa", _tftpd_hpa, 69, (("--suite", "tftp", *_IMAGES),)),
    "atftpd": Peer("atftpd", _atftpd, SERVER_PORT, (("--suite", "tftp", *_IMAGES), *_multicast_parts(3))),
    "ISC dhcpd": Peer("isc-dhcp-server", _dhcpd, 67, (("--suite", "dhcp,pxe"),)),
}


def judged(name: str, patience: float = 5.0) -> Report:
    """Run the suites against the peer ``name``: each part against a server of its own, all at the same time."""
    parts = PEERS[name].parts
    with ThreadPoolExecutor(len(parts)) as pool:
        reports = list(pool.map(lambda number: _part(name, number, patience), range(len(parts))))
    requirements: dict[str, str] = {}
    for id_, verdict in (item for report in reports for item in report["requirements"].items()):
        requirements[id_] = min(requirements.get(id_, verdict), verdict, key=list(WORST_FIRST).index)
    cases = [case for report in reports for case in report["cases"]]
    return {"requirements": requirements, "cases": sorted(cases, key=lambda case: str(case["case"]))}


def all_judged(patience: float = 5.0) -> dict[str, Report]:
    """Return what was found of all peers, which run at the same time."""
    with ThreadPoolExecutor(len(PEERS)) as pool:
        return dict(zip(PEERS, pool.map(lambda name: judged(name, patience), PEERS), strict=True))


def _part(name: str, number: int, patience: float) -> Report:
    """Start the peer ``name`` and return the report of ``mtftpd conformance server`` on a part of the cases."""
    peer = PEERS[name]
    short = f"{name.split()[-1][:4]}{number}"
    with tempfile.TemporaryDirectory() as temporary, Segment(f"peer-{short}-", clients=1) as segment:
        folder = Path(temporary)
        (folder / "root").mkdir()
        for file, size in FILES.items():
            (folder / "root" / file).write_bytes(random.Random(file).randbytes(size))
        with (folder / "root" / "large.img").open("wb") as large:
            large.truncate(TOO_LARGE)
        with (folder / "log").open("wb") as log:
            server = segment.start(segment.server, *peer.command(folder), stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log)  # fmt: skip
        _wait_for_port(segment, server, peer.port, folder / "log")
        done = subprocess.run(
            ["ip", "netns", "exec", segment.client(1), sys.executable, "-m", "mtftpd", "conformance", "server",
             "--target", SERVER_ADDRESS, "--json", "--patience", str(patience), *peer.parts[number]],
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        stop(server)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{name}: exit {done.returncode}: {done.stderr}")
    report: Report = json.loads(done.stdout)
    return report


def _wait_for_port(segment: Segment, server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while f":{port} " not in segment.run(segment.server, "ss", "-lunH"):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{server.args!r} did not bind UDP port {port}: {log.read_text()}")
        time.sleep(0.05)


def version(name: str) -> str:
    """Return the version of a peer's Debian package."""
    package = PEERS[name].package
    unpacked = HPA.parents[3] / package / "usr" / "share" / "doc" / package / "changelog.Debian.gz"
    if unpacked.exists():
        return gzip.decompress(unpacked.read_bytes()).decode().partition("(")[2].partition(")")[0]
    return run("dpkg-query", "-W", "-f", "${Version}", package).strip()


def page(reports: Mapping[str, Report], versions: Mapping[str, str]) -> str:
    """Return the text of ``specs/peers.md``."""
    judged_ids = {id_ for report in reports.values() for id_ in report["requirements"]}
    rows = [row for row in specification().requirements.values() if row.id in judged_ids]
    lines = [HEAD, _row("id", "level", *(f"{name} {versions[name]}" for name in reports)),
             _row(*["---"] * (2 + len(reports)))]  # fmt: skip
    for row in rows:
        found = (report["requirements"].get(row.id, "") for report in reports.values())
        lines.append(_row(row.id, row.level.value, *(CELLS[verdict] for verdict in found)))
    counts = ({verdict: list(report["requirements"].values()).count(verdict) for verdict in CELLS}
              for report in reports.values())  # fmt: skip
    lines.append(_row("passed of judged", "", *(f"{each['pass']} of {each['pass'] + each['fail']}" for each in counts)))
    for name, report in reports.items():
        lines += ["", f"## What {name} does not do", ""]
        failed = [case for case in report["cases"] if case["verdict"] == "fail"]
        lines += [f"* {', '.join(case['requirements'])}: {_title(case['case'])}" for case in failed]
    return "\n".join(lines) + "\n"


def _title(case: str) -> str:
    return next(each.title for each in all_cases() if each.name == case)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


@click.command()
@click.option("--write", is_flag=True, help="Write the table into specs/peers.md.")
@click.option("--only", type=click.Choice(sorted(PEERS)), help="Judge this peer alone, and say why what failed.")
@click.option("--patience", default=5.0, show_default=True, help="Seconds that a case waits for an answer.")
def main(write: bool, only: str | None, patience: float) -> None:
    """Judge the boot servers that Debian ships (root; about two minutes)."""
    if only is not None:
        for case in judged(only, patience)["cases"]:
            if case["verdict"] in ("fail", "inconclusive"):
                click.echo(f"{case['verdict']} {case['case']} ({' '.join(case['requirements'])}): {case['reason']}")
        return
    versions = {name: version(name) for name in PEERS}
    text = page(all_judged(patience), versions)
    if write:
        TABLE.write_text(text)
    else:
        click.echo(text, nl=False)


if __name__ == "__main__":
    main()

"""Mass boots, DHCP and all, of our server and its peers: ``python -m tools.bench.boots [--only NAME] [--out DIR]``.

The clients are those of `tools.bench.crowd`, all behind one port of a switch, whose rate and queue are given.  Times
are in seconds from power-on, which all nodes have at once:

* "answer": the longest that a node waited between its first DHCP message on the wire and the first answer there;
* "dhcp": until the last node knew its boot file, with the ROMs' own waits of 4, 8 and 16 s for what got lost;
* "median" and "seconds": until half of those that booted had, and all of them; a node listens for 2 s before it asks
  for a group, so this much of it belongs to the ROM;
* "transfer": from the first block on the wire until the last node has booted;
* "time / wire" and "transfer / wire": "seconds" and "transfer" in units of what the wire takes for all that the switch
  sent to that port;
* "behind": how late the crowd was at most with reading what the wire had brought.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from mtftpd.sim.memory import Content
from tools.bench import peers, wire
from tools.bench.crowd import IMAGE_SEED
from tools.lab.segment import SERVER_ADDRESS, Segment

RANGE = ("10.77.16.1", "10.77.79.254")
PORT = "p1"
SHARE = 0.95
"""Of the link, for our server: the rest is for ARP, DHCP and what the clock of the switch has against ours."""
PATIENCE = 240.0
"""Seconds beyond its limit for a crowd that is behind."""
SERVERS = ("mtftpd", "mtftpd, pace said", "mtftpd, unicast", "dnsmasq", "Kea + tftpd-hpa", "Kea + atftpd")


@dataclass(frozen=True)
class Case:
    """``rate`` in bit/s, ``queue`` and ``size`` in octets, ``loss`` as a fraction for each node and direction."""

    name: str
    nodes: int
    size: int
    rate: float
    queue: int
    rom: str
    loss: float = 0.0
    limit: float = 120.0
    more: tuple[str, ...] = ()


MIB = 1 << 20
ONCE = ("--one-request", "20")
CASES = (
    *(Case(f"becker-{nodes}", nodes, MIB, 100e6, 128 << 10, "becker-worst", more=ONCE) for nodes in (100, 200)),
    *(Case(f"mass-{name}-{loss:g}", 2_000, 16 * MIB, rate, queue, "spec", loss / 100, 300.0)
      for name, rate, queue in (("1g", 1e9, 1_500_000), ("100m", 100e6, 1_500_000)) for loss in (0, 1)),
)  # fmt: skip


def mtftpd(case: Case, folder: Path, server: str) -> list[str]:
    """Return the command of our server; the link is told, since a virtual card says 10 Gbit/s.

    It begins without any state, so that it has to find out how fast the ROMs are, unless it is told that they keep up
    with the link ("pace said").
    """
    link = "switch-1g" if case.rate >= 1e9 else "switch-100"
    rate = f"{case.rate * SHARE / 1e6:g}M"
    pace = f'pace = "{rate}"' if server == "mtftpd, pace said" else ""
    path = folder / "mtftpd.toml"
    path.write_text(f'[[image]]\nname = "image"\npath = "image"\n{pace}\n')
    return [
        sys.executable, "-m", "mtftpd", "serve", "--config", str(path), "--interface", "eth0", "--mode", "dhcp",
        "--range", "-".join(RANGE), "--root", str(folder / "root"), "--boot-file", "image", "--link", link,
        "--rate", rate, "--state", str(folder / "state"), "--control", str(folder / "control"),
        *(() if server == "mtftpd, unicast" else ("--group", peers.GROUP)),
    ]  # fmt: skip


def kea(folder: Path) -> list[str]:
    """Return the command of Kea with its leases in a file."""
    configuration = {
        "Dhcp4": {
            "interfaces-config": {"interfaces": ["eth0"]},
            "lease-database": {"type": "memfile", "name": str(folder / "leases.csv")},
            "next-server": SERVER_ADDRESS, "boot-file-name": "image",
            "option-data": [
                {"code": 60, "name": "vendor-class-identifier", "data": "PXEClient", "always-send": True},
                {"code": 43, "csv-format": False, "data": "06010AFF", "always-send": True},
            ],
            "subnet4": [{"subnet": "10.77.0.0/16", "pools": [{"pool": " - ".join(RANGE)}]}],
        }
    }  # fmt: skip
    path = folder / "kea.json"
    path.write_text(json.dumps(configuration))
    return ["env", f"KEA_PIDFILE_DIR={folder}", f"KEA_LOCKFILE_DIR={folder}", "kea-dhcp4", "-c", str(path)]


def dnsmasq(folder: Path) -> list[str]:
    """Return the command of dnsmasq as its users run it for many nodes: no ping, and its limits raised."""
    return [
        *peers.unicast_command("dnsmasq", folder / "root"), f"--dhcp-range={RANGE[0]},{RANGE[1]},255.255.0.0",
        "--no-ping", "--dhcp-lease-max=70000", f"--dhcp-leasefile={folder}/leases", "--dhcp-authoritative",
        f"--dhcp-boot=image,,{SERVER_ADDRESS}", "--dhcp-option-force=60,PXEClient",
        "--dhcp-option-force=43,06:01:0a:ff", "--log-facility=/dev/null", "--conf-file=/dev/null",
    ]  # fmt: skip


@contextlib.contextmanager
def serving(segment: Segment, server: str, case: Case, folder: Path) -> Iterator[None]:
    """Run one of `SERVERS`."""
    with contextlib.ExitStack() as stack:

        def start(command: list[str], port: int) -> None:
            stack.enter_context(peers.running(segment, command, port))

        match server:
            case "dnsmasq":
                start(dnsmasq(folder), 69)
            case _ if server.startswith("mtftpd"):
                start(mtftpd(case, folder, server), 69)
            case _:
                start(kea(folder), 67)
                start(peers.unicast_command(server.removeprefix("Kea + "), folder / "root"), 69)
        yield


def boot(segment: Segment, server: str, case: Case) -> dict[str, Any]:
    """Let the nodes of ``case`` boot from ``server`` and return what was seen."""
    wire.shape(segment, PORT, case.rate, case.queue)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "root").mkdir()
        folder.chmod(0o755)
        (folder / "root" / "image").write_bytes(Content(case.size, IMAGE_SEED).octets)
        ours = server.startswith("mtftpd")
        with serving(segment, server, case, folder):
            packets, octets = wire.sent(segment, PORT)
            seen = crowd(segment, case, ours=ours)
            after = wire.sent(segment, PORT)
    on_wire = after[1] - octets
    ideal = on_wire * 8 / case.rate
    transfer = seen["seconds"] - seen["first_data_seconds"] if seen["seconds"] else None
    return {
        "case": case.name, "server": server, **seen, "packets": after[0] - packets, "wire_megabytes": on_wire / 1e6,
        "transfer_seconds": transfer, "time_over_wire": seen["seconds"] and seen["seconds"] / ideal,
        "transfer_over_wire": transfer and transfer / ideal, "dropped_by_switch": wire.dropped(segment, PORT),
    }  # fmt: skip


def crowd(segment: Segment, case: Case, *, ours: bool) -> dict[str, Any]:
    """Run the nodes of ``case``, which say on our own error output how far they are, and return what they print.

    Other servers get ROMs without faults, since no other one knows how to help them.
    """
    process = segment.start(
        segment.client(1), sys.executable, "-m", "tools.bench.crowd", str(case.size), "--nodes", str(case.nodes),
        "--rom", case.rom, "--loss", str(case.loss), "--limit", str(case.limit), *case.more,
        *(() if ours else ("--no-faults",)), stdout=subprocess.PIPE,
    )  # fmt: skip
    output, _ = process.communicate(timeout=case.limit + PATIENCE)
    if process.returncode:
        raise RuntimeError(f"the crowd ended with {process.returncode}")
    seen: dict[str, Any] = json.loads(output)
    return seen


COLUMNS = {
    "booted": "booted", "lost": "lost", "wrong": "wrong", "answer": "answer_seconds", "dhcp": "dhcp_seconds",
    "median": "median_seconds", "seconds": "seconds", "transfer": "transfer_seconds", "wire MB": "wire_megabytes",
    "time / wire": "time_over_wire", "transfer / wire": "transfer_over_wire", "dropped": "dropped_by_switch",
    "overflowed": "overflowed", "behind": "behind",
}  # fmt: skip
"""What stands over a column, and which value is in it."""


def table(rows: list[dict[str, Any]]) -> str:
    """Return all runs as a Markdown table."""
    lines = [f"| case | server | {' | '.join(COLUMNS)} | failures |", "|---" * (len(COLUMNS) + 3) + "|"]
    for row in rows:
        cells = ["-" if row[key] is None else f"{row[key]:.4g}" for key in COLUMNS.values()]
        failures = ", ".join(f"{count} {reason}" for reason, count in row["failures"].items())
        lines.append(f"| {row['case']} | {row['server']} | {' | '.join(cells)} | {failures} |")
    return "\n".join([*lines, ""])


@click.command()
@click.option("--only", help="Run the cases whose names begin so.")
@click.option("--server", "servers", multiple=True, type=click.Choice(SERVERS), help="Run this one. Repeatable.")
@click.option("--scale", default=1.0, help="Share of the size of the images, to try it out.")
@click.option("--nodes", type=int, help="Number of nodes, to try it out.")
@click.option("--limit", type=float, help="Seconds after which whoever has not booted is lost.")
@click.option("--repeat", default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for boots.json and boots.md.")
def main(only: str | None, servers: tuple[str, ...], scale: float, nodes: int | None, limit: float | None,
         repeat: int, out: Path | None) -> None:  # fmt: skip
    """Boot many nodes at once from mtftpd and its peers, one server after the other.

    \b
    Examples:
      python -m tools.bench.boots --only becker
      python -m tools.bench.boots --only mass-1g --server mtftpd --out bench-out
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the namespaces are taken away
    rows: list[dict[str, Any]] = []
    with Segment("boo", clients=1) as segment:
        for case in CASES:
            if only is not None and not case.name.startswith(only):
                continue
            small = replace(case, size=int(case.size * scale), nodes=nodes or case.nodes, limit=limit or case.limit)
            for _ in range(repeat):
                for server in servers or SERVERS:
                    began = time.monotonic()
                    rows.append(boot(segment, server, small))
                    click.echo(f"{case.name} {server}: {time.monotonic() - began:.0f} s", err=True)
                    if out is not None:
                        out.mkdir(parents=True, exist_ok=True)
                        (out / "boots.json").write_text(json.dumps(rows, indent=1))
                        (out / "boots.md").write_text(table(rows))
    click.echo(table(rows))


if __name__ == "__main__":
    main()

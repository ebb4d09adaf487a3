"""Multicast to real network namespaces that lose packets: ``python -m tools.bench.losses [--out DIR]``.

Each client is a process in a namespace of its own: a ROM of `mtftpd.rom` for our server, the atftp client for atftpd.
What is lost, and what was sent to the group, is decided and counted by nft in the switch.

P is how many times an image is sent as a whole, on the average, until everybody has every block, where each packet is
lost independently (`tools.bench.limits.passes`).  MTFTP can do no better: a pass has all blocks in ascending order, and
whoever listens does not say what it lacks (PXE 2.1 section 2.4.10).  One run has a whole number of passes, though: with
1 % of loss, 24 clients and 65,535 blocks P is 3.81 and four passes, the fewest that are enough in four runs of five,
are 1.05 P by themselves.  Packets are counted twice: until the last client has the image, after which none is of use,
and until the server falls silent.  Where losses come in bursts the same P is shown for comparison.

What disturbs more than loss is measured in the simulator, by tests: late joiners, dead masters, frozen and slow nodes
in ``tests/sim/test_paced.py``, each single packet of a boot lost in turn in ``tests/sim/test_single_losses.py``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tools.bench import peers, wire
from tools.bench.__main__ import image
from tools.bench.limits import passes
from tools.lab.segment import SERVER_ADDRESS, Segment, client_address, run, stop

CLIENTS = 24
SIZE = 33_553_919
LOSSES = ((0.0, 1), (0.001, 1), (0.01, 1), (0.05, 1), (0.01, 8))
"""Shares, and how many packets in a row."""
SERVERS = ("mtftpd", "atftpd")
REAL_CLIENTS = "mtftpd, atftp clients"
"""Not among them, since no peer is compared: see `tools.bench.believed`."""


@dataclass(frozen=True)
class Case:
    """``size`` in octets; after ``limit`` seconds a client has failed."""

    loss: float
    burst: int
    size: int
    limit: float
    rate: str


def measure(segment: Segment, server: str, case: Case, folder: Path) -> dict[str, Any]:
    """Let all clients boot at once and return what was seen."""
    digest = image(folder / "root" / "image", case.size)
    wire.lose(segment, case.loss, case.burst, peers.GROUP)
    command = peers.multicast_command(server.partition(",")[0], folder / "root", folder)
    if server == "mtftpd":
        command = dhcp_too(command, case)
    prepare(segment, addressed=server != "mtftpd")
    with peers.running(segment, command, 69):
        began = time.monotonic()
        taken = (roms if server == "mtftpd" else atftps)(segment, case, folder)
        seconds = time.monotonic() - began
        useful = wire.multicast_packets(segment)
        sent = wire.settled(segment)
    right = [each for each in taken if each["sha256"] == digest]
    blocks = case.size // 512 + 1
    ideal = passes(segment.clients, case.loss, blocks)
    return {
        "server": server, "loss": case.loss, "burst": case.burst, "clients": segment.clients, "size": case.size,
        "right": len(right), "seconds": max((each["seconds"] for each in right), default=None),
        "until_the_end": seconds, "packets": useful, "packets_in_all": sent, "ideal_passes": ideal,
        "packets_over_p": useful / ideal / blocks, "in_all_over_p": sent / ideal / blocks,
        "fallbacks": sum(bool(each.get("fallback")) for each in taken),
        "overflowed": sum(each.get("overflowed", 0) for each in taken),
    }  # fmt: skip


def dhcp_too(command: list[str], case: Case) -> list[str]:
    """Return the command of our server with addresses to give out."""
    where = command.index("tftp")
    more = ["--range", "10.77.16.1-10.77.17.254", "--boot-file", "image", "--rate", case.rate]
    return [*command[:where], "dhcp", *command[where + 1 :], *more]


def prepare(segment: Segment, *, addressed: bool) -> None:
    """Take the addresses of the clients away, or give them the ones they had."""
    for number in range(1, segment.clients + 1):
        namespace = segment.client(number)
        run("ip", "-n", namespace, "addr", "flush", "dev", "eth0")
        if addressed:
            run("ip", "-n", namespace, "addr", "add", f"{client_address(number)}/16", "brd", "+", "dev", "eth0")
        run("ip", "-n", namespace, "route", "replace", "224.0.0.0/4", "dev", "eth0", check=False)


def roms(segment: Segment, case: Case, folder: Path) -> list[dict[str, Any]]:
    """Boot a simulated ROM in each namespace."""
    running = []
    for number in range(1, segment.clients + 1):
        argv = (sys.executable, "-m", "tools.bench.rom_client", "--limit", str(case.limit))
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        running.append(segment.start(segment.client(number), *argv, **pipes))
    for process in running:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("a client did not start")
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    return [json.loads(process.communicate(timeout=case.limit + 60)[0]) for process in running]


def atftps(segment: Segment, case: Case, folder: Path) -> list[dict[str, Any]]:
    """Run an atftp client in each namespace; all begin with listening for two seconds."""
    began = time.monotonic()
    running: dict[int, subprocess.Popen[bytes]] = {}
    for number in range(1, segment.clients + 1):
        running[number] = segment.start(
            segment.client(number), "atftp", "--mget", "--mtftp", f"mcast-ip {peers.GROUP}", "--mtftp",
            f"client-port {peers.CLIENT_PORT}", "-r", "image", "-l", folder / f"out{number}", SERVER_ADDRESS,
            str(peers.SERVER_PORT), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    taken = []
    ended: dict[int, float] = {}
    while len(ended) < len(running) and time.monotonic() - began < case.limit:
        for number, process in running.items():
            if number not in ended and process.poll() is not None:
                ended[number] = time.monotonic() - began
        time.sleep(0.05)
    for number, process in running.items():
        stop(process)
        target = folder / f"out{number}"
        data = target.read_bytes() if target.exists() else b""
        taken.append({"seconds": ended.get(number, case.limit), "sha256": hashlib.sha256(data).hexdigest()})
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)
    return taken


def alike(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what two runs have in common whose times can be compared."""
    return row["server"], row["clients"], row["size"]


COLUMNS = ("right", "seconds", "over_no_loss", "packets", "packets_in_all", "ideal_passes", "packets_over_p",
           "in_all_over_p", "fallbacks", "overflowed")  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Return all runs as a Markdown table; times also as ratios to the best without loss of the same server."""
    best: dict[tuple[Any, ...], float] = {}
    for row in rows:
        if not row["loss"] and row["seconds"]:
            key = alike(row)
            best[key] = min(row["seconds"], best.get(key, row["seconds"]))
    for row in rows:
        least = best.get(alike(row))
        row["over_no_loss"] = row["seconds"] / least if least and row["seconds"] else None
    lines = [f"| loss | in a row | server | clients | {' | '.join(each.replace('_', ' ') for each in COLUMNS)} |",
             "|---" * (len(COLUMNS) + 4) + "|"]  # fmt: skip
    for row in rows:
        cells = ["-" if row[column] is None else f"{row[column]:.5g}" for column in COLUMNS]
        lines.append(
            f"| {row['loss']:.2%} | {row['burst']} | {row['server']} | {row['clients']} | {' | '.join(cells)} |"
        )
    return "\n".join([*lines, ""])


@click.command()
@click.option("--clients", default=CLIENTS, show_default=True)
@click.option("--size", default=SIZE, show_default=True, help="Octets of the image.")
@click.option("--loss", "chosen", multiple=True, type=float, help="Run with this share of packets lost. Repeatable.")
@click.option("--limit", default=60.0, show_default=True, help="Seconds after which a client has failed.")
@click.option("--rate", default="none", show_default=True, help="Limit of our server, as its own option.")
@click.option("--server", "servers", multiple=True, type=click.Choice(SERVERS), help="Run this one. Repeatable.")
@click.option("--out", type=click.Path(path_type=Path),
              help="Folder for losses.json and losses.md; runs are added to those that are there.")  # fmt: skip
def main(clients: int, size: int, chosen: tuple[float, ...], limit: float, rate: str, servers: tuple[str, ...],
         out: Path | None) -> None:  # fmt: skip
    """Boot clients that lose packets, from mtftpd and from atftpd.

    \b
    Examples:
      python -m tools.bench.losses --size 4194304 --loss 0.01
      python -m tools.bench.losses --out bench-out
    """
    stored = None if out is None else out / "losses.json"
    rows: list[dict[str, Any]] = json.loads(stored.read_text()) if stored is not None and stored.exists() else []
    with Segment("los", clients=clients) as segment:
        for loss, burst in LOSSES:
            for server in servers or SERVERS:
                if chosen and loss not in chosen:
                    continue
                with tempfile.TemporaryDirectory() as name:
                    rows.append(measure(segment, server, Case(loss, burst, size, limit, rate), Path(name)))
                click.echo(f"{loss:.2%} {burst} {server}: {rows[-1]['until_the_end']:.0f} s", err=True)
                if out is not None:
                    out.mkdir(parents=True, exist_ok=True)
                    (out / "losses.json").write_text(json.dumps(rows, indent=1))
                    (out / "losses.md").write_text(table(rows))
    click.echo(table(rows))


if __name__ == "__main__":
    main()

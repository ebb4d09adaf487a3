"""Whether the simulator can be believed: ``python -m tools.bench.believed`` makes a table for specs/simulator.md.

Real clients with losses drawn by nft both ways, against the same number of simulated ones with the same losses: atftp
in namespaces, stock iPXE ROMs in virtual machines.  Where packets are lost is chance and differs from run to run, so
means are compared.  When clients begin is not: each simulation has the times of one of the runs.

The server has a limit that every client keeps up with, or a busy machine would lose packets beside those of nft.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from math import sqrt
from pathlib import Path

import click

from mtftpd.sim.amounts import rate
from mtftpd.sim.chance import Quality
from mtftpd.sim.scenario import PowerOn, Scenario
from mtftpd.sim.simulation import Simulation
from mtftpd.sim.topology import BUILT_IN, Snooping
from tools.bench.overheard import overheard, overhearing
from tools.lab import boot_file, guests
from tools.lab.segment import SERVER_ADDRESS, Segment, stop
from tools.lab.server import serving

GROUP = "239.1.1.1"
IPXE_GROUP = "239.255.1.1"
PER_RUN = 20
"""Simulations with the times of one run."""


@dataclass(frozen=True)
class Kind:
    """One kind of client: its ROM, ``size`` of the image in octets, ``limit`` of the server, who runs at once."""

    rom: str
    group: str
    size: int
    limit: str
    together: int
    make: Callable[[Path, int], bytes]
    boot: Callable[[Segment, int, Path, bytes, float], tuple[list[float], int]]
    options: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """What was sent to the group, how many clients got the right image, and when each began."""

    packets: float
    passes: float
    right: int
    began: tuple[float, ...] = ()


def noise(path: Path, size: int) -> bytes:
    """Write an image and return it."""
    octets = hashlib.shake_128(b"image").digest(size)
    path.write_bytes(octets)
    return octets


def atftps(segment: Segment, clients: int, folder: Path, wanted: bytes, patience: float) -> tuple[list[float], int]:
    """Run an atftp in each namespace; return when each began, and how many got the image."""
    began: list[float] = []
    running: list[subprocess.Popen[bytes]] = []
    for number in range(1, clients + 1):
        began.append(time.time())
        running.append(segment.start(
            segment.client(number), "atftp", "--mget", "--mtftp", f"mcast-ip {GROUP}", "--mtftp", "client-port 1799",
            "-r", "image", "-l", folder / f"out{number}", SERVER_ADDRESS, "1542",
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ))  # fmt: skip
    deadline = time.monotonic() + patience
    while any(each.poll() is None for each in running) and time.monotonic() < deadline:
        time.sleep(0.05)
    for each in running:
        stop(each)
    targets = [folder / f"out{number}" for number in range(1, clients + 1)]
    return began, sum(each.exists() and each.read_bytes() == wanted for each in targets)


def ipxes(segment: Segment, clients: int, folder: Path, wanted: bytes, patience: float) -> tuple[list[float], int]:
    """Boot virtual machines one by one; the image sums itself.  When they open is heard, not known."""
    segment.start(segment.server, sys.executable, "-m", "tools.lab.router", "eth0")
    booting = []
    for number in range(1, clients + 1):
        booting.append(guests.boot(segment, number, folder, firmware="bios"))
        time.sleep(STAGGER / clients)
    right = 0
    for guest in booting:
        try:
            guest.wait_for(wanted, patience)
            right += 1
        except AssertionError:
            continue
    for guest in booting:
        guest.stop()
    return [], right


STAGGER = 3.0
"""Seconds in which virtual machines are switched on: 16 at once on two processors do nothing for long."""

KINDS = {
    "atftp": Kind(
        "atftp-mtftp", GROUP, 1 << 20, "10M", 4, noise, atftps,
        ("--mode", "tftp", "--group", GROUP, "--image", "image=image"),
    ),
    "ipxe": Kind(
        "ipxe-mtftp", IPXE_GROUP, 300_000, "2M", 1, boot_file.make, ipxes,
        ("--mode", "dhcp", "--range", "10.77.100.1-10.77.100.200", "--image", "image=image"),
    ),
}  # fmt: skip


def real(kind: Kind, clients: int, loss: float, patience: float, number: int) -> Run:
    """Let real clients take the image once."""
    is_atftp = kind.boot is atftps
    ports = [f"p{each}" if is_atftp else f"tap{each}" for each in range(1, clients + 1)]
    there = Segment(f"b{number}e", clients=clients if is_atftp else 0, taps=0 if is_atftp else clients)
    with tempfile.TemporaryDirectory() as name, there as segment:
        folder, root = Path(name), Path(name, "root")
        root.mkdir()
        wanted = kind.make(root / "image", kind.size)
        spoil(segment, loss, ports)
        capture = folder / "capture"
        with (
            overhearing(segment, capture),
            serving(segment, *kind.options, "--root", root, "--rate", kind.limit),
        ):
            began, right = kind.boot(segment, clients, folder, wanted, patience)
        seen = overheard(capture, kind.group)
    opened = began or seen.opened
    return Run(seen.packets, seen.passes, right, tuple(each - min(opened) for each in opened))


def repeatedly(kind: Kind, clients: int, loss: float, patience: float, times: int) -> list[Run]:
    """Let real clients take the image so many times, some of them at once where each run is small."""
    with ThreadPoolExecutor(max(1, kind.together // max(1, clients // 4))) as pool:
        jobs = [pool.submit(real, kind, clients, loss, patience, number) for number in range(times)]
        return [job.result() for job in jobs]


def spoil(segment: Segment, loss: float, ports: list[str]) -> None:
    """Lose packets between the switch and each port, both ways, each by itself; DHCP is spared."""
    rules = [
        f"add rule bridge bench lose {way} {port} udp dport != {{ 67, 68 }} numgen random mod 100000 < "
        f"{round(loss * 100_000)} drop"
        for port in ports
        for way in ("oifname", "iifname")
    ]
    table = ["add table bridge bench", "add chain bridge bench lose { type filter hook forward priority 0; }"]
    segment.run(segment.switch, "nft", "; ".join(table + rules))


def simulated(kind: Kind, loss: float, runs: list[Run], patience: float) -> list[Run]:
    """Return simulations with the same losses and the times of the runs."""
    network = BUILT_IN["switch-1g"]
    # A kernel or a virtual machine with a buffer is no ROM with a ring: it misses nothing at this rate.
    segment = replace(network.segments[0], quality=Quality(loss), snooping=Snooping.OFF, speed=200_000.0, ring=256)
    outcomes = []
    for seed in range(PER_RUN * len(runs)):
        began = runs[seed % len(runs)].began
        scenario = Scenario(
            len(began), kind.size, replace(network, segments=(segment,)), ((kind.rom, 100.0),), PowerOn(seen=began),
            seed, limit=patience, rate=rate(kind.limit), by_hand=True,
        )  # fmt: skip
        simulation = Simulation(scenario)
        simulation.run()
        outcome = simulation.finish()
        traffic = outcome.traffic
        right = sum(node.booted and node.right for node in outcome.nodes)
        outcomes.append(Run(traffic.group_blocks, traffic.first_blocks, right))
    return outcomes


def spread(values: list[float], digits: int) -> str:
    """Return a mean with its standard error."""
    error = statistics.stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):,.{digits}f} +- {error:,.{digits}f}"


def line(name: str, clients: int, seen: list[Run], model: list[Run]) -> str:
    """Return one line of the table."""
    packets = [[each.packets for each in runs] for runs in (seen, model)]
    passes = [[each.passes for each in runs] for runs in (seen, model)]
    right = [f"{sum(each.right for each in runs)} of {len(runs) * clients}" for runs in (seen, model)]
    ratios = [statistics.fmean(model) / max(statistics.fmean(seen), 1.0) for seen, model in (packets, passes)]
    cells = [
        name, str(clients), str(len(seen)), *right, spread(packets[0], 0), spread(packets[1], 0), f"{ratios[0]:.2f}",
        spread(passes[0], 2), spread(passes[1], 2), f"{ratios[1]:.2f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


COLUMNS = ("clients", "number", "runs", "right: real", "simulated", "packets to the group: real", "simulated", "ratio",
           "passes: real", "simulated", "ratio")  # fmt: skip


@click.command()
@click.option("--kind", "names", multiple=True, type=click.Choice(list(KINDS)), default=tuple(KINDS), help="Of client.")
@click.option("--clients", "counts", multiple=True, type=int, default=(1, 4, 16), show_default=True)
@click.option("--loss", default=0.01, show_default=True, help="Share of packets lost, each way.")
@click.option("--repeat", default=8, show_default=True, help="Runs with real clients.")
@click.option(
    "--runs",
    "kept",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep what real clients did in this file; what is in it already is not run again.",
)
@click.option("--patience", default=90.0, show_default=True, help="Seconds after which a client has failed.")
def main(
    names: tuple[str, ...], counts: tuple[int, ...], loss: float, repeat: int, kept: Path | None, patience: float
) -> None:
    """Compare what real and what simulated clients make the server send.

    \b
    Examples:
      python -m tools.bench.believed
      python -m tools.bench.believed --kind atftp --clients 4 --repeat 20
    """
    known = json.loads(kept.read_text()) if kept is not None and kept.exists() else {}
    lots: list[tuple[str, int, list[Run]]] = []
    for name in names:
        for clients in counts:
            stored = known.setdefault(f"{name} {clients} {loss}", [])
            stored += [asdict(each) for each in repeatedly(KINDS[name], clients, loss, patience, repeat - len(stored))]
            lots.append((name, clients, [Run(**each) for each in stored]))
            if kept is not None:
                kept.write_text(json.dumps(known))
    click.echo(f"{loss:.1%} loss each way; {PER_RUN} simulations for each run; means with their standard errors\n")
    click.echo(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    for name, clients, seen in lots:
        click.echo(line(name, clients, seen, simulated(KINDS[name], loss, seen, patience)))


if __name__ == "__main__":
    main()

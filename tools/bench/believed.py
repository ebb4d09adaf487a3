"""Whether the simulator can be believed: ``python -m tools.bench.believed`` makes a table for specs/simulator.md.

Real atftp clients in namespaces, with losses drawn by nft both ways, against the same number of simulated ones; what
the server sent to the group is counted by nft in the one case and by the simulator in the other.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import replace
from math import sqrt
from pathlib import Path

import click

from mtftpd.sim.chance import Quality
from mtftpd.sim.scenario import Scenario
from mtftpd.sim.simulation import Simulation
from mtftpd.sim.topology import BUILT_IN, Snooping
from tools.bench.losses import REAL_CLIENTS, Case, measure
from tools.lab.segment import Segment

SIMULATIONS = 40
BLOCK = 512


def simulated(clients: int, size: int, loss: float) -> list[float]:
    """Return the packets to the group of `SIMULATIONS` simulations."""
    network = BUILT_IN["switch-1g"]
    # A kernel with a socket buffer is no ROM with a ring: it takes packets as fast as a gigabit brings them.
    segment = replace(network.segments[0], quality=Quality(loss), snooping=Snooping.OFF, speed=200_000.0, ring=256)
    scenario = Scenario(clients, size, replace(network, segments=(segment,)), (("atftp-mtftp", 100.0),))
    outcomes = (Simulation(replace(scenario, seed=seed)).run() for seed in range(1, SIMULATIONS + 1))
    return [outcome.traffic.group_blocks for outcome in outcomes]


def spread(values: list[float]) -> str:
    """Return a mean with its standard error."""
    error = statistics.stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):,.0f} +- {error:,.0f}"


@click.command()
@click.option("--clients", "counts", multiple=True, type=int, default=(1, 4, 16), show_default=True)
@click.option("--size", default=1 << 20, show_default=True, help="Octets of the image.")
@click.option("--loss", default=0.01, show_default=True, help="Share of packets lost, each way.")
@click.option("--repeat", default=5, show_default=True, help="Runs with real clients.")
@click.option("--limit", default=60.0, show_default=True, help="Seconds after which a client has failed.")
def main(counts: tuple[int, ...], size: int, loss: float, repeat: int, limit: float) -> None:
    r"""Compare what real and what simulated clients make the server send.

    \b
    Examples:
      python -m tools.bench.believed
      python -m tools.bench.believed --clients 4 --repeat 20 --loss 0.02
    """
    blocks = size // BLOCK + 1
    click.echo(f"{size:,} octets, {loss:.1%} loss each way, {repeat} runs and {SIMULATIONS} simulations\n")
    click.echo("| atftp clients | right | packets to the group: real | simulated | simulated / real | passes: real "
               "| simulated |\n|---|---|---|---|---|---|---|")  # fmt: skip
    for clients in counts:
        real, right = [], 0
        for _ in range(repeat):
            with Segment("bel", clients=clients) as segment, tempfile.TemporaryDirectory() as name:
                seen = measure(segment, REAL_CLIENTS, Case(loss, 1, size, limit, "none"), Path(name))
                real.append(float(seen["multicast_packets"]))
                right += seen["right"]
        model = simulated(clients, size, loss)
        ratio = statistics.fmean(model) / statistics.fmean(real)
        click.echo(f"| {clients} | {right} of {clients * repeat} | {spread(real)} | {spread(model)} | {ratio:.2f} "
                   f"| {statistics.fmean(real) / blocks:.2f} | {statistics.fmean(model) / blocks:.2f} |")  # fmt: skip


if __name__ == "__main__":
    main()

"""``mtftpd simulate``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mtftpd.errors import BadConfig, Unavailable

if TYPE_CHECKING:
    from mtftpd.sim.heat import Album
    from mtftpd.sim.outcome import Outcome
    from mtftpd.sim.scenario import Scenario
    from mtftpd.sim.simulation import Simulation
    from mtftpd.sim.topology import Topology
    from mtftpd.sim.trace import Trace

_EXAMPLES: Final = """\b
Examples:
  mtftpd simulate --nodes 2000 --loss 1%
  mtftpd simulate --nodes 64 --rom spec=60%,edk1=40% --topology hub-100 --rate 60M --report boot.html
  mtftpd simulate --nodes 24 --loss 1% --power-on staggered:30 --trace 02:4d:54:00:00:03
"""

_NOTES: Final = """\b
The server's own code and simulated ROMs on a simulated network, in virtual time: no network and no rights
are needed, and the same seed gives the same result. Topologies: switch-1g, switch-100m, hub-100, or a TOML
file (documented in mtftpd/sim/topology_file.py). ROMs: spec, edk1, unicast, and the clients of "mtftpd rom
list" such as rlx-3nic, which calls from three interfaces; with +FAULT, such as unicast+never_retransmit, they
have faults of the table in specs/quirks.md.
Exit status: 0 every node booted the right image, 1 one did not, 78 the topology file is wrong."""


def _read(reader: str) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """Return a callback that reads a text with a function of `mtftpd.sim`, given as ``module.function``."""

    def callback(_context: click.Context, param: click.Parameter, value: str | None) -> Any:
        import importlib

        if value is None:
            return None
        module, _, name = reader.partition(".")
        try:
            return getattr(importlib.import_module(f"mtftpd.sim.{module}"), name)(value)
        except ValueError as error:
            raise click.BadParameter(str(error), param=param) from None

    return callback


@click.command(epilog=f"{_NOTES}\n\n{_EXAMPLES}")
@click.option("--nodes", type=click.IntRange(1, 20_000), default=200, show_default=True, help="How many nodes.")
@click.option(
    "--image-size",
    metavar="SIZE",
    default="4M",
    show_default=True,
    callback=_read("amounts.octets"),
    help="Image size in octets; 64K and 4M are powers of two; at most 33553919.",
)
@click.option(
    "--loss", metavar="N%", callback=_read("amounts.fraction"), help="Loss on each node's link, each way, such as 0.1%."
)
@click.option("--burst", type=click.FloatRange(1, 1000), help="Mean length of a burst of loss, in packets.")
@click.option(
    "--rom",
    "roms",
    metavar="NAME=N%,...",
    default="spec",
    show_default=True,
    callback=_read("amounts.mixture"),
    help="Kinds of ROM, and how many of each.",
)
@click.option(
    "--topology", metavar="NAME|FILE.toml", default="switch-1g", show_default=True, help="The network; see below."
)
@click.option(
    "--rate",
    metavar="RATE",
    callback=_read("amounts.rate"),
    help="Limit of what the server sends, in bits a second such as 80M. Default: none.",
)
@click.option(
    "--power-on",
    metavar="HOW",
    default="at-once",
    show_default=True,
    callback=_read("scenario.power_on"),
    help="at-once, staggered:SECONDS or rolling:NODES/SECONDS.",
)
@click.option("--faithful", is_flag=True, help="Only passes that a client acknowledges, as `serve --faithful` has it.")
@click.option("--seed", type=int, default=1, show_default=True, help="For everything that is drawn.")
@click.option("--trace", metavar="MAC", help="Show the packets of one node; the first is 02:4d:54:00:00:01.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the table, and who held what when, as one HTML file.",
)
def command(loss: float | None, burst: float | None, topology: str, **given: Any) -> int:
    """Boot simulated nodes in virtual time, thousands if need be."""
    from mtftpd.sim.roms import rom
    from mtftpd.sim.scenario import Scenario
    from mtftpd.sim.simulation import Simulation

    for name, _ in given["roms"]:
        try:
            rom(name)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--rom") from None
    network = _with_loss(_topology(topology), loss, burst)
    try:
        scenario = Scenario(
            given["nodes"], given["image_size"], network, given["roms"], given["power_on"], given["seed"],
            rate=given["rate"] or 0.0, faithful=given["faithful"],
        )  # fmt: skip
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    simulation = Simulation(scenario)
    trace = _watch(simulation, given["trace"], aloud=not given["as_json"]) if given["trace"] else None
    album = _album(simulation) if given["report"] else None
    outcome = _run(simulation)
    if trace is not None:
        trace.end()
    if album is not None:
        album.take()
        _write_report(given["report"], outcome, scenario, album)
    if given["as_json"]:
        click.echo(json.dumps(_as_json(outcome, trace), indent=2))
    else:
        _print(outcome)
    return 0 if outcome.booted == len(outcome.nodes) and not outcome.wrong else 1


def _topology(name: str) -> Topology:
    from mtftpd.sim.topology import BUILT_IN
    from mtftpd.sim.topology_file import BadTopology, read_topology

    if name in BUILT_IN:
        return BUILT_IN[name]
    if not name.endswith(".toml"):
        raise click.BadParameter(
            f"{name!r} is not known; there are: {', '.join(BUILT_IN)}, or FILE.toml", param_hint="--topology"
        )
    try:
        return read_topology(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise Unavailable(f"--topology {name}: {error.strerror}") from None
    except (BadTopology, UnicodeDecodeError) as error:
        raise BadConfig(f"--topology {name}: {error}") from None


def _with_loss(topology: Topology, loss: float | None, burst: float | None) -> Topology:
    """Return ``topology`` with the loss of the command line in every segment, where it was given."""
    given = {name: value for name, value in (("loss", loss), ("burst", burst)) if value is not None}
    return replace(
        topology,
        segments=tuple(replace(each, quality=replace(each.quality, **given)) for each in topology.segments),
    )


def _watch(simulation: Simulation, hardware: str, *, aloud: bool) -> Trace:
    """Show, or only collect, what happens to the packets of a node."""
    from mtftpd.sim.trace import Trace

    trace = Trace(click.echo if aloud else lambda line: None)
    try:
        simulation.watch(hardware, trace.witness)
    except KeyError:
        last = simulation.machines[-1].station.hardware
        raise click.BadParameter(
            f"no node has it; they are {simulation.machines[0].station.hardware} to {last}", param_hint="--trace"
        ) from None
    return trace


def _album(simulation: Simulation) -> Album:
    from mtftpd.sim.heat import Album

    memories = [machine.station.memory for machine in simulation.machines]
    return Album(simulation.clock, memories, simulation.content.units, simulation.settle)


def _run(simulation: Simulation) -> Outcome:
    """Run with a progress bar where somebody can see it."""
    if not sys.stderr.isatty():
        return simulation.run()
    with click.progressbar(length=len(simulation.machines), label="booting", file=sys.stderr) as bar:
        outcome = simulation.run(lambda: bar.update(simulation.over - bar.pos))
        bar.update(simulation.over - bar.pos)
    return outcome


def _print(outcome: Outcome) -> None:
    from mtftpd.sim.report import lines

    rows = lines(outcome)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")


def _as_json(outcome: Outcome, trace: Trace | None) -> dict[str, Any]:
    nodes = [
        {
            name: value if not isinstance(value, float) or isfinite(value) else None
            for name, value in asdict(node).items()
        }
        for node in outcome.nodes
    ]
    return {**outcome.summary(), "per_node": nodes, **({} if trace is None else {"trace": trace.lines})}


def _write_report(path: Path, outcome: Outcome, scenario: Scenario, album: Album) -> None:
    from mtftpd.sim.report import html

    kinds = ", ".join(f"{name} {weight:g}%" for name, weight in scenario.roms)
    losses = ", ".join(f"{each.name}: {each.quality.loss:.2%}" for each in scenario.topology.segments)
    limit = f"{scenario.rate / 1e6:g} Mbit/s" if scenario.rate else "none"
    conditions = (
        f"Image of {scenario.image_size:,} octets; ROMs: {kinds}; switched on {scenario.power_on}; loss on each link: "
        f"{losses}; limit of the server: {limit}; seed {scenario.seed}."
    )
    try:
        path.write_text(html(outcome, conditions, album.pictures, album.columns), encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"--report {path}: {error.strerror}") from None
    click.echo(f"mtftpd: wrote {path}", err=True)

"""The stored results: nodes x loss x topology x profile in integers, so that a change of behaviour shows as a diff.

``python -m tests.sim.make_tables`` writes them anew, from the top of the tree; read the diff before you commit it.
"""

from __future__ import annotations

from pathlib import Path

from mtftpd.sim.chance import Quality
from mtftpd.sim.outcome import Outcome
from mtftpd.sim.scenario import PowerOn
from mtftpd.sim.simulation import Simulation
from mtftpd.sim.topology import BUILT_IN
from tests.sim.scenes import scene

FOLDER = Path(__file__).with_name("tables")
OCTETS = 40_000
NODES = (1, 4, 24, 100)
LOSSES = (Quality(), Quality(loss=0.01), Quality(loss=0.05), Quality(loss=0.01, burst=10.0))
RATES = (0.0, 20e6, 5e6, 3e6, 2e6)
ROMS = ("spec", "edk1", "spec=60%,edk1=40%")
HEAD = (
    "rom", "nodes", "loss", "burst", "booted", "multicast", "unicast", "passes", "group", "repeats", "by-unicast",
    "retries", "opens", "no-room", "collisions", "median-ms", "last-ms",
)  # fmt: skip


def row(outcome: Outcome, rom: str, quality: Quality) -> list[str]:
    """Return one line: loss in parts per thousand, DATA packets to the group and by unicast, times in ms."""
    summary, traffic, times = outcome.summary(), outcome.traffic, outcome.boot_seconds() or (0.0, 0.0, 0.0)
    numbers = (
        len(outcome.nodes), quality.loss * 1000, quality.burst, outcome.booted,
        summary["by_way"].get("multicast", 0), summary["by_way"].get("unicast", 0), traffic.passes,
        traffic.group_blocks, traffic.repeats, traffic.unicast_blocks, summary["dhcp_retries"], summary["opens"],
        traffic.dropped_by_switch + traffic.dropped_by_rom, traffic.collisions, times[1] * 1000, times[2] * 1000,
    )  # fmt: skip
    return [rom, *(str(round(number)) for number in numbers)]


def table(network: str) -> str:
    """Return the whole table of one network, columns aligned."""
    rows = [list(HEAD)]
    for rom in ROMS:
        for nodes in NODES:
            rows += [row(Simulation(scene(nodes, OCTETS, network, each, rom)).run(), rom, each) for each in LOSSES]
    title = f"# {network}, image of {OCTETS} octets ({OCTETS // 512 + 1} blocks); made by tests/sim/make_tables.py\n"
    return title + _aligned(rows)


def rates() -> str:
    """Return the table of link budgets: the same nodes, a third of which are slower than their master."""
    rows = [["rate", *HEAD]]
    for rom in ROMS:
        for rate in RATES:
            rides = scene(24, 100_000, "slow-listeners", roms=rom, power_on=PowerOn(spread=1.0), rate=rate)
            rows.append([f"{rate / 1e6:g}M" if rate else "none", *row(Simulation(rides).run(), rom, Quality())])
    return (
        "# slow-listeners with a rate, image of 100000 octets (196 blocks); made by tests/sim/make_tables.py\n"
        + _aligned(rows)
    )


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(each[column]) for each in rows) for column in range(len(rows[0]))]
    return "".join(
        "  ".join(f"{cell:>{width}}" for cell, width in zip(each, widths, strict=True)) + "\n" for each in rows
    )


def main() -> None:
    for network in BUILT_IN:
        (FOLDER / f"{network}.txt").write_text(table(network), encoding="ascii")
    (FOLDER / "rates.txt").write_text(rates(), encoding="ascii")


if __name__ == "__main__":
    main()

"""The stored results of machines with three interfaces, and of every client that is known, on one lossy hub.

``python -m tests.sim.make_machines`` writes them anew, from the top of the tree; read the diff before you commit it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mtftpd.core.node_settings import OtherNics
from mtftpd.rom.firmwares import FIRMWARES
from mtftpd.sim.chance import Quality
from mtftpd.sim.outcome import Outcome
from mtftpd.sim.scenario import Scenario
from mtftpd.sim.simulation import Simulation
from tests.sim.make_tables import FOLDER
from tests.sim.scenes import scene

FILE: Final = FOLDER / "machines.txt"
SEEDS: Final = (1, 2, 3)
LOSS: Final = Quality(loss=0.01)
BLADES: Final = 48
MIXED: Final = 4 * len(FIRMWARES)
HEAD: Final = (
    "machines", "addresses", "others", "seed", "booted", "wrong", "multicast", "unicast", "passes", "by-unicast",
    "retries", "median-ms", "last-ms",
)  # fmt: skip


def blades(seed: int, addresses: int, others: OtherNics | None) -> Scenario:
    """Return 48 blades with 144 interfaces, all switched on at once."""
    return replace(scene(BLADES, 1 << 20, "hub-100", LOSS, "rlx-3nic", seed), addresses=addresses, other_nics=others)


def mixed(seed: int) -> Scenario:
    """Return four machines of each client, with one address for each of them."""
    scenario = scene(MIXED, 200_000, "hub-100", LOSS, ",".join(FIRMWARES), seed)
    return replace(scenario, addresses=MIXED, other_nics=OtherNics.HOLD)


SCENARIOS: Final = {
    "blades": tuple(
        blades(seed, addresses, others)
        for addresses, others in ((0, None), (BLADES, OtherNics.SILENT), (BLADES, OtherNics.HOLD))
        for seed in SEEDS
    ),
    "mixed": tuple(mixed(seed) for seed in SEEDS),
}


def row(name: str, scenario: Scenario, outcome: Outcome) -> list[str]:
    """Return one line; "0" addresses are more than enough, times are in ms."""
    summary, traffic, times = outcome.summary(), outcome.traffic, outcome.boot_seconds() or (0.0, 0.0, 0.0)
    numbers = (
        scenario.seed, outcome.booted, outcome.wrong, summary["by_way"].get("multicast", 0),
        summary["by_way"].get("unicast", 0), traffic.passes, traffic.unicast_blocks, summary["dhcp_retries"],
        times[1] * 1000, times[2] * 1000,
    )  # fmt: skip
    others = scenario.other_nics.value if scenario.other_nics is not None else "-"
    return [f"{scenario.nodes} {name}", str(scenario.addresses), others, *(str(round(number)) for number in numbers)]


def table(name: str) -> list[str]:
    """Return the lines of one kind, columns aligned."""
    rows = [row(name, scenario, Simulation(scenario).run()) for scenario in SCENARIOS[name]]
    widths = [max(len(each[column]) for each in (list(HEAD), *rows)) for column in range(len(HEAD))]
    return ["  ".join(f"{cell:>{width}}" for cell, width in zip(each, widths, strict=True)) for each in [HEAD, *rows]]


def main() -> None:
    title = "# hub-100, 1 % loss, all at once; made by tests/sim/make_machines.py"
    FILE.write_text("\n\n".join("\n".join(part) for part in ([title], *map(table, SCENARIOS))) + "\n", "ascii")


if __name__ == "__main__":
    main()

"""Walk real ROMs through the whole clinic: ``python -m tools.real_roms DIR`` prints what they do, probe by probe.

What each has shown is kept in DIR, so a walk that was stopped goes on where it was; ``--write`` puts the table into
``specs/real-roms.md``.  Needs root and the packages of ``tools/debian-packages``; some 35 boots of each ROM, 4 minutes
of OVMF and 10 of iPXE on two processors.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from mtftpd.conformance.clinic import report, stanza
from mtftpd.conformance.clinic.chart import Chart, from_plain
from mtftpd.conformance.clinic.findings import quirks_of
from mtftpd.conformance.clinic.probes import PROBES
from tools.lab.patients import examine
from tools.lab.segment import Segment, run

TABLE: Final = Path(__file__).parents[1] / "specs" / "real-roms.md"
ROMS: Final = {"bios": ("iPXE", "ipxe-qemu"), "uefi": ("OVMF", "ovmf")}
"""Firmware of `tools.lab.guests` -> its name, and the Debian package that it is in."""
SECONDS: Final = 3_600.0
BY_ITSELF: Final = "in every boot"
HEAD: Final = """\
# What real ROMs do

Made by `python -m tools.real_roms DIR --write`, which boots each ROM in QEMU until `mtftpd conformance rom` has tried
everything on it; do not edit. In brackets are the findings of the clinic, `-` is a probe that does not concern the ROM:
iPXE reads no tags 1 to 5, and takes a multicast address of its own from a URI; EDK2 has no MTFTP at all.
`tests/tools/test_real_roms.py` compares the table with what was measured of both before there was a clinic, and
`tests/interop/test_clinic.py` makes some of the probes again.
"""


def page(charts: Mapping[str, Chart], versions: Mapping[str, str]) -> str:
    """Return the text of ``specs/real-roms.md``; both by firmware."""
    titles = [f"{ROMS[firmware][0]} {versions[firmware]}" for firmware in charts]
    lines = [HEAD, _row("probe", "what is sent", *titles), _row(*["---"] * (2 + len(charts)))]
    lines += [_row(probe.id, probe.about, *(cell(chart, probe.id) for chart in charts.values())) for probe in PROBES]
    lines.append(_row(BY_ITSELF, "", *(_by_itself(chart) for chart in charts.values())))
    lines += ["", "| | " + " | ".join(titles) + " |", _row(*["---"] * (1 + len(charts)))]
    lines.append(_row("looks like", *(stanza.identification(chart).profile.id for chart in charts.values())))
    lines.append(_row("quirks", *(" ".join(quirks_of(chart.findings)) for chart in charts.values())))
    lines.append(_row("multicast", *("; ".join(stanza.modes(chart)) or "none" for chart in charts.values())))
    lines.append(_row("section", *(f"`{_section(chart)}`" for chart in charts.values())))
    return "\n".join(lines) + "\n"


def columns() -> dict[str, dict[str, str]]:
    """Return what stands in ``specs/real-roms.md``: name of the ROM -> probe, or other row -> cell."""
    rows = [line.strip("| ").split(" | ") for line in TABLE.read_text().splitlines() if line.startswith("| ")]
    names = [name for name, _ in ROMS.values()]
    return {
        name: {cells[0]: cells[-len(names) + number].strip() for cells in rows} for number, name in enumerate(names)
    }


def cell(chart: Chart, probe: str) -> str:
    """Return what ``probe`` has shown, as it stands in the table."""
    outcome = chart.outcomes.get(probe)
    return "-" if outcome is None else " ".join([outcome.said, *(f"[{each.value}]" for each in outcome.findings)])


def _by_itself(chart: Chart) -> str:
    judged = {finding for outcome in chart.outcomes.values() for finding in outcome.findings}
    return " ".join(sorted(f"[{finding.value}]" for finding in chart.findings - judged))


def _section(chart: Chart) -> str:
    return " ".join(stanza.node_stanza(chart).split("\n")).strip()


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def walked(firmware: str, folder: Path) -> Chart:
    """Return the chart of a ROM that has been through everything; it is in ``folder``, and is gone on with."""
    folder.mkdir(parents=True, exist_ok=True)
    with Segment(f"real-{firmware[0]}", taps=1) as segment:
        return from_plain(examine(segment, folder, firmware, seconds=SECONDS))


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--write", is_flag=True, help="Write the table into specs/real-roms.md.")
def main(folder: Path, write: bool) -> None:
    """Boot a stock iPXE ROM and OVMF through the clinic (root)."""
    charts = {firmware: walked(firmware, folder / firmware) for firmware in ROMS}
    for firmware, chart in charts.items():
        (folder / f"{firmware}.html").write_text(report.page(chart))
    versions = {firmware: run("dpkg-query", "-W", "-f", "${Version}", package).strip()
                for firmware, (_, package) in ROMS.items()}  # fmt: skip
    text = page(charts, versions)
    if write:
        TABLE.write_text(text)
    else:
        click.echo(text, nl=False)


if __name__ == "__main__":
    main()

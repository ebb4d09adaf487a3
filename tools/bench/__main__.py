"""``python -m tools.bench``: our server and its peers, one after the other, several times, on one virtual segment."""

from __future__ import annotations

import hashlib
import json
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from tools.bench import peers
from tools.lab.segment import SERVER_ADDRESS, Segment, client_address

MEGABYTE = 1_000_000
GIB = 1 << 30
UNICAST_CASES = [
    # clients, block size, window, file size
    (1, 1428, 1, 32 << 20),
    (50, 1428, 1, 8 << 20),
    (200, 1428, 1, 8 << 20),
    (50, 1468, 16, 32 << 20),
]
LOCKSTEP_SIZE = 33_553_919
"""The largest file that PXE MTFTP carries: 65,535 blocks, the last one short."""


def unicast(segment: Segment, peer: str, case: tuple[int, int, int, int], folder: Path) -> dict[str, Any]:
    """Let ``clients`` download one file from ``peer`` and return what was seen."""
    clients, block_size, window, size = case
    digest = image(folder / "root" / "image", size)
    with peers.running(segment, peers.unicast_command(peer, folder / "root"), 69) as meter:
        before = meter.seconds()
        output = segment.run(
            segment.client(1), sys.executable, "-m", "tools.bench.swarm", SERVER_ADDRESS, "image", str(clients),
            str(block_size), str(window), "--digest", digest, "--size", str(size), timeout=900,
        )  # fmt: skip
        used = meter.seconds() - before
    seen: dict[str, Any] = json.loads(output)
    moved = clients * size
    return seen | {
        "peer": peer, "megabytes_per_second": moved / seen["seconds"] / MEGABYTE,
        "cpu_us_per_block": used / seen["blocks"] * 1e6, "cpu_s_per_gib": used / moved * GIB,
    }  # fmt: skip


def lockstep(segment: Segment, peer: str, folder: Path) -> dict[str, Any]:
    """Let one master acknowledge a whole pass of ``peer`` and return what was seen."""
    digest = image(folder / "root" / "image", LOCKSTEP_SIZE)
    with peers.running(segment, peers.multicast_command(peer, folder / "root", folder), peers.SERVER_PORT) as meter:
        before = meter.seconds()
        output = segment.run(
            segment.client(1), sys.executable, "-m", "tools.bench.master", SERVER_ADDRESS, str(peers.SERVER_PORT),
            "image", peers.GROUP, str(peers.CLIENT_PORT), "--interface", client_address(1), timeout=300,
        )  # fmt: skip
        used = meter.seconds() - before
    seen: dict[str, Any] = json.loads(output)
    if seen.pop("digest") != digest:
        raise RuntimeError(f"{peer}: the image is not what was sent")
    return seen | {
        "peer": peer, "blocks_per_second": seen["blocks"] / seen["seconds"],
        "cpu_us_per_block": used / seen["blocks"] * 1e6,
    }  # fmt: skip


def image(path: Path, size: int) -> str:
    """Write a seeded random file of ``size`` bytes and return its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = random.Random(size).randbytes(size)
    if not path.exists() or path.stat().st_size != size:
        path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def table(title: str, rows: list[dict[str, Any]], columns: list[str], key: str) -> str:
    """Return a Markdown table of the medians of each peer, and our ratio to each of them in ``key``."""
    by_peer: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_peer.setdefault(row["peer"], []).append(row)
    ours = statistics.median(row[key] for row in by_peer["mtftpd"])
    lines = [
        f"### {title}",
        "",
        f"| server | {' | '.join(columns)} | ours / theirs |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for peer, runs in by_peer.items():
        cells = []
        for column in columns:
            values = sorted(run[column] for run in runs)
            cells.append(f"{statistics.median(values):.5g} ({values[0]:.5g}..{values[-1]:.5g})")
        ratio = ours / statistics.median(row[key] for row in runs)
        lines.append(f"| {peer} | {' | '.join(cells)} | {ratio:.2f} |")
    return "\n".join([*lines, ""])


@click.command()
@click.option("--repeat", default=3, show_default=True, help="Runs of each server; medians (least..most) are printed.")
@click.option("--only", type=click.Choice(["lockstep", "unicast"]), help="Run one kind of benchmark.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for results.json and results.md.")
def main(repeat: int, only: str | None, out: Path | None) -> None:
    """Measure lock-step MTFTP and unicast TFTP of mtftpd and its peers, side by side.

    \b
    Examples:
      python -m tools.bench
      python -m tools.bench --only lockstep --repeat 5 --out bench-out
    """
    results: dict[str, list[dict[str, Any]]] = {}
    tables = []
    with tempfile.TemporaryDirectory() as name, Segment("ben", clients=1) as segment:
        folder = Path(name)
        if only != "unicast":
            results["lock-step MTFTP, 32 MiB"] = rows = []
            for turn in range(repeat):
                for peer in peers.MULTICAST:
                    click.echo(f"lock-step {turn + 1}/{repeat} {peer}", err=True)
                    rows.append(lockstep(segment, peer, folder))
            tables.append(table("lock-step MTFTP, 32 MiB", rows, ["blocks_per_second", "cpu_us_per_block"],
                                "blocks_per_second"))  # fmt: skip
        for case in UNICAST_CASES if only != "lockstep" else []:
            clients, block_size, window, size = case
            title = f"TFTP, {clients} clients, blksize {block_size}, windowsize {window}, {size >> 20} MiB"
            results[title] = rows = []
            for turn in range(repeat):
                for peer in peers.UNICAST:
                    click.echo(f"{title} {turn + 1}/{repeat} {peer}", err=True)
                    rows.append(unicast(segment, peer, case, folder))
            tables.append(table(title, rows, ["megabytes_per_second", "cpu_us_per_block", "cpu_s_per_gib", "right"],
                                "megabytes_per_second"))  # fmt: skip
    click.echo("\n".join(tables))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "results.json").write_text(json.dumps(results, indent=1))
        (out / "results.md").write_text("\n".join(tables))


if __name__ == "__main__":
    main()

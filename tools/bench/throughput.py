"""How fast blocks leave for a group: ``python -m tools.bench.throughput [--out DIR]``.

Our sender beside a loop of bare GSO sends over the same links, and beside udpcast and UFTP where they are installed
(Debian packages udpcast, uftp; they are timed with their start and end).  Nothing limits the rate.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from tools.bench.__main__ import image
from tools.lab.segment import Segment, stop

RECEIVERS = (1, 4, 8)
BLOCK_SIZES = (512, 1408)
SIZE = 128 << 20


def stream(segment: Segment, sender: str, receivers: int, size: int, block_size: int) -> dict[str, Any]:
    """Send ``size`` octets to the group and return how fast they left and how many came."""
    tool = (sys.executable, "-m", "tools.bench.stream")
    waiting = [
        segment.start(segment.client(number), *tool, "receive", "0", str(block_size), stdout=subprocess.PIPE)
        for number in range(1, receivers + 1)
    ]
    for process in waiting:
        assert process.stdout is not None
        process.stdout.readline()
    sent = json.loads(segment.run(segment.server, *tool, sender, str(size), str(block_size), timeout=300))
    heard = [json.loads(process.communicate(timeout=120)[0])["octets"] for process in waiting]
    return {"megabytes_per_second": size / sent["seconds"] / 1e6, "least_heard": min(1.0, min(heard) / size)}


def udpcast(segment: Segment, receivers: int, size: int, folder: Path) -> dict[str, Any]:
    """Send a file with udpcast."""
    image(folder / "image", size)
    waiting = [
        segment.start(segment.client(number), "udp-receiver", "--nokbd", "--file", folder / f"out{number}",
                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for number in range(1, receivers + 1)
    ]  # fmt: skip
    began = time.monotonic()
    segment.run(segment.server, "udp-sender", "--nokbd", "--full-duplex", "--min-receivers", str(receivers),
                "--interface", "eth0", "--file", folder / "image", timeout=300)  # fmt: skip
    return finished(waiting, began, size, folder, [folder / f"out{number}" for number in range(1, receivers + 1)])


def uftp(segment: Segment, receivers: int, size: int, folder: Path) -> dict[str, Any]:
    """Send a file with UFTP."""
    image(folder / "image", size)
    targets = [folder / f"to{number}" for number in range(1, receivers + 1)]
    waiting = []
    for number, target in enumerate(targets, 1):
        target.mkdir()
        waiting.append(segment.start(segment.client(number), "uftpd", "-d", "-D", target, "-I", "eth0", "-B", "4000000",
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))  # fmt: skip
    began = time.monotonic()
    segment.run(segment.server, "uftp", "-R", "-1", "-B", "4000000", "-I", "eth0", folder / "image", timeout=300)
    for process in waiting:
        stop(process)
    return finished([], began, size, folder, [target / "image" for target in targets])


def finished(
    waiting: list[subprocess.Popen[bytes]], began: float, size: int, folder: Path, targets: list[Path]
) -> dict[str, Any]:
    """Wait for receivers and return how fast it was, and the share of right copies."""
    for process in waiting:
        process.wait(60)
    seconds = time.monotonic() - began
    expected = (folder / "image").read_bytes()
    right = sum(target.exists() and target.read_bytes() == expected for target in targets)
    return {"megabytes_per_second": size / seconds / 1e6, "least_heard": right / len(targets)}


def table(rows: list[dict[str, Any]]) -> str:
    """Return the medians as a Markdown table, with our ratio to each of them in the same case."""
    lines = ["| receivers | block | sender | MB/s | least heard | ours / theirs |", "|---|---|---|---|---|---|"]
    for key in dict.fromkeys((row["receivers"], row["block"]) for row in rows):
        case = [row for row in rows if (row["receivers"], row["block"]) == key]
        median = {
            sender: statistics.median(row["megabytes_per_second"] for row in case if row["sender"] == sender)
            for sender in dict.fromkeys(row["sender"] for row in case)
        }
        for sender, speed in median.items():
            heard = min(row["least_heard"] for row in case if row["sender"] == sender)
            lines.append(
                f"| {key[0]} | {key[1]} | {sender} | {speed:.0f} | {heard:.1%} | {median['ours'] / speed:.2f} |"
            )
    return "\n".join([*lines, ""])


@click.command()
@click.option("--size", default=SIZE, show_default=True, help="Octets to send.")
@click.option("--repeat", default=3, show_default=True)
@click.option("--receivers", "counts", multiple=True, type=int, default=RECEIVERS, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for throughput.json and throughput.md.")
def main(size: int, repeat: int, counts: tuple[int, ...], out: Path | None) -> None:
    """Send blocks to a group as fast as they leave.

    \b
    Examples:
      python -m tools.bench.throughput --size 16777216 --receivers 1
      python -m tools.bench.throughput --out bench-out
    """
    rows: list[dict[str, Any]] = []
    with Segment("thr", clients=max(counts)) as segment:
        for _ in range(repeat):
            for receivers in counts:
                for block in BLOCK_SIZES:
                    for sender in ("ours", "bare"):
                        seen = stream(segment, sender, receivers, size, block)
                        rows.append({"sender": sender, "receivers": receivers, "block": block, **seen})
                for name, program, send in (("udpcast", "udp-sender", udpcast), ("UFTP", "uftp", uftp)):
                    if shutil.which(program) is None or receivers != 1:
                        continue
                    with tempfile.TemporaryDirectory() as folder:
                        seen = send(segment, receivers, size, Path(folder))
                    rows += [{"sender": name, "receivers": 1, "block": block, **seen} for block in BLOCK_SIZES]
    click.echo(table(rows))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "throughput.json").write_text(json.dumps(rows, indent=1))
        (out / "throughput.md").write_text(table(rows))


if __name__ == "__main__":
    main()

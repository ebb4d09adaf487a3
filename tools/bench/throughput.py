"""How fast a pass that nobody acknowledges leaves at no rate limit: ``python -m tools.bench.throughput [--out DIR]``.

Senders.  A running ``mtftpd serve`` with ``pace = "none"`` sends 128 MiB to 1, 4 and 8 namespaces: four passes of the
largest file that MTFTP can carry, 65,535 blocks of 512 octets.  Beside it a loop of bare GSO sends, as many blocks, to
the same group over the same links.  Two processors cannot run a sender and eight readers, so the receivers are members
with room for a whole pass in their sockets, which they read when it is over: every packet is delivered, and counted,
and nobody takes a processor away from either sender.  The time is that of the passes, the gaps between them left out.
MTFTP has no other block size; what 1,408 octets would give is shown by the server's way of performing `SendRun` alone
("runs"), the one that TFTP with windows takes too.

Wall time.  One receiver fetches 128 MiB into files, from its start to its end: from the running server as four files
with a group each, one after the other, and with udpcast and UFTP (Debian packages udpcast, uftp), which begin
for each transfer.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from tools.bench import paced
from tools.bench.__main__ import image
from tools.bench.bars import chart
from tools.lab.segment import Segment, stop

RECEIVERS = (1, 4, 8)
PARTS = 4
SIZE = 128 << 20
RUNS_BLOCK_SIZE = 1408


def senders(segment: Segment, receivers: int, folder: Path) -> list[dict[str, Any]]:
    """Send with the server and with bare loops to ``receivers`` and return what was seen."""
    with paced.serving(segment, folder, 1) as passes:
        members = paced.Members(segment, passes.files.values(), receivers)
        group = next(iter(passes.files.values()))
        seen = [
            ("mtftpd", paced.BLOCK_SIZE, paced.ours(passes, members, PARTS)),
            ("bare", paced.BLOCK_SIZE, paced.stream(segment, members, "bare", paced.BLOCK_SIZE, group, PARTS)),
            ("runs", RUNS_BLOCK_SIZE, paced.stream(segment, members, "runs", RUNS_BLOCK_SIZE, group, 1)),
            ("bare", RUNS_BLOCK_SIZE, paced.stream(segment, members, "bare", RUNS_BLOCK_SIZE, group, PARTS)),
        ]
        members.close()
    return [
        {
            "receivers": receivers,
            "block": block_size,
            "sender": sender,
            "megabytes_per_second": each["blocks"] * block_size / each["seconds"] / 1e6,
            **each,
        }
        for sender, block_size, each in seen
    ]


def ours(segment: Segment, folder: Path) -> dict[str, Any]:
    """Fetch with one receiver from the running server."""
    with paced.serving(segment, folder, PARTS) as passes:
        target = folder / "fetched"
        target.mkdir()
        began = time.monotonic()
        output = segment.run(segment.client(1), *paced.RECEIVER, "fetch", target,
                             *(f"{name}={group}" for name, group in passes.files.items()))  # fmt: skip
        seconds = time.monotonic() - began
    right = sum((target / each).read_bytes() == (folder / "root" / each).read_bytes() for each in passes.files)
    return {"megabytes_per_second": SIZE / seconds / 1e6, "least_heard": right / PARTS, **json.loads(output)}


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


def senders_table(rows: list[dict[str, Any]]) -> str:
    """Return the medians as a Markdown table, with the ratio to the bare loop of the same case."""
    lines = ["| receivers | block | sender | MB/s | least heard | ours / bare |", "|---" * 6 + "|"]
    for receivers, block in dict.fromkeys((row["receivers"], row["block"]) for row in rows):
        case = [row for row in rows if (row["receivers"], row["block"]) == (receivers, block)]
        speed = _medians(case)
        for sender, value in speed.items():
            least = min(row["least_heard"] for row in case if row["sender"] == sender)
            ratio = "" if sender == "bare" else f"{value / speed['bare']:.2f}"
            lines.append(f"| {receivers} | {block} | {sender} | {value:.0f} | {least:.1%} | {ratio} |")
    return "\n".join([*lines, ""])


def wall_table(rows: list[dict[str, Any]]) -> str:
    """Return the medians of one receiver by the clock on the wall."""
    lines = ["| sender, 128 MiB to one receiver | MB/s by wall time | right | ours / theirs |", "|---" * 4 + "|"]
    speed = _medians(rows)
    for sender, value in speed.items():
        right = min(row["least_heard"] for row in rows if row["sender"] == sender)
        lines.append(f"| {sender} | {value:.0f} | {right:.0%} | {speed['mtftpd'] / value:.2f} |")
    return "\n".join([*lines, ""])


def speeds(results: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """Return all medians by what they are of."""
    found: dict[str, float] = {}
    for receivers, block in dict.fromkeys((row["receivers"], row["block"]) for row in results["senders"]):
        case = [row for row in results["senders"] if (row["receivers"], row["block"]) == (receivers, block)]
        found |= {f"{receivers} receivers, {block} octets, {name}": value for name, value in _medians(case).items()}
    return found | {f"one receiver, wall time, {name}": value for name, value in _medians(results["wall"]).items()}


def _medians(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {
        sender: statistics.median(row["megabytes_per_second"] for row in rows if row["sender"] == sender)
        for sender in dict.fromkeys(row["sender"] for row in rows)
    }


@click.command()
@click.option("--repeat", default=3, show_default=True)
@click.option("--receivers", "counts", multiple=True, type=int, default=RECEIVERS, show_default=True)
@click.option("--only", type=click.Choice(["senders", "wall"]), help="Measure one of the two.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for throughput.json, .md and .svg.")
def main(repeat: int, counts: tuple[int, ...], only: str | None, out: Path | None) -> None:
    """Send passes as fast as they leave.

    \b
    Examples:
      python -m tools.bench.throughput --only senders --receivers 1 --repeat 1
      python -m tools.bench.throughput --out bench-out
    """
    results: dict[str, list[dict[str, Any]]] = {"senders": [], "wall": []}
    fetchers = [("udpcast", "udp-sender", udpcast), ("UFTP", "uftp", uftp)]
    with Segment("thr", clients=max(counts)) as segment:
        for _ in range(repeat):
            for receivers in counts if only != "wall" else ():
                with tempfile.TemporaryDirectory() as name:
                    results["senders"] += senders(segment, receivers, Path(name))
            if only == "senders":
                continue
            with tempfile.TemporaryDirectory() as name:
                results["wall"].append({"sender": "mtftpd", **ours(segment, Path(name))})
            for sender, program, send in fetchers:
                if shutil.which(program) is not None:
                    with tempfile.TemporaryDirectory() as name:
                        results["wall"].append({"sender": sender, **send(segment, 1, SIZE, Path(name))})
    tables = [*([senders_table(results["senders"])] if results["senders"] else []),
              *([wall_table(results["wall"])] if results["wall"] else [])]  # fmt: skip
    click.echo("\n".join(tables))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "throughput.json").write_text(json.dumps(results, indent=1))
        (out / "throughput.md").write_text("\n".join([*tables, "![MB/s](throughput.svg)\n"]))
        (out / "throughput.svg").write_text(chart("128 MiB to a group, no rate limit", speeds(results), "MB/s"))


if __name__ == "__main__":
    main()

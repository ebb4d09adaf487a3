"""Other people's TFTP clients fetch 100 MiB: with blocks of 512 bytes the block number rolls over three times."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.conftest import write_image
from tests.patience import PATIENCE
from tools.lab.segment import SERVER_ADDRESS, Segment
from tools.lab.server import serving

SIZE = 100 * 1024 * 1024


def command(client: str, block_size: int, target: Path) -> list[str | Path]:
    """Return the command line of a client; Debian's tftp-hpa asks for no options, so its blocks have 512 bytes."""
    if client == "tftp-hpa":
        return ["tftp", "-m", "binary", SERVER_ADDRESS, "-c", "get", "large", target]
    if client == "atftp":
        return ["atftp", "--option", f"blksize {block_size}", "-g", "-r", "large", "-l", target, SERVER_ADDRESS]
    return ["busybox", "tftp", "-g", "-b", str(block_size), "-r", "large", "-l", target, SERVER_ADDRESS]


@pytest.mark.parametrize(
    ("client", "block_size"),
    [("tftp-hpa", 512), ("busybox", 512), ("busybox", 1468), ("atftp", 1468)],
)
def test_fetches_100_mib(client: str, block_size: int, root: Path, tmp_path: Path) -> None:
    image = write_image(root / "large", SIZE)
    target = tmp_path / "out"
    with Segment("tft", clients=1) as segment, serving(segment, "--mode", "tftp", "--root", root) as server:
        segment.run(segment.client(1), *command(client, block_size, target), timeout=PATIENCE)
        assert target.read_bytes() == image
        done = [event for event in server.events() if event.get("event") == "tftp-done"]
        assert [event["block_size"] for event in done] == [block_size]

"""tftp-hpa and busybox fetch a file of more than 65,535 blocks of 512 bytes: the block number rolls over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.conftest import write_image
from tools.lab.segment import SERVER_ADDRESS, Segment
from tools.lab.server import serving

SIZE = 100 * 1024 * 1024
CLIENTS = {
    "tftp-hpa": lambda size, target: ["tftp", "-m", "binary", "-B", size, SERVER_ADDRESS, "-c", "get", "large", target],
    "busybox": lambda size, target: ["busybox", "tftp", "-g", "-b", size, "-r", "large", "-l", target, SERVER_ADDRESS],
}
SECONDS = 240


@pytest.mark.parametrize("block_size", [512, 1468])
@pytest.mark.parametrize("client", list(CLIENTS))
def test_fetches_100_mib(client: str, block_size: int, root: Path, tmp_path: Path) -> None:
    image = write_image(root / "large", SIZE)
    target = tmp_path / "out"
    with Segment("tft", clients=1) as segment, serving(segment, "--mode", "tftp", "--root", root) as server:
        segment.run(segment.client(1), *CLIENTS[client](str(block_size), str(target)), timeout=SECONDS)
        assert target.read_bytes() == image
        done = [event for event in server.events() if event.get("event") == "tftp-done"]
        assert [event["block_size"] for event in done] == [block_size]

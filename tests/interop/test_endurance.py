"""A live server under bad input and under load: it goes on serving, and its memory stays what it was."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.conftest import write_image
from tools.lab.segment import SERVER_ADDRESS, Segment, client_address
from tools.lab.server import Server, serving

DATAGRAMS = int(os.environ.get("MTFTPD_BAD_DATAGRAMS", "1000000"))
"""Against each socket."""
PORTS = {"dhcp": 67, "pxe": 4011, "tftp": 69, "mtftp": 1542, "ipxe": 1759}
MACHINES = {"dhcp": "2000", "pxe": "2000"}
"""Senders of each of the eight DHCP messages in the warm-up: 16,000 nodes, of which the server remembers 8,192."""
MEBIBYTE = 1 << 20
MAX_RESIDENT = 120 * MEBIBYTE
LEASES = 2000
TRANSFERS = 200
IMAGE_SIZE = 30 * MEBIBYTE


def hail(segment: Segment, server: Server, port: int, count: int, *options: str) -> None:
    """Throw ``count`` bad datagrams at one port of the server."""
    segment.run(segment.client(1), sys.executable, "-m", "tools.lab.hail", SERVER_ADDRESS, str(port), str(count),
                "--control", server.control, *options, timeout=900)  # fmt: skip


def fetch(segment: Segment, target: Path) -> bytes:
    """Be the good client: fetch the image by TFTP."""
    segment.run(segment.client(1), "busybox", "tftp", "-g", "-r", "image", "-l", target, SERVER_ADDRESS)
    return target.read_bytes()


@pytest.mark.parametrize("name", list(PORTS))
def test_bad_input_changes_nothing(name: str, root: Path, tmp_path: Path) -> None:
    image = write_image(root / "image", 100_000)
    with (
        Segment("bad", clients=1) as segment,
        serving(segment, "--mode", "dhcp", "--range", "10.77.100.1-10.77.103.250", "--root", root, "--serve-all",
                "--group", "239.1.1.1", "--image", "image=image") as server,
    ):  # fmt: skip
        # fills what is bounded, so that what grows after it is a leak
        hail(segment, server, PORTS[name], DATAGRAMS // 4, "--seed", "1", "--machines", MACHINES.get(name, "16"))
        before = server.memory()
        hail(segment, server, PORTS[name], DATAGRAMS, "--seed", "2")
        assert fetch(segment, tmp_path / "out") == image
        assert server.memory() <= before * 1.1
        segment.run(segment.client(1), sys.executable, "-m", "tools.lab.leases", SERVER_ADDRESS, client_address(1), "1")


def test_memory_with_2000_leases_and_200_transfers(root: Path) -> None:
    digest = hashlib.sha256(write_image(root / "image", IMAGE_SIZE)).hexdigest()
    with (
        Segment("mem", clients=1) as segment,
        serving(segment, "--mode", "dhcp", "--range", "10.77.100.1-10.77.120.250", "--root", root,
                "--group", "239.1.1.1", "--image", "image=image") as server,
    ):  # fmt: skip
        leases = segment.run(segment.client(1), sys.executable, "-m", "tools.lab.leases", SERVER_ADDRESS,
                             client_address(1), str(LEASES))  # fmt: skip
        assert int(leases) == LEASES
        swarm = segment.start(
            segment.client(1), sys.executable, "-m", "tools.bench.swarm", SERVER_ADDRESS, "image", str(TRANSFERS),
            "1428", "1", "--digest", digest, "--size", str(IMAGE_SIZE), stdout=subprocess.PIPE,
        )  # fmt: skip
        output, _ = swarm.communicate(timeout=600)
        assert json.loads(output)["right"] == TRANSFERS
        assert server.peak_memory() <= MAX_RESIDENT

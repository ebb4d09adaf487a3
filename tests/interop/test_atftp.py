"""The atftp client in MTFTP mode: the one client here that listens, opens and receives as PXE 2.1 has it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.interop.conftest import write_image
from tests.patience import PATIENCE
from tools.lab.segment import SERVER_ADDRESS, Segment, client_address
from tools.lab.server import Server, serving

SIZE = 4 * 1024 * 1024
BLOCKS = SIZE // 512 + 1
GROUP = "239.1.1.1"
CLIENTS = 4
RATE = "5M"
"""Of the server itself: the link has no limit.  A listener's socket holds 270 blocks (208 KiB of 768 each): 0.25 s at
this rate, for which no process is kept waiting by a busy machine.  Without a limit the master alone sets the pace,
and others overflow by chance."""
OPTION_SIZE = 1024 * 1024
OPTIONS = ("--mode", "tftp", "--group", GROUP, "--rate", RATE, "--faithful")
"""Faithful, since else the server may send another pass when a busy machine looks to it like a lossy network."""


def download(segment: Segment, number: int, target: Path) -> subprocess.Popen[bytes]:
    """Start one atftp client that listens to the group for a second and then opens."""
    return segment.start(
        segment.client(number), "atftp", "--mget", "--mtftp", f"mcast-ip {GROUP}", "--mtftp", "client-port 1799",
        "--mtftp", "listen-delay 1", "-r", "image", "-l", target, SERVER_ADDRESS, "1542",
    )  # fmt: skip


def groups(server: Server) -> list[dict[str, Any]]:
    """Return the state of the groups that are the server's own: iPXE's is another one."""
    return [group for group in server.ask("status")["mtftp"]["groups"] if group["group"].startswith(GROUP)]


def test_four_clients_that_start_together_share_one_pass(root: Path, tmp_path: Path) -> None:
    image = write_image(root / "image.bin", SIZE)
    with (
        Segment("atf", clients=CLIENTS) as segment,
        serving(segment, *OPTIONS, "--root", root, "--image", "image=image.bin") as server,
    ):
        targets = [tmp_path / f"out{number}" for number in range(1, CLIENTS + 1)]
        downloads = [download(segment, number, target) for number, target in enumerate(targets, 1)]
        assert [process.wait(60) for process in downloads] == [0] * CLIENTS
        assert all(target.read_bytes() == image for target in targets)
        (group,) = groups(server)
        assert group["passes"] == 1
        assert group["sent"] == group["blocks"] + group["repeats"]
        passed = next(event for event in server.events() if event.get("event") == "pass-ended")
        # Each block is 582 octets of time on the wire; at most one bucket of 4,000 octets leaves before its time.
        assert passed["milliseconds"] >= (BLOCKS * 582 - 4_000) * 8 / 5e6 * 1000


def test_the_others_finish_when_the_master_is_killed(root: Path, tmp_path: Path) -> None:
    image = write_image(root / "image.bin", SIZE)
    with (
        Segment("atk", clients=CLIENTS) as segment,
        serving(segment, *OPTIONS, "--root", root, "--image", "image=image.bin") as server,
    ):
        targets = {number: tmp_path / f"out{number}" for number in range(1, CLIENTS + 1)}
        downloads = {number: download(segment, number, target) for number, target in targets.items()}
        master = wait_for_the_middle(server)
        victim = next(number for number in downloads if client_address(number) == master)
        os.kill(downloads[victim].pid, signal.SIGKILL)
        downloads.pop(victim).wait()
        assert [process.wait(120) for process in downloads.values()] == [0] * (CLIENTS - 1)
        assert all(targets[number].read_bytes() == image for number in downloads)
        assert any(event.get("event") == "master-lost" for event in server.events())


def test_four_clients_with_option_multicast_and_loss_share_one_copy(root: Path, tmp_path: Path) -> None:
    """RFC 2090 on port 69: each client loses 1 % of what is for it, and is sent only its gaps again."""
    image = write_image(root / "image.bin", OPTION_SIZE)
    with (
        Segment("ato", clients=CLIENTS) as segment,
        serving(segment, *OPTIONS, "--root", root, "--image", "image=image.bin") as server,
    ):
        segment.lose(10)
        targets = [tmp_path / f"out{number}" for number in range(1, CLIENTS + 1)]
        downloads = [
            segment.start(
                segment.client(number), "atftp", "--option", "multicast", "--option", "blksize 1400", "--get",
                "-r", "image", "-l", target, SERVER_ADDRESS, "69",
            )
            for number, target in enumerate(targets, 1)
        ]  # fmt: skip
        assert [process.wait(120) for process in downloads] == [0] * CLIENTS
        assert all(target.read_bytes() == image for target in targets)
        ended = server.ask("status")["multicast_option"]
        started = [event for event in server.events() if event.get("event") == "tftp-started"]
        assert all(event["group"].endswith(":1758") for event in started)
        assert ended["done"] == CLIENTS
        # Four clients of their own would be four copies; a busy machine makes the timers of one repeat some.
        assert ended["blocks"] < 3.5 * (OPTION_SIZE // 1400 + 1)


def wait_for_the_middle(server: Server) -> str:
    """Wait until a pass is between a tenth and nine tenths of its way and return the address of its master."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for group in groups(server):
            if group["master"] and BLOCKS // 10 < group["block"] < BLOCKS * 9 // 10:
                return str(group["master"]).rpartition(":")[0]
        time.sleep(0.005)
    raise AssertionError("no pass got to its middle")

"""The demo as people run it: a process whose children are the real server and real ROM processes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a demo whose temporary files are in ``folder``."""
    command = [sys.executable, "-m", "mtftpd", "demo", *arguments]
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run a demo to its end; return its exit status and what it printed; what it complained of is shown."""
    process = start(folder, *arguments)
    output, complaints = process.communicate(timeout=PATIENCE)
    sys.stderr.write(complaints)
    assert list(folder.glob("mtftpd-demo-*")) == [], "no file is left behind"
    return process.returncode, output


def summary(folder: Path, *arguments: str) -> dict[str, Any]:
    status, output = run(folder, "--json", *arguments)
    result: dict[str, Any] = json.loads(output)
    assert status == (0 if result["ok"] else 1)
    return result


def image(folder: Path, size: int) -> Path:
    path = folder / "node.img"
    path.write_bytes(os.urandom(size))
    return path


@pytest.mark.parametrize("size", [200_077, 512 * 100, 0], ids=["any size", "a multiple of 512", "empty"])
def test_every_node_gets_the_image_by_multicast(tmp_path: Path, size: int) -> None:
    path = image(tmp_path, size)
    result = summary(tmp_path, "--loopback", "--nodes", "4", "--image", str(path))
    assert result["ok"]
    assert (result["nodes"], result["booted"], result["verified"]) == (4, 4, 4)
    assert result["image_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert result["ideal_blocks"] == size // 512 + 1
    assert result["multicast_blocks"] >= result["ideal_blocks"]


def test_loss_is_made_good(tmp_path: Path) -> None:
    result = summary(tmp_path, "--loopback", "--nodes", "3", "--loss", "3%", "--image", str(image(tmp_path, 150_000)))
    assert result["verified"] == 3
    assert result["lost_datagrams"] > 0
    assert result["multicast_blocks"] + result["unicast_blocks"] > result["ideal_blocks"]


def test_intels_efi_client_boots_too(tmp_path: Path) -> None:
    path = image(tmp_path, 100_000)
    assert summary(tmp_path, "--loopback", "--nodes", "3", "--rom", "edk1", "--image", str(path))["verified"] == 3


def test_an_image_without_a_group_is_fetched_by_unicast(tmp_path: Path) -> None:
    path = image(tmp_path, 33_553_920)
    result = summary(tmp_path, "--loopback", "--nodes", "1", "--image", str(path))
    assert (result["verified"], result["unicast"], result["multicast_blocks"]) == (1, 1, 0)


def test_a_node_that_does_not_boot_is_the_exit_status(tmp_path: Path) -> None:
    status, output = run(tmp_path, "--loopback", "--nodes", "2", "--limit", "0.2")
    assert status == 1
    assert "0 of 2 nodes booted" in output
    assert "failed: 2 x not done after 0.2 s, in phase" in output


def test_lines_for_who_has_no_terminal(tmp_path: Path) -> None:
    status, output = run(tmp_path, "--loopback", "--nodes", "2", "--image", str(image(tmp_path, 5000)))
    assert status == 0
    lines = output.splitlines()
    assert lines[0] == "2 nodes, 4.9 KiB image, loopback, other ports"
    assert "2 of 2 nodes booted; 2 images verified by SHA-256" in output
    assert "\x1b" not in output


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    process = start(tmp_path, "--image", str(tmp_path / "none"))
    _, complaint = process.communicate(timeout=PATIENCE)
    assert process.returncode == 69
    assert (
        complaint.strip() == f"mtftpd: --image {tmp_path}/none: No such file or directory; name a file that can be read"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, "--loopback", "--nodes", "3", "--loss", "50%")
    assert process.stdout is not None
    process.stdout.readline()
    children = wait_for_children(process.pid, 4)
    process.send_signal(number)
    _, complaint = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert complaint == "mtftpd: interrupted; everything is cleaned up\n"
    assert [child for child in children if is_running(child)] == []
    assert list(tmp_path.glob("mtftpd-demo-*")) == []


def test_a_killed_demo_takes_its_processes_with_it(tmp_path: Path) -> None:
    process = start(tmp_path, "--loopback", "--nodes", "3", "--loss", "50%")
    assert process.stdout is not None
    process.stdout.readline()
    children = wait_for_children(process.pid, 4)
    process.kill()
    process.communicate(timeout=PATIENCE)
    end = time.monotonic() + PATIENCE
    while any(is_running(child) for child in children) and time.monotonic() < end:
        time.sleep(0.01)
    assert [child for child in children if is_running(child)] == []


@pytest.mark.system
@needs_root
def test_root_has_real_ports_and_a_network_of_its_own(tmp_path: Path) -> None:
    status, output = run(tmp_path, "--nodes", "6", "--image", str(image(tmp_path, 100_000)))
    assert status == 0
    assert output.splitlines()[0] == "6 nodes, 97.7 KiB image, private network namespaces"
    assert "6 images verified" in output


@pytest.mark.system
@needs_root
def test_nobody_can_do_it_too(tmp_path: Path) -> None:
    """All rights are given up but that of reading: an interpreter may be where only root may look."""
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents[:2]:
        folder.chmod(0o755)
    rights = [f"--{kind}=-all,+dac_read_search" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *rights]
    command = [*become, sys.executable, "-m", "mtftpd", "demo", "--nodes", "5", "--json"]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "HOME": "/nonexistent"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verified"] == 5


def wait_for_children(process: int, count: int) -> list[int]:
    """Return the process ids of the children once there are ``count`` of them."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        if len(found) >= count:
            return [int(child) for child in found]
        time.sleep(0.01)
    raise AssertionError(f"fewer than {count} children")


def is_running(process: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"

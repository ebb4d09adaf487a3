"""What needs root: the standard ports, in a network namespace of its own."""

from __future__ import annotations

import contextlib
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.server_process import environment
from tests.patience import PATIENCE

pytestmark = pytest.mark.system

LOOPBACK = "ip link set lo up"
ONE_LINK = (
    f"{LOOPBACK}; ip link add eth0 type veth peer name other0; ip address add 10.9.0.1/24 dev eth0; "
    "ip link set eth0 up; ip link set other0 up"
)
TWO_LINKS = f"{ONE_LINK}; ip address add 10.8.0.1/24 dev other0"
WITHOUT_CAPABILITIES = "setpriv --bounding-set -all --inh-caps -all --ambient-caps -all --"


def in_namespace(setup: str, *arguments: str, prefix: str = "") -> list[str]:
    """Return the command that runs mtftpd in a fresh network namespace after ``setup``."""
    program = shlex.join([sys.executable, "-m", "mtftpd", *arguments])
    return ["unshare", "--net", "sh", "-ec", f"{setup}; exec {prefix} {program}"]


def finish(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=environment(), cwd=folder, check=False
    )


@contextlib.contextmanager
def ready(command: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(folder / "notify"))
        notified.settimeout(PATIENCE)
        process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=environment(NOTIFY_SOCKET=str(folder / "notify")),
        )
        try:
            notified.recv(4096)
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)


def test_group_alone_starts_on_the_only_interface(tmp_path: Path) -> None:
    with ready(in_namespace(ONE_LINK, "serve", "--group", "239.1.1.1"), tmp_path) as process:
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE)
    assert "ready interface=eth0 address=10.9.0.1 mode=proxy images=0" in errors
    assert "no --image" in errors
    assert process.returncode == 0


def test_two_interfaces_are_named_and_the_exit_status_is_78(tmp_path: Path) -> None:
    result = finish(in_namespace(TWO_LINKS, "serve", "--group", "239.1.1.1"), tmp_path)
    assert result.returncode == 78
    assert result.stderr == (
        "mtftpd: 2 interfaces could be served; choose one with --interface: eth0 (10.9.0.1/24), other0 (10.8.0.1/24)\n"
    )


def test_no_interface_at_all_is_said(tmp_path: Path) -> None:
    result = finish(in_namespace(LOOPBACK, "serve", "--group", "239.1.1.1"), tmp_path)
    assert result.returncode == 78
    assert "no interface but loopback is up" in result.stderr


@pytest.mark.parametrize("name", ["eth9", "other0"])
def test_an_interface_that_cannot_be_served(tmp_path: Path, name: str) -> None:
    result = finish(in_namespace(ONE_LINK, "serve", "--interface", name), tmp_path)
    assert result.returncode == {"eth9": 78, "other0": 69}[name]
    assert f"--interface {name}:" in result.stderr


def test_a_missing_capability_is_named_and_the_exit_status_is_77(tmp_path: Path) -> None:
    result = finish(in_namespace(ONE_LINK, "serve", "--group", "239.1.1.1", prefix=WITHOUT_CAPABILITIES), tmp_path)
    assert result.returncode == 77, result.stderr
    assert "CAP_NET_BIND_SERVICE" in result.stderr

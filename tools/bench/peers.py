"""The servers that are compared: ours and the three that everybody uses, each with the limits of its default raised."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.bench.meter import Meter
from tools.lab.segment import SERVER_ADDRESS, Segment, stop

GROUP = "239.1.1.1"
CLIENT_PORT = 1799
SERVER_PORT = 1542
CONVERSATIONS = "4000"
UNICAST = ("mtftpd", "dnsmasq", "atftpd", "tftpd-hpa")
MULTICAST = ("mtftpd", "atftpd")
HPA = Path(__file__).parents[2] / "build" / "debian" / "tftpd-hpa" / "usr" / "sbin" / "in.tftpd"
"""tftpd-hpa conflicts with atftpd, so ``tools/test --system`` unpacks it here."""


def unicast_command(peer: str, root: Path) -> list[str]:
    """Return the command line of a server that serves ``root`` on port 69."""
    return {
        "mtftpd": [sys.executable, "-m", "mtftpd", "serve", "--interface", "eth0", "--mode", "tftp", "--root",
                   str(root), "--state", str(root.parent / "state")],
        "dnsmasq": ["dnsmasq", "--no-daemon", "--port=0", "--bind-interfaces", "--interface=eth0", "--user=root",
                    "--enable-tftp", f"--tftp-root={root}", f"--tftp-max={CONVERSATIONS}"],
        "atftpd": ["atftpd", "--daemon", "--no-fork", "--bind-address", SERVER_ADDRESS, "--user", "root", "--group",
                   "root", "--maxthread", CONVERSATIONS, "--logfile", "/dev/null", str(root)],
        "tftpd-hpa": [str(HPA), "--foreground", "--listen", "--address", f"{SERVER_ADDRESS}:69", "--user", "root",
                      "--secure", str(root)],
    }[peer]  # fmt: skip


def multicast_command(peer: str, root: Path, folder: Path) -> list[str]:
    """Return the command line of an MTFTP server of the file ``image`` beneath ``root``."""
    if peer == "mtftpd":
        return [*unicast_command(peer, root), "--group", GROUP, "--image", "image=image"]
    groups = folder / "mtftp"
    groups.write_text(f"image {GROUP} {CLIENT_PORT}\n")
    return ["atftpd", "--daemon", "--no-fork", "--bind-address", SERVER_ADDRESS, "--user", "root", "--group", "root",
            "--logfile", "/dev/null", "--mtftp", str(groups), "--mtftp-port", str(SERVER_PORT), str(root)]  # fmt: skip


@contextlib.contextmanager
def running(
    segment: Segment, command: list[str], port: int, environment: Mapping[str, str] = os.environ
) -> Iterator[Meter]:
    """Run a server in the server namespace; it has bound UDP ``port`` when the block begins."""
    with Meter() as meter, tempfile.TemporaryFile() as output:
        process = segment.start(
            segment.server, *command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, preexec_fn=meter.enter,
            env={**environment, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            _wait_for_port(segment, process, port)
            yield meter
        finally:
            stop(process)


def _wait_for_port(segment: Segment, process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 30
    while f":{port} " not in segment.run(segment.server, "ss", "-lunH"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} did not bind UDP port {port}")
        time.sleep(0.05)

"""busybox udhcpc, a plain DHCP client: it gets a lease, renews it and gives it back."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.patience import PATIENCE
from tools.lab.segment import Segment
from tools.lab.server import Server, serving

SCRIPT = """#!/bin/sh
case "$1" in
bound|renew) busybox ip addr replace "$ip/$mask" dev "$interface" ;;
deconfig) busybox ip addr flush dev "$interface"; busybox ip link set "$interface" up ;;
esac
echo "$1 $ip" >>"$LOG"
"""


def wait_until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def count(server: Server, kind: str) -> int:
    return sum(event.get("event") == kind for event in server.events())


def test_gets_renews_and_releases_a_lease(root: Path, tmp_path: Path) -> None:
    script, log = tmp_path / "script", tmp_path / "log"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    log.write_text("")
    with (
        Segment("udh", clients=1, addressed=False) as segment,
        serving(segment, "--mode", "dhcp", "--range", "10.77.100.1-10.77.100.1", "--root", root,
                "--serve-all") as server,
    ):  # fmt: skip
        client = segment.start(
            segment.client(1), "busybox", "udhcpc", "-f", "-R", "-i", "eth0", "-s", script,
            env={**os.environ, "LOG": str(log)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(lambda: "bound 10.77.100.1" in log.read_text(), "no lease")
        os.kill(client.pid, signal.SIGUSR1)
        wait_until(lambda: "renew 10.77.100.1" in log.read_text(), "no renewal")
        deliveries = [event["delivery"] for event in server.events() if event.get("event") == "dhcp-acked"]
        # signalled right after it was bound, udhcpc may miss the first answer and ask once more
        assert deliveries[0] == "unicast"
        assert deliveries[1:] in (["ciaddr"], ["ciaddr", "ciaddr"])
        os.kill(client.pid, signal.SIGTERM)
        wait_until(lambda: count(server, "dhcp-released") == 1, "no release")
        # the only address of the range is free again: another client gets it
        segment.run(segment.client(1), "ip", "link", "set", "eth0", "address", "02:00:00:00:00:99")
        second = segment.start(
            segment.client(1), "busybox", "udhcpc", "-f", "-q", "-i", "eth0", "-s", script,
            env={**os.environ, "LOG": str(log)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert second.wait(PATIENCE) == 0
        assert log.read_text().count("bound 10.77.100.1") == 2

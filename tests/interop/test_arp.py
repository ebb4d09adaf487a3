"""A client that answers no ARP at all: it gets every packet, and nothing of it is left behind.

The kernel of the server is told to doubt its neighbours after a second instead of half a minute, so that what it
would do to a download of ten minutes happens within `SECONDS`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.interop.conftest import write_image
from tools.lab.segment import Segment
from tools.lab.server import Server, serving

SECONDS = float(os.environ.get("MTFTPD_ARP_SECONDS", "12"))
"""How long the download takes.  With more than a minute the times of the kernel are left as they are: 600 is the test
of ten minutes."""
HASTY = {
    "base_reachable_time_ms": 1000,
    "delay_first_probe_time": 1,
    "gc_stale_time": 1,
    "mcast_solicit": 2,
    "retrans_time_ms": 250,
    "ucast_solicit": 2,
}
FIRST = "10.77.100.1"
ONLY_PORTS = (
    "setpriv", "--bounding-set", "-all,+net_bind_service", "--inh-caps", "-all", "--ambient-caps", "-all", "--",
)  # fmt: skip
PLAIN_SENDER = """
import socket, sys, time
opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(int(float(sys.argv[2]) * 10)):
    opened.sendto(b"?", (sys.argv[1], 9))
    time.sleep(0.1)
"""


def doubt_neighbours(segment: Segment) -> None:
    if SECONDS <= 60:
        for name, value in HASTY.items():
            segment.run(segment.server, "sysctl", "-qw", f"net.ipv4.neigh.eth0.{name}={value}")


def boot(segment: Segment, seconds: float) -> dict[str, Any]:
    command = (sys.executable, "-m", "tools.lab.deaf_rom", "image", str(seconds))
    result: dict[str, Any] = json.loads(segment.run(segment.client(1), *command, timeout=seconds + 60))
    return result


def permanent(segment: Segment) -> dict[str, str]:
    """Return the permanent entries of the server: address -> hardware address."""
    listed = json.loads(segment.run(segment.server, "ip", "-json", "neigh", "show", "nud", "permanent") or "[]")
    return {entry["dst"]: entry["lladdr"] for entry in listed}


def hardware(segment: Segment) -> str:
    found = json.loads(segment.run(segment.client(1), "ip", "-json", "link", "show", "eth0"))
    return str(found[0]["address"])


def sent(server: Server) -> int:
    """Return the DATA packets of the one transfer, repetitions included, once it has ended."""
    tftp = server.ask("status")["tftp"]
    assert not tftp["transfers"]
    return int(tftp["blocks"] + tftp["retransmitted"])


def options(root: Path, *more: str | Path) -> Sequence[str | Path]:
    return ("--mode", "dhcp", "--range", f"{FIRST}-10.77.100.9", "--boot-file", "image", "--root", root, *more)


@pytest.mark.parametrize(("prefix", "is_set"), [((), True), (ONLY_PORTS, False)], ids=["entries", "MSG_CONFIRM"])
def test_a_deaf_rom_gets_every_packet(root: Path, prefix: Sequence[str], is_set: bool) -> None:
    write_image(root / "image", 512 * int(SECONDS * 20))
    with Segment("arp", clients=1, addressed=False) as segment:
        doubt_neighbours(segment)
        with serving(segment, *options(root), prefix=prefix) as server:
            result = boot(segment, SECONDS)
            assert result["highest"] > SECONDS * 5, "it took long enough for every entry to expire"
            assert result["received"] == sent(server)
            assert result["asked"] == 0
            assert permanent(segment) == ({FIRST: hardware(segment)} if is_set else {})
            reasons = [event["text"] for event in server.events() if event["event"] == "no-neighbour-entries"]
            assert [("CAP_NET_ADMIN is missing" in reason) for reason in reasons] == [True] * (not is_set)
        assert permanent(segment) == {}


def test_without_help_the_kernel_loses_a_deaf_client(root: Path) -> None:
    """What the tests above stand on: in this very network, packets to such a client get lost."""
    write_image(root / "image", 5120)
    with Segment("arpc", clients=1, addressed=False) as segment:
        doubt_neighbours(segment)
        with serving(segment, *options(root), prefix=ONLY_PORTS):
            boot(segment, 0.1)
        before = delivered(segment)
        segment.run(segment.server, sys.executable, "-c", PLAIN_SENDER, FIRST, "6")
        assert delivered(segment) - before < 45


def delivered(segment: Segment) -> int:
    """Return how many datagrams to a port where nobody listens have reached the client."""
    lines = segment.run(segment.client(1), "cat", "/proc/net/snmp").splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp:"))
    return int(values[names.index("NoPorts")])


def test_what_a_killed_server_has_left_is_swept_and_nothing_else(root: Path, tmp_path: Path) -> None:
    write_image(root / "image", 5120)
    state = tmp_path / "state"
    with Segment("arpk", clients=1, addressed=False) as segment:
        ours, others = {FIRST: hardware(segment)}, {"10.77.100.77": "02:00:00:00:00:77", "10.77.100.3": ""}
        others["10.77.100.3"] = ours[FIRST]
        for address, station in others.items():
            segment.run(segment.server, "ip", "neigh", "add", address, "lladdr", station, "dev", "eth0")
        with serving(segment, *options(root, "--state", state)) as server:
            boot(segment, 0.1)
            assert permanent(segment) == ours | others
            assert json.loads((state / "neighbours.json").read_text())["entries"] == ours
            server.signal(signal.SIGKILL)
            server.process.wait()
        assert permanent(segment) == ours | others
        with serving(segment, *options(root, "--state", state)) as server:
            assert permanent(segment) == others
            assert "neighbours-swept" in [event["event"] for event in server.events()]
        assert json.loads((state / "neighbours.json").read_text())["entries"] == {}

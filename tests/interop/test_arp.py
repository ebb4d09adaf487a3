"""A client that answers no ARP at all: it gets every packet, and nothing of it is left behind."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.interop.conftest import write_image
from tests.patience import PATIENCE
from tools.lab.segment import Segment
from tools.lab.server import serving

LONG_SECONDS, LONG_PACE = 600.0, 1.0
HASTY = {
    "base_reachable_time_ms": 1000,
    "delay_first_probe_time": 1,
    "gc_stale_time": 1,
    "mcast_solicit": 2,
    "retrans_time_ms": 250,
    "ucast_solicit": 2,
}
"""The kernel of the server doubts its neighbours after a second instead of half a minute, and gives up after two."""
LOOK_SECONDS = 20.0
"""Between two looks at what the kernel believes, less than it needs to go from one state to the next and back."""
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


@dataclass
class Boot:
    """A deaf ROM that fetches from a server, and what is known of its packets."""

    segment: Segment
    rom: subprocess.Popen[bytes]

    def is_running(self, seconds: float) -> bool:
        """Return whether it still runs after so many seconds."""
        try:
            self.rom.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def believed(self) -> set[str]:
        """Return what the server's kernel thinks of the client's address."""
        listed = json.loads(self.segment.run(self.segment.server, "ip", "-json", "neigh", "show", FIRST) or "[]")
        return {state for entry in listed for state in entry["state"]}

    def end(self) -> dict[str, Any]:
        """Wait for its end, and until all that left the server has arrived; return what it says."""
        told, _ = self.rom.communicate(timeout=PATIENCE)
        assert self.rom.returncode == 0
        result: dict[str, Any] = json.loads(told)
        deadline = time.monotonic() + PATIENCE
        while (left := sent(self.segment)) != (came := arrived(self.segment)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert left == came >= result["highest"]
        return result


@contextlib.contextmanager
def booting(segment: Segment, root: Path, prefix: Sequence[str] = (), *, seconds: float, pace: float) -> Iterator[Boot]:
    """Serve a file that takes longer than ``seconds`` to a deaf ROM, and count what is sent to it."""
    write_image(root / "image", 512 * int(seconds / pace + 10))
    count(segment)
    with serving(segment, *options(root), prefix=prefix) as server:
        command = (sys.executable, "-m", "tools.lab.deaf_rom", "image", str(seconds), str(pace))
        yield Boot(segment, segment.start(segment.client(1), *command, stdout=subprocess.PIPE))
        missing = [event["text"] for event in server.events() if event["event"] == "no-neighbour-entries"]
        assert [("CAP_NET_ADMIN is missing" in reason) for reason in missing] == [True] * bool(prefix)


def test_a_deaf_rom_gets_every_packet(root: Path) -> None:
    with Segment("arp", clients=1, addressed=False) as segment:
        doubt_neighbours(segment)
        with booting(segment, root, seconds=6, pace=0.1) as boot:
            await_permanent(segment, {FIRST: hardware(segment)})
            boot.end()
            assert permanent(segment) == {FIRST: hardware(segment)}
        assert permanent(segment) == {}


@pytest.mark.long
def test_a_deaf_rom_gets_every_packet_for_ten_minutes(root: Path) -> None:
    """With the times of the kernel as they are; once with entries of ours, once with MSG_CONFIRM in their place."""
    faulthandler.cancel_dump_traceback_later()  # pytest takes two minutes for a deadlock.
    with (
        Segment("arpl", clients=1, addressed=False) as one,
        Segment("arpm", clients=1, addressed=False) as two,
        booting(one, root, seconds=LONG_SECONDS, pace=LONG_PACE) as helped,
        booting(two, root, ONLY_PORTS, seconds=LONG_SECONDS, pace=LONG_PACE) as confirmed,
    ):
        began = time.monotonic()
        while helped.is_running(LOOK_SECONDS):
            assert helped.believed() == {"PERMANENT"}
            assert confirmed.believed() <= {"REACHABLE", "STALE", "DELAY"}
        assert helped.end()["asked"] == 0
        confirmed.end()
        assert time.monotonic() - began >= LONG_SECONDS


def test_without_help_the_kernel_loses_a_deaf_client(root: Path) -> None:
    """What the tests above stand on: in this very network, packets to such a client get lost."""
    with Segment("arpc", clients=1, addressed=False) as segment:
        doubt_neighbours(segment)
        with booting(segment, root, ONLY_PORTS, seconds=0.1, pace=0.1) as boot:
            boot.end()
        before = sent(segment), arrived(segment)
        segment.run(segment.server, sys.executable, "-c", PLAIN_SENDER, FIRST, "6")
        assert sent(segment) - before[0] == 60
        assert arrived(segment) - before[1] < 45


def test_what_a_killed_server_has_left_is_swept_and_nothing_else(root: Path, tmp_path: Path) -> None:
    write_image(root / "image", 5120)
    state = tmp_path / "state"
    with Segment("arpk", clients=1, addressed=False) as segment:
        ours, others = {FIRST: hardware(segment)}, {"10.77.100.77": "02:00:00:00:00:77", "10.77.100.3": ""}
        others["10.77.100.3"] = ours[FIRST]
        for address, station in others.items():
            segment.run(segment.server, "ip", "neigh", "add", address, "lladdr", station, "dev", "eth0")
        with serving(segment, *options(root, "--state", state)) as server:
            segment.run(segment.client(1), sys.executable, "-m", "tools.lab.deaf_rom", "image", "0.1", "0.1")
            await_permanent(segment, ours | others)
            assert listed(state) == ours
            assert server.ask("status")["arp"] == {"wanted": 1, "known": 1, "owned": 1}
            server.process.kill()
            server.process.wait()
        assert permanent(segment) == ours | others
        with serving(segment, *options(root, "--state", state)) as server:
            assert permanent(segment) == others
            assert "neighbours-swept" in [event["event"] for event in server.events()]
        assert listed(state) == {}


def options(root: Path, *more: str | Path) -> Sequence[str | Path]:
    return ("--mode", "dhcp", "--range", f"{FIRST}-10.77.100.9", "--boot-file", "image", "--root", root, *more)


def doubt_neighbours(segment: Segment) -> None:
    for name, value in HASTY.items():
        segment.run(segment.server, "sysctl", "-qw", f"net.ipv4.neigh.eth0.{name}={value}")


def permanent(segment: Segment) -> dict[str, str]:
    """Return the permanent entries of the server: address -> hardware address."""
    listed = json.loads(segment.run(segment.server, "ip", "-json", "neigh", "show", "nud", "permanent") or "[]")
    return {entry["dst"]: entry["lladdr"] for entry in listed}


def listed(state: Path) -> dict[str, str]:
    """Return the entries that the state folder lists."""
    with contextlib.closing(sqlite3.connect(f"file:{state / 'mtftpd.db'}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT address, hardware FROM neighbours WHERE interface = 'eth0'").fetchall()
    return {address: bytes.fromhex(octets).hex(":") for address, octets in rows}


def await_permanent(segment: Segment, expected: dict[str, str]) -> None:
    """Wait for what a thread of the server sets a few milliseconds after the ACK."""
    deadline = time.monotonic() + PATIENCE
    while permanent(segment) != expected:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def hardware(segment: Segment) -> str:
    found = json.loads(segment.run(segment.client(1), "ip", "-json", "link", "show", "eth0"))
    return str(found[0]["address"])


def count(segment: Segment) -> None:
    """Count the datagrams that leave the server for the client before the neighbour table is asked, and arrive."""
    for namespace, hook in ((segment.server, "output"), (segment.client(1), "prerouting")):
        rules = f"add table ip lab; add chain ip lab seen {{ type filter hook {hook} priority 0; }}"
        segment.run(namespace, "nft", f"{rules}; add rule ip lab seen ip daddr {FIRST} udp sport >= 1024 counter")


def sent(segment: Segment) -> int:
    return _counted(segment, segment.server)


def arrived(segment: Segment) -> int:
    return _counted(segment, segment.client(1))


def _counted(segment: Segment, namespace: str) -> int:
    listed = json.loads(segment.run(namespace, "nft", "--json", "list", "chain", "ip", "lab", "seen"))
    (rule,) = [each["rule"] for each in listed["nftables"] if "rule" in each]
    (packets,) = [each["counter"]["packets"] for each in rule["expr"] if "counter" in each]
    return int(packets)

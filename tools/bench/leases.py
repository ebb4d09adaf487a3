"""What a durable lease costs: ``python -m tools.bench.leases [LEASES]``, on loopback and without root.

Runs a server with and without ``--state`` by turns, lets clients take LEASES (3,000) leases with 50 exchanges at a
time, and prints leases per second, the time from REQUEST to ACK, and processor time.  Then starts servers that find
20,000 leases and 20,000 boots of nodes, after a clean stop and after kill -9.  One process plays all clients and has
the same processors, so ratios say more than rates.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from mtftpd.core.addresses.leases import ClientKey, LeaseState
from mtftpd.core.effects import SaveLease
from mtftpd.core.nodes.attempts import Attempt
from mtftpd.core.nodes.states import NodeState
from mtftpd.daemon.store.sqlite import SqliteStore
from mtftpd.wire import bootp
from mtftpd.wire.datagram import HardwareAddress
from mtftpd.wire.options import Options

DHCP_SERVER, DHCP_CLIENT, OTHERS = 20067, 20068, (20069, 20070, 20071)
MTFTP_PORT = 0x4E4E
SERVER = IPv4Address("127.0.0.1")
IN_FLIGHT = 50
ROUNDS = 3
MANY = 20_000
PATIENCE = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Round:
    """What one server did; seconds."""

    rate: float
    waits: list[float]
    processor: float


def write_config(folder: Path) -> None:
    """Write ``m.toml`` for loopback, with ports that need no rights."""
    (folder / "nbp").write_bytes(b"network boot program")
    pxe, tftp, ipxe = OTHERS
    (folder / "m.toml").write_text(
        f'interface = "lo"\nmode = "dhcp"\nrange = "127.1.0.1-127.1.127.254"\nroot = "{folder}"\n'
        f'server-port = {MTFTP_PORT}\n[image]\nnbp = "nbp"\n[ports]\ndhcp-server = {DHCP_SERVER}\n'
        f"dhcp-client = {DHCP_CLIENT}\npxe = {pxe}\ntftp = {tftp}\nmtftp-ipxe = {ipxe}\n"
    )


@contextmanager
def serving(folder: Path, state: Path | None) -> Iterator[tuple[int, float]]:
    """Run a server; give its process id and how long it took until it was ready; then kill it."""
    address = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified, (folder / "log").open("wb") as log:
        notified.bind(str(address))
        notified.settimeout(PATIENCE)
        command = [sys.executable, "-m", "mtftpd", "serve", "--config", str(folder / "m.toml")]
        began = time.monotonic()
        process = subprocess.Popen(
            command + (["--state", str(state)] if state is not None else []),
            stderr=log,
            env={**os.environ, "NOTIFY_SOCKET": str(address)},
        )
        try:
            while b"READY=1" not in notified.recv(4096):
                pass
            yield process.pid, time.monotonic() - began
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            address.unlink()


def request(number: int, options: dict[int, bytes]) -> bytes:
    """Return a request of client ``number``, whose transaction id is its number; the answer shall be a broadcast."""
    identity = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 94: b"\1\2\1"}
    return bootp.build(
        bootp.DhcpMessage(
            op=bootp.BOOTREQUEST,
            xid=number,
            flags=bootp.BROADCAST_FLAG,
            chaddr=b"\2\0" + number.to_bytes(4, "big") + bytes(10),
            options=Options({**options, **identity}),
        )
    )


def take(count: int, process: int) -> Round:
    """Take ``count`` leases from the server."""
    discovers = [request(number, {53: b"\1"}) for number in range(1, count + 1)]
    asked: dict[int, float] = {}
    waits: list[float] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("", DHCP_CLIENT))
        client.settimeout(PATIENCE)
        before, began = used(process), time.monotonic()
        sent = 0
        while len(waits) < count:
            while sent < min(count, len(waits) + IN_FLIGHT):
                client.sendto(discovers[sent], (str(SERVER), DHCP_SERVER))
                sent += 1
            answer = client.recv(2048)
            # Read by offset: a schema would cost this process more than the server spends.
            (number,) = struct.unpack_from("!I", answer, 4)
            if number in asked:
                waits.append(time.monotonic() - asked.pop(number))
                continue
            asked[number] = time.monotonic()
            options = {53: b"\3", 50: answer[16:20], 54: SERVER.packed}
            client.sendto(request(number, options), (str(SERVER), DHCP_SERVER))
        return Round(count / (time.monotonic() - began), waits, used(process) - before)


def used(process: int) -> float:
    """Return the processor seconds of a process."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def compare(folder: Path, count: int) -> None:
    """Print rates with and without a state folder, by turns."""
    rounds: dict[str, list[Round]] = {"in memory": [], "durable": []}
    for number in range(ROUNDS):
        for name, state in (("in memory", None), ("durable", folder / f"state-{number}")):
            with serving(folder, state) as (process, _):
                rounds[name].append(take(count, process))
    for name, done in rounds.items():
        waits = sorted(wait for each in done for wait in each.waits)
        print(
            f"{name:9}  {statistics.median(each.rate for each in done):5.0f} leases/s"
            f" ({min(each.rate for each in done):.0f}..{max(each.rate for each in done):.0f}),"
            f" REQUEST to ACK {waits[len(waits) // 2] * 1e3:.1f} ms, 99 % {waits[len(waits) * 99 // 100] * 1e3:.1f} ms,"
            f" {statistics.median(each.processor for each in done) / count * 1e6:.0f} us of CPU a lease"
        )


def boot(number: int) -> Attempt:
    """Return one of three boots of a node."""
    node, attempt = HardwareAddress(1, (number // 3).to_bytes(6, "big")), number % 3 + 1
    began = time.monotonic() - 1000 * (4 - attempt)
    return Attempt(
        node, attempt, began, began + 60, NodeState.DONE, "acknowledged all 20000 blocks of boot/image",
        "ACK from 127.1.0.1:2070", False, 1, str(IPv4Address("127.1.0.1") + number // 3), "rom", "intel-bios",
        "boot/image", "239.1.1.1:1799",
    )  # fmt: skip


def starts(folder: Path) -> None:
    """Print how long starts take that find many leases."""
    with closing(SqliteStore(folder / "stopped")) as store:
        for number in range(MANY):
            address, key = IPv4Address("127.1.0.1") + number, ClientKey(1, number.to_bytes(6, "big"))
            store.save_lease(SaveLease(address, key, LeaseState.BOUND, time.monotonic() + 43_200, awaited=True))
            store.keep(boot(number))
        store.wait()
        shutil.copytree(folder / "stopped", folder / "killed")
    for name, state in (("without", None), ("stopped", folder / "stopped"), ("killed", folder / "killed")):
        seconds = []
        for _ in range(ROUNDS):
            with serving(folder, state) as (_, until_ready):
                seconds.append(until_ready)
        print(f"start, {MANY if state else 0} leases and boots, {name}: {statistics.median(seconds):.2f} s")


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_config(folder)
        compare(folder, int(sys.argv[1]) if len(sys.argv) > 1 else 3_000)
        starts(folder)


if __name__ == "__main__":
    main()

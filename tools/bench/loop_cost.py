"""What one block costs our own pump: ``python -m tools.bench.loop_cost [--clients N ...] [--profile]``.

The server runs in this process on loopback, its clients in another one, so that the processor time of this process
is that of the server.  Every number is the best and the median of ``--runs``.
"""

from __future__ import annotations

import argparse
import cProfile
import dataclasses
import hashlib
import json
import os
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

import trio

from mtftpd.core.effects import Drop, Report
from mtftpd.core.service import BootService
from mtftpd.core.settings import Mode, Multicast, Ports, Settings
from mtftpd.daemon.loop import Pump
from mtftpd.daemon.performer import Outlets
from mtftpd.net import interfaces
from mtftpd.net.channels import Channels, Listening
from mtftpd.net.images import ImageStore
from mtftpd.net.link_layer import LinkLayer
from tools.bench import swarm

GROUP = "239.77.9.9"
PORTS = Ports(dhcp_server=0, pxe=0, tftp=0, mtftp_server=0, mtftp_client=17_990, mtftp_ipxe=0)


class Silence:
    """A sink for nobody."""

    def report(self, report: Report) -> None:
        """Take one event."""

    def drop(self, drop: Drop, now: float) -> None:
        """Take one drop."""

    def flush(self) -> None:
        """Do nothing at the end of a turn."""

    def write_down(self) -> None:
        """Keep nothing."""


@dataclasses.dataclass(frozen=True)
class Server:
    """A server of one image on loopback, ready to run."""

    pump: Pump
    channels: Channels
    digest: str
    size: int

    async def serve(self, client: list[str]) -> dict[str, float]:
        """Run ``client`` against the server and return what it printed, with the server's processor time."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.pump.run)
            before = time.process_time()
            done = await trio.run_process([sys.executable, *client], capture_stdout=True)
            used = time.process_time() - before
            nursery.cancel_scope.cancel()
        seen: dict[str, float] = json.loads(done.stdout)
        return seen | {"server_cpu": used}


def server(root: Path, size: int) -> Server:
    """Put a server of ``root``/image together."""
    content = os.urandom(size)
    (root / "image").write_bytes(content)
    link = interfaces.find("lo")
    channels = Channels.open(Listening(link, PORTS, dhcp=False))
    store = ImageStore(root)
    settings = Settings(link, Mode.TFTP, channels.ports, multicast=Multicast(IPv4Address(GROUP)))
    service = BootService(settings, store.catalogue({"image": "image"}))
    pump = Pump(service, Outlets(channels, LinkLayer(link)), store, Silence())
    return Server(pump, channels, hashlib.sha256(content).hexdigest(), size)


def unicast(root: Path, clients: int, block_size: int, window: int, blocks: int) -> dict[str, float]:
    """Serve ``clients`` downloads of about ``blocks`` blocks altogether."""
    chosen = server(root, blocks // clients * block_size + 1)
    arguments = [*map(str, (chosen.channels.ports.tftp, clients, block_size, window, chosen.size)), chosen.digest]
    seen = trio.run(chosen.serve, ["-m", "tools.bench.loop_cost", "--swarm", *arguments])
    chosen.channels.close()
    if seen["right"] != clients:
        raise SystemExit(f"{clients - seen['right']} of {clients} downloads are wrong")
    return seen


def lockstep(root: Path, blocks: int) -> dict[str, float]:
    """Serve one whole pass to one master."""
    chosen = server(root, min(blocks, 65_000) * 512 - 1)
    ports = chosen.channels.ports
    arguments = [
        "127.0.0.1",
        str(ports.mtftp_server),
        "image",
        GROUP,
        str(ports.mtftp_client),
        "--interface",
        "127.0.0.1",
    ]
    seen = trio.run(chosen.serve, ["-m", "tools.bench.master", *arguments])
    chosen.channels.close()
    if str(seen["digest"]) != chosen.digest:
        raise SystemExit("the image that the master has is wrong")
    return seen


def swarm_of(digest: str, port: int, clients: int, block_size: int, window: int, size: int) -> None:
    """Be the clients: download, check, print."""
    all_of_them = [swarm.Client(("127.0.0.1", port), "image", block_size, window) for _ in range(clients)]
    all_of_them[0].digest = hashlib.sha256()
    seconds = swarm.download(all_of_them)
    right = sum(client.done and client.received == size for client in all_of_them)
    right -= all_of_them[0].digest.hexdigest() != digest
    print(json.dumps({
        "right": right, "seconds": seconds, "blocks": clients * (size // block_size + 1),
        "repeats": sum(client.repeats for client in all_of_them), "client_cpu": time.process_time(),
    }))  # fmt: skip


def repeated(name: str, runs: int, run: Callable[[Path], dict[str, float]]) -> None:
    """Run a case ``runs`` times and print one line about it."""
    seen = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            seen.append(run(Path(folder)))
    cost = sorted(each["server_cpu"] / each["blocks"] * 1e6 for each in seen)
    rate = statistics.median(each["blocks"] / each["seconds"] for each in seen)
    print(
        f"{name:24} CPU us/block: best {cost[0]:5.2f}, median {statistics.median(cost):5.2f};"
        f" {rate:9,.0f} blocks/s, {1e6 / rate:6.1f} us each"
    )


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 50, 200])
    parser.add_argument("--block-size", type=int, default=1428)
    parser.add_argument("--window", type=int, default=1)
    parser.add_argument("--blocks", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="profile one run of each case instead")
    parser.add_argument("--swarm", nargs=6, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.swarm:
        swarm_of(chosen.swarm[5], *map(int, chosen.swarm[:5]))
        return
    cases: dict[str, Callable[[Path], dict[str, float]]] = {
        f"unicast, {clients} clients": partial(
            unicast, clients=clients, block_size=chosen.block_size, window=chosen.window, blocks=chosen.blocks
        )
        for clients in chosen.clients
    }
    cases["lock-step MTFTP"] = partial(lockstep, blocks=chosen.blocks)
    for name, case in cases.items():
        if chosen.profile:
            profile = cProfile.Profile()
            profile.runcall(repeated, name, 1, case)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        else:
            repeated(name, chosen.runs, case)


if __name__ == "__main__":
    main()

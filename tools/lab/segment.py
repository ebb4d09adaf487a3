"""One switched Ethernet segment made of network namespaces: a bridge, a server and clients, and taps for guests."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

SERVER_ADDRESS = "10.77.0.1"
PREFIX_LENGTH = 16
FORWARDING_SECONDS = 240.0


def client_address(number: int) -> str:
    """Return the address of client ``number`` (1..250)."""
    return f"10.77.1.{number}"


def run(*argv: str, check: bool = True, timeout: float = 240) -> str:
    """Run a command and return its standard output; its error output goes into the exception when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


class Segment:
    """``clients`` namespaces and ``taps`` tap devices around one bridge; a context manager.

    Interfaces are called eth0 inside the namespaces.  With ``addressed`` false the clients have no IP address yet, as
    DHCP clients want it.
    """

    def __init__(self, name: str, *, clients: int = 0, taps: int = 0, addressed: bool = True) -> None:
        self.name = f"{name}{os.getpid() % 10_000}"
        self.clients = clients
        self.taps = taps
        self.addressed = addressed
        self.switch = f"{self.name}-sw"
        self.server = f"{self.name}-srv"
        self._processes: list[subprocess.Popen[bytes]] = []

    def client(self, number: int) -> str:
        """Return the namespace of client ``number``, counted from 1."""
        return f"{self.name}-c{number}"

    def __enter__(self) -> Segment:
        try:
            self._up()
        except BaseException:
            self._down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._down()

    def _up(self) -> None:
        self._add_namespace(self.switch)
        run("ip", "-n", self.switch, "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0",
            "mcast_snooping", "0")  # fmt: skip
        run("ip", "-n", self.switch, "link", "set", "br0", "up")
        self._add_host(self.server, "psrv", SERVER_ADDRESS)
        for number in range(1, self.clients + 1):
            self._add_host(self.client(number), f"p{number}", client_address(number) if self.addressed else None)
        for number in range(1, self.taps + 1):
            run("ip", "-n", self.switch, "tuntap", "add", "dev", f"tap{number}", "mode", "tap")
            run("ip", "-n", self.switch, "link", "set", f"tap{number}", "master", "br0", "up")
        self._wait_for_forwarding()

    def _add_namespace(self, namespace: str) -> None:
        run("ip", "netns", "add", namespace)
        run("ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
            "net.ipv6.conf.default.disable_ipv6=1")  # fmt: skip
        run("ip", "-n", namespace, "link", "set", "lo", "up")

    def _add_host(self, namespace: str, port: str, address: str | None) -> None:
        self._add_namespace(namespace)
        run(
            "ip",
            "-n",
            self.switch,
            "link",
            "add",
            port,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            namespace,
        )
        for where, device in ((namespace, "eth0"), (self.switch, port)):
            # AF_PACKET readers and guests see the checksums that offloading leaves unfinished
            run("ip", "netns", "exec", where, "ethtool", "-K", device, "tx", "off", check=False)
        if address is not None:
            run("ip", "-n", namespace, "addr", "add", f"{address}/{PREFIX_LENGTH}", "brd", "+", "dev", "eth0")
        run("ip", "-n", namespace, "link", "set", "eth0", "up")
        if address is not None:
            run("ip", "-n", namespace, "route", "add", "224.0.0.0/4", "dev", "eth0")
        run("ip", "-n", self.switch, "link", "set", port, "master", "br0", "up")

    def _wait_for_forwarding(self) -> None:
        """Wait: a fresh bridge port drops everything until the kernel has noticed its carrier."""
        deadline = time.monotonic() + FORWARDING_SECONDS
        while time.monotonic() < deadline:
            links = run("ip", "netns", "exec", self.switch, "bridge", "link")
            if links.count("state forwarding") >= self.clients + 1:
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name}: the bridge ports are not forwarding after {FORWARDING_SECONDS} s")

    def _down(self) -> None:
        for process in reversed(self._processes):
            stop(process)
        self._processes.clear()
        existing = run("ip", "netns", "list").split()
        for namespace in (self.switch, self.server, *(self.client(n) for n in range(1, self.clients + 1))):
            if namespace in existing:
                run("ip", "netns", "del", namespace)

    def start(self, namespace: str, *argv: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        """Start a program in a namespace; it is stopped with the segment at the latest."""
        process = subprocess.Popen(["ip", "netns", "exec", namespace, *map(str, argv)], **options)
        self._processes.append(process)
        return process

    def run(self, namespace: str, *argv: str | Path, check: bool = True, timeout: float = 240) -> str:
        """Run a program in a namespace to its end and return its standard output."""
        return run("ip", "netns", "exec", namespace, *map(str, argv), check=check, timeout=timeout)

    def block(self, port: str, address: str) -> None:
        """Drop every packet to ``address`` on its way out of the switch to ``port`` (tapN or pN)."""
        self._nft("add table bridge lab; add chain bridge lab out { type filter hook forward priority 0; }")
        self._nft(f"add rule bridge lab out oifname {port} ip daddr {address} counter drop")

    def lose(self, per_thousand: int) -> None:
        """Lose this share of all IPv4 packets that leave the switch, each port by itself."""
        self._nft("add table bridge lab; add chain bridge lab out { type filter hook forward priority 0; }")
        self._nft(f"add rule bridge lab out ip version 4 numgen random mod 1000 < {per_thousand} counter drop")

    def _nft(self, script: str) -> None:
        run("ip", "netns", "exec", self.switch, "nft", script)


def stop(process: subprocess.Popen[bytes], seconds: float = 60) -> int:
    """Ask a process to end, then insist; return its exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()

"""``python -m mtftpd serve`` as a process of its own, on loopback and on ports that are free."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE


def free_ports(count: int) -> list[int]:
    """Return UDP ports of loopback that nobody uses now."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(count)]
        for made in opened:
            made.bind(("127.0.0.1", 0))
        return [made.getsockname()[1] for made in opened]


def free_palindrome() -> int:
    """Return a free port that reads the same in both byte orders, so that there is no decoy beside it."""
    for octet in range(0x20, 0x80):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", octet * 257))
            return octet * 257
    raise AssertionError("no such port is free")


def environment(**more: str) -> dict[str, str]:
    """Return the environment without options that whoever runs the tests may have set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MTFTPD_", "NOTIFY_", "STATE_"))}
    return {**kept, **more}


def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    command = [sys.executable, "-m", "mtftpd", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=environment(**more), check=False
    )


@dataclass
class ServerProcess:
    """A server: its process, its folder (with ``m.toml``, ``root``, ``log``) and its TFTP port."""

    process: subprocess.Popen[bytes]
    folder: Path
    tftp: int
    notified: socket.socket

    @property
    def mtftp(self) -> int:
        """The MTFTP server port."""
        (line,) = [each for each in (self.folder / "m.toml").read_text().splitlines() if each.startswith("server-port")]
        return int(line.split("=")[1])

    def events(self) -> list[dict[str, Any]]:
        """Return what was logged; a line that is being written is left for the next time."""
        complete, _, _ = (self.folder / "log").read_text().rpartition("\n")
        return [json.loads(line) for line in complete.splitlines()]

    def wait_for(self, message: str) -> None:
        """Wait until the server tells this to NOTIFY_SOCKET."""
        while message not in self.notified.recv(4096).decode().splitlines():
            pass

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)
        self.wait_for("READY=1")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def ask(self, **request: object) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(self.folder / "s"))
            client.sendall(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(client.makefile("rb").readline())
        return answer

    def fetch(self, name: str, *, acknowledge: bool = True, patience: float = PATIENCE) -> bytes | None:
        """Fetch a file of one block; None when the server does not answer within ``patience`` seconds."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(patience)
            client.sendto(b"\0\1" + name.encode() + b"\0octet\0", ("127.0.0.1", self.tftp))
            try:
                data, server = client.recvfrom(2048)
            except TimeoutError:
                return None
            if acknowledge:
                client.sendto(b"\0\4\0\1", server)
            return data[4:] if data.startswith(b"\0\3") else data


def write_config(folder: Path, *, more: str = "", image: str = 'nbp = "nbp"') -> int:
    """Write ``m.toml`` for loopback with fresh ports; return the TFTP port."""
    ports = free_ports(5)
    root = folder / "root"
    root.mkdir(exist_ok=True)
    (root / "nbp").write_bytes(b"network boot program")
    names = ("dhcp-server", "dhcp-client", "pxe", "tftp", "mtftp-ipxe")
    table = "\n".join(f"{name} = {port}" for name, port in zip(names, ports, strict=True))
    (folder / "m.toml").write_text(
        f'interface = "lo"\nroot = "{root}"\ngroup = "239.1.1.1"\nserver-port = {free_palindrome()}\n'
        f'control = "{folder}/s"\nlog-format = "json"\n{more}\n[image]\n{image}\n[ports]\n{table}\n'
    )
    return ports[3]


@contextlib.contextmanager
def serving(folder: Path, *arguments: str, more: str = "") -> Iterator[ServerProcess]:
    """Serve from ``folder`` until the block ends; the server is ready when it begins."""
    tftp = write_config(folder, more=more)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified, (folder / "log").open("wb") as log:
        notified.bind(str(folder / "notify"))
        notified.settimeout(PATIENCE)
        process = subprocess.Popen(
            [sys.executable, "-m", "mtftpd", "serve", "--config", str(folder / "m.toml"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(NOTIFY_SOCKET=str(folder / "notify")),
        )
        server = ServerProcess(process, folder, tftp, notified)
        try:
            server.wait_for("READY=1")
            yield server
        except TimeoutError:
            raise AssertionError((folder / "log").read_text()) from None
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE)

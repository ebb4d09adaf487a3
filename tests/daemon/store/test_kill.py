"""kill -9 at any moment, 200 times: no address is given to two clients, and no lease is lost that was acknowledged.

Whole servers with real sockets on loopback.  They are killed while many clients at once ask for leases, renew them
and give them back, at a moment that has nothing to do with what they are doing.
"""

from __future__ import annotations

import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mtftpd.daemon.store.sqlite import SqliteStore
from mtftpd.wire import bootp
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.options import Options
from tests.cli.server_process import environment, write_config
from tests.patience import PATIENCE

KILLS = 200
LONGEST_LIFE = 0.06
"""Seconds from READY to SIGKILL at most: 50 ms and more of up to 2,000 leases a second."""
IN_FLIGHT = 30
RANGE = "127.1.0.1-127.1.31.254"
SERVER = IPv4Address("127.0.0.1")
SEED = 2026


def message(number: int, kind: int, options: dict[int, bytes], ciaddr: IPv4Address = IPv4Address(0)) -> bytes:  # noqa: B008
    """Return a request of client ``number``; its transaction id is its number."""
    identity = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 94: b"\1\2\1"}
    return bootp.build(
        bootp.DhcpMessage(
            op=bootp.BOOTREQUEST,
            xid=number,
            flags=bootp.BROADCAST_FLAG,
            chaddr=b"\2\0" + number.to_bytes(4, "big") + bytes(10),
            ciaddr=ciaddr,
            options=Options({53: bytes((kind,)), **options, **identity}),
        )
    )


@dataclass
class Crowd:
    """All clients, and what they were told: ``held`` is what an ACK gave them and nobody took back."""

    socket: socket.socket
    server: tuple[str, int]
    chance: random.Random
    held: dict[int, IPv4Address] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    maybe_released: dict[int, IPv4Address] = field(default_factory=dict)
    following: int = 1
    acknowledged: int = 0

    def begin(self) -> None:
        """Send something new: the first DISCOVER of a client, or another one of a client that has a lease."""
        if self.chance.random() < 0.1 and self.held:
            number = self.chance.choice(list(self.held))
            if number not in self.waiting:
                self.release(number)
                return
        number = self.following
        if self.chance.random() < 0.3 and self.held:
            number = self.chance.choice(list(self.held))
        if number == self.following:
            self.following += 1
        self.waiting.add(number)
        self.send(message(number, MessageType.DISCOVER, {}))

    def release(self, number: int) -> None:
        """Give a lease back: from now on others may have it, and whether the server knows that is not said."""
        address = self.held.pop(number)
        self.maybe_released[number] = address
        self.send(message(number, MessageType.RELEASE, {54: SERVER.packed}, address))

    def send(self, data: bytes) -> None:
        self.socket.sendto(data, self.server)

    def take(self) -> None:
        """Read one answer, and go on."""
        answer = bootp.parse_untrusted(self.socket.recv(2048))
        number, address = answer.xid, answer.yiaddr
        if answer.message_type == MessageType.OFFER and number in self.waiting:
            self.send(message(number, MessageType.REQUEST, {50: address.packed, 54: SERVER.packed}))
        elif answer.message_type == MessageType.ACK:
            self.waiting.discard(number)
            self.acknowledged += 1
            self.learn(number, address)
        else:
            assert answer.message_type != MessageType.NAK, f"client {number} is refused {address}"

    def learn(self, number: int, address: IPv4Address) -> None:
        holders = [who for who, what in self.held.items() if what == address and who != number]
        assert not holders, f"{address} was given to {number} and belongs to {holders}"
        assert self.held.get(number, address) == address, f"{number} has lost {self.held[number]}: it got {address}"
        self.held[number] = address
        self.maybe_released.pop(number, None)

    def hammer(self, seconds: float) -> None:
        """Keep `IN_FLIGHT` conversations going for so long, and until one has come to its end."""
        now = time.monotonic()
        end, too_late, before = now + seconds, now + PATIENCE, self.acknowledged
        self.waiting.clear()
        while (now < end or self.acknowledged == before) and now < too_late:
            while len(self.waiting) < IN_FLIGHT:
                self.begin()
            if select.select([self.socket], [], [], max(0.001, end - now))[0]:
                self.take()
            now = time.monotonic()
        assert self.acknowledged > before, "the server, or the broadcasts of this machine's loopback, do not answer"

    def rest(self) -> None:
        """Read what the dead server had sent: an ACK that has left counts, whether or not it was read before."""
        while select.select([self.socket], [], [], 0)[0]:
            self.take()


@contextmanager
def notified(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        opened.bind(str(path))
        opened.settimeout(PATIENCE)
        yield opened


def await_ready(opened: socket.socket) -> None:
    while b"READY=1" not in opened.recv(4096):
        pass


def await_death(server: int) -> None:
    """Wait until a process is dead, though it is not a child of ours."""
    with suppress(ProcessLookupError), open(os.pidfd_open(server)) as descriptor:
        assert select.select([descriptor], [], [], PATIENCE)[0]


def forget(opened: socket.socket) -> None:
    """Throw away what a server said that was killed before anybody listened."""
    while select.select([opened], [], [], 0)[0]:
        opened.recv(4096)


@contextmanager
def nursery(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the process that forks servers."""
    state, log = folder / "state", folder / "log"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.daemon.store.doomed_server", folder / "m.toml", state, log],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(NOTIFY_SOCKET=str(folder / "notify")),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.stdin.close()
        process.wait(PATIENCE)
        process.stdout.close()


def start(process: subprocess.Popen[str]) -> int:
    """Have a server forked; return its process id."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return int(process.stdout.readline())


def ports(folder: Path) -> tuple[int, int]:
    text = (folder / "m.toml").read_text()
    found = [re.search(rf"^dhcp-{who} = (\d+)$", text, re.MULTILINE) for who in ("server", "client")]
    server, client = (int(match[1]) for match in found if match is not None)
    return server, client


@contextmanager
def crowd_for(folder: Path) -> Iterator[Crowd]:
    server, client = ports(folder)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        opened.bind(("", client))  # The answers are broadcasts.
        yield Crowd(opened, (str(SERVER), server), random.Random(SEED))


@pytest.mark.parametrize("while_starting", [False, True])
def test_killed_at_any_moment(tmp_path: Path, while_starting: bool) -> None:
    """Nine kills in ten come while it serves; the others while it starts, where it reads and corrects its file."""
    write_config(tmp_path, more=f'mode = "dhcp"\nrange = "{RANGE}"')
    kills = KILLS // 10 if while_starting else KILLS - KILLS // 10
    with notified(tmp_path / "notify") as told, nursery(tmp_path) as process, crowd_for(tmp_path) as crowd:
        for round_number in range(kills):
            forget(told)
            server = start(process)
            try:
                if while_starting and round_number % 2:
                    time.sleep(crowd.chance.uniform(0.0, 0.05))
                else:
                    await_ready(told)
                    crowd.hammer(crowd.chance.uniform(0.0, LONGEST_LIFE))
            finally:
                os.kill(server, signal.SIGKILL)
            await_death(server)
            crowd.rest()
    log = (tmp_path / "log").read_text()
    assert not re.findall(r'"event": "(?:state-set-aside|state-degraded|state-slow|failed)".*', log)
    with closing(SqliteStore(tmp_path / "state")) as store:
        found = {
            each.address: each.key.octets[-4:] for each in store.leases() if each.key and each.state.value == "bound"
        }
    lost = {who: what for who, what in crowd.held.items() if found.get(what) != who.to_bytes(4, "big")}
    assert not lost
    assert crowd.acknowledged >= kills // 2, "clients were served between the kills"

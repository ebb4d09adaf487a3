"""Many TFTP clients in one process, as cheap as Python can make them, so that the server is what is measured.

``python -m tools.bench.swarm ADDRESS FILE CLIENTS BLOCK_SIZE WINDOW`` prints one JSON object.  The first client's file
is checked by SHA-256 against the digest given in ``--digest``; of the others every block number and the size are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import select
import socket
import struct
import time

RETRY_SECONDS = 1.0
GIVE_UP_SECONDS = 60.0
RECEIVE_BUFFER = 1 << 20
ACKS = [struct.pack("!HH", 4, number) for number in range(65_536)]


class Client:
    """One download: in order, acknowledged at the end of each window."""

    __slots__ = ("block_size", "digest", "done", "expected", "heard", "peer", "received", "repeats", "request",
                 "sock", "window")  # fmt: skip

    def __init__(self, server: tuple[str, int], name: str, block_size: int, window: int) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        options = f"blksize\0{block_size}\0" + (f"windowsize\0{window}\0" if window > 1 else "")
        self.request = f"\0\1{name}\0octet\0{options}".encode()
        self.peer = server
        self.block_size = block_size
        self.window = 1
        self.expected = 1
        self.received = 0
        self.repeats = 0
        self.heard = 0.0
        self.done = False
        self.digest: hashlib._Hash | None = None

    def start(self, now: float) -> None:
        """Send the request."""
        self.heard = now
        self.sock.sendto(self.request, self.peer)

    def retry(self, now: float) -> None:
        """Say again what was said last: the request, or the last good ACK."""
        self.heard = now
        self.repeats += 1
        if self.expected == 1:
            self.sock.sendto(self.request, self.peer)
        else:
            self.sock.send(ACKS[(self.expected - 1) & 0xFFFF])

    def drain(self, buffer: bytearray, now: float) -> None:
        """Take every packet that is there."""
        sock, full = self.sock, self.block_size + 4
        self.heard = now
        try:
            while True:
                length = sock.recv_into(buffer)
                number = buffer[2] << 8 | buffer[3]
                if buffer[1] != 3:
                    self._option_acknowledgment(bytes(buffer[:length]))
                    continue
                if number != self.expected & 0xFFFF:
                    continue
                self.received += length - 4
                if self.digest is not None:
                    self.digest.update(memoryview(buffer)[4:length])
                if length < full:
                    sock.send(ACKS[number])
                    self.done = True
                    return
                if self.expected % self.window == 0:
                    sock.send(ACKS[number])
                self.expected += 1
        except BlockingIOError:
            pass

    def _option_acknowledgment(self, packet: bytes) -> None:
        if packet[1] != 6:
            raise SystemExit(f"the server answered {packet!r}")
        fields = packet[2:].split(b"\0")
        granted = dict(zip(fields[::2], fields[1::2], strict=False))
        if int(granted.get(b"blksize", b"512")) != self.block_size:
            raise SystemExit(f"the server granted {granted!r}")
        self.window = int(granted.get(b"windowsize", b"1"))
        self.sock.send(ACKS[0])


def first_answers(clients: list[Client]) -> None:
    """Connect each client to the port that its first answer comes from: its server's TID."""
    poll = select.epoll()
    waiting = {client.sock.fileno(): client for client in clients}
    for descriptor in waiting:
        poll.register(descriptor, select.EPOLLIN)
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while waiting:
        now = time.monotonic()
        if now > deadline:
            raise SystemExit(f"{len(waiting)} clients had no answer")
        for descriptor, _ in poll.poll(0.2):
            client = waiting.pop(descriptor)
            _, source = client.sock.recvfrom(65_536, socket.MSG_PEEK)
            client.sock.connect(source)
            client.peer = source
            poll.unregister(descriptor)
        for client in waiting.values():
            if now - client.heard > RETRY_SECONDS:
                client.retry(now)
    poll.close()


def download(clients: list[Client]) -> float:
    """Run all downloads to their end and return the seconds from the first request."""
    started = time.monotonic()
    for client in clients:
        client.start(started)
    first_answers(clients)
    poll = select.epoll()
    active = {client.sock.fileno(): client for client in clients}
    for descriptor in active:
        poll.register(descriptor, select.EPOLLIN)
    buffer = bytearray(65_536)
    checked = now = time.monotonic()
    while active:
        for descriptor, _ in poll.poll(0.1):
            client = active[descriptor]
            client.drain(buffer, now)
            if client.done:
                poll.unregister(descriptor)
                del active[descriptor]
        now = time.monotonic()
        if now - checked > RETRY_SECONDS / 4:
            checked = now
            if now - started > GIVE_UP_SECONDS * 10:
                break
            for client in active.values():
                if now - client.heard > RETRY_SECONDS:
                    client.retry(now)
    poll.close()
    return time.monotonic() - started


def main() -> None:
    """Download and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("file")
    parser.add_argument("clients", type=int)
    parser.add_argument("block_size", type=int)
    parser.add_argument("window", type=int)
    parser.add_argument("--digest", required=True)
    parser.add_argument("--size", type=int, required=True)
    chosen = parser.parse_args()
    clients = [
        Client((chosen.address, 69), chosen.file, chosen.block_size, chosen.window) for _ in range(chosen.clients)
    ]
    clients[0].digest = hashlib.sha256()
    seconds = download(clients)
    right = sum(client.done and client.received == chosen.size for client in clients)
    if clients[0].digest.hexdigest() != chosen.digest:
        right -= 1
    print(json.dumps({
        "clients": chosen.clients, "right": right, "seconds": seconds, "window": clients[0].window,
        "blocks": chosen.clients * (chosen.size // chosen.block_size + 1),
        "repeats": sum(client.repeats for client in clients), "client_cpu": time.process_time(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()

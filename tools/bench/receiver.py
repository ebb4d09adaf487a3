"""A receiver of blocks from groups, of little else than sockets: its start is part of a wall time.  Prints JSON.

``python -m tools.bench.receiver join GROUP...`` listens, and asks the server for each file that it is told on its
input; only when it is told "read" does it read what its sockets hold.
``... fetch FOLDER FILE=GROUP...`` receives the files one after the other into FOLDER.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys

SERVER_ADDRESS = "10.77.0.1"
CLIENT_PORT = 1799
SERVER_PORT = 1542
BLOCK_SIZE = 512
HEADER = 4
PATIENCE = 5.0
"""Seconds of silence after which a receiver gives up."""
SO_RCVBUFFORCE = 33
ROOM = 256 << 20
"""Octets of a socket, which the kernel doubles: 65,535 packets of 516 take 84 MB, as many of 1,412 take 168 MB."""


def listening(group: str) -> socket.socket:
    """Return a socket that is a member of ``group``."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
    opened.bind((group, CLIENT_PORT))
    member = socket.inet_aton(group) + bytes(4) + struct.pack("@i", socket.if_nametoindex("eth0"))
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    return opened


def asking() -> socket.socket:
    """Return a socket from which files are asked for: that of a client which listens already, and need not wait."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((own_address(), CLIENT_PORT))
    return opened


def own_address() -> str:
    """Return the address of this namespace on the segment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.connect((SERVER_ADDRESS, SERVER_PORT))
        return str(opened.getsockname()[0])


def ask(opened: socket.socket, name: str) -> None:
    """Open a file at the server."""
    opened.sendto(b"\0\1" + name.encode() + b"\0octet\0", (SERVER_ADDRESS, SERVER_PORT))


def join(groups: list[str]) -> None:
    """Be a member, and nothing else, until the input ends."""
    members = [listening(group) for group in groups]
    opened = asking()
    print("ready", flush=True)
    for line in sys.stdin:
        if line == "read\n":
            print(sum(map(drain, members)), flush=True)
        else:
            ask(opened, line.strip())
    for each in (*members, opened):
        each.close()


def drain(member: socket.socket) -> int:
    """Read what is there and return how many packets that were."""
    buffer, packets = bytearray(2048), 0
    member.setblocking(False)
    try:
        while True:
            member.recv_into(buffer)
            packets += 1
    except BlockingIOError:
        return packets


def fetch(folder: str, files: dict[str, str]) -> dict[str, int]:
    """Receive every file, asking for the next one when the last block of one is there; return how much was missed."""
    opened = asking()
    waiting = []
    for name, group in files.items():
        member = listening(group)
        member.settimeout(PATIENCE)
        waiting.append((name, member))
    ask(opened, waiting[0][0])
    missed = 0
    for number, (name, member) in enumerate(waiting):
        packets, lengths = receive(member)
        if number + 1 < len(waiting):
            ask(opened, waiting[number + 1][0])
        missed += write(os.path.join(folder, name), packets, lengths)
    return {"missed": missed}


def receive(member: socket.socket) -> tuple[memoryview, int]:
    """Read packets up to a short one; return them behind each other, and the octets of all."""
    stride = BLOCK_SIZE + HEADER
    view = memoryview(bytearray(stride * 65_536))
    receive_into, at = member.recv_into, 0
    try:
        while True:
            length = receive_into(view[at : at + stride])
            at += length
            if length < stride:
                return view, at
    except TimeoutError:  # the last block is lost, and with it the file
        return view, at


def write(path: str, packets: memoryview, octets: int) -> int:
    """Write the payloads in the order in which they came; return how many block numbers are not in a row."""
    stride = BLOCK_SIZE + HEADER
    numbers = bytes(packets[2:octets:stride]), bytes(packets[3:octets:stride])
    gaps = sum((high << 8 | low) != at & 0xFFFF for at, (high, low) in enumerate(zip(*numbers, strict=True), 1))
    with open(path, "wb") as stream:
        stream.write(b"".join(packets[at + HEADER : min(at + stride, octets)] for at in range(0, octets, stride)))
    return gaps


def main() -> None:
    """Receive."""
    role, arguments = sys.argv[1], sys.argv[2:]
    if role == "join":
        join(arguments)
    else:
        print(json.dumps(fetch(arguments[0], dict(each.split("=") for each in arguments[1:]))))


if __name__ == "__main__":
    main()

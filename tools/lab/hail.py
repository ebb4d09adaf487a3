"""Throw bad datagrams at one port: random ones, and valid ones that were cut, spliced and bit-flipped.

``python -m tools.lab.hail ADDRESS PORT COUNT --control SOCKET`` sends ``COUNT`` of them from a seed.  It keeps to the
pace of the server, which its control socket tells, so that each is read and looked at, and none lost in a full queue.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import time
from collections.abc import Iterator
from ipaddress import IPv4Address

from mtftpd.wire import bootp, tftp
from mtftpd.wire.options import Options

VOLLEY = 1000
"""Datagrams between two looks at the server: 1,000 of at most 1,500 bytes fit a receive buffer of 4 MiB."""
MAX_SIZE = 1500
STALL_SECONDS = 240.0


def dhcp_message(kind: int, draw: random.Random) -> bytes:
    """Return a valid PXE request of a random machine."""
    return bootp.build(
        bootp.DhcpMessage(
            op=bootp.BOOTREQUEST, xid=draw.getrandbits(32), chaddr=draw.randbytes(6) + bytes(10),
            ciaddr=IPv4Address(draw.choice([0, 0x0A4D6401])), flags=draw.choice([0, 0x8000]),
            options=Options({
                53: bytes([kind]), 55: bytes([1, 3, 43, 54, 60, 66, 67, 97, 128, 135]), 57: (1472).to_bytes(2, "big"),
                60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 94: b"\1\2\1", 97: b"\0" + draw.randbytes(16),
                43: b"\x47\x04\0\0\0\0\xff", 50: draw.randbytes(4),
            }),
        )
    )  # fmt: skip


def corpus(draw: random.Random, machines: int) -> list[bytes]:
    """Return valid packets of every kind that a server may be sent, those of DHCP from so many machines each."""
    requests = [
        tftp.Request(opcode, name, mode, options)
        for opcode in (1, 2)
        for name in (b"", b"image", b"../image", b"\\image\xff", b"/", b"x" * 400)
        for mode in ("octet", "netascii", "mail")
        for options in ((), (("blksize", "1428"), ("tsize", "0")), (("windowsize", "16"), ("timeout", "1")))
    ]
    others: list[tftp.Packet] = [
        tftp.Data(1, b"x" * 512), tftp.Ack(0), tftp.Ack(1), tftp.Ack(65_535), tftp.Error(8, "aborted"),
        tftp.OptionAck((("blksize", "512"),)),
    ]  # fmt: skip
    packets = [tftp.build(packet) for packet in (*requests, *others)]
    return packets + [dhcp_message(kind, draw) for kind in range(1, 9) for _ in range(machines)]


def bad_datagrams(count: int, seed: int, machines: int) -> Iterator[bytes]:
    """Yield ``count`` datagrams: a third random, a third cut, a third mutated (some of which stay valid)."""
    draw = random.Random(seed)
    valid = corpus(draw, machines)
    for number in range(count):
        packet = draw.choice(valid)
        if number % 3 == 0:
            yield draw.randbytes(draw.choice([0, 1, 2, 3, 4, draw.randrange(MAX_SIZE)]))
        elif number % 3 == 1:
            yield packet[: draw.randrange(len(packet))]
        else:
            changed = bytearray(packet)
            for _ in range(draw.randrange(1, 9)):
                changed[draw.randrange(len(changed))] = draw.getrandbits(8)
            yield bytes(changed) + draw.randbytes(draw.choice([0, 0, 14]))


class Pace:
    """Waits until the server has read what was sent."""

    def __init__(self, control: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(control)
        self._answers = self._socket.makefile("rb")
        self._first = self.handled()

    def handled(self) -> int:
        """Return the datagrams that the server has read and answered, or decided not to, in its life."""
        self._socket.sendall(b'{"command": "status"}\n')
        traffic = json.loads(self._answers.readline())["traffic"]
        return int(traffic["received"] - traffic["waiting"])

    def wait(self, sent: int) -> None:
        """Return when all that was ``sent`` is handled; a server that stands still is an error."""
        deadline = time.monotonic() + STALL_SECONDS
        while self.handled() - self._first < sent:
            if time.monotonic() > deadline:
                raise SystemExit(f"the server handled {self.handled() - self._first} of {sent} datagrams")
            time.sleep(0.002)


def main() -> None:
    """Throw, and print how many were read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--control", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--machines", type=int, default=16, help="machines that send each kind of DHCP message")
    chosen = parser.parse_args()
    pace = Pace(chosen.control)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number, datagram in enumerate(bad_datagrams(chosen.count, chosen.seed, chosen.machines), 1):
        sock.sendto(datagram, (chosen.address, chosen.port))
        if number % VOLLEY == 0 or number == chosen.count:
            pace.wait(number)
    print(chosen.count)


if __name__ == "__main__":
    main()

"""One MTFTP client that is the master of a whole pass, as fast as Python can be.

``python -m tools.bench.master ADDRESS PORT FILE GROUP CLIENT_PORT --interface ADDRESS`` prints one JSON object.  It
acknowledges a block once, as the atftp client does: one that acknowledges both copies of block 1 makes atftpd send
every later block twice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import select
import socket
import struct
import time

TIMEOUT_SECONDS = 5.0


def main() -> None:
    """Receive one file and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("file")
    parser.add_argument("group")
    parser.add_argument("client_port", type=int)
    parser.add_argument("--interface", required=True)
    chosen = parser.parse_args()
    group = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    group.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    group.bind((chosen.group, chosen.client_port))
    membership = socket.inet_aton(chosen.group) + socket.inet_aton(chosen.interface)
    group.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    unicast = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    unicast.bind((chosen.interface, 0))
    unicast.settimeout(TIMEOUT_SECONDS)
    time.sleep(0.3)  # the switch and the kernel take the membership in
    started = time.monotonic()
    unicast.sendto(f"\0\1{chosen.file}\0octet\0".encode(), (chosen.address, chosen.port))
    first, source = unicast.recvfrom(65_536)
    unicast.connect(source)
    answered = time.monotonic()
    digest = hashlib.sha256(first[4:])
    blocks, packets = 1, receive_all(unicast, group, digest)
    seconds = time.monotonic() - answered
    blocks += packets["blocks"]
    print(json.dumps({
        "blocks": blocks, "copies": packets["copies"], "seconds": seconds, "until_first": answered - started,
        "digest": digest.hexdigest(), "client_cpu": time.process_time(),
    }))  # fmt: skip


def receive_all(unicast: socket.socket, group: socket.socket, digest: hashlib._Hash) -> dict[str, int]:
    """Acknowledge block 1 and then every new block of the group until the short one."""
    unicast.send(struct.pack("!HH", 4, 1))
    expected, copies = 2, 0
    buffer = bytearray(65_536)
    view = memoryview(buffer)
    poll = select.poll()
    poll.register(group, select.POLLIN)
    while True:
        if not poll.poll(TIMEOUT_SECONDS * 1000):
            raise SystemExit(f"nothing for {TIMEOUT_SECONDS} s before block {expected}")
        length = group.recv_into(buffer)
        number = buffer[2] << 8 | buffer[3]
        if number != expected & 0xFFFF:
            copies += 1
            continue
        unicast.send(b"\0\4" + view[2:4])
        digest.update(view[4:length])
        if length < 516:
            return {"blocks": expected - 1, "copies": copies}
        expected += 1


if __name__ == "__main__":
    main()

"""Take many leases at once: ``python -m tools.lab.leases SERVER OWN_ADDRESS COUNT`` plays a relay agent.

Every client has a hardware address of its own and goes through DISCOVER, OFFER, REQUEST, ACK; the answers come to the
relay agent's address (giaddr), as perfdhcp does it.  Prints the number of leases.
"""

from __future__ import annotations

import argparse
import socket
import time
from ipaddress import IPv4Address

from mtftpd.wire import bootp
from mtftpd.wire.options import Options

RETRY_SECONDS = 1.0
GIVE_UP_SECONDS = 60.0
IN_FLIGHT = 100


def message(number: int, relay: IPv4Address, options: dict[int, bytes]) -> bytes:
    """Return a PXE request of client ``number``; its transaction id is its number."""
    chaddr = b"\2\0" + number.to_bytes(4, "big") + bytes(10)
    return bootp.build(
        bootp.DhcpMessage(
            op=bootp.BOOTREQUEST, xid=number, hops=1, giaddr=relay, chaddr=chaddr,
            options=Options({**options, 60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 94: b"\1\2\1",
                             97: b"\0" + number.to_bytes(16, "big")}),
        )
    )  # fmt: skip


def main() -> None:
    """Take the leases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server")
    parser.add_argument("address", type=IPv4Address)
    parser.add_argument("count", type=int)
    chosen = parser.parse_args()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((str(chosen.address), 67))
    sock.settimeout(0.1)
    server = (chosen.server, 67)
    said: dict[int, tuple[bytes, float]] = {}
    leases: dict[int, IPv4Address] = {}
    following = 1
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while len(leases) < chosen.count and time.monotonic() < deadline:
        now = time.monotonic()
        while following <= chosen.count and len(said) < IN_FLIGHT:
            said[following] = (message(following, chosen.address, {53: b"\1"}), now)
            sock.sendto(said[following][0], server)
            following += 1
        for number, (packet, when) in said.items():
            if now - when > RETRY_SECONDS:
                said[number] = (packet, now)
                sock.sendto(packet, server)
        try:
            answer = bootp.parse_untrusted(sock.recv(2048))
        except TimeoutError:
            continue
        if answer.xid not in said:
            continue
        if answer.message_type == bootp.MessageType.OFFER:
            request = {53: b"\3", 50: answer.yiaddr.packed, 54: answer.options[54]}
            said[answer.xid] = (message(answer.xid, chosen.address, request), now)
            sock.sendto(said[answer.xid][0], server)
        elif answer.message_type == bootp.MessageType.ACK:
            leases[answer.xid] = answer.yiaddr
            del said[answer.xid]
    print(len(set(leases.values())))


if __name__ == "__main__":
    main()

"""A ROM that answers no ARP at all, as a program for a client's namespace: DHCP, then one slow download.

    python -m tools.lab.deaf_rom FILE SECONDS PACE

It boots like a PXE BIOS, fetches FILE acknowledging a block every PACE seconds to its end, or for SECONDS, and prints
one JSON object: its address, the highest block that it got, and how often somebody asked for its link-layer address
once it had begun to fetch.  Like a ROM it asks for that of the server once, and never again.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from mtftpd.wire import bootp, tftp
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.options import Options

INTERFACE = "eth0"
PATIENCE = 240.0
BLOCK = 512
ETH_P_ARP = 0x0806
_CLASS = b"PXEClient:Arch:00000:UNDI:002001"
_XID = 0x4D544654


def main() -> None:
    """Boot and print what came of it."""
    name, seconds, pace = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    for scope in ("all", INTERFACE):
        Path(f"/proc/sys/net/ipv4/conf/{scope}/arp_ignore").write_text("8\n")
    address, server = obtain_address()
    _ip("addr", "add", f"{address}/16", "brd", "+", "dev", INTERFACE)
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ARP)) as arp:
        arp.bind((INTERFACE, ETH_P_ARP))
        arp.setblocking(False)
        highest = fetch(server, name.encode(), seconds, pace)
        asked = questions(arp, address)
    print(json.dumps({"address": address, "highest": highest, "asked": asked}))


def obtain_address() -> tuple[str, str]:
    """Do DHCP as a ROM without an address does, and return the address and that of the server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, INTERFACE.encode())
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        opened.bind(("", 68))
        opened.settimeout(PATIENCE)
        offer = _ask(opened, MessageType.DISCOVER, {})
        identifier = offer.options[54]
        ack = _ask(opened, MessageType.REQUEST, {50: offer.yiaddr.packed, 54: identifier})
    return str(ack.yiaddr), socket.inet_ntoa(identifier)


def _ask(opened: socket.socket, kind: MessageType, options: Mapping[int, bytes]) -> DhcpMessage:
    hardware = bytes.fromhex(Path(f"/sys/class/net/{INTERFACE}/address").read_text().replace(":", ""))
    request = DhcpMessage(
        op=bootp.BOOTREQUEST,
        xid=_XID,
        chaddr=hardware.ljust(16, b"\0"),
        flags=bootp.BROADCAST_FLAG,
        options=Options({53: bytes((kind,)), 55: bytes((1, 3, 43, 60, 66, 67)), 60: _CLASS, 93: b"\0\0", **options}),
    )
    opened.sendto(bootp.build(request), ("255.255.255.255", 67))
    while True:
        answer = bootp.parse_untrusted(opened.recv(2048))
        if answer.op == bootp.BOOTREPLY and answer.xid == _XID:
            return answer


def fetch(server: str, name: bytes, seconds: float, pace: float) -> int:
    """Download slowly; return the highest block."""
    highest = 0
    end = time.monotonic() + seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.settimeout(PATIENCE)
        opened.sendto(tftp.build(tftp.Request(tftp.Opcode.RRQ, name)), (server, 69))
        while True:
            data, peer = opened.recvfrom(2048)
            packet = tftp.parse_untrusted(data)
            if not isinstance(packet, tftp.Data):
                raise SystemExit(f"not a DATA packet: {packet}")
            if packet.number != highest + 1:
                continue
            highest += 1
            if highest == 1:
                keep_hardware_address(server)
            time.sleep(pace)
            is_over = time.monotonic() >= end
            last = tftp.Error(tftp.ErrorCode.NOT_DEFINED, "enough") if is_over else tftp.Ack(highest)
            opened.sendto(tftp.build(last), peer)
            if is_over or len(packet.payload) < BLOCK:
                return highest


def keep_hardware_address(server: str) -> None:
    """Never ask for that of the server again: the question would tell the server what it is not to learn."""
    (found,) = json.loads(_ip("-json", "neigh", "show", server, "dev", INTERFACE))
    _ip("neigh", "replace", server, "lladdr", found["lladdr"], "nud", "permanent", "dev", INTERFACE)


def _ip(*argv: str) -> str:
    return subprocess.run(["ip", *argv], capture_output=True, text=True, check=True).stdout


def questions(arp: socket.socket, address: str) -> int:
    """Return how many ARP requests for ``address`` have come in."""
    count, wanted = 0, socket.inet_aton(address)
    while True:
        try:
            packet = arp.recv(64)
        except BlockingIOError:
            return count
        count += packet[6:8] == b"\0\1" and packet[24:28] == wanted


if __name__ == "__main__":
    main()

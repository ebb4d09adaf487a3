"""One end of a stream of blocks to a group, without any protocol around it; see `tools.bench.throughput`.

``python -m tools.bench.stream ours|bare|receive SIZE BLOCK_SIZE`` sends SIZE octets with the server's own way of
performing `SendRun`, or with nothing but sendmsg, or counts what comes until nothing more does.  Prints JSON.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from mtftpd.core.effects import SendRun, Service
from mtftpd.core.settings import Ports
from mtftpd.daemon.performer import Outlets, Performer
from mtftpd.net import sockets
from mtftpd.net.bursts import MAX_BURST, MAX_SEGMENTS, SOL_UDP, UDP_SEGMENT
from mtftpd.net.channels import Channels, Listening
from mtftpd.net.images import ImageStore
from mtftpd.net.interfaces import find
from mtftpd.net.link_layer import LinkLayer
from mtftpd.wire.datagram import Endpoint
from tools.bench.__main__ import image

GROUP = Endpoint("239.1.1.1", 1799)
HEADER = 4
SILENCE = 2.0
"""Seconds after which nothing more comes."""
PATIENCE = 60.0


def ours(size: int, block_size: int) -> float:
    """Send with the server's performer, in runs as long as one system call can be; return the seconds."""
    with tempfile.TemporaryDirectory() as name:
        image(Path(name, "image"), size)
        link = find("eth0")
        channels = Channels.open(Listening(link, Ports(), dhcp=False))
        store = ImageStore(name)
        (sent,) = store.catalogue({"image": "image"}).images
        nobody = cast(Any, SimpleNamespace(report=print))
        performer = Performer(nobody, Outlets(channels, LinkLayer(link)), store, nobody)
        channel = channels.by_number[Service.MTFTP]
        poll = select.poll()
        poll.register(channel.socket, select.POLLOUT)
        blocks, together = size // block_size + 1, min(MAX_SEGMENTS, MAX_BURST // (block_size + HEADER))
        began = time.monotonic()
        for first in range(1, blocks + 1, together):
            count = min(together, blocks + 1 - first)
            performer.send_run(SendRun(Service.MTFTP, GROUP, sent, first, count, block_size))
            while channel.backlog:
                poll.poll()
                performer.resume(channel)
        seconds = time.monotonic() - began
        channels.close()
        store.close()
        return seconds


def bare(size: int, block_size: int) -> float:
    """Send the same number of octets out of one buffer."""
    stride = block_size + HEADER
    together = min(MAX_SEGMENTS, MAX_BURST // stride)
    burst = bytes(stride * together)
    ancillary = [(SOL_UDP, UDP_SEGMENT, struct.pack("@H", stride))]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        began = time.monotonic()
        for _ in range(-(-size // (block_size * together))):
            opened.sendmsg([burst], ancillary, 0, GROUP)
        return time.monotonic() - began


def receive() -> int:
    """Return the octets that came, without headers, until nothing did for `SILENCE`."""
    octets = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.setsockopt(socket.SOL_SOCKET, sockets.SO_RCVBUFFORCE, 64 << 20)
        opened.bind(GROUP)
        index = socket.if_nametoindex("eth0")
        member = socket.inet_aton(GROUP.address) + bytes(4) + struct.pack("@i", index)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        print("ready", flush=True)
        opened.settimeout(PATIENCE)
        buffer = bytearray(2048)
        try:
            while True:
                octets += opened.recv_into(buffer) - HEADER
                if opened.gettimeout() != SILENCE:
                    opened.settimeout(SILENCE)
        except TimeoutError:
            return octets


def main() -> None:
    """Play one end."""
    role, size, block_size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if role == "receive":
        print(json.dumps({"octets": receive()}))
    else:
        print(json.dumps({"seconds": (ours if role == "ours" else bare)(size, block_size)}))


if __name__ == "__main__":
    main()

"""A sender of blocks to a group; see `tools.bench.throughput`.  Prints JSON.

``python -m tools.bench.stream bare SIZE BLOCK_SIZE GROUP`` sends SIZE octets with nothing but sendmsg.
``... runs SIZE BLOCK_SIZE GROUP`` does so with the server's way of performing `SendRun`, several times.
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
from mtftpd.core.mtftp.pacing import stated_pace
from mtftpd.core.settings import Ports
from mtftpd.daemon.performer import Outlets, Performer
from mtftpd.net.bursts import MAX_BURST, MAX_SEGMENTS, SOL_UDP, UDP_SEGMENT
from mtftpd.net.channels import Channels, Listening
from mtftpd.net.images import ImageStore
from mtftpd.net.interfaces import find
from mtftpd.net.link_layer import LinkLayer
from mtftpd.wire.datagram import Endpoint
from tools.bench.__main__ import image

CLIENT_PORT = 1799
HEADER = 4
RUNS = 4
"""Times that a file is sent: the first time it is read, and made ready."""


def bare(size: int, block_size: int, group: str) -> dict[str, float]:
    """Send ``size`` octets in blocks, as many in one call as it takes; return the seconds."""
    stride = block_size + HEADER
    together = min(MAX_SEGMENTS, MAX_BURST // stride)
    burst = bytes(stride * together)
    ancillary = [(SOL_UDP, UDP_SEGMENT, struct.pack("@H", stride))]
    calls = -(-size // (block_size * together))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        began = time.monotonic()
        for _ in range(calls):
            opened.sendmsg([burst], ancillary, 0, (group, CLIENT_PORT))
        return {"seconds": time.monotonic() - began, "blocks": calls * together}


def runs(size: int, block_size: int, group: str) -> dict[str, float]:
    """Send a file of ``size`` octets with a performer, `RUNS` times; return the seconds."""
    with tempfile.TemporaryDirectory() as name:
        image(Path(name, "image"), size)
        link = find("eth0")
        channels = Channels.open(Listening(link, Ports(0, 0, 0, 0, 0, 0, 0), dhcp=False))
        store = ImageStore(name)
        (sent,) = store.catalogue({"image": "image"}).images
        nobody = cast(Any, SimpleNamespace(report=print, congested=lambda *_: None))
        performer = Performer(nobody, Outlets(channels, LinkLayer(link)), store, nobody)
        channel = channels.by_number[Service.MTFTP]
        poll = select.poll()
        poll.register(channel.socket, select.POLLOUT)
        blocks, together = sent.blocks(block_size), stated_pace(0.0, block_size).burst
        began = time.monotonic()
        for _ in range(RUNS):
            for first in range(1, blocks + 1, together):
                count = min(together, blocks + 1 - first)
                destination = Endpoint(group, CLIENT_PORT)
                performer.send_run(SendRun(Service.MTFTP, destination, sent, first, count, block_size))
                while channel.backlog:
                    poll.poll()
                    performer.resume(channel)
        seconds = time.monotonic() - began
        channels.close()
        store.close()
        return {"seconds": seconds, "blocks": RUNS * blocks}


def main() -> None:
    """Send."""
    role, size, block_size, group = sys.argv[1:]
    send = bare if role == "bare" else runs
    print(json.dumps(send(int(size), int(block_size), group)))


if __name__ == "__main__":
    main()

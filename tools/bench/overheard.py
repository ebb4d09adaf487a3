"""What is on a segment before anything is lost: tcpdump on the bridge itself, which sees each packet once."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from mtftpd.wire import ethernet, ipv4, udp
from mtftpd.wire.captures import CaptureReader
from mtftpd.wire.ethernet import EtherType
from mtftpd.wire.pcapng import NANOSECONDS, Captured
from tools.lab.segment import Segment, stop

READY_SECONDS = 30.0
_RRQ, _FIRST = b"\0\1", b"\0\3\0\1"


@dataclass(frozen=True)
class Overheard:
    """Packets to the group, how many of them were DATA 1, and when each client first asked for the image there."""

    packets: int
    passes: int
    opened: list[float]


@contextlib.contextmanager
def overhearing(segment: Segment, capture: Path) -> Iterator[None]:
    """Write all UDP packets of ``segment`` to a file."""
    messages = capture.with_suffix(".messages")
    with messages.open("wb") as errors:
        process = segment.start(
            segment.switch, "tcpdump", "--immediate-mode", "-U", "-B", "65536", "-i", "br0", "-w", capture,
            "udp and not port 67", stderr=errors, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + READY_SECONDS
            while b"listening on" not in messages.read_bytes():
                if time.monotonic() > deadline:
                    raise RuntimeError(f"tcpdump did not start: {messages.read_text()}")
                time.sleep(0.02)
            yield
        finally:
            stop(process)
    if b"\n0 packets dropped by kernel" not in messages.read_bytes():
        raise RuntimeError(f"the capture is not whole: {messages.read_text()}")


def overheard(capture: Path, group: str) -> Overheard:
    """Read a capture."""
    address = IPv4Address(group)
    packets = passes = 0
    opened: dict[IPv4Address, float] = {}
    for record in CaptureReader().feed(capture.read_bytes()):
        if not isinstance(record, Captured):
            continue
        frame = ethernet.parse_untrusted(record.data)
        if frame.type != EtherType.IPV4:
            continue
        packet = ipv4.parse_untrusted(frame.payload, verify=False)
        data = udp.parse_untrusted(packet.payload, packet.source, packet.destination, verify=False)
        if packet.destination == address:
            packets += 1
            passes += data.payload[:4] == _FIRST
        elif data.payload[:2] == _RRQ and data.destination_port != 69:
            opened.setdefault(packet.source, (record.time or 0) / NANOSECONDS)
    return Overheard(packets, passes, list(opened.values()))

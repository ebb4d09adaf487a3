"""What happens on the wires of a bench: rates and queues, losses, and how much was sent."""

from __future__ import annotations

import json

from tools.lab.segment import Segment, run

FRAME_OVERHEAD = 4 + 8 + 12
"""Octets of time that a frame takes beside what the kernel counts: FCS, preamble, gap."""


def shape(segment: Segment, port: str, rate: float, queue: int) -> None:
    """Let the switch send to ``port`` with ``rate`` bit/s at the most; more than ``queue`` waiting octets are lost.

    It is the switch that has this queue and not the server: the server's kernel knows nothing of it.
    """
    burst = max(6_000, int(rate / 8 * 0.0005))
    run("tc", "-n", segment.switch, "qdisc", "replace", "dev", port, "root", "tbf", "rate", f"{rate:.0f}bit",
        "burst", str(burst), "limit", str(queue))  # fmt: skip


def sent(segment: Segment, port: str) -> tuple[int, int]:
    """Return the packets that the switch has sent to ``port``, and their octets with everything around them."""
    (link,) = json.loads(run("ip", "-n", segment.switch, "-s", "-j", "link", "show", "dev", port))
    counted = link["stats64"]["tx"]
    return counted["packets"], counted["bytes"] + counted["packets"] * FRAME_OVERHEAD


def dropped(segment: Segment, port: str) -> int:
    """Return the packets that found no room in the queue of ``port``."""
    (queue,) = json.loads(run("tc", "-n", segment.switch, "-s", "-j", "qdisc", "show", "dev", port, "root"))
    drops: int = queue["drops"]
    return drops

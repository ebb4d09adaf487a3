"""What happens on the wires of a bench: rates and queues, losses, and how much was sent."""

from __future__ import annotations

import itertools
import json
import time

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


def lose(segment: Segment, loss: float, burst: int, group: str) -> None:
    """Lose TFTP and MTFTP packets between the switch and each client, both ways; count those to ``group`` before.

    Independent losses are drawn for each packet.  ``burst`` in a row are lost where it is more than 1: then nft counts
    instead of drawing, with a prime period and another phase for each client, so that blocks of a later pass and of
    other clients are other ones.  DHCP is spared, since the peers that are compared have none.
    """
    run("ip", "netns", "exec", segment.switch, "nft", "delete table bridge bench", check=False)
    nft = ["add table bridge bench", "add counter bridge bench multicast"]
    for chain, priority in (("count", -10), ("lose", 0)):
        nft.append(f"add chain bridge bench {chain} {{ type filter hook forward priority {priority}; }}")
    nft.append(f"add rule bridge bench count oifname p1 ip daddr {group} counter name multicast")
    numbers = range(1, segment.clients + 1) if loss else ()
    for way in ("oifname", "iifname") if loss else ():
        for number in numbers:
            nft.append(f"add chain bridge bench {way}{number}")
            nft.append(f"add rule bridge bench {way}{number} {draw(loss, burst, number)} drop")
        # One look-up for each packet: a rule for each client would cost the switch more than the packet itself does.
        jumps = ", ".join(f"p{number} : jump {way}{number}" for number in numbers)
        nft.append(f"add rule bridge bench lose udp dport != {{ 67, 68 }} {way} vmap {{ {jumps} }}")
    run("ip", "netns", "exec", segment.switch, "nft", "; ".join(nft))


def draw(loss: float, burst: int, number: int) -> str:
    """Return the nft expression that is true for a share ``loss`` of packets, ``burst`` in a row, of client number."""
    if burst <= 1:
        return f"numgen random mod 100000 < {round(loss * 100_000)}"
    period = _prime(round(burst / loss))
    first = number * 131 % (period - burst)
    return f"numgen inc mod {period} {first}-{first + burst - 1}"


def settled(segment: Segment, quiet: float = 1.0, limit: float = 60.0) -> int:
    """Return `multicast_packets` once none have been sent for ``quiet`` seconds, or after ``limit``."""
    end = time.monotonic() + limit
    before = multicast_packets(segment)
    while time.monotonic() < end:
        time.sleep(quiet)
        now = multicast_packets(segment)
        if now == before:
            break
        before = now
    return before


def _prime(least: int) -> int:
    return next(each for each in itertools.count(least) if all(each % factor for factor in range(2, each)))


def multicast_packets(segment: Segment) -> int:
    """Return the packets to the group that the switch has sent to each client, or lost on the way there."""
    listed = run("ip", "netns", "exec", segment.switch, "nft", "-j", "list counter bridge bench multicast")
    counter = next(each["counter"] for each in json.loads(listed)["nftables"] if "counter" in each)
    packets: int = counter["packets"]
    return packets

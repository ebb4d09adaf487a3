"""What a capture says of a group: that of an iPXE which was given 5 packets there."""

from __future__ import annotations

from pathlib import Path

from tools.bench.overheard import overheard

CAPTURE = Path(__file__).parents[1] / "data" / "mtftp-ipxe.pcap"


def test_packets_passes_and_opens_are_counted() -> None:
    seen = overheard(CAPTURE, "239.255.1.1")
    assert (seen.packets, seen.passes, len(seen.opened)) == (5, 1, 1)


def test_another_group_had_nothing() -> None:
    seen = overheard(CAPTURE, "239.1.1.1")
    assert (seen.packets, seen.passes) == (0, 0)

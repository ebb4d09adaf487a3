from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from mtftpd.core.effects import ReportKind
from mtftpd.daemon.plain import plain
from mtftpd.wire.datagram import Endpoint, HardwareAddress


class Pair(NamedTuple):
    left: int
    right: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    peer: Endpoint
    hardware: HardwareAddress
    counts: Counter[ReportKind]
    network: IPv4Network
    pairs: tuple[Pair, ...]
    raw: bytes
    nothing: None = None


def test_makes_json_of_snapshots() -> None:
    snapshot = Snapshot(
        Endpoint("10.0.0.1", 69),
        HardwareAddress(1, bytes(6)),
        Counter([ReportKind.TFTP_DONE]),
        IPv4Network("10.0.0.0/8"),
        (Pair(1, "x"),),
        b"\x01\x02",
    )
    assert json.loads(json.dumps(plain({IPv4Address("10.0.0.2"): [snapshot, {1}, 0.5, object]}))) == {
        "10.0.0.2": [
            {
                "peer": "10.0.0.1:69",
                "hardware": "00:00:00:00:00:00",
                "counts": {"tftp-done": 1},
                "network": "10.0.0.0/8",
                "pairs": [{"left": 1, "right": "x"}],
                "raw": "01:02",
                "nothing": None,
            },
            [1],
            0.5,
            "<class 'object'>",
        ]
    }

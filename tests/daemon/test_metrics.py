from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import Any

import pytest
import trio

from mtftpd.core.effects import ReportKind
from mtftpd.core.nodes.alarms import AlarmKind
from mtftpd.core.nodes.states import NodeState
from mtftpd.daemon import metrics as module
from mtftpd.daemon.metrics import MAX_REQUEST, Metrics, exposition
from mtftpd.daemon.values import Listen
from mtftpd.errors import Unavailable
from tests.patience import PATIENCE

LOOPBACK = IPv4Address("127.0.0.1")
GROUP = {
    "group": "239.1.1.1:1799",
    "passes": 2,
    "sent": 80,
    "repeats": 1,
    "masters_lost": 0,
    "fallbacks": 3,
    "block": 7,
}
TRAFFIC = ("received", "received_octets", "waiting", "sent", "sent_octets", "lost", "overflowed")
TFTP = ("requests", "done", "failed", "refused", "blocks", "retransmitted", "transfers")
SNAPSHOT: Mapping[str, Any] = {
    "uptime": 1.5,
    "nodes": {
        "states": {NodeState.DONE: 4},
        "alarms": [{}, {}],
        "alarm_counts": {AlarmKind.SILENT: 2, AlarmKind.SAME_XID: 0},
    },
    "dhcp": {"received": 9, "leases": {"bound": 3}},
    "arp": {"wanted": 3, "known": 4, "owned": 2},
    "tftp": dict.fromkeys(TFTP, 5),
    "multicast_option": {"done": 4, "failed": 1, "clients": 2},
    "mtftp": {"groups": [GROUP]},
    "budget": {"rate": 80e6, "sent": 7, "waiting": 0, "queue": ["10.0.0.9"], "held": 3, "overdue": 1},
    "traffic": {**dict.fromkeys(TRAFFIC, 6), "drops": {'a"b\\c\n': 1}},
    "reports": {ReportKind.TFTP_DONE: 8},
}


def test_the_exposition_is_what_prometheus_reads() -> None:
    lines = exposition(SNAPSHOT).splitlines()
    assert 'mtftpd_nodes{state="done"} 4' in lines
    assert 'mtftpd_nodes{state="stalled"} 0' in lines
    assert 'mtftpd_alarms{kind="silent-after-ack"} 2' in lines
    assert 'mtftpd_alarms{kind="same-xid"} 0' in lines
    assert "mtftpd_neighbour_entries 2" in lines
    assert "mtftpd_multicast_option_clients 2" in lines
    assert {"mtftpd_link_rate_bits 80000000.0", "mtftpd_admission_waiting 1"} <= set(lines)
    assert 'mtftpd_drops_total{reason="a\\"b\\\\c\\n"} 1' in lines
    assert 'mtftpd_group_blocks_total{group="239.1.1.1:1799"} 80' in lines
    assert 'mtftpd_reports_total{kind="tftp-done"} 8' in lines
    sample = re.compile(r'mtftpd_[a-z_]+(\{[a-z]+="(\\.|[^"\\])*"\})? [0-9.]+')
    assert all(line.startswith(("# HELP mtftpd_", "# TYPE mtftpd_")) or sample.fullmatch(line) for line in lines)
    helped = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(helped) == len(set(helped))


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    metrics = Metrics(Listen(LOOPBACK, 0), lambda: SNAPSHOT)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(metrics.serve)
            yield metrics.port
            nursery.cancel_scope.cancel()


async def get(port: int, *pieces: bytes) -> bytes:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        for piece in pieces:
            await stream.send_all(piece)
        received = b""
        while more := await stream.receive_some():
            received += more
        return received


async def test_a_scrape_gets_the_text_and_its_length() -> None:
    async with serving() as port:
        for request in (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /metrics?a=b HTTP/1.0\n\n"):
            head, _, body = (await get(port, *(bytes([octet]) for octet in request))).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4")
            assert f"Content-Length: {len(body)}".encode() in head
            assert body == exposition(SNAPSHOT).encode()
        head, _, body = (await get(port, b"HEAD /metrics HTTP/1.1\r\n\r\n")).partition(b"\r\n\r\n")
        assert (head[:15], body) == (b"HTTP/1.1 200 OK", b"")


@pytest.mark.parametrize(("request_", "status"), [
    (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
    (b"GET / HTTP/1.1\r\n\r\n", b"404"),
    (b"GET /metrics HTTP/2.0\r\n\r\n", b"400"),
    (b"\x16\x03\x01\x02\x00\r\n\r\n", b"400"),
    (b"GET  /metrics HTTP/1.1\r\n\r\n", b"400"),
    (b"x" * (MAX_REQUEST + 1), b"400"),
])  # fmt: skip
async def test_anything_else_is_refused(request_: bytes, status: bytes) -> None:
    async with serving() as port:
        assert (await get(port, request_)).split(b" ")[1] == status


async def test_who_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.05)
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 2)
    async with serving() as port:
        silent = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(3)]
        for stream in silent:
            assert await stream.receive_some() == b""
            await stream.aclose()
        assert b"200 OK" in await get(port, b"GET /metrics HTTP/1.1\r\n\r\n")


def test_an_address_that_cannot_be_had() -> None:
    taken = Metrics(Listen(LOOPBACK, 0), lambda: SNAPSHOT)
    with pytest.raises(Unavailable, match=rf"--metrics 127\.0\.0\.1:{taken.port}: Address already in use; choose"):
        Metrics(Listen(LOOPBACK, taken.port), lambda: SNAPSHOT)
    taken.close()

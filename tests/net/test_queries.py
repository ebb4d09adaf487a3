"""IGMP queries, from the far end of a virtual cable to the raw socket."""

from __future__ import annotations

import os
import select
import socket
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from mtftpd.net import interfaces
from mtftpd.net.namespaces import private_network
from mtftpd.net.queries import Queries, is_query
from mtftpd.wire import ethernet, igmp, ipv4
from mtftpd.wire.igmp import ALL_SYSTEMS, Message, Query, Type
from mtftpd.wire.ipv4 import Packet, Protocol
from tests.patience import PATIENCE

GROUP = IPv4Address("239.1.1.1")
FAR = IPv4Address("10.9.0.2")
ROUTER_ALERT = bytes.fromhex("94040000")

GENERAL_V1 = Message(Type.QUERY, IPv4Address(0))
GENERAL_V2 = Message(Type.QUERY, IPv4Address(0), 100)
GENERAL_V3 = Query(IPv4Address(0), 100)
REPORT = Message(Type.REPORT_V2, GROUP)


def packet(message: igmp.Packet, destination: IPv4Address = ALL_SYSTEMS) -> bytes:
    return ipv4.build(Packet(FAR, destination, Protocol.IGMP, igmp.build(message), ttl=1, options=ROUTER_ALERT))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (packet(GENERAL_V1), True), (packet(GENERAL_V2), True), (packet(GENERAL_V3), True),
        (packet(REPORT), False), (packet(GENERAL_V2)[:-1], False), (b"", False), (b"\x45" + bytes(30), False),
    ],
)  # fmt: skip
def test_what_is_a_query(data: bytes, expected: bool) -> None:
    assert is_query(data) is expected


@pytest.fixture
def queries() -> Iterator[Queries]:
    with private_network():
        for words in (
            "link add lan0 type veth peer name far0", "link set far0 up", "link set lan0 up",
            "address add 10.9.0.1/24 dev lan0",
        ):  # fmt: skip
            subprocess.run(["ip", *words.split()], check=True)
        opened = Queries(interfaces.find("lan0"))
        yield opened
        opened.close()


def send(message: igmp.Packet, destination: IPv4Address) -> None:
    target = b"\x01\x00\x5e" + (int(destination) & 0x7FFFFF).to_bytes(3, "big")
    frame = ethernet.build(
        ethernet.Frame(target, b"\2\0\0\0\0\2", ethernet.EtherType.IPV4, packet(message, destination))
    )
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind(("far0", 0))
        sender.send(frame)


@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_a_query_on_the_link_is_heard_and_a_report_is_none(queries: Queries) -> None:
    with pytest.raises(BlockingIOError):
        queries.heard()
    send(REPORT, ALL_SYSTEMS)
    assert select.select([queries], [], [], PATIENCE)[0]
    assert not queries.heard()
    for message in (GENERAL_V2, GENERAL_V3):
        send(message, ALL_SYSTEMS)
        assert select.select([queries], [], [], PATIENCE)[0]
        assert queries.heard()

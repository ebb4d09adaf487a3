"""What the kernel believes of a client whose packets come in, in a namespace of our own."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mtftpd.core.effects import FIRST_TRANSFER
from mtftpd.core.settings import Ports
from mtftpd.net import interfaces
from mtftpd.net.channels import Channels, Listening
from mtftpd.net.namespaces import private_network
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.frames import udp_frame
from tests.patience import PATIENCE

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

PEER = Endpoint("10.9.0.7", 2070)
HARDWARE = "02:00:00:00:00:07"
ANY_PORTS = Ports(dhcp_server=0, dhcp_client=0, pxe=0, tftp=0, mtftp_server=0, mtftp_client=0, mtftp_ipxe=0)
LONG_AGO, JUST_NOW = 30, 20
"""Seconds; an entry that is made by hand is as good as confirmed a minute ago."""


def ip(*argv: str) -> str:
    return subprocess.run(["ip", *argv], capture_output=True, text=True, check=True).stdout


def forget() -> None:
    """Have the kernel know the client's address, and nothing that speaks for it."""
    ip("link", "set", "lan0", "down")
    ip("link", "set", "lan0", "up")
    ip("neigh", "replace", PEER.address, "lladdr", HARDWARE, "nud", "stale", "dev", "lan0")
    assert confirmed() > LONG_AGO


def confirmed() -> int:
    """Return how many seconds ago the kernel was told that the client's address is right."""
    (entry,) = json.loads(ip("-json", "-statistics", "neigh", "show", PEER.address, "dev", "lan0"))
    age: int = entry["confirmed"]
    return age


@pytest.fixture
def channels() -> Iterator[Channels]:
    with private_network():
        ip("link", "add", "lan0", "type", "veth", "peer", "name", "far0")
        ip("link", "set", "far0", "up")
        ip("link", "set", "lan0", "up")
        ip("address", "add", "10.9.0.1/24", "dev", "lan0")
        opened = Channels.open(Listening(interfaces.find("lan0"), ANY_PORTS, dhcp=False))
        yield opened
        opened.close()


@contextmanager
def far_end() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as opened:
        opened.bind(("far0", 0))
        yield opened


def hear(channels: Channels, data: bytes) -> None:
    """Have ``data`` come in from the client, and read it."""
    channel = channels.by_number[FIRST_TRANSFER]
    server = bytes.fromhex(json.loads(ip("-json", "link", "show", "lan0"))[0]["address"].replace(":", ""))
    frame = udp_frame(bytes.fromhex(HARDWARE.replace(":", "")), server, PEER, channel.local, data)
    with far_end() as wire:
        wire.send(frame)
    assert select.select([channel.socket], [], [], PATIENCE)[0]
    datagram = channel.receive()
    assert datagram is not None
    assert (datagram.source, datagram.data) == (PEER, data)


def test_what_comes_in_confirms_the_address_and_once_is_enough_until_it_is_doubted(channels: Channels) -> None:
    assert channels.open_transfer(FIRST_TRANSFER, PEER, confirms=True)
    assert channels.by_number[FIRST_TRANSFER].receive() is None
    forget()
    hear(channels, b"one")
    assert confirmed() < JUST_NOW
    forget()
    hear(channels, b"two")
    assert confirmed() > LONG_AGO
    channels.doubt_peers()
    hear(channels, b"three")
    assert confirmed() < JUST_NOW


def test_where_the_entry_is_ours_nothing_is_confirmed(channels: Channels) -> None:
    assert channels.open_transfer(FIRST_TRANSFER, PEER)
    forget()
    channels.doubt_peers()
    hear(channels, b"one")
    assert confirmed() > LONG_AGO

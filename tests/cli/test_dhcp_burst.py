"""Two thousand nodes at one power switch: nobody has to ask twice, whatever the server does at that moment."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from mtftpd.net.sockets import SO_RCVBUFFORCE
from mtftpd.wire.bootp import MessageType
from tests.cli.server_process import serving
from tests.cli.test_serve_state import client_of

pytestmark = pytest.mark.system

NODES = 2_000
ROOM = 16 * 1024 * 1024
"""For the answers, which come faster than one process can read them beside the server."""


@pytest.mark.skipif(os.geteuid() != 0, reason="the buffers of a storm need CAP_NET_ADMIN")
def test_every_discover_of_a_burst_is_answered_the_first_time(tmp_path: Path) -> None:
    options = ("--mode", "dhcp", "--range", "127.1.0.1-127.1.15.254", "--state", str(tmp_path / "state"))
    with serving(tmp_path, *options) as server, client_of(server) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
        server.process.send_signal(signal.SIGSTOP)  # The worst burst: all of it is there before the first is read.
        for number in range(NODES):
            client.ask(number, MessageType.DISCOVER)
        server.process.send_signal(signal.SIGCONT)
        offers = {}
        for _ in range(NODES):
            number, kind, offers[number] = client.hear()
            assert kind == MessageType.OFFER
        assert sorted(offers) == list(range(NODES)), "each asked once, and each has its answer"
        assert len(set(offers.values())) == NODES
        assert server.stop() == 0

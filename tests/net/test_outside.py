"""The ports of a tester: the time of each packet, ICMP errors as arrivals, a group of its own."""

from __future__ import annotations

import socket

import pytest
import trio

from mtftpd.errors import Unavailable
from mtftpd.net.outside import Heard, KernelHost, KernelPort
from mtftpd.wire.datagram import Endpoint
from tests.patience import PATIENCE

LOOPBACK = 1


async def next_of(port: KernelPort) -> Heard:
    with trio.fail_after(PATIENCE):
        return await port.receive()


async def test_packets_have_the_times_at_which_they_came_not_at_which_they_are_read() -> None:
    first, second = (KernelHost(f"127.0.0.{number}", LOOPBACK).open() for number in (2, 3))
    try:
        before = trio.current_time()
        second.send(b"1", first.local)
        first.send(b"2", second.local)
        late, early = await next_of(second), await next_of(first)
        assert (early.data, early.source, early.destination) == (b"1", second.local, first.local)
        assert (late.data, late.source) == (b"2", first.local)
        assert before - 0.1 <= early.time <= late.time <= trio.current_time()
    finally:
        first.close()
        second.close()


async def test_an_icmp_error_is_heard() -> None:
    port = KernelHost("127.0.0.2", LOOPBACK).open()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.3", 0))
        nobody = Endpoint(*closed.getsockname())
    try:
        port.send(b"is there anybody?", nobody)
        heard = await next_of(port)
        assert heard.problem == f"ICMP type 3 code 3 for what was sent to {nobody}"
        assert heard.source == nobody
        port.send(b"still usable", port.local)
        assert (await next_of(port)).data == b"still usable"
    finally:
        port.close()


async def test_a_group_port_hears_its_group_and_no_other() -> None:
    host = KernelHost("127.0.0.2", LOOPBACK)
    sender = host.open()
    one = host.open(0, "239.77.1.1")
    other = host.open(one.local.port, "239.77.1.2")
    twin = host.open(one.local.port, "239.77.1.1")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            out.sendto(b"two", ("239.77.1.2", one.local.port))
            out.sendto(b"one", ("239.77.1.1", one.local.port))
        assert [(await next_of(port)).data for port in (one, other, twin)] == [b"one", b"two", b"one"]
    finally:
        for port in (sender, one, other, twin):
            port.close()


def test_a_port_that_is_taken_is_named() -> None:
    host = KernelHost("127.0.0.2", LOOPBACK)
    port = host.open()
    try:
        with pytest.raises(Unavailable, match=f"UDP port {port.local.port} on 127.0.0.2"):
            host.open(port.local.port)
    finally:
        port.close()

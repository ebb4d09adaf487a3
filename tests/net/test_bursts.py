import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.net.bursts import Burster

SO_NO_CHECK = 11
"""Without UDP checksums the kernel refuses segmentation (udp_send_skb)."""


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
    ):
        sender.bind(("127.0.0.1", 0))
        receiver.bind(("127.0.0.1", 0))
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024 * 1024)
        for each in (sender, receiver):
            each.setblocking(False)
        yield sender, receiver


def arrived(receiver: socket.socket) -> list[bytes]:
    packets = []
    while True:
        try:
            packets.append(receiver.recv(70_000))
        except BlockingIOError:
            return packets


def cut(data: bytes, stride: int) -> list[bytes]:
    return [data[at : at + stride] for at in range(0, len(data), stride)]


@given(stride=st.integers(5, 9000), count=st.integers(1, 70), missing=st.integers(0, 5000))
def test_a_run_arrives_as_its_datagrams_in_order(
    pair: tuple[socket.socket, socket.socket], stride: int, count: int, missing: int
) -> None:
    sender, receiver = pair
    size = min(stride * count, 130_000)
    data = bytes(number * 7 % 251 for number in range(size - min(missing, stride - 1, size - 1)))
    burster = Burster(sender, mtu=1500)
    assert burster.send(memoryview(data), stride, receiver.getsockname()) == len(data)
    assert arrived(receiver) == cut(data, stride)
    assert burster.segmenting


def test_a_refusal_is_remembered_and_nothing_is_lost_by_it() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        sender.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        burster = Burster(sender, mtu=1500)
        data = bytes(range(250)) * 40
        assert burster.send(memoryview(data), 516, receiver.getsockname()) == len(data)
        assert arrived(receiver) == cut(data, 516)
        assert not burster.segmenting


def test_other_errors_reach_the_caller() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, pytest.raises(PermissionError):
        # A broadcast without SO_BROADCAST.
        Burster(sender, mtu=1500).send(memoryview(bytes(2000)), 516, ("127.255.255.255", 9))

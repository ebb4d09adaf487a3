"""Questions by ARP on a link of our own, answered by hand."""

from __future__ import annotations

import os
import select
import socket
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from mtftpd.net import interfaces
from mtftpd.net.arp_socket import ArpSocket
from mtftpd.net.namespaces import private_network
from mtftpd.wire import arp, ethernet
from mtftpd.wire.ethernet import EtherType

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

OURS, THEIRS = IPv4Address("10.9.0.1"), IPv4Address("10.9.0.7")
ROM = bytes.fromhex("020000000007")
SECONDS = 240


@pytest.fixture
def far() -> Iterator[socket.socket]:
    """The other end of a link whose near end is lan0."""
    with private_network():
        for line in (
            "link add lan0 type veth peer name far0",
            "link set far0 up",
            "link set lan0 up",
            "address add 10.9.0.1/24 dev lan0",
        ):
            subprocess.run(["ip", *line.split()], check=True)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EtherType.ARP)) as opened:
            opened.bind(("far0", EtherType.ARP))
            opened.settimeout(SECONDS)
            yield opened


def test_a_question_and_its_answer(far: socket.socket) -> None:
    asking = ArpSocket(interfaces.find("lan0"))
    assert (asking.available, asking.reason) == (True, "")
    with pytest.raises(BlockingIOError):
        asking.receive()
    asking.ask(THEIRS)
    frame = ethernet.parse_untrusted(far.recv(2048))
    question = arp.parse_untrusted(frame.payload)
    assert (frame.destination, frame.source) == (ethernet.BROADCAST, question.sender_hardware)
    assert (question.operation, question.sender_address, question.target_address) == (1, OURS, THEIRS)
    answer = arp.Packet(arp.Operation.REPLY, ROM, THEIRS, question.sender_hardware, OURS)
    reply = ethernet.Frame(question.sender_hardware, ROM, EtherType.ARP, arp.build(answer))
    far.send(ethernet.build(reply).ljust(60, b"\0"))
    assert select.select([asking], [], [], SECONDS)[0] == [asking]
    assert arp.parse_untrusted(asking.receive()) == answer
    asking.close()
    assert not asking.available


def test_a_link_without_arp_says_so() -> None:
    nobody = ArpSocket(interfaces.find("lo"))
    assert (nobody.available, nobody.reason) == (False, "lo has no ARP")
    nobody.close()

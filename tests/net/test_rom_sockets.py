"""A ROM on real sockets of loopback, where the demo's tests do not look: silence, loss, and its time being over."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mtftpd.net.rom_sockets import Attachment, Observer, RomSockets
from mtftpd.rom.actions import Enter, ImageMemory, Phase
from mtftpd.rom.node import Node
from mtftpd.rom.profiles import SPEC, Identity, RomPorts
from mtftpd.wire import bootp
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.datagram import HardwareAddress
from mtftpd.wire.options import Options
from tests.patience import PATIENCE

IDENTITY = Identity(HardwareAddress(1, bytes.fromhex("020000000001")), bytes(16), xid=7)
LOOPBACK = Attachment("lo", source="127.0.0.1")


class HeardError(Exception):
    """Raised out of a node that has taken an OFFER: there is nobody who would acknowledge its REQUEST."""


def free_ports() -> RomPorts:
    """Return ports of DHCP that nobody else has."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)]
        for made in opened:
            made.bind(("", 0))
        server, client = (made.getsockname()[1] for made in opened)
    return RomPorts(dhcp_server=server, dhcp_client=client)


def impatient(*waits: float, ports: RomPorts | None = None) -> Node:
    """Return a node with these waits for an OFFER."""
    profile = replace(SPEC, dhcp=replace(SPEC.dhcp, discover_waits=waits))
    return Node(IDENTITY, profile, ImageMemory(), ports or free_ports())


def observed() -> tuple[Observer, list[Phase]]:
    phases: list[Phase] = []

    def note(entered: Enter) -> None:
        phases.append(entered.phase)

    return Observer(note, lambda: None), phases


def test_a_node_that_nobody_answers_fails() -> None:
    observer, phases = observed()
    node = impatient(0.01, 0.01, 0.01)
    RomSockets(node, LOOPBACK, observer).run(time.monotonic() + 30)
    assert phases == [Phase.DISCOVER, Phase.FAILED]
    assert (observer.traffic.sent, observer.traffic.received) == (3, 0)


def test_what_is_lost_on_the_way_out_never_leaves() -> None:
    observer, phases = observed()
    observer.lose = lambda: True
    RomSockets(impatient(0.01, 0.01), LOOPBACK, observer).run(time.monotonic() + 30)
    assert phases[-1] is Phase.FAILED
    assert (observer.traffic.sent, observer.traffic.lost_out) == (0, 2)


def test_its_time_may_be_over() -> None:
    observer, phases = observed()
    RomSockets(impatient(60.0), LOOPBACK, observer).run(time.monotonic() + 0.05)
    assert phases == [Phase.DISCOVER]


@pytest.mark.parametrize("lost", [False, True], ids=["heard", "lost"])
def test_an_offer_by_broadcast(lost: bool) -> None:
    ports = free_ports()
    node = impatient(0.2 if lost else PATIENCE, ports=ports)
    observer, phases = observed()
    offer = bootp.DhcpMessage(
        op=bootp.BOOTREPLY,
        xid=IDENTITY.xid,
        chaddr=IDENTITY.hardware.octets.ljust(16, b"\0"),
        yiaddr=IPv4Address("127.9.9.9"),
        options=Options({53: bytes((MessageType.OFFER,)), 54: bytes((127, 0, 0, 1)), 60: b"PXEClient"}),
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        server.bind(("127.0.0.1", 0))

        def answer(entered: Enter) -> None:
            phases.append(entered.phase)
            if entered.phase is Phase.REQUEST:
                raise HeardError
            if entered.phase is Phase.DISCOVER:
                server.sendto(bootp.build(offer), ("255.255.255.255", ports.dhcp_client))
                observer.lose = (lambda: True) if lost else None

        observer.on_phase = answer
        with contextlib.suppress(HeardError):
            RomSockets(node, LOOPBACK, observer).run(time.monotonic() + PATIENCE)
    assert phases[:2] == [Phase.DISCOVER, Phase.FAILED if lost else Phase.REQUEST]
    assert (observer.traffic.lost_in, observer.traffic.received) == ((1, 0) if lost else (0, 1))

"""Namespaces and virtual links of our own: the ground that the demo stands on."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Interface

import pytest

from mtftpd.errors import MissingCapability, Unavailable
from mtftpd.net.namespaces import enter_new_network, private_network
from mtftpd.net.virtual_links import VirtualLinks
from tests.patience import PATIENCE

NAMESPACE = "/proc/self/ns/net"
SIOCGIFHWADDR = 0x8927
BRIDGE_ADDRESS = bytes.fromhex("020000000100")
system = pytest.mark.system
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


def in_a_child(main: Callable[[], None]) -> int:
    """Run ``main`` in a forked process and return its exit status: 0, or 1 when it raised."""
    process = os.fork()
    if process == 0:
        try:
            main()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def hardware(name: str) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        answer = fcntl.ioctl(asking, SIOCGIFHWADDR, struct.pack("16s24x", name.encode()))
    return answer[18:24]


@pytest.fixture
def links() -> Iterator[VirtualLinks]:
    before = os.readlink(NAMESPACE)
    with private_network():
        assert os.readlink(NAMESPACE) != before
        with VirtualLinks() as links:
            yield links
    assert os.readlink(NAMESPACE) == before


@system
@needs_root
def test_a_card_in_another_namespace_is_on_the_bridge(links: VirtualLinks) -> None:
    links.add_bridge("segment", BRIDGE_ADDRESS)
    links.add_address("segment", IPv4Interface("10.9.0.1/24"))
    bridge = (os.getpid(), socket.if_nametoindex("segment"))

    def node() -> None:
        enter_new_network()
        with VirtualLinks() as own:
            own.add_card("eth0", bytes.fromhex("020000000001"), "node1", bridge)
            own.add_address("eth0", IPv4Interface("10.9.0.2/24"))
            assert hardware("eth0") == bytes.fromhex("020000000001")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            sending.sendto(b"from the node", ("10.9.0.1", 5000))

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiving:
        receiving.settimeout(PATIENCE)
        receiving.bind(("10.9.0.1", 5000))
        assert in_a_child(node) == 0
        assert receiving.recvfrom(100)[0] == b"from the node"


@system
@needs_root
def test_the_bridge_keeps_its_address_when_a_card_leaves(links: VirtualLinks) -> None:
    links.add_bridge("segment", BRIDGE_ADDRESS)
    bridge = (os.getpid(), socket.if_nametoindex("segment"))

    def node() -> None:
        enter_new_network()
        with VirtualLinks() as own:
            own.add_card("eth0", bytes.fromhex("020000000001"), "node1", bridge)

    assert in_a_child(node) == 0
    assert hardware("segment") == BRIDGE_ADDRESS
    end = time.monotonic() + PATIENCE
    while "node1" in [name for _, name in socket.if_nameindex()] and time.monotonic() < end:
        time.sleep(0.01)
    assert [name for _, name in socket.if_nameindex()] == ["lo", "segment"], "a card ends with its namespace"
    assert hardware("segment") == BRIDGE_ADDRESS


@system
@needs_root
def test_a_link_without_a_carrier_is_not_up(links: VirtualLinks) -> None:
    links.bring_up("lo")
    assert links.all_up()
    links.add_bridge("empty", BRIDGE_ADDRESS)
    assert not links.all_up(), "a bridge without a port that is up has no carrier"


@system
@needs_root
def test_what_the_kernel_refuses_is_named(links: VirtualLinks) -> None:
    links.add_bridge("segment", BRIDGE_ADDRESS)
    with pytest.raises(Unavailable, match=r"^cannot make the bridge segment: File exists$"):
        links.add_bridge("segment", BRIDGE_ADDRESS)


def test_without_the_right_to_it_there_is_no_namespace() -> None:
    def ordinary() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setuid(65_534)
        with pytest.raises(MissingCapability, match="CAP_SYS_ADMIN"):
            enter_new_network()

    assert in_a_child(ordinary) == 0

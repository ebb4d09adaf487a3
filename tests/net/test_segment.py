"""What loopback cannot show: two interfaces, a slow link, frames to hardware addresses, a process without rights.

The sockets are opened inside network namespaces of their own, by moving this thread there for a moment.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from mtftpd.core.effects import Drop, Effects, Report, ReportKind, Send, SendRun, Service
from mtftpd.core.images import Image
from mtftpd.core.service import BootService
from mtftpd.core.settings import Link, Mode, Multicast, Ports, Settings
from mtftpd.daemon.performer import Outlets, Performer
from mtftpd.errors import BadConfig, MissingCapability, Unavailable
from mtftpd.net import interfaces
from mtftpd.net.channels import Channels, Listening
from mtftpd.net.images import ImageStore
from mtftpd.net.link_layer import LinkLayer
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress
from tests.patience import PATIENCE
from tools.lab.segment import run

pytestmark = pytest.mark.system

CLONE_NEWNET = 0x40000000
LINK = IPv4Address("10.66.0.1")
PEER = IPv4Address("10.66.0.2")
OTHER = IPv4Address("10.67.0.1")
GROUP = "239.66.1.1"
HARDWARE = bytes.fromhex("020000000066")


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Have this thread open its sockets in ``namespace``."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{namespace}") as away:
        assert libc.setns(away.fileno(), CLONE_NEWNET) == 0
        try:
            yield
        finally:
            assert libc.setns(home.fileno(), CLONE_NEWNET) == 0


@dataclass(frozen=True)
class Wire:
    """``server`` has lan0 (10.66.0.1/24) and wan0 (10.67.0.1/24); ``client`` has the other ends."""

    server: str
    client: str

    @property
    def link(self) -> Link:
        with inside(self.server):
            return interfaces.find("lan0")


@pytest.fixture
def wire() -> Iterator[Wire]:
    name = f"netloop{os.getpid() % 10_000}"
    made = Wire(f"{name}s", f"{name}c")
    try:
        for namespace in (made.server, made.client):
            run("ip", "netns", "add", namespace)
            run("ip", "-n", namespace, "link", "set", "lo", "up")
        for device, ours, theirs in (("lan0", LINK, PEER), ("wan0", OTHER, OTHER + 1)):
            run("ip", "-n", made.server, "link", "add", device, "type", "veth",
                "peer", "name", device, "netns", made.client)  # fmt: skip
            for namespace, address in ((made.server, ours), (made.client, theirs)):
                run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", device)
                run("ip", "-n", namespace, "link", "set", device, "up")
        run("ip", "-n", made.client, "link", "set", "lan0", "address", HARDWARE.hex(":"))
        wait_for_carrier(made)
        yield made
    finally:
        for namespace in (made.server, made.client):
            run("ip", "netns", "del", namespace, check=False)


def wait_for_carrier(wire: Wire) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if run("ip", "-n", wire.server, "-o", "link", "show", "up").count("LOWER_UP") == 3:
            return
        time.sleep(0.02)
    raise AssertionError("the veth pair has no carrier")


def receiver(wire: Wire, address: str, port: int) -> socket.socket:
    with inside(wire.client):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024 * 1024)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    opened.bind((address, port))
    opened.settimeout(PATIENCE)
    return opened


@pytest.fixture
def channels(wire: Wire) -> Iterator[Channels]:
    with inside(wire.server):
        opened = Channels.open(Listening(interfaces.find("lan0"), Ports()))
    yield opened
    opened.close()


class Nobody:
    """The service and the sink of a performer that is driven by hand."""

    def looked_up(self, request: int, image: Image | None, now: float) -> Effects:
        raise AssertionError

    def congested(self, is_congested: bool, now: float) -> None:
        """Nothing sends ahead here."""

    def image_changed(self, image: Image, now: float) -> Effects:
        raise AssertionError

    def report(self, report: Report) -> None:
        raise AssertionError

    def drop(self, drop: Drop, now: float) -> None:
        raise AssertionError

    def flush(self) -> None:
        raise AssertionError

    def write_down(self) -> None:
        raise AssertionError


def test_the_link_is_read_from_the_system(wire: Wire) -> None:
    run("ip", "-n", wire.server, "address", "add", "10.68.0.1/16", "dev", "lan0", "label", "lan0:boot")
    run("ip", "-n", wire.server, "link", "set", "wan0", "mtu", "1400")
    run("ip", "-n", wire.server, "link", "add", "bare0", "type", "veth", "peer", "name", "bare1")
    with inside(wire.server):
        lan, wan = interfaces.candidates()
        assert (lan.name, lan.address, lan.network, lan.mtu) == ("lan0", LINK, IPv4Network("10.66.0.0/24"), 1500)
        assert (wan.name, wan.mtu, wan.index) == ("wan0", 1400, socket.if_nametoindex("wan0"))
        # The address has no broadcast of its own; netifaces would report the address itself.
        assert interfaces.broadcast(lan) == IPv4Address("10.66.0.255")
        labelled = replace(lan, address=IPv4Address("10.68.0.1"), network=IPv4Network("10.68.0.0/16"))
        assert interfaces.find("lan0:boot") == interfaces.find("10.68.0.1") == labelled
        with pytest.raises(Unavailable, match="bare0: the interface has no IPv4 address; run: ip address add"):
            interfaces.find("bare0")
        with pytest.raises(BadConfig, match="there are: lan0, lo, wan0"):
            interfaces.find("eth7")
    run("ip", "-n", wire.server, "link", "set", "wan0", "down")
    with inside(wire.server):
        assert [link.name for link in interfaces.candidates()] == ["lan0"]
        with pytest.raises(Unavailable, match="wan0: the interface is down; run: ip link set wan0 up"):
            interfaces.find("wan0")


def test_only_the_link_is_heard(wire: Wire, channels: Channels) -> None:
    asking = receiver(wire, "0.0.0.0", 0)
    run("ip", "-n", wire.client, "route", "add", f"{LINK}/32", "via", str(OTHER))  # Round by the other interface.
    for port in (67, 4011, 69, 1542, 1759):
        asking.sendto(b"round", (str(LINK), port))
    run("ip", "-n", wire.client, "route", "del", f"{LINK}/32", "via", str(OTHER))
    for port in (67, 4011):
        asking.sendto(b"all", ("10.67.0.255", port))
    for port in (67, 4011, 69, 1542, 1759):
        asking.sendto(b"direct", (str(LINK), port))
    for port in (67, 4011):
        asking.sendto(b"all", ("10.66.0.255", port))
    heard = everything(channels)
    assert sorted((each.destination, each.data) for each in heard) == sorted(
        [(Endpoint("10.66.0.255", port), b"all") for port in (67, 4011)]
        + [(Endpoint(str(LINK), port), b"direct") for port in (67, 4011, 69, 1542, 1759)]
    )
    asking.close()


def everything(channels: Channels) -> list[Datagram]:
    """Read until nothing has come for a while that is long for a veth pair."""
    heard = []
    while events := channels.epoll.poll(0.3):
        for descriptor, _ in events:
            datagram = channels.by_descriptor[descriptor].receive()
            if datagram is not None:
                heard.append(datagram)
    return heard


@pytest.mark.parametrize("number", [Service.DHCP, Service.MTFTP])
def test_everything_comes_from_the_one_address(wire: Wire, channels: Channels, number: Service) -> None:
    listening = receiver(wire, "", 6868)
    with inside(wire.client):
        membership = socket.inet_aton(GROUP) + PEER.packed
        listening.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    run("ip", "-n", wire.server, "address", "add", "10.66.0.9/24", "dev", "lan0")
    channel = channels.by_number[number]
    addresses = [str(PEER), GROUP] if number == Service.MTFTP else [str(PEER), "255.255.255.255", "10.66.0.255"]
    for address in addresses:
        channel.send(b"answer", Endpoint(address, 6868))
        assert listening.recvfrom(100) == (b"answer", (str(LINK), channel.local.port))
    listening.close()


def test_a_frame_reaches_a_hardware_address_without_a_neighbour(wire: Wire, channels: Channels, tmp_path: Path) -> None:
    with inside(wire.client):
        sniffing = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        sniffing.bind(("lan0", 0))
    sniffing.settimeout(PATIENCE)
    listening = receiver(wire, "", 68)
    with inside(wire.server):
        link_layer = LinkLayer(channels.link)
    assert link_layer.available
    store = ImageStore(tmp_path)
    nobody = Nobody()
    performer = Performer(nobody, Outlets(channels, link_layer), store, nobody)
    known = Endpoint(str(PEER), 68)
    performer.perform((Send(Service.DHCP, known, b"offer", HardwareAddress(1, HARDWARE)),))
    assert sniffing.recv(2000)[:6] == HARDWARE
    assert listening.recvfrom(100) == (b"offer", (str(LINK), 67))
    # What is no Ethernet address, or too long for a frame, goes to everyone.
    for hardware, data in ((HardwareAddress(32, bytes(16)), b"offer"), (HardwareAddress(1, HARDWARE), bytes(1600))):
        performer.perform((Send(Service.DHCP, known, data, hardware),))
        assert listening.recvfrom(2000) == (data, (str(LINK), 67))
        assert sniffing.recv(2000)[:6] == b"\xff" * 6
    assert (performer.sent.datagrams, performer.sent.lost) == (3, 0)
    for each in (sniffing, listening, store, link_layer):
        each.close()


@pytest.mark.parametrize("step", [1, 16, 100])
def test_a_slow_link_delays_a_group_and_loses_nothing(
    wire: Wire, channels: Channels, tmp_path: Path, step: int
) -> None:
    run("ip", "netns", "exec", wire.server, "tc", "qdisc", "add", "dev", "lan0", "root",
        "tbf", "rate", "40mbit", "burst", "3000", "limit", "10000000")  # fmt: skip
    listening = receiver(wire, "", 1799)
    with inside(wire.client):
        listening.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + PEER.packed)
    (tmp_path / "boot").write_bytes(bytes(range(256)) * 4000)
    store, nobody = ImageStore(tmp_path), Nobody()
    image = store.lookup("boot")
    assert image is not None
    blocks = min(image.blocks(512), 900 * step)
    with inside(wire.server):
        outlets = Outlets(channels, LinkLayer(channels.link))
    performer = Performer(nobody, outlets, store, nobody)
    channel = channels.by_number[Service.MTFTP]
    group = Endpoint(GROUP, 1799)
    performer.perform(
        tuple(SendRun(Service.MTFTP, group, image, first, step, 512) for first in range(1, blocks + 1, step))
    )
    assert channel.backlog, "the link was too fast to fill the socket"
    while channel.backlog:
        for descriptor, _ in channels.epoll.poll(20):
            assert descriptor == channel.socket.fileno()
            performer.resume(channel)
    numbers = [int.from_bytes(listening.recv(1000)[2:4], "big") for _ in range(blocks)]
    assert numbers == list(range(1, blocks + 1))
    assert (performer.sent.datagrams, performer.sent.lost) == (blocks, 0)
    assert channels.epoll.poll(0.05) == [], "room is not reported for ever"
    for each in (listening, store, outlets.link_layer):
        each.close()


class Ears(Nobody):
    """A sink that keeps the reports."""

    def __init__(self) -> None:
        self.kinds: list[ReportKind] = []

    def report(self, report: Report) -> None:
        self.kinds.append(report.kind)


def test_a_pass_without_a_limit_waits_for_a_slow_link_and_not_in_the_queue(
    wire: Wire, channels: Channels, tmp_path: Path
) -> None:
    run("ip", "netns", "exec", wire.server, "tc", "qdisc", "add", "dev", "lan0", "root",
        "tbf", "rate", "40mbit", "burst", "3000", "limit", "10000000")  # fmt: skip
    listening = receiver(wire, "", 1799)
    with inside(wire.client):
        listening.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + PEER.packed)
    (tmp_path / "boot").write_bytes(bytes(range(256)) * 4000)
    store, ears = ImageStore(tmp_path), Ears()
    multicast = Multicast(IPv4Address(GROUP), paces=(("boot", 0.0),))
    settings = Settings(channels.link, Mode.TFTP, multicast=multicast, faithful=False)
    service = BootService(settings, store.catalogue({"boot": "boot"}))
    with inside(wire.server):
        outlets = Outlets(channels, LinkLayer(channels.link))
    performer, channel = Performer(service, outlets, store, ears), channels.by_number[Service.MTFTP]
    asked = Datagram(Service.MTFTP, Endpoint(str(PEER), 1799), channel.local, b"\0\1boot\0octet\0")
    performer.perform(service.receive(asked, time.monotonic()))
    waiting = []
    while ReportKind.PASS_ENDED not in ears.kinds or channel.backlog:
        if channel.backlog:
            assert channels.epoll.poll(240), "the link takes nothing"
            performer.resume(channel)
        performer.perform(service.tick(time.monotonic()))
        waiting.append(len(channel.backlog))
    assert max(waiting) == 1, "what cannot leave is not asked for"
    blocks = 256 * 4000 // 512 + 1
    numbers = [int.from_bytes(listening.recv(1000)[2:4], "big") for _ in range(blocks)]
    assert numbers == list(range(1, blocks + 1))
    assert (performer.sent.datagrams, performer.sent.lost) == (blocks, 0)
    for each in (listening, store, outlets.link_layer):
        each.close()


def test_without_rights_the_message_names_the_capability(wire: Wire) -> None:
    script = (
        "import os\n"
        "from mtftpd.net import interfaces\n"
        "from mtftpd.net.channels import Channels, Listening\n"
        "from mtftpd.core.settings import Ports\n"
        "from mtftpd.net.link_layer import LinkLayer\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "link = interfaces.find('lan0')\n"
        "print(LinkLayer(link).reason)\n"
        "try: Channels.open(Listening(link, Ports()))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "Channels.open(Listening(link, Ports(tftp=6969), dhcp=False)); print('high ports do')\n"
    )
    said = run("ip", "netns", "exec", wire.server, sys.executable, "-c", script)
    raw, refused, high = said.splitlines()
    assert raw == "CAP_NET_RAW is missing"
    assert refused.startswith(
        f"{MissingCapability.__name__} UDP port 67 (DHCP) on {LINK}, interface lan0: no permission"
    )
    assert "CAP_NET_BIND_SERVICE" in refused
    assert high == "high ports do"

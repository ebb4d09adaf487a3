"""What is found out of servers that are whole, half or silent: over a network in memory."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from random import Random

import pytest
from trio.testing import MockClock

from mtftpd.conformance.discovery import Told, discover
from mtftpd.conformance.findings import Feature, Findings, Session
from mtftpd.conformance.lab import Lab, Target
from mtftpd.net.outside import Heard
from mtftpd.wire import bootp, pxe, tftp
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.options import Options
from tests.conformance.memory_network import EVERYBODY, MemoryNetwork

SERVER = IPv4Address("10.0.0.1")
ADDRESS = IPv4Address("10.0.0.77")
TAGS = pxe.PxeOptions(
    discovery_control=10,
    mtftp=pxe.MtftpTags(IPv4Address("239.1.1.1"), 1799, 1542, 2, 2),
)


class HalfServer:
    """A DHCP server that does what ``abilities`` say: address, time, ack, pxe, 4011, elsewhere, tftp."""

    def __init__(self, network: MemoryNetwork, abilities: frozenset[str]) -> None:
        self._network = network
        self._can = abilities
        network.server = self._receive

    def _receive(self, heard: Heard) -> None:
        if heard.destination.port == 67 and self._can:
            self._answer(bootp.parse_untrusted(heard.data), Endpoint(EVERYBODY, 68), 67)
        elif heard.destination.port == 4011 and "4011" in self._can:
            port = 68 if "elsewhere" in self._can else heard.source.port
            self._answer(bootp.parse_untrusted(heard.data), heard.source._replace(port=port), 4011)
        elif heard.destination.port == 69 and "tftp" in self._can:
            content = tftp.build(tftp.Data(1, b"content"))
            self._network.put(Endpoint(str(SERVER), 5000), heard.source, content)

    def _answer(self, request: DhcpMessage, to: Endpoint, port: int) -> None:
        kind = MessageType.OFFER if request.message_type == MessageType.DISCOVER else MessageType.ACK
        wants_lease = port == 67 and request.message_type == MessageType.REQUEST
        if request.message_type == MessageType.RELEASE or (wants_lease and "ack" not in self._can):
            return
        options = Options(self._options(kind))
        address = ADDRESS if "address" in self._can and port == 67 else IPv4Address(0)
        reply = DhcpMessage(2, request.xid, request.chaddr, yiaddr=address, file=b"boot.img", options=options)
        self._network.put(Endpoint(str(SERVER), port), to, bootp.build(reply))

    def _options(self, kind: MessageType) -> Iterator[tuple[int, bytes]]:
        yield 53, bytes((kind,))
        yield 54, SERVER.packed
        if "time" in self._can:
            yield 51, (3600).to_bytes(4, "big")
        if "pxe" in self._can:
            yield 60, b"PXEClient"
            yield 43, pxe.build(TAGS)


async def found_of(*abilities: str, told: Told | None = None) -> Findings:
    network = MemoryNetwork("10.0.0.2")
    HalfServer(network, frozenset(abilities))
    numbers = iter(range(1000))

    def make_lab(found: Findings) -> Lab:
        return Lab(Target(SERVER), network, found, Random(next(numbers)))

    return await discover(make_lab, told or Told(), lambda line: None)


F = Feature


@pytest.mark.parametrize(
    ("abilities", "features"),
    [
        ((), set()),
        (("address", "time", "ack"), {F.DHCP, F.LEASES, F.TWO_HOSTS, F.BOOT_FILE}),
        (("address", "ack"), {F.DHCP, F.LEASES, F.TWO_HOSTS, F.BOOT_FILE}),
        (("address", "time"), {F.DHCP, F.LEASES, F.TWO_HOSTS, F.BOOT_FILE}),
        (("address",), {F.DHCP, F.PROXY, F.BOOT_FILE}),
        (("pxe", "4011"), {F.DHCP, F.PROXY, F.PXE, F.PORT_4011, F.BOOT_SERVER, F.BOOT_FILE, F.MTFTP}),
        (
            ("address", "ack", "pxe", "4011", "elsewhere"),
            {F.DHCP, F.LEASES, F.TWO_HOSTS, F.PXE, F.PORT_4011, F.BOOT_SERVER, F.BOOT_FILE, F.MTFTP},
        ),
        (("address", "time", "pxe", "4011"), {F.DHCP, F.LEASES, F.TWO_HOSTS, F.PXE, F.BOOT_FILE, F.MTFTP}),
    ],
)
async def test_features(abilities: tuple[str, ...], features: set[Feature], autojump_clock: MockClock) -> None:
    found = await found_of(*abilities)
    assert found.features == features | {Feature.FRAMES}


async def test_a_boot_file_is_read_and_its_group_known(autojump_clock: MockClock) -> None:
    found = await found_of("pxe", "tftp")
    (image,) = found.images
    assert (image.name, image.content) == ("boot.img", b"content")
    assert found.sessions == (Session("boot.img", "239.1.1.1", 1799, 1542, 2),)


async def test_what_is_told_goes_before_what_is_found(autojump_clock: MockClock) -> None:
    session = Session("other.img", "239.9.9.9", 3001, 1759)
    found = await found_of("pxe", "tftp", told=Told(("first.img",), (session,)))
    assert [image.name for image in found.images] == ["first.img", "boot.img", "other.img"]
    assert found.sessions == (session,)

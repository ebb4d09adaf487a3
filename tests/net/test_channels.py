import dataclasses
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

import pytest

from mtftpd.core.effects import FIRST_TRANSFER, Service
from mtftpd.core.settings import Link, Ports
from mtftpd.errors import Unavailable
from mtftpd.net import sockets
from mtftpd.net.channels import (
    MAX_REQUEST,
    Channel,
    Channels,
    Listening,
    ServiceChannel,
    StrangersChannel,
    TransferChannel,
    swapped,
)
from mtftpd.wire.datagram import Datagram, Endpoint
from tests.patience import PATIENCE

ANY_PORTS = Ports(dhcp_server=0, dhcp_client=0, pxe=0, tftp=0, mtftp_server=0, mtftp_client=0, mtftp_ipxe=0)
DISCOVERY_GROUP = IPv4Address("239.77.1.1")


@pytest.fixture
def channels(loopback: Link) -> Iterator[Channels]:
    opened = Channels.open(Listening(loopback, ANY_PORTS, discovery_group=DISCOVERY_GROUP))
    yield opened
    opened.close()


@contextmanager
def client() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        opened.settimeout(PATIENCE)
        yield opened


def next_of(channels: Channels, number: int) -> Datagram | None:
    channels.epoll.poll(5)
    return channels.by_number[number].receive()


def test_ports_are_the_ones_bound(channels: Channels) -> None:
    bound = channels.ports
    assert 0 not in (bound.dhcp_server, bound.pxe, bound.tftp, bound.mtftp_server, bound.mtftp_ipxe)
    assert channels.by_number[Service.TFTP].local == Endpoint("127.0.0.1", bound.tftp)
    assert Service.MTFTP_SWAPPED not in channels.by_number


@pytest.mark.parametrize("destination", ["127.0.0.1", "127.255.255.255"])
@pytest.mark.parametrize("number", [Service.DHCP, Service.PXE])
def test_dhcp_hears_unicast_and_broadcast_and_tells_them_apart(
    channels: Channels, number: Service, destination: str
) -> None:
    port = channels.by_number[number].local.port
    with client() as sender:
        sender.sendto(b"hello", (destination, port))
        source = Endpoint(*sender.getsockname())
        assert next_of(channels, number) == Datagram(number, source, Endpoint(destination, port), b"hello")
    assert channels.by_number[number].receive() is None


def test_discovery_hears_its_group(channels: Channels, loopback: Link) -> None:
    group = Endpoint(str(DISCOVERY_GROUP), channels.ports.pxe)
    with client() as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback.address.packed)
        sender.sendto(b"where", group)
        got = next_of(channels, Service.PXE)
    assert got is not None
    assert got.destination == group


@pytest.mark.parametrize("number", [Service.TFTP, Service.MTFTP, Service.MTFTP_IPXE])
def test_file_services_hear_unicast_only(channels: Channels, number: Service) -> None:
    port = channels.by_number[number].local.port
    with client() as sender:
        sender.sendto(b"lost", ("127.255.255.255", port))
        sender.sendto(b"found", ("127.0.0.1", port))
        got = next_of(channels, number)
    assert got is not None
    assert (got.data, got.destination) == (b"found", Endpoint("127.0.0.1", port))


@pytest.mark.parametrize("number", [Service.DHCP, Service.TFTP, Service.MTFTP])
def test_answers_come_from_the_server_address_and_the_port_asked(channels: Channels, number: Service) -> None:
    channel = channels.by_number[number]
    with client() as receiver:
        channel.send(b"answer", Endpoint(*receiver.getsockname()))
        assert receiver.recvfrom(100) == (b"answer", ("127.0.0.1", channel.local.port))


def test_this_host_itself_is_served_whatever_the_link_is(loopback: Link) -> None:
    elsewhere = dataclasses.replace(loopback, index=loopback.index + 1000)
    opened = sockets.open_unicast(loopback, sockets.Purpose("TFTP", 0, ""), 1)
    channel = ServiceChannel(Service.TFTP, opened, elsewhere)
    with client() as sender:
        sender.sendto(b"own host", channel.local)
        select.select([opened], [], [], 5)
        assert channel.receive() is not None
    opened.close()


def test_a_datagram_longer_than_any_request_is_counted_and_gone(channels: Channels) -> None:
    channel = channels.by_number[Service.TFTP]
    with client() as sender:
        sender.sendto(bytes(MAX_REQUEST + 1), channel.local)
        sender.sendto(bytes(MAX_REQUEST), channel.local)
        assert next_of(channels, Service.TFTP) is None
        assert next_of(channels, Service.TFTP) is not None
    assert channel.errors.too_long == 1


def test_a_transfer_has_a_port_and_tells_its_peer_from_strangers(channels: Channels) -> None:
    with client() as peer, client() as stranger:
        partner, other = Endpoint(*peer.getsockname()), Endpoint(*stranger.getsockname())
        assert channels.open_transfer(FIRST_TRANSFER, partner)
        channel = channels.by_number[FIRST_TRANSFER]
        assert isinstance(channel, TransferChannel)
        assert channel.local.port not in dataclasses.astuple(channels.ports)
        stranger.sendto(b"hello", channel.local)
        peer.sendto(b"ack", channel.local)
        assert next_of(channels, FIRST_TRANSFER) == Datagram(FIRST_TRANSFER, partner, channel.local, b"ack")
        assert channel.strangers.receive() == Datagram(FIRST_TRANSFER, other, channel.local, b"hello")
        assert channel.receive() is None
        assert channel.strangers.receive() is None
        channel.send(b"data", partner)
        channel.send(b"error", other)
        assert peer.recvfrom(100) == (b"data", channel.local)
        assert stranger.recvfrom(100) == (b"error", channel.local)
    channels.close_transfer(FIRST_TRANSFER)
    channels.close_transfer(FIRST_TRANSFER)
    assert FIRST_TRANSFER not in channels.by_number
    assert not any(isinstance(left, TransferChannel | StrangersChannel) for left in channels.by_descriptor.values())


def test_a_transfer_survives_a_client_that_has_closed_its_port(channels: Channels) -> None:
    with client() as gone:
        nobody = Endpoint(*gone.getsockname())
        assert channels.open_transfer(FIRST_TRANSFER, nobody)
    channel = channels.by_number[FIRST_TRANSFER]
    channel.send(b"data", nobody)
    select.select([channel.socket], [], [], 5)
    assert channel.receive() is None
    assert channel.errors.queued == 1


def test_overflow_of_a_service_socket_is_counted(channels: Channels) -> None:
    channel: Channel = channels.by_number[Service.TFTP]
    channel.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    with client() as sender:
        for _ in range(50):
            sender.sendto(bytes(500), channel.local)
    kept = 0
    while channel.receive() is not None:
        kept += 1
    assert kept + sockets.overflowed(channel.socket) == 50
    assert kept < 50


def test_a_port_in_use_names_port_purpose_and_remedy(loopback: Link) -> None:
    with client() as holder:
        port = holder.getsockname()[1]
        listening = Listening(loopback, dataclasses.replace(ANY_PORTS, mtftp_server=port))
        with pytest.raises(Unavailable, match=rf"UDP port {port} \(MTFTP\) .*already in use.*--server-port"):
            Channels.open(listening)


def test_a_decoy_listens_where_the_swapped_port_would_be(loopback: Link) -> None:
    opened = Channels.open(Listening(loopback, dataclasses.replace(ANY_PORTS, mtftp_server=0x5A3C), dhcp=False))
    try:
        assert opened.by_number[Service.MTFTP_SWAPPED].local.port == 0x3C5A == swapped(0x5A3C)
        assert Service.DHCP not in opened.by_number
        assert Service.PXE not in opened.by_number
    finally:
        opened.close()


def test_a_decoy_whose_port_is_taken_is_done_without(loopback: Link) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0x3C5A))
        opened = Channels.open(Listening(loopback, dataclasses.replace(ANY_PORTS, mtftp_server=0x5A3C), dhcp=False))
        assert Service.MTFTP_SWAPPED not in opened.by_number
        opened.close()


def test_one_port_for_both_kinds_of_mtftp_is_one_socket(loopback: Link) -> None:
    both = dataclasses.replace(ANY_PORTS, mtftp_server=0x5A3C, mtftp_ipxe=0x5A3C)
    opened = Channels.open(Listening(loopback, both, dhcp=False))
    assert Service.MTFTP_IPXE not in opened.by_number
    assert (opened.ports.mtftp_server, opened.ports.mtftp_ipxe) == (0x5A3C, 0x5A3C)
    opened.close()

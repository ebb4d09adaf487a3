"""The service as a whole: any datagram gives effects, statistics, and reconfiguration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtftpd.core.addresses.leases import DECLINE_SECONDS, LeaseState
from mtftpd.core.dhcp.service import DhcpService
from mtftpd.core.effects import Drop, DropReason, Report, ReportKind, Send, Service
from mtftpd.core.groups import Groups
from mtftpd.core.node_settings import Boot, Menu, MenuItem
from mtftpd.core.settings import Mode, Settings
from mtftpd.errors import BadConfig
from mtftpd.wire import bootp
from mtftpd.wire.bootp import BOOTREPLY, DhcpMessage, MessageType
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.options import Options
from tests.core.dhcp.dhcp_lab import (
    ANYBODY,
    BIOS_ROM,
    DHCP,
    HTTP,
    IPXE,
    MAC,
    NOBODY,
    ONE_IMAGE,
    OVMF,
    PROXY,
    SERVER,
    SYSTEM,
    Lab,
    Node,
    option,
    reason,
    with_addressing,
    with_boot,
)

TFTP = replace(DHCP, mode=Mode.TFTP)
MENU = Boot("mtftp://SERVER:1759/nbp", menu=Menu((MenuItem(15, "Install", "nbp"),)))
SERVE_ALL = with_addressing(with_boot(DHCP, Boot("http://SERVER/nbp")), serve_all=True)


def test_without_dhcp_everything_is_dropped() -> None:
    lab = Lab(TFTP)
    assert reason(lab.node().effects(MessageType.DISCOVER)) is DropReason.MODE
    assert reason(lab.receive(b"")) is DropReason.MODE
    assert (lab.service.next_deadline(), lab.service.tick(1.0)) == (None, ())


@pytest.mark.parametrize("data", [b"", bytes(239), b"\1\1\6\0" + bytes(232) + b"\x63\x82\x53\x63\x35\x09"])
def test_malformed(data: bytes) -> None:
    assert reason(Lab().receive(data)) is DropReason.MALFORMED


def test_our_own_replies_come_back() -> None:
    lab = Lab()
    offer = lab.node().discover()
    assert offer.message.op == BOOTREPLY
    assert reason(lab.receive(offer.send.data)) is DropReason.NOT_A_REQUEST


def test_drops_say_whose_packet_it_was() -> None:
    (drop,) = Lab().node(SYSTEM).effects(MessageType.DISCOVER)
    assert isinstance(drop, Drop)
    assert drop[:3] == (DropReason.NOT_PXE, NOBODY, "52:54:00:0a:0b:0c")
    (drop,) = Lab().node().effects(MessageType.REQUEST)
    assert isinstance(drop, Drop)
    assert drop[:3] == (DropReason.NO_CIADDR, NOBODY, "52:54:00:0a:0b:0c: a REQUEST for no address")


def test_statistics_are_a_snapshot() -> None:
    lab = Lab()
    lab.node().boot()
    lab.node(mac=MAC[::-1]).discover()
    lab.receive(b"")
    before = lab.service.statistics()
    assert before.received == 4
    assert before.reports == {ReportKind.DHCP_OFFERED: 2, ReportKind.DHCP_ACKED: 1}
    assert before.drops == {DropReason.MALFORMED: 1}
    assert before.leases == {LeaseState.BOUND: 1, LeaseState.OFFERED: 1}
    lab.receive(b"")
    assert before.drops == {DropReason.MALFORMED: 1}
    with pytest.raises(FrozenInstanceError):
        before.received = 5  # type: ignore[misc]


def test_a_bad_configuration_changes_nothing() -> None:
    lab = Lab()
    given = lab.node().boot().message.yiaddr
    with pytest.raises(BadConfig):
        lab.reconfigure(with_boot(DHCP, Boot("n" * 200)))
    assert lab.node().boot().message.yiaddr == given


def test_a_smaller_range_ends_the_leases_outside_it() -> None:
    lab = Lab()
    macs = [bytes((2, 0, 0, 0, 0, number)) for number in range(3)]
    for mac in macs:
        lab.node(mac=mac).boot()
    lab.reconfigure(with_addressing(DHCP, last=IPv4Address("10.0.0.101")))
    assert [str(each.address) for each in lab.service.leases()] == ["10.0.0.100", "10.0.0.101"]
    assert reason(lab.node(mac=macs[2]).effects(MessageType.DISCOVER)) is DropReason.NO_ADDRESS
    lab.reconfigure(PROXY)
    assert lab.service.leases() == ()


def test_the_leases_of_an_earlier_run() -> None:
    lab = Lab()
    given = lab.node().boot().message.yiaddr
    again = Lab()
    again.service = DhcpService(DHCP, ONE_IMAGE, Groups(DHCP, ONE_IMAGE), lab.service.leases())
    assert again.node(SYSTEM).boot().message.yiaddr == given


def test_an_address_is_leased_from_the_ack_to_the_end_of_the_lease() -> None:
    lab = Lab()
    node = lab.node()
    offer = node.discover()
    address = str(offer.message.yiaddr)
    assert not lab.service.is_leased(address, lab.now)
    node.select(offer)
    assert lab.service.is_leased(address, lab.now)
    assert not lab.service.is_leased("10.0.0.199", lab.now)
    assert not lab.service.is_leased("192.0.2.7", lab.now)
    assert not lab.service.is_leased(address, lab.now + 10**6)


def of_saved(lab: Lab) -> list[tuple[str, LeaseState, float, bool]]:
    found = [(str(each.address), each.state, each.expires, each.awaited) for each in lab.saved]
    lab.saved.clear()
    return found


def test_an_ack_waits_for_its_lease_and_nothing_else_waits() -> None:
    lab = Lab()
    node, other = lab.node(), lab.node(mac=MAC[::-1])
    offer = node.discover()
    assert of_saved(lab) == []
    node.select(offer)
    until = lab.now + DHCP.addressing.lease_seconds
    assert of_saved(lab) == [("10.0.0.100", LeaseState.BOUND, until, True)]
    other.boot()
    lab.saved.clear()
    node.effects(MessageType.RELEASE, {54: SERVER.packed}, ciaddr=offer.message.yiaddr)
    assert of_saved(lab) == [("10.0.0.100", LeaseState.FREE, 0.0, False)]
    other.effects(MessageType.DECLINE, {50: option("10.0.0.101"), 54: SERVER.packed})
    assert of_saved(lab) == [("10.0.0.101", LeaseState.DECLINED, lab.now + DECLINE_SECONDS, False)]
    lab.now += DECLINE_SECONDS
    lab.keep(lab.service.tick(lab.now))
    assert of_saved(lab) == [("10.0.0.101", LeaseState.FREE, 0.0, False)]


def test_a_reload_saves_what_has_expired_meanwhile() -> None:
    lab = Lab()
    lab.node().boot()
    lab.saved.clear()
    lab.now += DHCP.addressing.lease_seconds
    lab.reconfigure(DHCP)
    assert of_saved(lab) == [("10.0.0.100", LeaseState.FREE, 0.0, False)]


# Any bytes from anybody.

ADDRESSES = st.sampled_from(
    [IPv4Address(each) for each in ("0.0.0.0", "10.0.0.1", "10.0.0.100", "10.0.0.101", "10.0.0.255")]
    + [IPv4Address(each) for each in ("172.16.5.1", "8.8.8.8", "224.0.0.1", "255.255.255.255", "10.0.0.30")]
)
CLIENTS = st.sampled_from([BIOS_ROM, OVMF, IPXE, HTTP, SYSTEM, {}])
EXTRA = st.dictionaries(
    st.sampled_from([12, 43, 50, 52, 54, 55, 57, 60, 61, 77, 82, 93, 97, 175]),
    st.binary(max_size=260) | ADDRESSES.map(lambda address: address.packed) | st.just(b"\x47\x04\0\x0f\0\0\xff"),
    max_size=4,
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    kind = draw(st.none() | st.integers(0, 9))
    values = {} if kind is None else {53: bytes((kind,))}
    values |= draw(CLIENTS) | draw(EXTRA)
    values.pop(52, None)
    message = DhcpMessage(
        op=draw(st.sampled_from([1, 1, 1, 2])),
        xid=draw(st.integers(0, 2**32 - 1)),
        chaddr=draw(st.sampled_from([MAC, MAC[::-1], bytes(6), b"\xff" * 16])).ljust(16, b"\0"),
        htype=draw(st.sampled_from([1, 6, 32])),
        hlen=draw(st.sampled_from([0, 6, 6, 16])),
        flags=draw(st.sampled_from([0, 0x8000])),
        ciaddr=draw(ADDRESSES),
        giaddr=draw(ADDRESSES | st.just(IPv4Address(0))),
        options=Options(values),
    )
    data = bootp.build(message, max_size=9000)
    cut = draw(st.none() | st.integers(0, len(data)))
    return data[:cut]


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(requests()))
    for _ in range(draw(st.integers(0, 3)) if data else 0):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


@st.composite
def datagrams(draw: st.DrawFn) -> Datagram:
    port = draw(st.sampled_from([68, 4011, 67, 1]))
    return Datagram(
        draw(st.sampled_from([Service.DHCP, Service.DHCP, Service.PXE])),
        Endpoint(str(draw(ADDRESSES)), port),
        draw(st.sampled_from([ANYBODY, Endpoint("10.0.0.1", 67), Endpoint("224.0.1.2", 4011)])),
        draw(broken() | st.binary(max_size=400)),
    )


def hosts_of(configuration: Settings) -> Iterator[IPv4Network]:
    yield configuration.link.network
    yield from configuration.allowed


@settings(max_examples=600, deadline=None)
@given(st.sampled_from([DHCP, PROXY, TFTP, SERVE_ALL, with_boot(DHCP, MENU)]), st.lists(datagrams(), max_size=5))
def test_any_datagram_gives_effects(configuration: Settings, arrivals: list[Datagram]) -> None:
    """An answer is a reply that can be read, fits, comes from the socket asked and stays on the link; or a reason."""
    lab = Lab(configuration)
    for arrival in arrivals:
        effects = lab.keep(lab.service.receive(arrival, lab.now))
        lab.now += 1.0
        assert effects, "silence has a reason"
        assert [type(each) for each in effects] in ([Drop], [Report], [Send, Report], [Send, Report, Report])
        for send in effects:
            if not isinstance(send, Send):
                continue
            reply = bootp.parse_untrusted(send.data)
            assert reply.op == BOOTREPLY
            assert 300 <= len(send.data) <= 1472
            assert send.socket == arrival.socket
            target = IPv4Address(send.destination.address)
            assert str(target) == "255.255.255.255" or any(target in each for each in hosts_of(configuration))
            assert target != SERVER
            assert send.hardware is None or target == reply.yiaddr
    given_out = [each.address for each in lab.service.leases()]
    assert len(given_out) == len(set(given_out))


def test_a_node_boots_after_all_that() -> None:
    lab = Lab()
    for number in range(300):
        data = bootp.build(Node(lab, IPXE, number.to_bytes(6, "big")).message(number % 10), max_size=1472)
        lab.receive(data[: 900 - number])
    lab.now += 100.0
    assert lab.node().boot().type == MessageType.ACK

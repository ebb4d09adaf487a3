"""Where replies go: RFC 2131 4.1, row DHCP-18."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from mtftpd.core.dhcp import delivery
from mtftpd.core.dhcp.delivery import Delivery, Reach, Route, reachable, route, route_to_all, route_to_source
from mtftpd.core.settings import Link, Ports, Settings
from mtftpd.wire.bootp import BOOTREQUEST, BROADCAST_FLAG, DhcpMessage
from mtftpd.wire.datagram import Endpoint, HardwareAddress

PORTS = Ports()
NOWHERE = IPv4Address(0)
YIADDR = IPv4Address("10.0.0.100")
CIADDR = IPv4Address("10.0.0.30")
RELAY = IPv4Address("172.16.5.1")
CHADDR = bytes.fromhex("5254000a0b0c")
REQUEST = DhcpMessage(BOOTREQUEST, 1, CHADDR + bytes(10))

TO_ALL = Route(Delivery.BROADCAST, Endpoint("255.255.255.255", 68))
TO_RELAY = Route(Delivery.RELAY, Endpoint("172.16.5.1", 67))
TO_CIADDR = Route(Delivery.CIADDR, Endpoint("10.0.0.30", 68))
TO_CHADDR = Route(Delivery.UNICAST, Endpoint("10.0.0.100", 68), HardwareAddress(1, CHADDR))


@pytest.mark.parametrize(
    ("giaddr", "ciaddr", "flags", "expected"),
    [
        (NOWHERE, NOWHERE, 0, TO_CHADDR),
        (NOWHERE, NOWHERE, BROADCAST_FLAG, TO_ALL),
        (NOWHERE, NOWHERE, 0x7FFF, TO_CHADDR),
        (NOWHERE, CIADDR, 0, TO_CIADDR),
        (NOWHERE, CIADDR, BROADCAST_FLAG, TO_CIADDR),
        (RELAY, NOWHERE, 0, TO_RELAY),
        (RELAY, CIADDR, 0, TO_RELAY),
        (RELAY, NOWHERE, BROADCAST_FLAG, TO_RELAY),
    ],
)
def test_the_rules_of_rfc_2131(giaddr: IPv4Address, ciaddr: IPv4Address, flags: int, expected: Route) -> None:
    request = replace(REQUEST, giaddr=giaddr, ciaddr=ciaddr, flags=flags)
    assert route(request, YIADDR, ciaddr_counts=True, ports=PORTS) == expected


def test_ciaddr_in_a_discover_is_nonsense() -> None:
    request = replace(REQUEST, ciaddr=CIADDR)
    assert route(request, YIADDR, ciaddr_counts=False, ports=PORTS) == TO_CHADDR


@pytest.mark.parametrize(
    ("htype", "octets"),
    [(32, b""), (32, CHADDR), (1, CHADDR[:5]), (1, b"\1" + CHADDR[1:]), (1, b"\xff" * 6), (1, bytes(6))],
)
def test_what_is_no_ethernet_station_gets_a_broadcast(htype: int, octets: bytes) -> None:
    request = replace(REQUEST, htype=htype, hlen=len(octets), chaddr=octets.ljust(16, b"\0"))
    assert route(request, YIADDR, ciaddr_counts=True, ports=PORTS) == TO_ALL


def test_without_an_address_there_is_only_broadcast() -> None:
    assert route(REQUEST, NOWHERE, ciaddr_counts=True, ports=PORTS) == TO_ALL


def test_naks_and_proxy_offers_are_for_everybody() -> None:
    assert route_to_all(replace(REQUEST, ciaddr=CIADDR), PORTS) == TO_ALL
    assert route_to_all(replace(REQUEST, giaddr=RELAY), PORTS) == TO_RELAY


def test_the_pxe_port_answers_the_port_that_asked() -> None:
    asked = Endpoint("10.0.0.30", 4011)
    assert route_to_source(asked) == Route(Delivery.SOURCE, asked)


def test_who_has_an_address_already() -> None:
    assert [each.address for each in (TO_CIADDR, TO_CHADDR, TO_ALL, TO_RELAY)] == ["10.0.0.30", "", "", ""]
    assert route_to_source(Endpoint("10.0.0.31", 68)).address == "10.0.0.31"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.30", True),
        ("172.16.5.1", True),
        ("10.0.0.1", False),
        ("10.0.0.0", False),
        ("10.0.0.255", False),
        ("255.255.255.255", False),
        ("0.0.0.0", False),
        ("239.1.1.1", False),
        ("10.0.1.1", False),
    ],
)
def test_only_hosts_that_are_served_can_be_reached(address: str, expected: bool) -> None:
    link = Link("eth1", 2, IPv4Address("10.0.0.1"), IPv4Network("10.0.0.0/24"))
    allowed = (IPv4Network("172.16.5.0/24"), IPv4Network("239.0.0.0/8"))
    assert reachable(Settings(link, allowed=allowed), address) is expected


def test_what_is_known_of_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "MAX_KNOWN", 2)
    reach = Reach(Settings(Link("eth1", 2, IPv4Address("10.0.0.1"), IPv4Network("10.0.0.0/24"))))
    for _ in range(2):
        assert [reach.covers(f"10.0.{third}.30") for third in range(4)] == [True, False, False, False]
        assert reach.covers("10.0.3.30") is False
    assert len(reach._known) <= 2

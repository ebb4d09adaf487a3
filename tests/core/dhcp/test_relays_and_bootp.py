"""Relayed and BOOTP clients in `Mode.DHCP`, and addresses that run out: RFC 951, RFC 2131 4.1, RFC 3046."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mtftpd.core.addresses.leases import OFFER_HOLD_SECONDS, LeaseState
from mtftpd.core.effects import DropReason, ReportKind
from mtftpd.wire.bootp import BROADCAST_FLAG, MessageType
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.options import Options
from tests.core.dhcp.dhcp_lab import (
    DHCP,
    FAR,
    MAC,
    PROXY,
    SERVER,
    UNSET,
    Lab,
    Node,
    answer,
    option,
    reason,
    with_addressing,
)

DISCOVER, REQUEST = MessageType.DISCOVER, MessageType.REQUEST
TO_US = Endpoint(str(SERVER), 67)
FIRST = IPv4Address("10.0.0.100")
RELAY = IPv4Address("172.16.5.1")
BEHIND_RELAY = with_addressing(DHCP, first=FAR.network_address + 50, last=FAR.network_address + 59)

NO_GROUP_43 = bytes.fromhex("06010aff")
"""For a ROM that may be Intel's and has no group: EDK1 discards tag 6 = 8 without a discovery group (O43-08)."""


def test_bootp() -> None:
    lab = Lab()
    node = Node(lab, {})
    reply = node.ask(None)
    assert reply.report.kind is ReportKind.BOOTP_ANSWERED
    assert (reply.type, reply.message.file, reply.message.siaddr) == (None, b"nbp", SERVER)
    assert (reply.message.yiaddr, len(reply.send.data)) == (FIRST, 300)
    assert set(reply.message.options) == {1, 3}
    lab.now += 1e9
    assert node.ask(None).message.yiaddr == FIRST
    assert lab.node(mac=MAC[::-1]).discover().message.yiaddr == FIRST + 1


def test_bootp_of_rfc_951_times_has_no_vendor_area() -> None:
    lab = Lab()
    request = replace(Node(lab, {}).message(None), options=Options(), is_dhcp=False)
    reply = answer(lab.receive(request))
    assert (reply.message.is_dhcp, reply.message.file, reply.message.yiaddr) == (False, b"nbp", FIRST)


def test_bootp_of_a_client_that_knows_its_address() -> None:
    reply = Node(Lab(), {}).ask(None, ciaddr=IPv4Address("10.0.0.30"))
    assert (reply.message.yiaddr, reply.message.ciaddr) == (UNSET, IPv4Address("10.0.0.30"))
    assert (reply.send.destination, reply.message.file) == (("10.0.0.30", 68), b"nbp")


def test_bootp_cannot_take_the_whole_range_for_ever() -> None:
    lab = Lab(with_addressing(DHCP, last=FIRST + 7))
    macs = [bytes((2, 0, 0, 0, 0, number)) for number in range(20)]
    answers = [Node(lab, {}, mac).effects(None) for mac in macs]
    assert [len(effects) for effects in answers] == [2, 2] + [1] * 18
    assert {reason(effects) for effects in answers[2:]} == {DropReason.NO_ADDRESS}
    full = Lab(with_addressing(DHCP, last=FIRST))
    full.node().boot()
    assert reason(Node(full, {}, macs[0]).effects(None)) is DropReason.NO_ADDRESS


# Addresses run out, or there are none.


def test_no_address_left_until_a_hold_is_over() -> None:
    lab = Lab(with_addressing(DHCP, last=FIRST))
    lab.node().discover()
    other = lab.node(mac=MAC[::-1])
    assert reason(other.effects(DISCOVER)) is DropReason.NO_ADDRESS
    assert lab.service.next_deadline() == lab.now + OFFER_HOLD_SECONDS
    lab.now += OFFER_HOLD_SECONDS
    assert lab.keep(lab.service.tick(lab.now)) == ()
    assert [(each.state, each.awaited) for each in lab.saved] == [(LeaseState.FREE, False)]
    assert other.discover().message.yiaddr == FIRST


def test_without_a_range_nobody_gets_an_address() -> None:
    lab = Lab(with_addressing(DHCP, first=None))
    assert reason(lab.node().effects(DISCOVER)) is DropReason.NO_ADDRESS


def test_a_relayed_client() -> None:
    lab = Lab(BEHIND_RELAY)
    node = Node(lab, giaddr=RELAY, extra={82: b"\1\4eth7"})
    offer = node.discover()
    ack = node.select(offer)
    for reply in (offer, ack):
        assert reply.send.destination == ("172.16.5.1", 67)
        assert reply.send.hardware is None
        assert (reply.message.giaddr, reply.message.flags) == (RELAY, 0)
        assert reply[82] == b"\1\4eth7"
        assert list(reply.message.options)[-1] == 82
        assert reply.message.yiaddr == FAR.network_address + 50
        assert (reply[3], reply[1]) == (RELAY.packed, FAR.netmask.packed)
        assert (reply[43], reply[13]) == (NO_GROUP_43, None), "a group with TTL 1 does not reach it (Q116)"


def test_a_relayed_nak_is_for_the_relay_to_broadcast() -> None:
    node = Node(Lab(BEHIND_RELAY), giaddr=RELAY, extra={82: b"\1\1x"})
    node.boot()
    nak = node.ask(REQUEST, {50: option("172.16.5.77")})
    assert (nak.type, nak.send.destination, nak.send.hardware) == (MessageType.NAK, ("172.16.5.1", 67), None)
    assert nak.message.flags == BROADCAST_FLAG
    assert nak[82] == b"\1\1x"


@pytest.mark.parametrize("relay", ["8.8.8.8", "10.0.0.1", "10.0.0.255", "10.0.0.0", "224.0.0.5"])
def test_replies_are_not_aimed_at_strangers(relay: str) -> None:
    for settings in (DHCP, PROXY):
        node = Node(Lab(settings), giaddr=IPv4Address(relay))
        assert reason(node.effects(DISCOVER)) is DropReason.RELAY_NOT_SERVED


def test_a_relay_of_a_network_without_a_range() -> None:
    assert reason(Node(Lab(DHCP), giaddr=RELAY).effects(DISCOVER)) is DropReason.RELAY_NOT_SERVED


def test_the_range_may_be_for_relayed_clients_alone() -> None:
    lab = Lab(BEHIND_RELAY)
    assert reason(lab.node().effects(DISCOVER)) is DropReason.NO_ADDRESS
    assert reason(Node(lab, {}).effects(None)) is DropReason.NO_ADDRESS
    given = Node(lab, giaddr=RELAY).boot().message.yiaddr
    renewal = lab.node().message(REQUEST, ciaddr=given)
    ack = answer(lab.receive(renewal, Endpoint(str(given), 68), TO_US))
    assert (ack.type, ack.send.destination) == (MessageType.ACK, (str(given), 68))


def test_bootp_through_a_relay_keeps_option_82_beside_its_300_octets() -> None:
    node = Node(Lab(BEHIND_RELAY), {}, giaddr=RELAY, extra={82: bytes(60)})
    reply = node.ask(None)
    assert (reply[82], len(reply.send.data)) == (bytes(60), 240 + 6 + 6 + 62 + 1)

"""The request of the DHCP and PXE client: what is its ACK, what ends it, and an address in use."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from mtftpd.rom.actions import NOTHING, Enter, Phase, TakeAddress, Unbind
from mtftpd.rom.dhcp import BootPlan, State
from mtftpd.rom.profiles import EDK1, DhcpProfile
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.pxe import PxeOptions
from tests.rom.dhcp_client import ACK, ADDRESS, ALL, NAK, OFFER, give, only_message, powered, requested
from tests.rom.wire_peer import DIRECT, PLAIN_DHCP, SERVER, STATION, TAGS, only, reply


def test_the_request_names_address_and_server() -> None:
    client, _ = powered()
    actions = give(client, reply(OFFER, pxe_options=DIRECT))
    assert actions[0] == Enter(Phase.REQUEST, SERVER)
    port, destination, message = only_message(actions)
    assert (port, destination, message.message_type) == (68, ALL, MessageType.REQUEST)
    assert message.options.address(50) == ADDRESS
    assert message.options.address(54) == IPv4Address(SERVER)
    assert message.ciaddr == IPv4Address(0)


def test_the_ack_gives_address_boot_file_and_group() -> None:
    client = requested()
    ack = reply(
        ACK, {1: bytes((255, 255, 0, 0)), 3: b"\x0a\0\0\xfe", 13: b"\0\7"}, pxe_options=DIRECT, file=b"from the ack"
    )
    assert give(client, ack) == (TakeAddress(STATION, 16, "10.0.0.254"), Unbind(68))
    assert client.plan == BootPlan(ADDRESS, IPv4Address(SERVER), b"from the ack", TAGS, 7)
    assert client.over


def test_an_ack_without_a_mask_is_a_host_of_its_own() -> None:
    client = requested()
    assert only(TakeAddress, give(client, reply(ACK, pxe_options=DIRECT))) == [TakeAddress(STATION, 32, None)]


@pytest.mark.parametrize(
    "ack",
    [
        reply(ACK, {54: b"\x0a\0\0\2"}, pxe_options=DIRECT),
        reply(ACK, pxe_options=DIRECT, yiaddr=IPv4Address("10.0.0.8")),
        reply(ACK, pxe_options=PxeOptions(discovery_control=2)),
        reply(OFFER, pxe_options=DIRECT),
    ],
    ids=["another server", "another address", "an option 43 that is refused", "an offer"],
)
def test_what_is_not_the_ack_is_ignored(ack: DhcpMessage) -> None:
    client = requested()
    assert give(client, ack) == NOTHING
    assert client.state is State.REQUEST


def test_requests_are_repeated_and_then_no_more() -> None:
    client = requested()
    for when in (1.0, 3.0, 6.0):
        assert only_message(client.tick(when))[2].message_type == MessageType.REQUEST
    assert client.tick(10.0) == (Unbind(68),)
    assert client.reason == "no answer in state request"


def test_a_nak_starts_again_with_another_xid() -> None:
    client = requested()
    actions = give(client, reply(NAK), 0.5)
    assert actions[0] == Enter(Phase.DISCOVER, "NAK")
    message = only_message(actions)[2]
    assert (message.message_type, message.xid) == (MessageType.DISCOVER, 0x1001)
    assert client.next_deadline() == 4.5
    give(client, replace(reply(OFFER, pxe_options=DIRECT), xid=0x1001), 0.6)
    assert client.state is State.REQUEST


def test_a_plain_offer_without_a_boot_file_in_its_ack_is_the_end() -> None:
    client, _ = powered(replace(PLAIN_DHCP, plain_patience=0))
    give(client, reply(OFFER))
    client.tick(4.0)
    assert give(client, reply(ACK, file=b"")) == (TakeAddress(STATION, 32), Unbind(68))
    assert (client.state, client.reason) == (State.FAILED, "no boot file")


@pytest.mark.parametrize(
    ("profile", "siaddr", "server"),
    [
        (PLAIN_DHCP, "10.0.0.9", SERVER),
        (EDK1.dhcp, "10.0.0.9", "10.0.0.9"),
        (EDK1.dhcp, "0.0.0.0", SERVER),
    ],
)
def test_who_the_boot_server_is(profile: DhcpProfile, siaddr: str, server: str) -> None:
    client = requested(profile)
    give(client, reply(ACK, pxe_options=DIRECT, siaddr=IPv4Address(siaddr)))
    assert client.plan is not None
    assert client.plan.server == IPv4Address(server)


@pytest.mark.parametrize("field", ["group", "client_port", "server_port", "timeout", "delay"])
def test_a_zero_among_tags_1_to_5(field: str) -> None:
    zero: Any = IPv4Address(0) if field == "group" else 0
    tags = PxeOptions(discovery_control=0x0A, mtftp=replace(TAGS, **{field: zero}))
    client = requested()
    give(client, reply(ACK, pxe_options=tags))
    assert client.plan is not None
    assert client.plan.mtftp is None
    client = requested(EDK1.dhcp)
    give(client, reply(ACK, pxe_options=tags))
    assert (client.state, client.plan) == (State.FAILED, None)


def test_an_address_in_use_is_declined_and_everything_starts_again_later() -> None:
    client = requested()
    give(client, reply(ACK, pxe_options=DIRECT))
    actions = client.conflict(1.0)
    assert actions[-1] == Enter(Phase.DISCOVER, "address in use")
    port, destination, message = only_message(actions)
    assert (port, destination, message.message_type) == (68, ALL, MessageType.DECLINE)
    assert message.options.address(50) == ADDRESS
    assert message.options.address(54) == IPv4Address(SERVER)
    assert (client.over, client.plan, client.next_deadline()) == (False, None, 11.0)
    assert only_message(client.tick(11.0))[2].xid == 0x1001


@pytest.mark.parametrize("state", ["select", "request"])
def test_there_is_nothing_to_decline_before_the_ack(state: str) -> None:
    client = powered()[0] if state == "select" else requested()
    assert client.conflict(1.0) == NOTHING

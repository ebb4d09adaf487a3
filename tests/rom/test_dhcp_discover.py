"""The discovers of the DHCP and PXE client, and which offers it takes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from mtftpd.rom.actions import NOTHING, Bind, Enter, Phase, Unbind
from mtftpd.rom.dhcp import State
from mtftpd.rom.offers import Refusal
from mtftpd.rom.profiles import EDK1, DhcpProfile
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.pxe import PxeOptions
from tests.rom.dhcp_client import ACK, ALL, OFFER, give, only_message, powered
from tests.rom.wire_peer import DIRECT, HARDWARE, IDENTITY, PLAIN_DHCP, SERVER, reply


def test_a_discover_has_the_options_of_table_2_2() -> None:
    _, actions = powered()
    assert actions[:2] == (Bind(68), Enter(Phase.DISCOVER))
    port, destination, message = only_message(actions)
    assert (port, destination) == (68, ALL)
    assert (message.op, message.hardware, message.flags, message.ciaddr) == (1, HARDWARE, 0x8000, IPv4Address(0))
    options = message.options
    assert options[53] == b"\1"
    assert set(options[55]) >= {1, 3, 43, 60, *range(128, 136)}
    assert options[57] == (1472).to_bytes(2, "big")
    assert options[60] == b"PXEClient:Arch:00000:UNDI:002001"
    assert len(options[60]) == 32
    assert options[61] == options[97] == b"\0" + IDENTITY.uuid
    assert options[93] == b"\0\0"
    assert options[94] == b"\1\2\1"


def test_without_the_broadcast_flag() -> None:
    _, actions = powered(replace(PLAIN_DHCP, broadcast=False))
    assert only_message(actions)[2].flags == 0


@pytest.mark.parametrize(
    ("profile", "jitter", "times", "xids"),
    [
        (PLAIN_DHCP, 0.0, [4, 12, 28, 60], {0x1000}),
        (PLAIN_DHCP, 0.5, [4.5, 13, 29.5, 62], {0x1000}),
        (EDK1.dhcp, 0.0, [1, 3, 7, 15, 31], {0x1000, 0x1001, 0x1002, 0x1003, 0x1004}),
    ],
    ids=["PXE 2.1", "with jitter", "edk1"],
)
def test_discovers_are_repeated_and_then_no_more(
    profile: DhcpProfile, jitter: float, times: list[float], xids: set[int]
) -> None:
    client, actions = powered(profile, jitter=jitter)
    seen = {only_message(actions)[2].xid}
    for when in times[:-1]:
        assert client.next_deadline() == when
        assert client.tick(when - 0.01) == NOTHING
        message = only_message(client.tick(when))[2]
        assert message.secs == int(when)
        seen.add(message.xid)
    assert client.tick(times[-1]) == (Unbind(68),)
    assert (client.state, client.reason, client.plan) == (State.FAILED, "no offer", None)
    assert seen == xids
    assert client.next_deadline() is None
    assert client.tick(99.0) == NOTHING


@pytest.mark.parametrize(
    "changes",
    [
        {"op": 1},
        {"xid": 0x1001},
        {"chaddr": bytes.fromhex("020000000008").ljust(16, b"\0")},
        {"htype": 6},
    ],
)
def test_replies_to_others_are_ignored(changes: dict[str, Any]) -> None:
    client, _ = powered()
    assert give(client, reply(OFFER, pxe_options=DIRECT, **changes)) == NOTHING
    assert client.state is State.SELECT


def test_bytes_that_are_no_reply_are_ignored() -> None:
    client, _ = powered()
    for octets in (
        b"",
        b"x" * 300,
        bytes((2, 1, 6, 0, 0, 0, 0x10, 0)),
        bytes((0, 1, 6, 0, 0, 0, 0x10, 0)) + bytes(300),
    ):
        assert client.receive(Datagram(68, Endpoint(SERVER, 67), ALL, octets), 0.0) == NOTHING
    assert give(client, reply(ACK, pxe_options=DIRECT)) == NOTHING


def test_an_offer_that_is_refused_is_remembered() -> None:
    client, _ = powered()
    assert give(client, reply(OFFER, pxe_options=PxeOptions(discovery_control=2))) == NOTHING
    assert client.refusals == [Refusal.NO_MENU]


def test_an_offer_without_pxe_is_taken_after_the_second_repetition() -> None:
    client, _ = powered()
    assert give(client, reply(OFFER)) == NOTHING
    assert only_message(client.tick(4.0))[2].message_type == MessageType.DISCOVER
    request = only_message(client.tick(12.0))[2]
    assert request.message_type == MessageType.REQUEST


def test_a_new_xid_makes_old_offers_worthless() -> None:
    client, _ = powered(EDK1.dhcp)
    give(client, reply(OFFER))
    for when in (1.0, 3.0, 7.0):
        assert only_message(client.tick(when))[2].message_type == MessageType.DISCOVER


def test_no_more_than_sixteen_offers_are_kept() -> None:
    client, _ = powered()
    for _ in range(20):
        give(client, reply(OFFER, file=b""))
    assert len(client._offers) == 16


def test_offers_are_collected_for_a_while() -> None:
    client, _ = powered(replace(PLAIN_DHCP, settle=2.0))
    ask = reply(OFFER, {60: b"PXEClient"}, siaddr=IPv4Address("10.0.0.2"))
    assert give(client, replace(ask, options=ask.options.with_(54, b"\x0a\0\0\2")), 1.0) == NOTHING
    assert give(client, reply(OFFER, pxe_options=DIRECT), 2.0) == NOTHING
    assert client.next_deadline() == 3.0
    assert client.tick(2.9) == NOTHING
    assert only_message(client.tick(3.0))[2].options.address(54) == IPv4Address(SERVER)

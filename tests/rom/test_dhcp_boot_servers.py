"""How the DHCP and PXE client finds its boot server: proxy offers, port 4011, and the boot menu."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mtftpd.rom.actions import NOTHING, Bind, Enter, Phase, Unbind
from mtftpd.rom.dhcp import BootPlan, State
from mtftpd.rom.profiles import EDK1, DhcpProfile
from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.pxe import BootItem, BootServers, PxeOptions
from tests.rom.dhcp_client import ACK, ADDRESS, ALL, OFFER, give, menu, only_message, powered, requested
from tests.rom.wire_peer import DIRECT, PLAIN_DHCP, SERVER, TAGS, only, reply

# -- proxy and port 4011 --------------------------------------------------------------------------------------------


def proxy_offer(tags: PxeOptions | None, file: bytes = b"img") -> DhcpMessage:
    options = {54: b"\x0a\0\0\2"} | ({} if tags else {60: b"PXEClient"})
    return reply(OFFER, options, pxe_options=tags, yiaddr=IPv4Address(0), siaddr=IPv4Address("10.0.0.2"), file=file)


def test_address_of_one_server_and_boot_file_of_another() -> None:
    client, _ = powered()
    give(client, reply(OFFER, file=b""))
    give(client, proxy_offer(DIRECT))
    give(client, reply(ACK, file=b""))
    assert client.plan == BootPlan(ADDRESS, IPv4Address("10.0.0.2"), b"img", TAGS, None)


@pytest.mark.parametrize(("profile", "port"), [(PLAIN_DHCP, 68), (EDK1.dhcp, 4011)], ids=["from 68", "from 4011"])
def test_pxe_without_option_43_asks_on_port_4011(profile: DhcpProfile, port: int) -> None:
    client = requested(profile, None)
    actions = give(client, reply(ACK, {60: b"PXEClient"}))
    target = Endpoint(SERVER, 4011)
    assert Enter(Phase.PROXY, str(target)) in actions
    assert only(Bind, actions) == ([] if port == 68 else [Bind(4011)])
    source, destination, message = only_message(actions)
    assert (source, destination, message.ciaddr) == (port, target, ADDRESS)
    assert message.options.address(54) == IPv4Address(SERVER)
    assert 43 not in message.options
    answer = reply(ACK, pxe_options=DIRECT, yiaddr=IPv4Address(0))
    closed = give(client, answer, 0.1, target)
    assert set(closed) == {Unbind(68), Unbind(port)}
    assert client.plan == BootPlan(ADDRESS, IPv4Address(SERVER), b"img", TAGS, None)


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        (reply(ACK, pxe_options=DIRECT), Endpoint(SERVER, 4011)),
        (reply(ACK, pxe_options=DIRECT, yiaddr=IPv4Address(0)), Endpoint(SERVER, 67)),
        (reply(ACK, pxe_options=DIRECT, yiaddr=IPv4Address(0)), Endpoint("10.0.0.2", 4011)),
        (reply(ACK, {54: b"\x0a\0\0\2"}, pxe_options=DIRECT, yiaddr=IPv4Address(0)), Endpoint(SERVER, 4011)),
        (reply(ACK, pxe_options=DIRECT, yiaddr=IPv4Address(0), file=b""), Endpoint(SERVER, 4011)),
        (reply(ACK, yiaddr=IPv4Address(0)), Endpoint(SERVER, 4011)),
        (reply(OFFER, pxe_options=DIRECT, yiaddr=IPv4Address(0)), Endpoint(SERVER, 4011)),
    ],
    ids=["an address", "port 67", "another host", "another option 54", "no boot file", "no PXE", "an offer"],
)
def test_what_port_4011_must_not_answer(answer: DhcpMessage, source: Endpoint) -> None:
    client = requested(tags=None)
    give(client, reply(ACK, {60: b"PXEClient"}))
    assert give(client, answer, 0.1, source) == NOTHING
    assert client.state is State.ASK


def test_questions_are_repeated_and_then_no_more() -> None:
    client = requested(tags=None)
    give(client, reply(ACK, {60: b"PXEClient"}))
    for when in (1.0, 3.0, 6.0):
        assert only_message(client.tick(when))[1] == Endpoint(SERVER, 4011)
    assert client.tick(10.0) == (Unbind(68),)
    assert client.reason == "no answer in state ask-the-boot-server"


def test_a_zero_tag_from_port_4011_is_as_fatal() -> None:
    client = requested(EDK1.dhcp, None)
    give(client, reply(ACK, {60: b"PXEClient"}))
    tags = PxeOptions(discovery_control=0x0A, mtftp=replace(TAGS, delay=0))
    give(client, reply(ACK, pxe_options=tags, yiaddr=IPv4Address(0)), 0.1, Endpoint(SERVER, 4011))
    assert client.state is State.FAILED


# -- boot menu ------------------------------------------------------------------------------------------------------


MULTICAST, UNICAST = Endpoint("224.0.1.2", 4011), Endpoint("10.0.0.3", 4011)
LISTED = BootServers(7, (IPv4Address("10.0.0.3"),))
OTHERS = BootServers(8, (IPv4Address("10.0.0.4"),))


@pytest.mark.parametrize(
    ("tags", "order"),
    [
        (menu(0), [MULTICAST, ALL, MULTICAST, ALL]),
        (menu(0, 7, OTHERS, LISTED), [MULTICAST, ALL, UNICAST, MULTICAST]),
        (menu(3, 7, LISTED), [UNICAST] * 4),
        (menu(2), [ALL] * 4),
    ],
)
def test_a_boot_server_is_looked_for_by_multicast_broadcast_and_unicast(
    tags: PxeOptions, order: list[Endpoint]
) -> None:
    client = requested(tags=tags, file=b"")
    first = only_message(give(client, reply(ACK, pxe_options=tags, file=b"")))
    asked = [first, *(only_message(client.tick(when)) for when in (1.0, 3.0, 6.0))]
    assert [destination for _, destination, _ in asked] == order
    for _, _, message in asked:
        assert message.options[43] == bytes((71, 4, 0, 7, 0, 0, 255))
        assert 54 not in message.options


def test_the_boot_server_echoes_the_type() -> None:
    client = requested(tags=menu(0), file=b"")
    give(client, reply(ACK, pxe_options=menu(0), file=b""))
    boot_server = Endpoint("10.0.0.3", 4011)
    for wrong in (replace(DIRECT, boot_item=BootItem(8, 0)), DIRECT):
        assert give(client, reply(ACK, {54: b"\x0a\0\0\3"}, pxe_options=wrong), 0.1, boot_server) == NOTHING
    assert give(client, reply(ACK, {54: b"\x0a\0\0\3", 60: b"PXEClient"}), 0.1, boot_server) == NOTHING
    right = reply(ACK, {54: b"\x0a\0\0\3"}, pxe_options=replace(DIRECT, boot_item=BootItem(7, 0)))
    give(client, right, 0.1, boot_server)
    assert client.plan == BootPlan(ADDRESS, IPv4Address("10.0.0.3"), b"img", TAGS, None)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        (menu(0, 0), "the menu says local boot"),
        (menu(3, 7, OTHERS), "no boot server of the type in the menu"),
    ],
)
def test_a_menu_that_leads_nowhere(tags: PxeOptions, reason: str) -> None:
    client = requested(tags=tags)
    give(client, reply(ACK, pxe_options=tags))
    assert (client.state, client.reason) == (State.FAILED, reason)

"""A whole ROM from power-on to its image, against a peer that is written out packet by packet."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mtftpd.rom.actions import NOTHING, Actions, Enter, ImageMemory, Leave, Phase, TakeAddress
from mtftpd.rom.firmwares import FIRMWARES
from mtftpd.rom.node import Node
from mtftpd.rom.profiles import EDK1, PROFILES, SPEC, Identity, RomProfile
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.pxe import PxeOptions
from mtftpd.wire.tftp import Ack, Data, Error, OptionAck, Request, build
from tests.rom.wire_peer import (
    DIRECT,
    GROUP,
    HARDWARE,
    SERVER,
    STATION,
    T,
    data,
    dhcp_sent,
    from_server,
    only,
    packets,
    reply,
    sent,
    to_group,
    to_station,
)

IDENTITY = Identity(HARDWARE, bytes(16), xid=0x1000, port=3000)
TID = Endpoint(SERVER, 40_000)


def phases(actions: Actions) -> list[Phase]:
    return [action.phase for action in only(Enter, actions)]


def leased(profile: RomProfile, tags: PxeOptions = DIRECT, blocks: int | None = 3) -> tuple[Node, ImageMemory, Actions]:
    """Return a node that has its address at time 0, and what it does next."""
    memory = ImageMemory()
    node = Node(IDENTITY, profile, memory)
    assert (node.phase, node.plan) == (Phase.OFF, None)
    assert phases(node.power_on(0.0)) == [Phase.DISCOVER]
    assert phases(node.receive(from_server(reply(MessageType.OFFER, pxe_options=tags)), 0.0)) == [Phase.REQUEST]
    options = {} if blocks is None else {13: blocks.to_bytes(2, "big")}
    actions = node.receive(from_server(reply(MessageType.ACK, options, pxe_options=tags)), 0.0)
    assert only(TakeAddress, actions) == [TakeAddress(STATION, 32)]
    return node, memory, actions


def unicast(node: Node, packet: bytes, now: float = 0.0) -> Actions:
    assert node.tftp is not None
    return node.receive(Datagram(0, TID, Endpoint(STATION, node.tftp.port), packet), now)


def test_a_listener_from_power_on_to_the_image() -> None:
    node, memory, actions = leased(SPEC)
    assert phases(actions) == [Phase.LISTEN]
    assert node.next_deadline() == T
    for number in (1, 2):
        assert node.receive(to_group(data(number)), 0.5) == NOTHING
    actions = node.receive(to_group(data(3, b"end")), 0.5)
    assert phases(actions) == [Phase.DONE]
    assert sent(actions) == []
    assert (node.phase, node.length) == (Phase.DONE, 1027)
    assert memory.image(node.length) == b"x" * 1024 + b"end"
    assert memory.size == 1027
    assert node.next_deadline() is None
    assert node.receive(to_group(data(1)), 1.0) == node.tick(9.0) == NOTHING


def test_a_master_from_power_on_to_the_image() -> None:
    node, _, _ = leased(SPEC)
    assert phases(node.tick(T)) == [Phase.OPEN]
    assert phases(node.receive(to_station(data(1)), T)) == [Phase.MASTER]
    actions = node.receive(to_group(data(2, b"")), T)
    assert packets(actions) == [Ack(2)]
    assert node.phase is Phase.DONE


def test_memory_takes_blocks_in_any_order() -> None:
    memory = ImageMemory()
    memory.write(1024, data(3, b"end"))
    memory.write(0, data(1))
    memory.write(512, data(2, b"y" * 512))
    assert memory.image(1027) == b"x" * 512 + b"y" * 512 + b"end"


def test_what_goes_wrong_with_multicast_ends_in_unicast() -> None:
    node, memory, _ = leased(SPEC)
    for _ in range(3):
        when = node.next_deadline()
        assert when is not None
        node.tick(when)
    when = node.next_deadline()
    assert when is not None
    actions = node.tick(when)
    assert only(Leave, actions) == [Leave(GROUP)]
    assert phases(actions) == [Phase.UNICAST]
    assert node.fallback == "no answer to the opens"
    ((destination, request),) = sent(actions)
    assert destination == Endpoint(SERVER, 69)
    assert isinstance(request, Request)
    assert dict(request.options) == {"blksize": "1456", "tsize": "0"}
    unicast(node, build(OptionAck((("tsize", "5"), ("blksize", "1456")))))
    actions = unicast(node, build(Data(1, b"hello")))
    assert phases(actions) == [Phase.DONE]
    assert memory.image(node.length) == b"hello"


def test_edk1_asks_for_the_size_before_it_listens() -> None:
    node, _, actions = leased(EDK1, blocks=None)
    assert phases(actions) == [Phase.PROBE]
    actions = unicast(node, build(OptionAck((("tsize", "1027"), ("blksize", "1027")))))
    assert packets(actions) == [Error(8)]
    assert phases(actions) == [Phase.LISTEN]
    node.receive(to_group(b"\0\5\0\0\0"), 0.1)
    assert node.phase is Phase.UNICAST
    assert node.tftp is not None
    assert node.tftp.port == 3001, "every transfer has a port of its own"


def test_edk1_that_was_told_the_size_listens_at_once() -> None:
    assert phases(leased(EDK1)[2]) == [Phase.LISTEN]


@pytest.mark.parametrize(
    ("profile", "tags"),
    [(replace(SPEC, mtftp=None), DIRECT), (SPEC, PxeOptions(discovery_control=0x0A))],
    ids=["a ROM without MTFTP", "a server without a group"],
)
def test_without_multicast_on_both_sides_it_is_unicast(profile: RomProfile, tags: PxeOptions) -> None:
    assert phases(leased(profile, tags)[2]) == [Phase.UNICAST]


def test_a_node_that_fails_says_why_and_may_be_switched_on_again() -> None:
    node, _, _ = leased(replace(SPEC, mtftp=None))
    for _ in range(2):
        actions = unicast(node, build(Error(1, "no such file")))
    assert only(Enter, actions) == [Enter(Phase.FAILED, "ERROR 1 no such file")]
    assert node.next_deadline() is None
    assert phases(node.power_on(100.0)) == [Phase.DISCOVER]


def test_a_node_without_a_server_fails() -> None:
    node = Node(IDENTITY, SPEC, ImageMemory())
    assert node.next_deadline() is None
    assert node.tick(0.0) == NOTHING
    node.power_on(0.0)
    actions: Actions = ()
    while (when := node.next_deadline()) is not None:
        assert node.tick(when - 0.5) == NOTHING
        actions = node.tick(when)
    assert only(Enter, actions) == [Enter(Phase.FAILED, "no offer")]


def test_a_conflict_ends_the_download_and_declines() -> None:
    node, _, _ = leased(SPEC)
    actions = node.conflict(0.2)
    assert only(Leave, actions) == [Leave(GROUP)]
    assert [message.message_type for _, _, message in dhcp_sent(actions)] == [MessageType.DECLINE]
    assert (node.phase, node.mtftp, node.plan) == (Phase.DISCOVER, None, None)
    when = node.next_deadline()
    assert when == pytest.approx(10.2)
    node.tick(10.2)
    offer = replace(reply(MessageType.OFFER, pxe_options=DIRECT, yiaddr=IPv4Address("10.0.0.8")), xid=0x1001)
    node.receive(from_server(offer), 10.3)
    assert node.phase is Phase.REQUEST
    assert node.conflict(10.4) == NOTHING


def test_a_node_that_is_off_declines_nothing() -> None:
    assert Node(IDENTITY, SPEC, ImageMemory()).conflict(0.0) == NOTHING


def test_the_profiles_have_the_names_that_people_use() -> None:
    assert {"spec": SPEC, "edk1": EDK1} == PROFILES


def with_system() -> tuple[Node, Actions]:
    """Return a node that has loaded a system, which asks for an address now."""
    node, _, _ = leased(FIRMWARES["os-dhclient"])
    unicast(node, build(OptionAck((("tsize", "3"),))))
    actions = unicast(node, build(Data(1, b"abc")))
    return node, actions


def test_a_system_asks_as_systems_do_and_must_get_the_same_address() -> None:
    node, actions = with_system()
    assert phases(actions) == [Phase.DISCOVER]
    ((_, _, discover),) = dhcp_sent(actions[1:])
    assert {60, 77, 93, 94, 97, 175}.isdisjoint(discover.options)
    assert discover.options[61] == b"\xff" + bytes(18)
    node.receive(from_server(reply(MessageType.OFFER, file=b"")), 1.0)
    assert phases(node.receive(from_server(reply(MessageType.ACK, file=b"")), 1.0)) == [Phase.DONE]


def test_a_system_that_gets_another_address() -> None:
    node, _ = with_system()
    other = IPv4Address("10.0.0.200")
    node.receive(from_server(reply(MessageType.OFFER, yiaddr=other)), 1.0)
    (ended,) = only(Enter, node.receive(from_server(reply(MessageType.ACK, yiaddr=other)), 1.0))
    assert ended == Enter(Phase.FAILED, "the system got another address")


def test_a_system_that_gets_none() -> None:
    node, _ = with_system()
    while (deadline := node.next_deadline()) is not None:
        actions = node.tick(deadline)
    assert only(Enter, actions) == [Enter(Phase.FAILED, "the system got no address: no offer")]

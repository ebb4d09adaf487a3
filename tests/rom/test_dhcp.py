"""The DHCP and PXE client: what it says when, what it takes for an answer, and how it ends."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.rom.actions import NOTHING, Actions, Bind, Enter, Phase, TakeAddress, Unbind
from mtftpd.rom.dhcp import TRANSITIONS, BootPlan, Dhcp, Event, State
from mtftpd.rom.offers import Refusal
from mtftpd.rom.profiles import EDK1, DhcpProfile, RomPorts
from mtftpd.wire import bootp
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.pxe import BootItem, BootServers, MenuEntry, MenuPrompt, MtftpTags, PxeOptions
from tests.rom.wire_peer import (
    DIRECT,
    HARDWARE,
    IDENTITY,
    PLAIN_DHCP,
    SERVER,
    STATION,
    TAGS,
    dhcp_sent,
    from_server,
    only,
    reply,
)

OFFER, ACK, NAK = MessageType.OFFER, MessageType.ACK, MessageType.NAK
ALL = Endpoint("255.255.255.255", 67)
ADDRESS = IPv4Address(STATION)


def powered(profile: DhcpProfile = PLAIN_DHCP, **changes: Any) -> tuple[Dhcp, Actions]:
    client = Dhcp(replace(IDENTITY, **changes), profile, RomPorts())
    return client, client.start(0.0)


def give(client: Dhcp, message: DhcpMessage, now: float = 0.0, source: Endpoint | None = None) -> Actions:
    return client.receive(from_server(message, source), now)


def requested(profile: DhcpProfile = PLAIN_DHCP, tags: PxeOptions | None = DIRECT, **header: Any) -> Dhcp:
    """Return a client that asks for the address of a PXE offer."""
    client, _ = powered(profile)
    options = {} if tags else {60: b"PXEClient"}
    give(client, reply(OFFER, options, pxe_options=tags, **header))
    assert client.state is State.REQUEST
    return client


def only_message(actions: Actions) -> tuple[int, Endpoint, DhcpMessage]:
    (message,) = dhcp_sent(actions)
    return message


# -- discover -------------------------------------------------------------------------------------------------------


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


# -- request --------------------------------------------------------------------------------------------------------


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


def menu(control: int, boot_type: int = 7, *servers: BootServers) -> PxeOptions:
    return PxeOptions(
        discovery_control=control,
        discovery_group=IPv4Address("224.0.1.2"),
        boot_servers=servers,
        menu=(MenuEntry(boot_type, "Linux"), MenuEntry(0, "Local")),
        prompt=MenuPrompt(0, "F8"),
    )


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


# -- conflict -------------------------------------------------------------------------------------------------------


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


# -- properties -----------------------------------------------------------------------------------------------------


def test_every_state_is_reached_and_every_event_used() -> None:
    assert {state for events in TRANSITIONS.values() for state in events.values()} == set(State)
    assert {event for events in TRANSITIONS.values() for event in events} == set(Event)


@st.composite
def replies(draw: st.DrawFn) -> DhcpMessage:
    tags = draw(st.sampled_from([None, DIRECT, PxeOptions(mtftp=MtftpTags(TAGS.group, 1, 2, 3, 0)), menu(0), menu(2)]))
    options = draw(st.sampled_from([{}, {60: b"PXEClient"}, {54: b"\x0a\0\0\2"}, {67: b""}]))
    kind = draw(st.sampled_from([OFFER, ACK, NAK]))
    yiaddr = IPv4Address(draw(st.sampled_from(["0.0.0.0", STATION, "10.0.0.8"])))
    xid = draw(st.integers(0x1000, 0x1003))
    return replace(reply(kind, options, pxe_options=tags), yiaddr=yiaddr, xid=xid)


@given(
    st.sampled_from([PLAIN_DHCP, EDK1.dhcp]),
    st.lists(st.one_of(replies(), st.floats(0.1, 40.0), st.binary(max_size=300)), max_size=40),
)
def test_whatever_comes(profile: DhcpProfile, script: list[DhcpMessage | float | bytes]) -> None:
    client, _ = powered(profile)
    now = 0.0
    for item in script:
        if isinstance(item, float):
            now += item
            actions = client.tick(now)
        elif isinstance(item, bytes):
            actions = client.receive(Datagram(68, Endpoint(SERVER, 4011), ALL, item), now)
            assert actions == NOTHING
        else:
            actions = client.receive(from_server(item, Endpoint(SERVER, 4011)), now)
        for _, _, message in dhcp_sent(actions):
            assert message.op == bootp.BOOTREQUEST
            assert message.hardware == HARDWARE
        assert client.over == (client.state in (State.BOUND, State.FAILED)) == (client.next_deadline() is None)
        assert (client.plan is not None) == (client.state is State.BOUND)
        if client.plan is not None:
            assert client.plan.boot_file

"""Replies from templates: the same octets as those that are built each time, whoever asks for whatever."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.dhcp import reply_templates
from mtftpd.core.dhcp.boot_plan import BootPlan
from mtftpd.core.dhcp.replies import Grant, Replies, encode, largest
from mtftpd.core.dhcp.reply_templates import ReplyTemplates
from mtftpd.core.groups import Binding
from mtftpd.core.node_settings import NodeEntry, NodeSettings, Terms
from mtftpd.core.nodes.clients import recognise
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.bootp import BOOTREQUEST, DhcpMessage, MessageType
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.options import Options
from tests.core.dhcp.dhcp_lab import DHCP, EFI, MAC, NBP, SERVER

REPLIES = Replies(DHCP, DHCP.link.network)
MTU = DHCP.link.mtu
ADDRESSES = st.sampled_from(["0.0.0.0", "10.0.0.9", "10.0.0.254", "172.16.5.1"]).map(IPv4Address)
GROUPS = tuple(
    Binding(image, frozenset((image.name,)), Endpoint(f"239.1.1.{image.key}", 1799), 1542, 4, 2) for image in (NBP, EFI)
)
PLANS = (
    None,
    BootPlan("", "", None, "", b"\6\1\3\xff"),
    BootPlan("nbp", "nbp", None, "", b""),
    BootPlan("nbp", "nbp", GROUPS[0], "", b"\6\1\n\xff"),
    BootPlan("nbp", "nbp", GROUPS[1], "", b"\6\1\n\xff"),
    BootPlan("x" * 127, "x", None, "", bytes(255)),
)
SETTINGS = (
    NodeSettings(),
    NodeSettings(NodeEntry(host_name="n1"), terms=Terms(60, IPv4Address("10.0.0.7"), domain="d")),
    NodeSettings(NodeEntry(host_name="n2"), terms=Terms(60, None, (SERVER,) * 5, (SERVER,), "d")),
    NodeSettings(terms=Terms(dns=(SERVER,) * 70)),
    NodeSettings(without=frozenset({ServerAction.PAD_AFTER_67})),
)
VALUES = {
    12: st.sampled_from([b"", b"a", b"a\0"]),
    43: st.just(b"\xff"),
    50: st.just(SERVER.packed),
    55: st.sampled_from([b"", b"\1\3\6\x0c", b"\x0f\x2a"]),
    57: st.sampled_from([b"\2\x40", b"\5\xdc", b"\0\0\1"]),
    60: st.sampled_from([b"PXEClient:Arch:00000:UNDI:002001", b"PXEClient\0", b"HTTPClient", b"HW-Client", b"x"]),
    61: st.binary(max_size=3) | st.just(bytes(300)),
    77: st.just(b"iPXE"),
    82: st.binary(max_size=3),
    93: st.sampled_from([b"\0\0", b"\0\7"]),
    97: st.binary(max_size=17) | st.just(bytes(255)),
    175: st.just(b"\xb1\1\1"),
}


def message(identity: tuple[int, int, bytes, int, IPv4Address], hlen: int, options: dict[int, bytes]) -> DhcpMessage:
    xid, flags, mac, giaddr, ciaddr = identity
    return DhcpMessage(
        op=BOOTREQUEST, xid=xid, flags=flags, chaddr=mac.ljust(16, b"\1"), hlen=hlen, htype=1, hops=1, secs=4,
        ciaddr=ciaddr, giaddr=IPv4Address(giaddr), options=Options(options),
    )  # fmt: skip


REQUESTS = st.builds(
    message,
    st.tuples(
        st.integers(0, 2**32 - 1), st.integers(0, 0xFFFF), st.binary(max_size=16),
        ADDRESSES.map(int), ADDRESSES,
    ),
    st.sampled_from([6, 0, 16]),
    st.fixed_dictionaries({53: st.sampled_from([b"\1", b"\3"])}, optional=VALUES),
)  # fmt: skip


@given(
    calls=st.lists(
        st.tuples(
            REQUESTS,
            st.sampled_from((MessageType.OFFER, MessageType.ACK)),
            st.sampled_from(PLANS),
            st.sampled_from(SETTINGS),
            st.builds(Grant, ADDRESSES, st.sampled_from([60, 2**32])),
        ),
        max_size=8,
    )
)
def test_the_octets_are_those_of_the_reply_that_is_built(
    calls: list[tuple[DhcpMessage, MessageType, BootPlan | None, NodeSettings, Grant]],
) -> None:
    templates = ReplyTemplates(REPLIES, MTU)
    for request, kind, plan, settings, grant in calls:
        client = recognise(request, settings)
        if client is None:
            continue
        built = templates.built(kind, request, client, plan, grant)
        # Of one kind with different clients, and of the same client again.
        for each in (request, replace(request, xid=7, chaddr=bytes(range(16)), flags=0), request):
            found = templates.reply(kind, each, client, plan, grant)
            expected = replace(built, xid=each.xid, chaddr=each.chaddr, flags=each.flags)
            needs_more = any(len(value) > 255 for value in built.options.values())
            data = encode(expected, 1472)
            if settings.without or needs_more or data is None or len(data) > largest(request, MTU):
                assert found is None
            else:
                assert found == encode(expected, largest(request, MTU))


def offer(templates: ReplyTemplates, options: dict[int, bytes], mac: bytes = MAC) -> bytes:
    request = message((1, 0, mac, 0, IPv4Address(0)), 6, {53: b"\1", 60: b"PXEClient", **options})
    client = recognise(request)
    assert client is not None
    found = templates.reply(MessageType.OFFER, request, client, PLANS[2], Grant(SERVER, 60))
    built = encode(templates.built(MessageType.OFFER, request, client, PLANS[2], Grant(SERVER, 60)), 1472)
    assert found == built
    assert found is not None
    return found


def test_a_thousand_nodes_of_one_kind_need_one_template() -> None:
    templates = ReplyTemplates(REPLIES, MTU)
    replies = {
        offer(templates, {97: bytes((0, *number.to_bytes(16, "big")))}, number.to_bytes(6, "big"))
        for number in range(1, 1001)
    }
    assert len(replies) == 1000
    assert len(templates) == 1


def test_the_oldest_template_goes_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_templates, "MAX_TEMPLATES", 3)
    templates = ReplyTemplates(REPLIES, MTU)
    for number in range(10):
        offer(templates, {55: bytes((number,))})
        assert len(templates) == min(number + 1, 3)
    offer(templates, {55: b"\0"})


def test_identities_of_every_length_find_their_place() -> None:
    templates = ReplyTemplates(REPLIES, MTU)
    for length in (0, 1, 17, 99):
        for octet in (b"\0", b"\xff", b"\x61"):
            data = offer(templates, {61: octet * length, 82: octet * 4, 97: octet * 17})
            assert data.count(octet * 17) >= 1
    assert len(templates) == 4


def test_what_fits_no_packet_has_no_template() -> None:
    templates = ReplyTemplates(REPLIES, MTU)
    request = message((1, 0, MAC, 0, IPv4Address(0)), 6, {53: b"\1", **dict.fromkeys((61, 82, 97), bytes(255))})
    client = recognise(request, NodeSettings(terms=Terms(dns=(SERVER,) * 63)))
    assert client is not None
    for _ in range(2):
        assert templates.reply(MessageType.OFFER, request, client, PLANS[5], Grant(SERVER, 60)) is None
    assert len(templates) == 0

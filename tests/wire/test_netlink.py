from __future__ import annotations

import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.errors import Malformed
from mtftpd.wire import netlink
from mtftpd.wire.netlink import Flag, Link, Message, MessageType, Neighbour, NeighbourState, Outcome
from tests.wire.untrusted import outcome, refused_cuts
from tests.wire.vectors import load, plain

LINK_ANSWER = Path(__file__).parents[1] / "data" / "netlink-link.bin"
VECTORS = [vector for vector in load("frames") if vector["layer"] == "netlink"]

little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="captured on a little-endian machine")

words = st.integers(0, 0xFFFF)
longs = st.integers(0, 0xFFFFFFFF)
octets = st.integers(0, 0xFF)
indices = st.integers(0, 0x7FFFFFFF)
hardware = st.binary(max_size=20)
other_families = octets.filter(lambda family: family not in (netlink.INET, netlink.INET6))
neighbours = st.one_of(
    st.builds(Neighbour, indices, st.none() | longs.map(IPv4Address), hardware, words, octets),
    st.builds(
        Neighbour,
        indices,
        st.integers(0, (1 << 128) - 1).map(IPv6Address),
        hardware,
        words,
        octets,
        st.just(netlink.INET6),
    ),
    st.builds(Neighbour, indices, st.none(), hardware, words, octets, other_families),
)
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789.-", max_size=15)
links = st.builds(Link, indices, names, longs, words, hardware, st.none() | longs, st.none() | octets)
unknown_types = words.filter(lambda kind: kind not in set(MessageType) - {1, 4})
messages = st.one_of(
    st.builds(Message, st.sampled_from([28, 29, 30]), neighbours, words, longs, longs),
    st.builds(Message, st.sampled_from([16, 17, 18]), links, words, longs, longs),
    st.builds(Message, st.sampled_from([2, 3]), st.integers(0, 4095).map(Outcome), words, longs, longs),
    st.builds(Message, unknown_types, st.binary(max_size=30), words, longs, longs),
)


@little_endian
@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
def test_vector_is_read(vector: dict[str, Any]) -> None:
    assert [plain(message) for message in netlink.parse_untrusted(vector["data"])] == vector["messages"]


@little_endian
def test_link_answer_of_the_kernel() -> None:
    (message,) = netlink.parse_untrusted(LINK_ANSWER.read_bytes())
    assert message.type == MessageType.NEWLINK
    link = message.body
    assert isinstance(link, Link)
    assert (link.index, link.name, link.device_type, link.mtu, link.state) == (2, "br0", 1, 1500, 6)
    assert link.hardware.hex(":") == "42:0f:40:32:96:1d"


@little_endian
def test_request_for_a_permanent_neighbour_is_what_the_kernel_takes() -> None:
    # The octets that Linux acknowledged when this vector was captured, padding included.
    asked = bytes.fromhex(
        "30000000 1c00 0505 07000000 0000000002000000 02000000 8000 00 000800 0100 0a6300330a00 0200 525400000051 0000"
    )
    entry = Neighbour(2, IPv4Address("10.99.0.51"), bytes.fromhex("525400000051"), NeighbourState.PERMANENT)
    flags = Flag.REQUEST | Flag.ACK | Flag.CREATE | Flag.REPLACE
    assert netlink.build(Message(MessageType.NEWNEIGH, entry, flags, 7)) == asked


@given(st.lists(messages, max_size=4))
def test_round_trip(sent: list[Message]) -> None:
    assert netlink.parse_untrusted(b"".join(map(netlink.build, sent))) == tuple(sent)


@given(messages)
def test_message_cut_at_every_length(message: Message) -> None:
    data = netlink.build(message)
    length = int.from_bytes(data[:4], sys.byteorder)
    # Nothing at all is no message; the padding behind the last one may be missing.
    assert refused_cuts(netlink.parse_untrusted, data) == list(range(1, length))


@given(st.one_of(st.binary(max_size=80), messages.map(netlink.build)), st.data())
def test_any_octets_give_messages_or_malformed(data: bytes, source: st.DataObject) -> None:
    changed = bytearray(data)
    if data:
        changed[source.draw(st.integers(0, len(data) - 1))] = source.draw(octets)
    outcome(netlink.parse_untrusted, bytes(changed))


@given(neighbours)
def test_neighbour_agrees_with_the_schema(neighbour: Neighbour) -> None:
    data = netlink.build(Message(MessageType.NEWNEIGH, neighbour, 5, 6, 7))
    header = netlink.HEADER.parse(data)
    assert (header.type, header.flags, header.sequence, header.port) == (28, 5, 6, 7)
    assert (header.length + 3) & ~3 == len(data)
    body = netlink.NEIGHBOUR.parse(data[16:])
    assert (body.family, body.index, body.state) == (neighbour.family, neighbour.index, neighbour.state)


def message_with(attribute: str, body: str = "02000000 01000000 0000 00 00") -> bytes:
    octets = bytes.fromhex(body + attribute)
    return (len(octets) + 16).to_bytes(4, "little") + bytes.fromhex("1c00 0000 00000000 00000000") + octets


@little_endian
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (message_with("0400"), "a netlink attribute is cut short in its header"),
        (message_with("0300 0100"), "the length of a netlink attribute is wrong"),
        (message_with("0900 0100 00000000"), "the length of a netlink attribute is wrong"),
        (message_with("0700 0100 000000 00"), "a neighbour has an address of 3 octets"),
        (bytes.fromhex("0f000000 1c00 0000 00000000 00000000"), "the length of a netlink message is wrong"),
        (bytes.fromhex("11000000 0100 0000 00000000 00000000"), "the length of a netlink message is wrong"),
        (bytes(netlink.MAX_SIZE + 1), "more than 1048576 octets of netlink messages"),
    ],
)
def test_what_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        netlink.parse_untrusted(data)
    assert caught.value.reason == reason


@little_endian
def test_link_with_an_mtu_of_another_size() -> None:
    body = bytes.fromhex("00 00 0100 01000000 00000000 000000000500 1000 06 0000000600 0400 dc05 0000")
    data = (len(body) + 16).to_bytes(4, "little") + bytes.fromhex("1000 0000 00000000 00000000") + body
    assert netlink.parse_untrusted(data)[0].body == Link(1, device_type=1, state=6)


@pytest.mark.parametrize(
    "message",
    [
        Message(MessageType.NEWNEIGH, Neighbour(index=1 << 31)),
        Message(MessageType.NEWNEIGH, Neighbour(state=1 << 16)),
        Message(MessageType.NEWNEIGH, Neighbour(hardware=bytes(1 << 16))),
        Message(MessageType.NEWLINK, Link(flags=1 << 32)),
        Message(MessageType.NEWLINK, Link(state=256)),
        Message(MessageType.ERROR, Outcome(-1)),
        Message(MessageType.DONE, Outcome(0), sequence=1 << 32),
    ],
)
def test_what_cannot_be_built(message: Message) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        netlink.build(message)

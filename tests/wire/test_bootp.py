from __future__ import annotations

from dataclasses import fields, replace
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.errors import Malformed
from mtftpd.wire.bootp import (
    AREA_OFFSET,
    BOOTREPLY,
    BOOTREQUEST,
    HEADER,
    MAGIC_COOKIE,
    MESSAGE,
    MINIMUM_SIZE,
    DhcpMessage,
    MessageType,
    build,
    parse_untrusted,
)
from mtftpd.wire.datagram import HardwareAddress
from mtftpd.wire.fields import decode, join
from mtftpd.wire.options import Options
from tests.wire.dhcp_strategies import bootp_messages, messages
from tests.wire.vectors import load, plain

VECTORS = load("dhcp")
GOOD = [vector for vector in VECTORS if "expect" in vector]
BAD = [vector for vector in VECTORS if "malformed" in vector]
ETHERNET = bytes.fromhex("02005e0053af").ljust(16, b"\0")
ADDRESSES = ("ciaddr", "yiaddr", "siaddr", "giaddr")
NUMBERS = ("op", "htype", "hlen", "hops", "xid", "secs", "flags")
DISCOVER = DhcpMessage(BOOTREQUEST, 7, ETHERNET, options=Options({53: b"\1"}))


def seen(message: DhcpMessage) -> dict[str, Any]:
    """Return a message as the vectors have it."""
    values = {field.name: plain(getattr(message, field.name)) for field in fields(message) if field.init}
    del values["chaddr"]
    names = {name: getattr(message, name).decode() for name in ("file", "sname")}
    options = {str(code): value.hex() for code, value in message.options.items()}
    return values | names | {"hardware": str(message.hardware), "options": options}


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["name"])
def test_vector(vector: dict[str, Any]) -> None:
    assert seen(parse_untrusted(vector["data"])) == vector["expect"]


@pytest.mark.parametrize("vector", BAD, ids=lambda vector: vector["name"])
def test_malformed_vector(vector: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as caught:
        parse_untrusted(vector["data"])
    assert caught.value.reason == vector["malformed"]


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["name"])
def test_vector_survives_building(vector: dict[str, Any]) -> None:
    message = parse_untrusted(vector["data"])
    assert parse_untrusted(build(message, max_size=1472)) == message


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["name"])
def test_vector_cut_at_every_length(vector: dict[str, Any]) -> None:
    whole = parse_untrusted(vector["data"])
    for size in range(len(vector["data"])):
        try:
            message = parse_untrusted(vector["data"][:size])
        except Malformed:
            continue
        # A cut is only survived between two options (or in the padding): nothing that is left has changed.
        assert size >= AREA_OFFSET
        assert message.chaddr == whole.chaddr
        for code, value in message.options.items():
            # A value in several instances may have lost some of them.
            assert whole.options[code].startswith(value) or whole.options[code].endswith(value)


@given(messages)
def test_round_trip(message: DhcpMessage) -> None:
    data = build(message, max_size=1472)
    assert len(data) >= MINIMUM_SIZE
    assert parse_untrusted(data) == message
    assert hash(parse_untrusted(data)) == hash(message)


@given(bootp_messages)
def test_round_trip_without_cookie(message: DhcpMessage) -> None:
    data = build(message)
    assert len(data) == MINIMUM_SIZE
    assert parse_untrusted(data) == message
    assert message.message_type is None


@given(messages, st.data())
def test_cut_anywhere(message: DhcpMessage, data: st.DataObject) -> None:
    whole = build(message, max_size=1472)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        parsed = parse_untrusted(cut)
    except Malformed:
        return
    assert replace(parsed, options=message.options) == message
    assert parsed.options.items() <= message.options.items()


@given(
    st.one_of(
        st.binary(max_size=600), st.binary(max_size=400).map(lambda tail: b"\1".ljust(236, b"\0") + MAGIC_COOKIE + tail)
    )
)
def test_any_octets_are_a_message_or_malformed(data: bytes) -> None:
    try:
        message = parse_untrusted(data)
    except Malformed:
        return
    assert len(data) >= AREA_OFFSET
    assert message.is_dhcp == (data[AREA_OFFSET - 4 : AREA_OFFSET] == MAGIC_COOKIE)


@given(messages, st.data())
def test_any_mutation_is_a_message_or_malformed(message: DhcpMessage, data: st.DataObject) -> None:
    octets = bytearray(build(message, max_size=1472))
    for at in data.draw(st.lists(st.integers(0, len(octets) - 1), max_size=4)):
        octets[at] = data.draw(st.integers(0, 255))
    try:
        parsed = parse_untrusted(bytes(octets))
    except Malformed:
        return
    assert parsed.op in (BOOTREQUEST, BOOTREPLY)
    assert len(parsed.hardware.octets) == parsed.hlen


@given(st.one_of(messages, bootp_messages))
def test_schema_builds_the_same_message(message: DhcpMessage) -> None:
    """The fast path of the builder and the schema agree on every octet of the header."""
    fields = {name: getattr(message, name) for name in (*ADDRESSES, *NUMBERS, "chaddr")}
    names = {"sname": message.sname.ljust(64, b"\0"), "file": message.file.ljust(128, b"\0")}
    cookie = MAGIC_COOKIE if message.is_dhcp else bytes(4)
    assert build(message, max_size=1472)[:AREA_OFFSET] == HEADER.build({**fields, **names, "cookie": cookie})


@given(st.binary(min_size=AREA_OFFSET, max_size=AREA_OFFSET))
def test_schema_reads_the_same_header(octets: bytes) -> None:
    """The fast path of the reader and the schema agree on any octets that are a header at all."""
    data = bytes((1 + octets[0] % 2, octets[1], octets[2] % 17)) + octets[3:]
    read, shown = parse_untrusted(data), HEADER.parse(data)
    for name in (*ADDRESSES, *NUMBERS, "chaddr"):
        assert getattr(read, name) == shown[name]
    assert (read.sname, read.file) == (shown.sname.partition(b"\0")[0], shown.file.partition(b"\0")[0])
    assert read.is_dhcp == (shown.cookie == MAGIC_COOKIE)


@given(messages)
def test_schema_describes_the_same_message(message: DhcpMessage) -> None:
    shown = decode(MESSAGE, build(message, max_size=1472), "message")
    assert Options(shown.area) == message.options
    assert shown.file.rstrip(b"\0") == message.file


def test_schema_describes_a_message_without_cookie() -> None:
    shown = decode(MESSAGE, build(DhcpMessage(BOOTREQUEST, 7, ETHERNET, is_dhcp=False)), "message")
    assert shown.area == bytes(60)


def test_first_options_are_where_relays_look() -> None:
    message = replace(DISCOVER, options=Options({60: b"PXEClient", 54: b"\1\2\3\4", 53: b"\2"}))
    assert build(message)[AREA_OFFSET : AREA_OFFSET + 9] == bytes.fromhex("350102 360401020304")


def test_padding_is_cheap_and_unread() -> None:
    data = build(DISCOVER)
    assert parse_untrusted(data + bytes(65_000)) == DISCOVER
    area = b"\x35\x01\x01" + bytes(60_000) + b"\x0c\x01A"
    assert parse_untrusted(data[:AREA_OFFSET] + area).options == {53: b"\1", 12: b"A"}


def test_too_many_options() -> None:
    with pytest.raises(Malformed, match="too many"):
        parse_untrusted(build(DISCOVER)[:AREA_OFFSET] + join([(224, b"")] * 1025))


def test_properties() -> None:
    assert DISCOVER.hardware == HardwareAddress(1, ETHERNET[:6])
    assert DISCOVER.message_type == MessageType.DISCOVER
    assert not DISCOVER.broadcast
    assert replace(DISCOVER, flags=0x8000).broadcast
    assert not replace(DISCOVER, flags=0x7FFF).broadcast
    assert DISCOVER.ciaddr == IPv4Address("0.0.0.0")


def test_names_may_fill_their_fields_on_the_way_in() -> None:
    data = bytearray(build(DISCOVER))
    data[44:236] = b"s" * 64 + b"f" * 128
    message = parse_untrusted(bytes(data))
    assert (message.sname, message.file) == (b"s" * 64, b"f" * 128)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"file": b"f" * 128}, "file must be at most 127 octets"),
        ({"sname": b"s" * 64}, "sname must be at most 63 octets"),
        ({"file": b"a\0b"}, "without NUL"),
        ({"op": 3}, "op must be 1 or 2"),
        ({"hlen": 17}, "hlen at most 16"),
        ({"is_dhcp": False}, "options need the magic cookie"),
        ({"xid": 2**32}, "header cannot be built"),
        ({"chaddr": bytes(17)}, "chaddr of 17 octets"),
        ({"options": Options({43: bytes(300)})}, "545 octets, 544 is the most"),
        ({"options": Options({52: b"\1"})}, "never overloaded"),
    ],
)
def test_what_cannot_be_built(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build(replace(DISCOVER, **changes), max_size=544)


def test_maximum_below_the_minimum_of_bootp() -> None:
    with pytest.raises(ValueError, match="300 octets, 299 is the most"):
        build(DISCOVER, max_size=299)

"""The link, network and transport layers against their vectors, their schemas and each other."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.errors import Malformed
from mtftpd.wire import arp, ethernet, igmp, ipv4, netlink, udp
from mtftpd.wire.checksum import internet_checksum
from mtftpd.wire.datagram import Endpoint, HardwareAddress
from mtftpd.wire.frames import udp_frame
from tests.wire.untrusted import outcome, refused_cuts
from tests.wire.vectors import load, plain

VECTORS = [vector for vector in load("frames") if vector["layer"] != "netlink"]
GOOD = [vector for vector in VECTORS if "expect" in vector]
BAD = [vector for vector in VECTORS if "malformed" in vector]

Codec = tuple[Callable[[bytes], Any], Callable[[Any], bytes]]


def codec(vector: dict[str, Any]) -> Codec:
    """Return the reader and the builder of the layer that a vector is of."""
    if vector["layer"] == "udp":
        source, destination = map(IPv4Address, vector["addresses"])
        return (
            lambda data: udp.parse_untrusted(data, source, destination),
            lambda segment: udp.build(segment, source, destination),
        )
    plain_codecs: dict[str, Codec] = {
        "ethernet": (ethernet.parse_untrusted, ethernet.build),
        "ipv4": (ipv4.parse_untrusted, ipv4.build),
        "arp": (arp.parse_untrusted, arp.build),
        "igmp": (igmp.parse_untrusted, igmp.build),
    }
    return plain_codecs[vector["layer"]]


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: str(vector["name"]))
def test_vector_is_read(vector: dict[str, Any]) -> None:
    read, build = codec(vector)
    value = read(vector["data"])
    assert plain(value) == vector["expect"]
    assert (build(value) == vector["data"]) is vector.get("rebuilt", True)


@pytest.mark.parametrize("vector", BAD, ids=lambda vector: str(vector["name"]))
def test_vector_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as caught:
        codec(vector)[0](vector["data"])
    assert caught.value.reason == vector["malformed"]


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: str(vector["name"]))
def test_vector_cut_at_every_length(vector: dict[str, Any]) -> None:
    read, build = codec(vector)
    data = build(read(vector["data"]))
    # The payload of a frame has no length of its own: only its header, and its tags, can be cut.
    sizes = ethernet.HEADER_SIZE + 4 * len(vector["expect"].get("tags", [])) if vector["layer"] == "ethernet" else None
    assert refused_cuts(read, data) == list(range(sizes or len(data)))


addresses = st.integers(0, 0xFFFFFFFF).map(IPv4Address)
macs = st.binary(min_size=6, max_size=6)
words = st.integers(0, 0xFFFF)
octets = st.integers(0, 0xFF)
payloads = st.binary(max_size=600)
untagged_types = words.filter(lambda kind: kind not in (0x8100, 0x88A8))
tags = st.lists(st.builds(ethernet.Tag, st.sampled_from([0x8100, 0x88A8]), words), max_size=ethernet.MAX_TAGS)
frames = st.builds(ethernet.Frame, macs, macs, untagged_types, payloads, tags.map(tuple))
packets = st.builds(
    ipv4.Packet,
    addresses,
    addresses,
    octets,
    payloads,
    octets,
    words,
    octets,
    st.booleans(),
    st.booleans(),
    st.integers(0, 0x1FFF),
    st.integers(0, 10).flatmap(lambda count: st.binary(min_size=4 * count, max_size=4 * count)),
)
segments = st.builds(udp.Segment, words, words, payloads)


def test_addresses_as_text() -> None:
    assert str(Endpoint("10.0.0.1", 69)) == "10.0.0.1:69"
    assert str(HardwareAddress(1, b"\2\0\0\0\0\1")) == "02:00:00:00:00:01"
    assert str(HardwareAddress(32, b"")) == "32/-"


# Checksums


def test_checksum_of_the_example_in_rfc_1071() -> None:
    assert internet_checksum(bytes.fromhex("00 01 f2 03 f4 f5 f6 f7")) == 0xFFFF - 0xDDF2


@given(st.binary(max_size=300))
def test_checksum_is_the_ones_complement_sum(data: bytes) -> None:
    padded = data + bytes(len(data) % 2)
    total = sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert internet_checksum(data) == 0xFFFF - total


@pytest.mark.parametrize(("data", "expected"), [(b"", 0xFFFF), (b"\0\0", 0xFFFF), (b"\xff\xff", 0), (b"\xff", 0x00FF)])
def test_both_zeros_of_the_checksum(data: bytes, expected: int) -> None:
    assert internet_checksum(data) == expected


# Ethernet


@given(frames)
def test_frame_round_trip(frame: ethernet.Frame) -> None:
    assert ethernet.parse_untrusted(ethernet.build(frame)) == frame


@given(st.one_of(st.binary(max_size=60), frames.map(ethernet.build)), st.integers(0, 30))
def test_frame_reader_agrees_with_the_schema(data: bytes, size: int) -> None:
    for octets in (data, data[:size]):
        result = outcome(ethernet.parse_untrusted, octets)
        if isinstance(result, Malformed):
            continue
        parsed = ethernet.FRAME.parse(octets)
        assert (parsed.destination, parsed.source) == (result.destination, result.source)
        if result.tags:
            assert (parsed.type, parsed.tag.control) == (result.tags[0].type, result.tags[0].control)
        else:
            assert (parsed.type, parsed.tag, parsed.payload) == (result.type, None, result.payload)


def test_vlan_of_a_tag() -> None:
    assert ethernet.Tag(0x8100, 0xA064).vlan == 100


@pytest.mark.parametrize(
    ("group", "expected"),
    [("239.1.1.1", "01005e010101"), ("224.129.1.1", "01005e010101"), ("239.255.1.1", "01005e7f0101")],
)
def test_group_address(group: str, expected: str) -> None:
    assert ethernet.group_address(IPv4Address(group)).hex() == expected


def test_group_address_of_a_host() -> None:
    with pytest.raises(ValueError, match="not a multicast"):
        ethernet.group_address(IPv4Address("10.0.0.1"))


# IPv4 and UDP


@given(packets)
def test_packet_round_trip(packet: ipv4.Packet) -> None:
    data = ipv4.build(packet)
    assert ipv4.parse_untrusted(data) == packet == ipv4.parse_untrusted(data + b"padding")
    assert packet.is_fragment is (packet.more_fragments or packet.fragment_offset != 0)


@given(packets)
def test_packet_builder_agrees_with_the_schema(packet: ipv4.Packet) -> None:
    parsed = ipv4.PACKET.parse(ipv4.build(packet))
    assert (parsed.first.version, parsed.first.header_words) == (4, 5 + len(packet.options) // 4)
    assert parsed.total_length == 4 * parsed.first.header_words + len(packet.payload)
    assert (parsed.source, parsed.destination) == (packet.source.packed, packet.destination.packed)
    assert (parsed.ttl, parsed.protocol, parsed.service) == (packet.ttl, packet.protocol, packet.service)
    assert parsed.identification == packet.identification
    assert parsed.fragment.dont_fragment is packet.dont_fragment
    assert parsed.fragment.more_fragments is packet.more_fragments
    assert parsed.fragment.offset == packet.fragment_offset
    assert (parsed.options, parsed.payload) == (packet.options, packet.payload)
    assert ipv4.PACKET.build(parsed) == ipv4.build(packet)


@given(packets, st.data())
def test_any_change_of_an_ipv4_header_is_noticed(packet: ipv4.Packet, data: st.DataObject) -> None:
    octets = bytearray(ipv4.build(packet))
    at = data.draw(st.integers(0, 19 + len(packet.options)))
    octets[at] ^= 1 << data.draw(st.integers(0, 7))
    assert outcome(ipv4.parse_untrusted, bytes(octets)) != packet


def test_ipv4_checksum_can_be_passed_over() -> None:
    data = bytearray(ipv4.build(ipv4.Packet(IPv4Address(1), IPv4Address(2), 17, b"x")))
    data[10] ^= 1
    assert ipv4.parse_untrusted(bytes(data), verify=False).payload == b"x"


@given(segments, addresses, addresses)
def test_segment_round_trip(segment: udp.Segment, source: IPv4Address, destination: IPv4Address) -> None:
    data = udp.build(segment, source, destination)
    assert data[6:8] != b"\0\0"
    assert udp.parse_untrusted(data, source, destination) == segment
    assert udp.SEGMENT.build({**udp.SEGMENT.parse(data)}) == data
    assert udp.SEGMENT.parse(data).length == len(data)


@given(segments, st.data())
def test_any_change_of_a_segment_is_noticed(segment: udp.Segment, data: st.DataObject) -> None:
    source, destination = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")
    octets = bytearray(udp.build(segment, source, destination))
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] ^= 1 << data.draw(st.integers(0, 7))
    result = outcome(lambda changed: udp.parse_untrusted(changed, source, destination), bytes(octets))
    assert result != segment


def test_udp_sum_of_zero_is_sent_as_its_other_form() -> None:
    nobody = IPv4Address(0)
    # All words but the checksum: protocol 17, length 10 twice, payload 1, and a port that makes the sum 65,535.
    data = udp.build(udp.Segment(0, 0xFFFF - 17 - 10 - 10 - 1, b"\0\1"), nobody, nobody)
    assert data[6:8] == b"\xff\xff"
    assert udp.parse_untrusted(data, nobody, nobody).payload == b"\0\1"


def test_unfinished_checksum_of_linux() -> None:
    source, destination = IPv4Address("10.99.0.11"), IPv4Address("10.99.0.1")
    # What Linux leaves in the field: the folded sum of addresses, protocol and length, not inverted.
    pseudo = 0x0A63 + 0x000B + 0x0A63 + 0x0001 + 17 + 12
    data = bytes.fromhex("e3c5 ad97 000c") + pseudo.to_bytes(2, "big") + bytes.fromhex("0004 0001")
    assert udp.is_checksum_unfinished(data, source, destination)
    assert not udp.is_checksum_unfinished(data, source, IPv4Address("10.99.0.2"))
    with pytest.raises(Malformed, match="checksum is wrong"):
        udp.parse_untrusted(data, source, destination)
    assert udp.parse_untrusted(data, source, destination, verify=False).payload == b"\0\4\0\1"


# A whole frame in one step


endpoints = st.builds(Endpoint, addresses.map(str), words)


@given(macs, macs, endpoints, endpoints, payloads, octets)
def test_udp_frame_agrees_with_the_layers(
    source_mac: bytes, destination_mac: bytes, source: Endpoint, destination: Endpoint, payload: bytes, ttl: int
) -> None:
    data = udp_frame(source_mac, destination_mac, source, destination, payload, ttl=ttl)
    addresses = IPv4Address(source.address), IPv4Address(destination.address)
    segment = udp.build(udp.Segment(source.port, destination.port, payload), *addresses)
    packet = ipv4.build(ipv4.Packet(*addresses, ipv4.Protocol.UDP, segment, ttl))
    assert data == ethernet.build(ethernet.Frame(destination_mac, source_mac, 0x0800, packet))


def test_udp_frame_of_the_largest_payload() -> None:
    here = Endpoint("10.0.0.1", 67)
    data = udp_frame(b"\2" * 6, b"\xff" * 6, here, Endpoint("255.255.255.255", 68), bytes(udp.MAX_PAYLOAD))
    assert len(data) == 14 + 0xFFFF
    assert len(ipv4.parse_untrusted(data[14:]).payload) == udp.MAX_PAYLOAD + 8
    with pytest.raises(ValueError, match="only 65507"):
        udp_frame(b"\2" * 6, b"\xff" * 6, here, here, bytes(udp.MAX_PAYLOAD + 1))


@pytest.mark.parametrize(
    ("source_mac", "destination_mac", "port", "ttl", "message"),
    [
        (b"short", b"\xff" * 6, 67, 64, "6 octets"),
        (b"\2" * 6, b"seven..", 67, 64, "6 octets"),
        (b"\2" * 6, b"\xff" * 6, 65536, 64, "does not fit"),
        (b"\2" * 6, b"\xff" * 6, 67, 256, "does not fit"),
    ],
)
def test_udp_frame_that_cannot_be(source_mac: bytes, destination_mac: bytes, port: int, ttl: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        udp_frame(source_mac, destination_mac, Endpoint("10.0.0.1", port), Endpoint("10.0.0.2", 68), b"", ttl=ttl)


# ARP


@given(st.builds(arp.Packet, words, macs, addresses, macs, addresses))
def test_arp_round_trip(packet: arp.Packet) -> None:
    data = arp.build(packet)
    assert len(data) == arp.SIZE
    assert arp.parse_untrusted(data) == packet == arp.parse_untrusted(data + bytes(18))


@pytest.mark.parametrize("at", range(6), ids=lambda at: f"octet {at}")
def test_arp_for_something_else(at: int) -> None:
    data = bytearray(arp.build(arp.Packet(1, bytes(6), IPv4Address(1), bytes(6), IPv4Address(2))))
    data[at] ^= 0x40
    with pytest.raises(Malformed, match="ARP packet"):
        arp.parse_untrusted(bytes(data))


# IGMP

sources = st.lists(addresses, max_size=5).map(tuple)
words_of_data = st.integers(0, 3).flatmap(lambda count: st.binary(min_size=4 * count, max_size=4 * count))
messages = st.one_of(
    st.builds(igmp.Message, st.sampled_from([0x11, 0x12, 0x16, 0x17]), addresses, octets),
    st.builds(igmp.Query, addresses, octets, st.booleans(), st.integers(0, 7), octets, sources),
    st.builds(
        igmp.Report, st.lists(st.builds(igmp.Record, octets, addresses, sources, words_of_data), max_size=4).map(tuple)
    ),
)


@given(messages)
def test_igmp_round_trip(message: igmp.Packet) -> None:
    data = igmp.build(message)
    assert internet_checksum(data) == 0
    assert igmp.parse_untrusted(data) == message
    assert igmp.schema_of(data).build(igmp.schema_of(data).parse(data)) == data


@given(messages)
def test_igmp_cut_at_every_length(message: igmp.Packet) -> None:
    data = igmp.build(message)
    refused = refused_cuts(lambda cut: igmp.parse_untrusted(cut, verify=False), data)
    # The first 8 octets of a query of version 3 are a query of version 1 or 2 (RFC 3376 7.1).
    assert refused == [size for size in range(len(data)) if size != 8 or not isinstance(message, igmp.Query)]


def test_longest_igmp_message() -> None:
    data = igmp.build(igmp.Query(IPv4Address(0), 1, sources=(IPv4Address(1),) * 2301))
    assert len(data) == igmp.MAX_SIZE
    assert isinstance(igmp.parse_untrusted(data), igmp.Query)
    with pytest.raises(Malformed, match="longer than 9216"):
        igmp.parse_untrusted(data + b"\0")
    with pytest.raises(ValueError, match="cannot have 9220"):
        igmp.build(igmp.Query(IPv4Address(0), 1, sources=(IPv4Address(1),) * 2302))


@pytest.mark.parametrize(("code", "meaning"), [(0, 0), (127, 127), (128, 128), (0x8F, 248), (0xFF, 31744)])
def test_floating_codes(code: int, meaning: int) -> None:
    # RFC 3376 4.1.1: (mant | 0x10) << (exp + 3)
    assert igmp.seconds_of(code) == meaning


# What cannot be built

SOMEBODY = IPv4Address("10.0.0.1")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ethernet.build(ethernet.Frame(b"", bytes(6), 0, b"")), "6 octets"),
        (lambda: ethernet.build(ethernet.Frame(bytes(6), bytes(7), 0, b"")), "6 octets"),
        (lambda: ethernet.build(ethernet.Frame(bytes(6), bytes(6), 1 << 16, b"")), "16 bits"),
        (lambda: ipv4.build(ipv4.Packet(SOMEBODY, SOMEBODY, 1, b"", options=b"abc")), "words of 4"),
        (lambda: ipv4.build(ipv4.Packet(SOMEBODY, SOMEBODY, 1, b"", options=bytes(44))), "words of 4"),
        (lambda: ipv4.build(ipv4.Packet(SOMEBODY, SOMEBODY, 1, bytes(65516))), "65536"),
        (lambda: ipv4.build(ipv4.Packet(SOMEBODY, SOMEBODY, 256, b"")), "8 bits"),
        (lambda: ipv4.build(ipv4.Packet(SOMEBODY, SOMEBODY, 1, b"", identification=1 << 16)), "does not fit"),
        (lambda: ipv4.build(ipv4.Packet(SOMEBODY, SOMEBODY, 1, b"", fragment_offset=1 << 13)), "does not fit"),
        (lambda: udp.build(udp.Segment(-1, 0, b""), SOMEBODY, SOMEBODY), "16 bits"),
        (lambda: udp.build(udp.Segment(0, 0, bytes(65508)), SOMEBODY, SOMEBODY), "only 65507"),
        (lambda: arp.build(arp.Packet(1, b"", SOMEBODY, bytes(6), SOMEBODY)), "6 octets"),
        (lambda: arp.build(arp.Packet(1 << 16, bytes(6), SOMEBODY, bytes(6), SOMEBODY)), "16 bits"),
        (lambda: igmp.build(igmp.Message(0x22, SOMEBODY)), "cannot have type 34"),
        (lambda: igmp.build(igmp.Message(0x13, SOMEBODY)), "cannot have type 19"),
        (lambda: igmp.build(igmp.Message(0x16, SOMEBODY, 256)), "8 bits"),
        (lambda: igmp.build(igmp.Query(SOMEBODY, 1, robustness=8)), "3 bits"),
        (lambda: igmp.build(igmp.Report((igmp.Record(1, SOMEBODY, auxiliary=b"x"),))), "whole words"),
        (lambda: netlink.build(netlink.Message(1 << 16, b"")), "16 bits"),
    ],
)
def test_what_cannot_be_built(build: Callable[[], bytes], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@given(st.binary(max_size=80))
def test_any_octets_give_a_value_or_malformed(data: bytes) -> None:
    somebody = IPv4Address("10.0.0.1")
    outcome(ethernet.parse_untrusted, data)
    outcome(lambda octets: ipv4.parse_untrusted(octets, verify=False), data)
    outcome(lambda octets: udp.parse_untrusted(octets, somebody, somebody, verify=False), data)
    outcome(arp.parse_untrusted, data)
    outcome(lambda octets: igmp.parse_untrusted(octets, verify=False), data)
    outcome(netlink.parse_untrusted, data)

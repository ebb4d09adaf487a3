from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.errors import Malformed
from mtftpd.wire import tftp
from tests.wire.untrusted import outcome, refused_cuts
from tests.wire.vectors import load, plain

VECTORS = load("tftp")
GOOD = [vector for vector in VECTORS if "expect" in vector]
BAD = [vector for vector in VECTORS if "malformed" in vector]

words = st.integers(0, 0xFFFF)
latin = st.text(st.characters(min_codepoint=1, max_codepoint=0xFF), max_size=20)
names = st.text(st.characters(min_codepoint=1, max_codepoint=0x7F), min_size=1, max_size=12).map(str.lower)
options = st.lists(st.tuples(names, latin), max_size=tftp.MAX_OPTIONS).map(tuple)
filenames = st.binary(max_size=100).map(lambda octets: octets.replace(b"\0", b"/"))
modes = st.one_of(st.sampled_from([tftp.OCTET, tftp.NETASCII, "mail", ""]), names)
requests = st.builds(tftp.Request, st.sampled_from([1, 2]), filenames, modes, options)
packets = st.one_of(
    requests,
    st.builds(tftp.Data, words, st.binary(max_size=1468)),
    st.builds(tftp.Ack, words),
    st.builds(tftp.Error, words, latin),
    st.builds(tftp.OptionAck, options),
)
near_misses = st.builds(lambda head, rest: head + rest, st.sampled_from([bytes((0, n)) for n in range(9)]), st.binary())
datagrams = st.one_of(st.binary(max_size=60), near_misses, packets.map(tftp.build))


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: str(vector["name"]))
def test_vector_is_read(vector: dict[str, Any]) -> None:
    packet = tftp.parse_untrusted(vector["data"])
    assert (type(packet).__name__, plain(packet)) == (vector["kind"], vector["expect"])
    assert (tftp.build(packet) == vector["data"]) is vector.get("rebuilt", True)


@pytest.mark.parametrize("vector", BAD, ids=lambda vector: str(vector["name"]))
def test_vector_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as caught:
        tftp.parse_untrusted(vector["data"])
    assert caught.value.reason == vector["malformed"]


@given(packets)
def test_what_is_built_is_read_back(packet: tftp.Packet) -> None:
    assert tftp.parse_untrusted(tftp.build(packet)) == packet


@given(datagrams)
def test_any_octets_give_a_packet_or_malformed(data: bytes) -> None:
    result = outcome(tftp.parse_untrusted, data)
    assert isinstance(result, (tftp.Packet, Malformed))


@given(packets, st.integers(0, 40))
def test_what_is_read_can_be_built_again(packet: tftp.Packet, cut: int) -> None:
    result = outcome(tftp.parse_untrusted, tftp.build(packet)[:-cut] if cut else tftp.build(packet))
    if not isinstance(result, Malformed):
        assert tftp.parse_untrusted(tftp.build(result)) == result


@pytest.mark.parametrize(
    ("packet", "refused"),
    [
        (tftp.Request(1, b"foo", "octet"), list(range(12))),
        (tftp.Request(1, b"foo", "octet", (("tsize", "0"),)), list(range(12))),
        (tftp.Data(1, b"abcdef"), [0, 1, 2, 3]),
        (tftp.Ack(1), [0, 1, 2, 3]),
        (tftp.Error(1, "no"), [0, 1, 2, 3]),
        # Two octets are an OACK without options; three octets and more are a pair that is not complete.
        (tftp.OptionAck((("tsize", "5"), ("b", "1"))), [0, 1, *range(3, 10), *range(11, 14)]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_packet_cut_at_every_length(packet: tftp.Packet, refused: list[int]) -> None:
    assert refused_cuts(tftp.parse_untrusted, tftp.build(packet)) == refused


@given(st.one_of(requests, st.builds(tftp.OptionAck, options)), st.binary(max_size=14))
def test_a_cut_request_never_gains_options(packet: tftp.Request | tftp.OptionAck, garbage: bytes) -> None:
    data = tftp.build(packet) + garbage.replace(b"\0", b"\xff")
    result = outcome(tftp.parse_untrusted, data)
    if isinstance(packet, tftp.Request):
        assert result == packet
    else:
        assert (result == packet) is (garbage == b"")


def by_schema(data: bytes) -> Any:
    return tftp.PACKET.parse(data)


@given(st.one_of(datagrams, words.map(lambda number: tftp.build(tftp.Ack(number)))))
def test_ack_fast_path_agrees_with_the_schema(data: bytes) -> None:
    result = outcome(tftp.parse_untrusted, data)
    expected = result.number if isinstance(result, tftp.Ack) else -1
    assert tftp.parse_ack(data) == expected
    try:
        parsed = by_schema(data)
    except Exception:
        assert isinstance(result, Malformed)
        assert expected == -1
        return
    assert (parsed.body.number if int(parsed.opcode) == tftp.Opcode.ACK else -1) == expected


@given(words, st.binary(max_size=1468))
def test_data_fast_path_agrees_with_the_schema(number: int, payload: bytes) -> None:
    data = tftp.data_header(number) + payload
    assert data == tftp.PACKET.build({"opcode": tftp.Opcode.DATA, "body": {"number": number, "payload": payload}})
    parsed = by_schema(data)
    assert (
        tftp.parse_untrusted(data) == tftp.Data(parsed.body.number, parsed.body.payload) == tftp.Data(number, payload)
    )


@given(requests)
def test_builder_agrees_with_the_schema(request: tftp.Request) -> None:
    body = {"filename": request.filename, "mode": request.mode.encode("latin-1"), "options": request.options}
    assert tftp.build(request) == tftp.PACKET.build({"opcode": request.opcode, "body": body})


@given(options)
def test_oack_builder_agrees_with_the_schema(pairs: tftp.Pairs) -> None:
    packet = tftp.PACKET.build({"opcode": tftp.Opcode.OACK, "body": {"options": pairs}})
    assert tftp.build(tftp.OptionAck(pairs)) == packet


def test_largest_block() -> None:
    data = tftp.data_header(1) + bytes(tftp.MAX_BLOCK_SIZE)
    assert tftp.parse_untrusted(data) == tftp.Data(1, bytes(tftp.MAX_BLOCK_SIZE))
    with pytest.raises(Malformed, match="more than 65464"):
        tftp.parse_untrusted(data + b"\0")
    with pytest.raises(ValueError, match="only 65464"):
        tftp.build(tftp.Data(1, bytes(tftp.MAX_BLOCK_SIZE + 1)))


def test_longest_request() -> None:
    longest = b"\0\1" + b"f" * (tftp.MAX_REQUEST - 9) + b"\0octet\0"
    assert len(longest) == tftp.MAX_REQUEST
    assert isinstance(tftp.parse_untrusted(longest), tftp.Request)
    with pytest.raises(Malformed, match="longer than 2048"):
        tftp.parse_untrusted(longest + b"\0")


def test_options_beyond_the_limit() -> None:
    pairs = tuple((f"o{number}", "1") for number in range(tftp.MAX_OPTIONS + 1))
    request = tftp.parse_untrusted(tftp.build(tftp.Request(1, b"f", "octet", pairs)))
    assert isinstance(request, tftp.Request)
    assert request.options == pairs[:-1]
    with pytest.raises(Malformed, match="more than 32 pairs"):
        tftp.parse_untrusted(tftp.build(tftp.OptionAck(pairs)))


def test_option_without_a_name() -> None:
    assert tftp.parse_untrusted(b"\0\1f\0octet\0\0x\0tsize\0000\0") == tftp.Request(1, b"f", "octet")
    with pytest.raises(Malformed, match="an option has no name"):
        tftp.parse_untrusted(b"\0\6\0x\0")
    with pytest.raises(ValueError, match="no name"):
        tftp.build(tftp.OptionAck((("", "x"),)))


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (tftp.Ack(65536), "16 bits"),
        (tftp.Data(-1, b""), "16 bits"),
        (tftp.Request(3, b"f"), "not a request"),
        (tftp.Request(1, b"a\0b"), "file name holds a NUL"),
        (tftp.Request(1, b"a", "oc\0tet"), "string holds a NUL"),
        (tftp.Request(1, b"a", "\u20ac"), "latin-1"),
    ],
)
def test_what_cannot_be_built(packet: tftp.Packet, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tftp.build(packet)


def test_error_text_is_made_to_fit() -> None:
    assert tftp.parse_untrusted(tftp.build(tftp.Error(0, "5 \u20ac\0!"))) == tftp.Error(0, "5 ? !")

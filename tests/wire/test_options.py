from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.errors import Malformed
from mtftpd.wire import relay
from mtftpd.wire.fields import MAX_ELEMENTS, TlvList, decode, encode, join, walk
from mtftpd.wire.option_types import OPTIONS, Kind, option_name, render
from mtftpd.wire.options import Options, build_area, parse_area
from tests.wire.dhcp_strategies import codes, options
from tests.wire.vectors import load, plain

RELAY_VECTORS = [vector for vector in load("pxe") if vector["option"] == 82]


def named(vectors: list[dict[str, object]]) -> list[str]:
    return [str(vector["name"]) for vector in vectors]


class TestWalk:
    def test_pad_anywhere_and_end(self) -> None:
        assert walk(bytes.fromhex("00 00 0c 01 41 00 0f 00 ff 0c 09")) == [(12, b"A"), (15, b"")]

    def test_list_that_fills_its_window_needs_no_end(self) -> None:
        assert walk(bytes.fromhex("0c 01 41")) == [(12, b"A")]

    @pytest.mark.parametrize(
        ("octets", "reason", "offset"),
        [
            ("0c", "element 12 has no length", 0),
            ("00 0c", "element 12 has no length", 1),
            ("0c 01", "element 12 is cut", 0),
            ("00 0f 01 41 0c 02 41", "element 12 is cut", 4),
        ],
    )
    def test_cut(self, octets: str, reason: str, offset: int) -> None:
        with pytest.raises(Malformed) as caught:
            walk(bytes.fromhex(octets))
        assert (caught.value.reason, caught.value.offset) == (reason, offset)

    def test_too_many_elements(self) -> None:
        most = b"\x0c\0" * MAX_ELEMENTS
        assert len(walk(most)) == MAX_ELEMENTS
        with pytest.raises(Malformed, match="too many"):
            walk(most + b"\x0c\0")

    @given(st.lists(st.tuples(st.integers(1, 254), st.binary(max_size=255)), max_size=20))
    def test_inverse_of_join(self, elements: list[tuple[int, bytes]]) -> None:
        assert walk(join(elements)) == elements
        assert walk(join(elements, delimited=False)) == elements

    @given(st.binary(max_size=600))
    def test_any_octets_are_a_list_or_malformed(self, octets: bytes) -> None:
        try:
            elements = walk(octets)
        except Malformed:
            return
        # Exactly what is there was read: joined again it is the input, but for PAD and what follows END.
        assert walk(join(elements)) == elements
        assert sum(2 + len(value) for _, value in elements) <= len(octets)

    @given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=255)), max_size=20))
    def test_list_without_delimiters(self, elements: list[tuple[int, bytes]]) -> None:
        assert walk(join(elements, delimited=False), delimited=False) == elements

    @given(st.binary(max_size=300))
    def test_schema_agrees(self, octets: bytes) -> None:
        try:
            expected = walk(octets)
        except Malformed as error:
            with pytest.raises(Malformed, match=error.reason):
                decode(TlvList, octets, "list")
        else:
            assert decode(TlvList, octets, "list") == expected

    def test_value_over_255_octets_does_not_fit(self) -> None:
        with pytest.raises(ValueError, match="255 is the most"):
            join([(12, bytes(256))])
        with pytest.raises(ValueError, match="255 is the most"):
            encode(TlvList, [(12, bytes(256))], "list")


class TestOptions:
    def test_is_a_mapping_in_order(self) -> None:
        both = Options({60: b"PXEClient", 53: b"\1"})
        assert list(both) == [60, 53]
        assert (both[53], len(both), 60 in both, 61 in both, both.get(61)) == (b"\1", 2, True, False, None)
        assert both == Options([(53, b"\1"), (60, b"PXEClient")])
        assert both == {53: b"\1", 60: b"PXEClient"}
        assert both != Options({53: b"\1"})
        assert hash(both) == hash(Options([(53, b"\1"), (60, b"PXEClient")]))
        assert repr(Options({53: b"\1"})) == r"Options({53: b'\x01'})"

    def test_values_of_a_repeated_code_are_joined(self) -> None:
        assert Options([(67, b"/diskle"), (54, b"\1\2\3\4"), (67, b"ss/foo")])[67] == b"/diskless/foo"

    @pytest.mark.parametrize("code", [0, 255, -1, 256])
    def test_code_that_is_none(self, code: int) -> None:
        with pytest.raises(ValueError, match="not the code of an option"):
            Options({code: b""})

    def test_with_and_without(self) -> None:
        first = Options({53: b"\1", 12: b"n1"})
        assert first.with_(12, b"n2") == {53: b"\1", 12: b"n2"}
        assert list(first.with_(3, b"").with_(53, b"\2")) == [53, 12, 3]
        assert first.without(12, 99) == {53: b"\1"}
        assert first == {53: b"\1", 12: b"n1"}

    def test_typed_getters(self) -> None:
        some = Options(
            {
                1: b"\xff\xff\0\0",
                3: bytes(range(8)),
                57: b"\x05\xc0",
                51: b"\0\0\x0e\x10",
                12: b"n\xc3\xa4\xff\0\0",
                13: b"",
            }
        )
        assert some.address(1) == IPv4Address("255.255.0.0")
        assert some.address(3) is None
        assert some.addresses(3) == (IPv4Address("0.1.2.3"), IPv4Address("4.5.6.7"))
        assert some.addresses(57) == ()
        assert [some.integer(code) for code in (57, 51, 3, 13, 99)] == [0x5C0, 3600, None, None, None]
        assert some.text(12) == "n\u00e4\\xff"
        assert some.text(13) == ""
        assert (some.address(99), some.addresses(99), some.text(99)) == (None, (), None)

    @given(st.dictionaries(st.integers(1, 254), st.binary(max_size=20)), st.integers(-1, 300))
    def test_typed_getters_never_raise(self, values: dict[int, bytes], code: int) -> None:
        some = Options(values)
        size = len(values.get(code, b""))
        assert (some.address(code) is None) == (size != 4)
        assert len(some.addresses(code)) == (0 if size % 4 else size // 4)
        assert (some.integer(code) is None) == (size not in (1, 2, 4))
        assert (some.text(code) is None) == (code not in values)


class TestArea:
    def test_order_on_the_wire(self) -> None:
        built = build_area(
            Options(
                {
                    82: b"R",
                    60: b"PXEClient",
                    51: b"\0\0\0\1",
                    43: b"\xff",
                    67: b"f",
                    66: b"s",
                    54: b"\1\2\3\4",
                    53: b"\2",
                }
            )
        )
        assert built == bytes.fromhex(
            "350102 360401020304 330400000001 3c09505845436c69656e74 2b01ff 430166 00 420173 520152 ff"
        )

    def test_long_value_is_split(self) -> None:
        built = build_area(Options({17: bytes(300)}))
        assert built == b"\x11\xff" + bytes(255) + b"\x11\x2d" + bytes(45) + b"\xff"

    def test_empty_value(self) -> None:
        assert build_area(Options({80: b""})) == b"\x50\0\xff"

    def test_overload_is_never_built(self) -> None:
        with pytest.raises(ValueError, match="never overloaded"):
            build_area(Options({52: b"\1"}))

    @pytest.mark.parametrize(
        ("value", "overload", "expected"),
        [("01", 1, b"of"), ("02", 2, b"os"), ("03", 3, b"ofs"), ("00", 0, b"o"), ("04", 0, b"o"), ("0101", 0, b"o")],
    )
    def test_overload(self, value: str, overload: int, expected: bytes) -> None:
        octets = bytes.fromhex(value)
        area = b"\x34" + bytes((len(octets),)) + octets + b"\x11\x01o\xff"
        found, which = parse_area(area, b"\x11\x01f\xff\x0c", b"\x11\x01s\xff\x0c")
        assert (dict(found), which) == ({17: expected}, overload)

    def test_overload_within_an_overloaded_field_is_ignored(self) -> None:
        found, which = parse_area(b"\x34\x01\x01\xff", b"\x34\x01\x03\x11\x01f\xff", b"\x11\x01s\xff")
        assert (dict(found), which) == ({17: b"f"}, 1)

    def test_cut_option_in_an_overloaded_field(self) -> None:
        with pytest.raises(Malformed, match="element 17 is cut"):
            parse_area(b"\x34\x01\x02\xff", sname=b"\x11\x09s")

    @given(options, st.dictionaries(codes, st.binary(max_size=700), max_size=3))
    def test_round_trip(self, some: Options, long: dict[int, bytes]) -> None:
        every = Options({**some, **long})
        assert parse_area(build_area(every)) == (every, 0)

    @given(st.binary(max_size=400), st.binary(max_size=128), st.binary(max_size=64))
    def test_any_octets_are_options_or_malformed(self, area: bytes, file: bytes, sname: bytes) -> None:
        try:
            found, overload = parse_area(area, file, sname)
        except Malformed:
            return
        assert 52 not in found
        assert parse_area(build_area(found)) == (found, 0)
        assert overload in (0, 1, 2, 3)


class TestTable:
    def test_rows_fit_their_codes(self) -> None:
        assert all(0 < code < 255 and row.code == code for code, row in OPTIONS.items())
        names = [row.name for row in OPTIONS.values()]
        assert len(set(names)) == len(names)

    def test_fixed_lengths_of_rfc_2132(self) -> None:
        # Lengths as the sections of RFC 2132 give them: code -> octets of one value.
        lengths = {1: 4, 2: 4, 3: 4, 13: 2, 19: 1, 21: 8, 22: 2, 23: 1, 24: 4, 25: 2, 26: 2, 28: 4, 33: 8, 35: 4, 50: 4}
        lengths |= {51: 4, 52: 1, 53: 1, 54: 4, 55: 1, 57: 2, 58: 4, 59: 4, 93: 2}
        assert {code: OPTIONS[code].kind.size for code in lengths} == lengths
        arrays = {code for code, row in OPTIONS.items() if row.array and code <= 61}
        assert arrays == {3, 4, 5, 6, 7, 8, 9, 10, 11, 21, 25, 33, 41, 42, 44, 45, 48, 49, 55}

    def test_names(self) -> None:
        assert option_name(67) == "boot-file-name"
        assert option_name(250) == "option-250"

    @pytest.mark.parametrize(
        ("code", "value", "shown"),
        [
            (1, "ffffff00", "255.255.255.0"),
            (1, "ffff", "0xffff"),
            (2, "fffffff0", "-16"),
            (3, "c0000201c0000202", "192.0.2.1,192.0.2.2"),
            (3, "", "0x"),
            (3, "c0000201c0", "0xc0000201c0"),
            (19, "01", "yes"),
            (19, "00", "no"),
            (33, "0a000000c0000201", "10.0.0.0/192.0.2.1"),
            (55, "010343", "1,3,67"),
            (57, "05c0", "1472"),
            (51, "ffffffff", "4294967295"),
            (67, "6c696e7578000000", '"linux"'),
            (67, "6cff0a", r'"l\xff\x0a"'),
            (61, "0102", "0x0102"),
            (43, "06010a00470400010000ff", "6=0a 71=00010000"),
            (43, "0609", "0x0609"),
            (82, "0102ff00", "1=ff00"),
            (82, "0102ff", "0x0102ff"),
            (175, "b00101", "176=01"),
            (250, "ab", "0xab"),
        ],
    )
    def test_rendering(self, code: int, value: str, shown: str) -> None:
        assert render(code, bytes.fromhex(value)) == shown

    @given(st.one_of(st.sampled_from(sorted(OPTIONS)), st.integers(0, 300)), st.binary(max_size=80))
    def test_rendering_never_raises(self, code: int, value: bytes) -> None:
        shown = render(code, value)
        assert shown.isascii()
        assert shown.isprintable()

    def test_every_kind_is_rendered(self) -> None:
        assert {row.kind for row in OPTIONS.values()} == set(Kind)


class TestRelay:
    @pytest.mark.parametrize("vector", RELAY_VECTORS, ids=named(RELAY_VECTORS))
    def test_vectors(self, vector: dict[str, object]) -> None:
        data = vector["data"]
        assert isinstance(data, bytes)
        if "malformed" in vector:
            with pytest.raises(Malformed, match=str(vector["malformed"])):
                relay.parse_untrusted(data)
            assert relay.read(data) is None
        else:
            assert plain(relay.parse_untrusted(data)) == vector["expect"]
            assert relay.build(relay.parse_untrusted(data)) == data

    def test_repeated_sub_option(self) -> None:
        agent = relay.parse_untrusted(bytes.fromhex("010141 010142"))
        assert agent == relay.RelayAgent(b"A", None, ((1, b"B"),))

    def test_sub_option_that_does_not_fit(self) -> None:
        with pytest.raises(ValueError, match="255 is the most"):
            relay.build(relay.RelayAgent(circuit_id=bytes(256)))

    @given(st.binary(max_size=255))
    def test_any_octets(self, data: bytes) -> None:
        agent = relay.read(data)
        if agent is not None:
            assert relay.parse_untrusted(relay.build(agent)) == agent

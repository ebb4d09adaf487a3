from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any, cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mtftpd.errors import Malformed
from mtftpd.wire import ipxe, pxe
from mtftpd.wire.fields import MAX_ELEMENTS, decode, repeated
from mtftpd.wire.options import Options
from mtftpd.wire.pxe import (
    BootItem,
    BootServers,
    MenuEntry,
    MenuPrompt,
    MtftpTags,
    MulticastBlock,
    PxeOptions,
    Tag,
)
from tests.wire.vectors import load, plain

VECTORS = load("pxe")


def of(*options: int) -> list[Any]:
    return [pytest.param(each, id=each["name"]) for each in VECTORS if each["option"] in options]


READERS: dict[int, Any] = {
    60: pxe.parse_client_class,
    61: pxe.client_identifier,
    94: pxe.network_interface,
    97: pxe.machine_identifier,
}
LISTS: dict[int, Any] = {77: pxe.user_classes, 93: pxe.architectures}
SPACES: dict[int, Any] = {43: pxe, 175: ipxe}

ports = st.integers(0, 65535)
octet = st.integers(0, 255)
addresses = st.ip_addresses(v=4)
text = st.text(st.characters(max_codepoint=255), max_size=20)
unknown_tags = st.integers(13, 254).filter(lambda tag: tag != Tag.BOOT_ITEM)
pxe_options = st.builds(
    PxeOptions,
    mtftp=st.none() | st.builds(MtftpTags, addresses, ports, ports, octet, octet),
    discovery_control=st.none() | octet,
    discovery_group=st.none() | addresses,
    boot_servers=st.lists(st.builds(BootServers, ports, st.lists(addresses, max_size=3).map(tuple)), max_size=2).map(
        tuple
    ),
    menu=st.lists(st.builds(MenuEntry, ports, text.filter(bool)), max_size=2).map(tuple),
    prompt=st.none() | st.builds(MenuPrompt, octet, text),
    boot_item=st.none() | st.builds(BootItem, ports, ports),
    others=st.lists(st.tuples(unknown_tags, st.binary(max_size=9)), max_size=3).map(tuple),
    multicast_block=st.none() | st.builds(MulticastBlock, addresses, ports, ports),
    credential_types=st.lists(st.integers(0, 2**32 - 1), max_size=2).map(tuple),
)
ipxe_options = st.builds(
    ipxe.IpxeOptions,
    priority=st.none() | st.integers(-128, 127),
    no_proxy_dhcp=st.none() | st.booleans(),
    bus=st.none() | st.builds(ipxe.Bus, octet, ports, ports),
    version=st.lists(octet, max_size=4).map(tuple),
    features=st.lists(st.sampled_from(ipxe.FEATURES), unique=True, max_size=9).map(tuple),
    others=st.lists(st.tuples(st.integers(0x50, 0xAF), st.binary(max_size=9)), max_size=3).map(tuple),
)


class TestVectors:
    @pytest.mark.parametrize("vector", of(*SPACES))
    def test_sub_options(self, vector: dict[str, Any]) -> None:
        space = SPACES[vector["option"]]
        if "malformed" in vector:
            with pytest.raises(Malformed) as caught:
                space.parse_untrusted(vector["data"])
            assert caught.value.reason == vector["malformed"]
            return
        found = space.parse_untrusted(vector["data"])
        assert plain(found) == vector["expect"]
        if vector.get("rebuilt", True):
            assert space.build(found) == vector["data"]
        else:
            assert space.parse_untrusted(space.build(found)) == found

    @pytest.mark.parametrize("vector", of(*READERS))
    def test_values(self, vector: dict[str, Any]) -> None:
        found = READERS[vector["option"]](vector["data"])
        assert plain(found) == vector.get("expect")
        if "shown" in vector:
            assert str(found) == vector["shown"]

    @pytest.mark.parametrize("vector", of(*LISTS))
    def test_lists(self, vector: dict[str, Any]) -> None:
        assert plain(LISTS[vector["option"]](vector["data"])) == vector["values"]

    @pytest.mark.parametrize("vector", of(*SPACES))
    def test_cut_at_every_length(self, vector: dict[str, Any]) -> None:
        space = SPACES[vector["option"]]
        for size in range(len(vector["data"])):
            cut = vector["data"][:size]
            try:
                found = space.parse_untrusted(cut)
            except Malformed:
                continue
            assert space.parse_untrusted(cut + b"\xff") == found

    def test_every_vector_is_used(self) -> None:
        assert {each["option"] for each in VECTORS} == {82, *SPACES, *READERS, *LISTS}


class TestOption43:
    @given(pxe_options)
    def test_round_trip(self, options: PxeOptions) -> None:
        try:
            data = pxe.build(options)
        except ValueError:
            # Too much for one option is all that the strategy leaves to refuse.
            assume(False)
        assert data[-1] == Tag.END
        assert pxe.parse_untrusted(data) == options
        assert pxe.parse_untrusted(data[:-1]) == options

    @given(st.binary(max_size=255))
    def test_any_octets(self, data: bytes) -> None:
        try:
            found = pxe.parse_untrusted(data)
        except Malformed:
            return
        # END may be missing and is only missing at the end.
        assert pxe.parse_untrusted(data + b"\xff") == found

    @given(st.lists(st.tuples(st.integers(1, 12) | st.just(71), st.binary(max_size=9)), max_size=6))
    def test_any_values(self, elements: list[tuple[int, bytes]]) -> None:
        data = b"".join(bytes((tag, len(value))) + value for tag, value in elements)
        try:
            found = pxe.parse_untrusted(data)
        except Malformed:
            assert not all(self.fits(tag, value) for tag, value in elements)
            return
        assert {tag for tag, _ in found.others} <= {tag for tag, _ in elements}

    @staticmethod
    def fits(tag: int, value: bytes) -> bool:
        try:
            pxe.parse_untrusted(bytes((tag, len(value))) + value)
        except Malformed:
            return False
        return True

    def test_incomplete_set_is_kept_raw(self) -> None:
        group_only = PxeOptions(others=((Tag.MTFTP_CPORT, b"\x06\x07"),))
        data = pxe.build(group_only)
        assert data == bytes.fromhex("0202 0607 ff")
        assert pxe.parse_untrusted(data) == group_only

    def test_ports_are_little_endian(self) -> None:
        tags = MtftpTags(IPv4Address("239.1.1.1"), 0x0102, 0x0304, 2, 2)
        assert bytes.fromhex("0202 0201 0302 0403") in pxe.build(PxeOptions(mtftp=tags))

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (PxeOptions(menu=(MenuEntry(1, ""),)), "line of the boot menu is empty"),
            (PxeOptions(menu=(MenuEntry(1, "x" * 256),)), "cannot be built"),
            (PxeOptions(menu=(MenuEntry(1, "\u20ac"),)), "cannot be built"),
            (PxeOptions(prompt=MenuPrompt(256, "x")), "cannot be built"),
            (PxeOptions(boot_item=BootItem(65536, 0)), "cannot be built"),
            (PxeOptions(boot_servers=(BootServers(1, (IPv4Address("10.0.0.1"),) * 70),)), "255 is the most"),
            (PxeOptions(others=((64, bytes(126)), (65, bytes(126)))), "257 octets, 255 is the most"),
        ],
    )
    def test_what_cannot_be_built(self, options: PxeOptions, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            pxe.build(options)

    def test_largest_that_fits(self) -> None:
        assert len(pxe.build(PxeOptions(others=((64, bytes(126)), (65, bytes(124)))))) == 255

    def test_every_tag_of_the_table_has_a_name(self) -> None:
        assert {int(tag) for tag in Tag} == {0, *range(1, 13), *range(64, 72), 255}
        assert set(pxe.SCHEMAS) == {*range(1, 13), 71}


class TestOption175:
    @given(ipxe_options)
    def test_round_trip(self, options: ipxe.IpxeOptions) -> None:
        assert ipxe.parse_untrusted(ipxe.build(options)) == options

    @given(st.binary(max_size=255))
    def test_any_octets(self, data: bytes) -> None:
        found = ipxe.read(data)
        if found is not None:
            assert ipxe.parse_untrusted(data) == found

    def test_malformed_is_none(self) -> None:
        assert ipxe.read(b"\xb1\x05") is None

    def test_repeated_sub_options_are_kept_raw(self) -> None:
        found = ipxe.parse_untrusted(bytes.fromhex("b00101 b00100 130101 130101"))
        assert found == ipxe.IpxeOptions(no_proxy_dhcp=True, features=(0x13,), others=((0xB0, b"\0"), (0x13, b"\1")))

    def test_what_cannot_be_built(self) -> None:
        with pytest.raises(ValueError, match="cannot be built"):
            ipxe.build(ipxe.IpxeOptions(priority=200))


class TestIdentity:
    @pytest.mark.parametrize("option", [*READERS, *LISTS])
    @given(data=st.binary(max_size=40))
    def test_never_raises(self, option: int, data: bytes) -> None:
        found = (READERS | LISTS)[option](data)
        assert str(found)

    def test_class_is_case_sensitive_and_may_stop_anywhere(self) -> None:
        assert pxe.parse_client_class(b"pxeclient") is None
        assert pxe.parse_client_class(b"PXEClient:Arch:00007:UNDI:0030") == pxe.ClientClass("PXEClient", 7, None)

    @given(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=4))
    def test_user_classes_with_lengths(self, classes: list[bytes]) -> None:
        value = b"".join(bytes((len(each),)) + each for each in classes)
        assert pxe.user_classes(value) == tuple(classes)

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({77: b"iPXE"}, True),
            ({77: b"gPXE"}, True),
            ({77: b"\x04iPXE"}, True),
            ({175: b""}, True),
            ({77: b"ipxe"}, False),
            ({77: b"\x05iPXEx"}, False),
            ({}, False),
        ],
    )
    def test_is_ipxe(self, options: dict[int, bytes], expected: bool) -> None:
        assert pxe.is_ipxe(Options(options)) is expected

    def test_unknown_architecture_keeps_its_number(self) -> None:
        assert pxe.Architecture(7).name == "X64_EFI"
        unknown = pxe.Architecture(4660)
        assert (unknown, unknown.name, unknown.value) == (4660, "UNKNOWN_4660", 4660)
        for wrong in (65536, -1, cast(int, "7")):
            with pytest.raises(ValueError, match="is not a valid Architecture"):
                pxe.Architecture(wrong)


def test_repeated_elements_are_bounded() -> None:
    # 65,535 octets of credentials: the window that RFC 3396 allows, not the one that a tag has.
    with pytest.raises(Malformed, match="too many elements"):
        decode(repeated(pxe.SCHEMAS[Tag.DISCOVERY_CONTROL]), bytes(MAX_ELEMENTS + 1), "list")

"""Which replies are offers for a PXE client, and which one it takes: the table of EDK1 and EDK2, and PXE 2.1."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from mtftpd.quirks.vocabulary import Mutation
from mtftpd.rom.offers import Choice, Kind, Offer, Refusal, boot_file, judge, select
from mtftpd.rom.profiles import DhcpProfile
from mtftpd.wire.pxe import BootServers, MenuEntry, MenuPrompt, PxeOptions
from tests.rom.wire_peer import DIRECT, TAGS, reply

SPEC = DhcpProfile()
EDK2 = DhcpProfile(refuses_bare_mtftp=True)
GROUP = IPv4Address("224.0.1.2")
LIST = (BootServers(7, (IPv4Address("10.0.0.1"),)),)
MENU = PxeOptions(discovery_control=2, menu=(MenuEntry(7, "x"),), prompt=MenuPrompt(0, "y"))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (DIRECT, Kind.COMPLETE),
        (PxeOptions(discovery_control=0x08), Refusal.NO_DISCOVERY_GROUP),
        (PxeOptions(discovery_control=0x08, discovery_group=GROUP), Kind.COMPLETE),
        (PxeOptions(discovery_control=0x0B), Refusal.NO_SERVER_LIST),
        (PxeOptions(discovery_control=0x0B, boot_servers=LIST), Kind.COMPLETE),
        (PxeOptions(discovery_control=0x0E), Refusal.NO_SERVER_LIST),
        (PxeOptions(discovery_control=0x02), Refusal.NO_MENU),
        (MENU, Kind.MENU),
        (PxeOptions(mtftp=TAGS), Kind.COMPLETE),
        (PxeOptions(others=((128, b"x"),)), Kind.INCOMPLETE),
        (None, Kind.PLAIN),
    ],
)
def test_what_option_43_makes_of_an_offer_with_a_boot_file(tags: PxeOptions | None, expected: object) -> None:
    judged = judge(reply(2, pxe_options=tags), SPEC)
    assert (judged.kind if isinstance(judged, Offer) else judged) is expected


def test_edk2_throws_away_an_offer_with_nothing_but_mtftp_in_it() -> None:
    assert judge(reply(2, pxe_options=PxeOptions(mtftp=TAGS)), EDK2) is Refusal.BARE_MTFTP
    assert isinstance(judge(reply(2, pxe_options=DIRECT), EDK2), Offer)


@pytest.mark.parametrize("tags", [DIRECT, PxeOptions(mtftp=TAGS)])
def test_without_a_boot_file_port_4011_is_asked(tags: PxeOptions) -> None:
    judged = judge(reply(2, pxe_options=tags, file=b""), SPEC)
    assert isinstance(judged, Offer)
    assert judged.kind is Kind.INCOMPLETE


def test_pxeclient_alone_means_port_4011() -> None:
    judged = judge(reply(2, {60: b"PXEClient"}), SPEC)
    assert isinstance(judged, Offer)
    assert judged.kind is Kind.INCOMPLETE


@pytest.mark.parametrize(
    ("options", "header", "expected"),
    [
        ({54: b"\1"}, {}, Refusal.NO_SERVER),
        ({}, {"yiaddr": IPv4Address("224.0.0.1")}, Refusal.BAD_ADDRESS),
        ({}, {"yiaddr": IPv4Address(0)}, Refusal.NO_ADDRESS),
        ({60: b"pxeclient"}, {"yiaddr": IPv4Address(0)}, Refusal.NO_ADDRESS),
        ({60: b"PXEClient", 43: b"\1\4\1"}, {}, Refusal.BAD_OPTION_43),
    ],
)
def test_what_is_no_offer(options: dict[int, bytes], header: dict[str, Any], expected: Refusal) -> None:
    assert judge(reply(2, options, **header), SPEC) is expected


@pytest.mark.parametrize(
    ("options", "field", "name"),
    [({}, b"field", b"field"), ({67: b"option"}, b"field", b"option"), ({67: b"a\0b"}, b"", b"a"), ({}, b"", b"")],
)
def test_option_67_wins_over_the_field(options: dict[int, bytes], field: bytes, name: bytes) -> None:
    assert boot_file(reply(2, options, file=field), SPEC) == name


def offer(kind: Kind, *, proxy: bool = False, file: bytes = b"img") -> Offer:
    message = reply(2, yiaddr=IPv4Address(0) if proxy else IPv4Address("10.0.0.7"))
    return Offer(kind, IPv4Address("10.0.0.1"), message, file)


COMPLETE, MENU_OFFER, ASK, PLAIN = (offer(kind) for kind in Kind)
PROXY, PROXY_ASK = offer(Kind.COMPLETE, proxy=True), offer(Kind.INCOMPLETE, proxy=True)
BARE = replace(PLAIN, boot_file=b"")


@pytest.mark.parametrize(
    ("offers", "patient", "expected"),
    [
        ([], True, None),
        ([PLAIN, ASK, COMPLETE], True, Choice(COMPLETE, None)),
        ([MENU_OFFER, COMPLETE], True, Choice(COMPLETE, None)),
        ([ASK, MENU_OFFER], True, Choice(MENU_OFFER, None)),
        ([PLAIN, PROXY_ASK, PROXY], True, Choice(PLAIN, PROXY)),
        ([BARE, PROXY_ASK], True, Choice(BARE, PROXY_ASK)),
        ([PROXY], False, None),
        ([ASK, PROXY], True, Choice(ASK, None)),
        ([PLAIN], True, None),
        ([PLAIN], False, Choice(PLAIN, None)),
        ([BARE], False, None),
    ],
)
def test_the_best_of_several_offers(offers: list[Offer], patient: bool, expected: Choice | None) -> None:
    assert select(offers, patient=patient) == expected


def test_some_roms_need_tag_6_or_refuse_tags_1_to_5() -> None:
    bare = PxeOptions(mtftp=TAGS)
    assert judge(reply(2, pxe_options=bare), replace(SPEC, faults=frozenset({Mutation.NEED_43_6}))) is (
        Refusal.NO_DISCOVERY_CONTROL
    )
    assert judge(reply(2, pxe_options=bare), replace(SPEC, faults=frozenset({Mutation.REJECT_43_1_5}))) is Refusal.MTFTP

"""`Mode.PROXY` on port 67: PXE 2.1 2.2.3 and 2.5.1.1, rows DHCP-01 to DHCP-07."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from mtftpd.core.effects import DropReason, ReportKind, Service
from mtftpd.core.node_settings import Boot, Menu, MenuItem
from mtftpd.wire.bootp import BROADCAST_FLAG, MessageType
from tests.core.dhcp.dhcp_lab import (
    BIOS_ROM,
    HTTP,
    IPXE,
    OVMF,
    PROXY,
    SERVER,
    SYSTEM,
    TWO_IMAGES,
    UNSET,
    UUID,
    Lab,
    Node,
    option,
    reason,
    with_boot,
)

DISCOVER, REQUEST, INFORM = MessageType.DISCOVER, MessageType.REQUEST, MessageType.INFORM


@pytest.mark.parametrize(
    ("options", "expected_43"),
    [
        (BIOS_ROM, "06010a0104ef01010102020707030206060401020501 02ff"),
        (OVMF, "060108ff"),
        (IPXE, "060108ff"),
    ],
)
def test_an_offer_without_an_address(options: dict[int, bytes], expected_43: str) -> None:
    lab = Lab(PROXY)
    offer = lab.node(options).discover()
    assert (offer.type, offer.message.yiaddr, offer.message.siaddr) == (MessageType.OFFER, UNSET, SERVER)
    assert (offer.message.file, offer[67], offer[60]) == (b"nbp", b"nbp", b"PXEClient")
    assert (offer[54], offer[97]) == (SERVER.packed, UUID)
    assert offer[43] == bytes.fromhex(expected_43)
    assert {1, 3, 51, 58, 59, 175} & set(offer.message.options) == set()
    assert (offer.send.socket, offer.send.destination, offer.send.hardware) == (
        Service.DHCP,
        ("255.255.255.255", 68),
        None,
    )
    assert len(offer.send.data) >= 300
    assert (offer.report.kind, offer.report.address) == (ReportKind.DHCP_OFFERED, "")
    assert lab.service.leases() == ()


def test_a_relayed_offer_is_for_the_relay_to_broadcast() -> None:
    offer = Node(Lab(PROXY), giaddr=IPv4Address("172.16.5.1")).discover()
    assert (offer.send.destination, offer.message.flags) == (("172.16.5.1", 67), BROADCAST_FLAG)


def test_the_address_is_learnt_from_the_request_to_the_other_server() -> None:
    lab = Lab(PROXY)
    node = lab.node()
    node.discover()
    taken = node.effects(REQUEST, {50: option("10.0.0.77"), 54: option("10.0.0.2")})
    assert reason(taken) is DropReason.OTHER_SERVER
    assert lab.service.offered("10.0.0.77") == "nbp"
    assert reason(node.effects(REQUEST, ciaddr=IPv4Address("10.0.0.78"))) is DropReason.OTHER_SERVER
    assert lab.service.offered("10.0.0.78") == "nbp"


def test_an_offer_of_nothing_cannot_be_taken() -> None:
    taken = Lab(PROXY).node().effects(REQUEST, {50: option("10.0.0.77"), 54: SERVER.packed})
    assert reason(taken) is DropReason.UNEXPECTED


def test_inform_is_answered_with_what_to_boot() -> None:
    lab = Lab(PROXY)
    ack = lab.node().ask(INFORM, ciaddr=IPv4Address("10.0.0.30"))
    assert (ack.type, ack.message.yiaddr, ack.message.file) == (MessageType.ACK, UNSET, b"nbp")
    assert (ack.send.destination, ack.report.kind) == (("10.0.0.30", 68), ReportKind.PXE_ANSWERED)
    assert {1, 3, 51} & set(ack.message.options) == set()
    assert lab.service.offered("10.0.0.30") == "nbp"
    assert reason(lab.node().effects(INFORM)) is DropReason.NO_CIADDR


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (None, BIOS_ROM, DropReason.MODE),
        (DISCOVER, SYSTEM, DropReason.NOT_PXE),
        (REQUEST, SYSTEM, DropReason.NOT_PXE),
        (DISCOVER, HTTP, DropReason.NO_BOOT_FILE),
        (INFORM, HTTP, DropReason.NO_BOOT_FILE),
        (MessageType.DECLINE, BIOS_ROM, DropReason.OTHER_SERVER),
        (MessageType.RELEASE, BIOS_ROM, DropReason.OTHER_SERVER),
        (MessageType.ACK, BIOS_ROM, DropReason.NOT_A_REQUEST),
        (99, BIOS_ROM, DropReason.NOT_A_REQUEST),
    ],
)
def test_what_a_proxy_does_not_answer(kind: int | None, options: dict[int, bytes], expected: DropReason) -> None:
    assert reason(Lab(PROXY).node(options).effects(kind)) is expected


def test_with_a_menu_the_offer_has_no_file() -> None:
    menu = Menu((MenuItem(15, "Install", "boot.efi"),))
    lab = Lab(with_boot(PROXY, Boot(menu=menu)), TWO_IMAGES)
    node = lab.node()
    offer = node.discover()
    assert (offer.message.file, offer[67], offer[66]) == (b"", None, None)
    assert offer[43] is not None
    assert offer[43].startswith(b"\6\1\3")
    node.effects(REQUEST, {50: option("10.0.0.77"), 54: option("10.0.0.2")})
    assert lab.service.offered("10.0.0.77") is None

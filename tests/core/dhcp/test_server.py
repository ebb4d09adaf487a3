"""`Mode.DHCP` on port 67: RFC 2131 4.3 and tables 3 to 5, RFC 951, RFC 3046, and the DHCP rows of the requirements."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mtftpd.core.effects import DropReason, ReportKind
from mtftpd.core.node_settings import Boot, Menu, MenuItem
from mtftpd.core.settings import Multicast
from mtftpd.wire.bootp import BOOTREPLY, BROADCAST_FLAG, MessageType
from mtftpd.wire.datagram import HardwareAddress
from tests.core.dhcp.dhcp_lab import (
    BIOS_ROM,
    DHCP,
    HTTP,
    IPXE,
    MAC,
    ONE_IMAGE,
    OVMF,
    SERVER,
    SYSTEM,
    TWO_IMAGES,
    UNSET,
    UUID,
    Lab,
    Node,
    answer,
    option,
    reason,
    with_addressing,
    with_boot,
)

DISCOVER, REQUEST, INFORM = MessageType.DISCOVER, MessageType.REQUEST, MessageType.INFORM
FIRST = IPv4Address("10.0.0.100")

MTFTP_43 = bytes.fromhex("06010a 0104ef010101 02020707 03020606 040102 050102 ff")
"""Tags 1-5 for 239.1.1.1, ports 1799 and 1542, T = 2, as section 8 of the protocol digest has them."""
PLAIN_43 = bytes.fromhex("060108ff")
NO_GROUP_43 = bytes.fromhex("06010aff")
"""For a ROM that may be Intel's and has no group: EDK1 discards tag 6 = 8 without a discovery group (O43-08)."""


def test_a_rom_is_offered_an_address_a_group_and_a_boot_file() -> None:
    lab = Lab()
    offer = lab.node().discover()
    message = offer.message
    assert (message.op, message.xid, message.chaddr[:6]) == (BOOTREPLY, 0x1234ABCD, MAC)
    assert (message.yiaddr, message.siaddr, message.ciaddr) == (FIRST, SERVER, UNSET)
    assert (message.file, message.sname) == (b"nbp", b"")
    assert {code: value.hex() for code, value in message.options.items()} == {
        53: "02",
        54: "0a000001",
        51: "0000a8c0",
        58: "00005460",
        59: "000093a8",
        1: "ffffff00",
        3: "0a000001",
        60: b"PXEClient".hex(),
        67: b"nbp".hex(),
        66: b"10.0.0.1".hex(),
        43: MTFTP_43.hex(),
        97: UUID.hex(),
        13: "00b9",
    }
    assert offer.report.kind is ReportKind.DHCP_OFFERED
    assert dict(offer.report.detail) == {
        "client": "pxe",
        "architecture": 0,
        "rom": "intel-bios",
        "delivery": "unicast",
        "file": "nbp",
        "group": "239.1.1.1:1799",
    }
    assert (offer.report.address, offer.report.hardware) == ("10.0.0.100", HardwareAddress(1, MAC))


def test_the_octets_of_an_offer() -> None:
    data = Lab().node().discover().send.data
    assert data[:12].hex() == "02010600 1234abcd 00000000".replace(" ", "")
    assert data[236:].startswith(bytes.fromhex("63825363 350102 36040a000001 33040000a8c0"))
    # Quirks Q01, Q03: a NUL behind option 67, for those that read on and those that write one.
    assert b"\x43\x03nbp\0" in data[236:]
    assert len(data) >= 300


def test_the_ack_says_what_the_offer_said() -> None:
    lab = Lab()
    node = lab.node()
    offer = node.discover()
    ack = node.select(offer)
    assert ack.type == MessageType.ACK
    assert ack.message.options.without(53) == offer.message.options.without(53)
    assert ack.message.file == offer.message.file
    assert ack.message.yiaddr == offer.message.yiaddr
    assert ack.report.kind is ReportKind.DHCP_ACKED
    assert lab.service.offered("10.0.0.100") == "nbp"


def test_repeated_discovers_get_the_same_offer() -> None:
    lab = Lab(replace(DHCP, multicast=Multicast()))
    node = lab.node()
    first = node.discover()
    for seconds in (0.25, 4.0, 12.0):
        lab.now = 1000.0 + seconds
        assert node.discover().message == first.message
    assert len(lab.service.leases()) == 1


def test_who_does_not_hear_unicast_is_answered_by_broadcast() -> None:
    """Quirk Q48; a REQUEST after a unicast OFFER shows that it was heard, and the counting begins anew."""
    node = Lab(replace(DHCP, multicast=Multicast())).node()
    ways = [dict(node.discover().report.detail)["delivery"] for _ in range(3)]
    assert ways == ["unicast", "unicast", "broadcast"]
    assert dict(node.select(node.discover()).report.detail)["delivery"] == "broadcast"
    hearing = Lab().node()
    for _ in range(3):
        assert dict(hearing.boot().report.detail)["delivery"] == "unicast"


def test_state_hangs_on_the_hardware_address_alone() -> None:
    """Quirks Q45, Q46, Q53: the ROM, iPXE and the system have other xids, client identifiers and UUIDs."""
    lab = Lab()
    given = lab.node(BIOS_ROM).boot().message.yiaddr
    assert lab.node({**IPXE, 61: b"\1" + MAC, 97: bytes(17)}).boot().message.yiaddr == given
    assert answer(lab.node(SYSTEM).effects(DISCOVER, xid=7)).message.yiaddr == given
    assert lab.node(BIOS_ROM, MAC[::-1]).boot().message.yiaddr != given


def test_without_a_hardware_address_the_client_identifier_is_the_key() -> None:
    """Quirk Q55: IPoIB has hlen 0 (RFC 4390), so nothing can be sent to it but broadcasts."""
    lab = Lab()
    first = Node(lab, {**BIOS_ROM, 61: b"\xff" + b"1" * 20}, mac=b"", htype=32)
    second = Node(lab, {**BIOS_ROM, 61: b"\xff" + b"2" * 20}, mac=b"", htype=32)
    one, two = first.discover(), second.discover()
    assert one.message.yiaddr != two.message.yiaddr
    assert one.send.destination == ("255.255.255.255", 68)
    assert one[61] == b"\xff" + b"1" * 20, "RFC 6842"
    assert one[43] == NO_GROUP_43, "a group is of no use off Ethernet (F16)"
    assert reason(Node(lab, mac=b"", htype=32).effects(DISCOVER)) is DropReason.MALFORMED


@pytest.mark.parametrize(
    ("options", "flags", "expected_43", "has_size"),
    [
        (BIOS_ROM, 0, MTFTP_43, True),
        (OVMF, BROADCAST_FLAG, PLAIN_43, False),
        ({**OVMF, 93: b"\0\6"}, 0, PLAIN_43, False),
        ({**BIOS_ROM, 93: b"\0\6"}, 0, MTFTP_43, True),
        ({**BIOS_ROM, 93: b"\0\2"}, 0, MTFTP_43, True),
        ({**BIOS_ROM, 93: b"\0\x0b"}, 0, PLAIN_43, False),
        ({**BIOS_ROM, 93: b"\0\7"}, 0, PLAIN_43, False),
        (IPXE, 0, PLAIN_43, False),
        ({60: b"PXEClient"}, 0, MTFTP_43, True),
        ({60: b"PXEClient:Arch:00009:UNDI:003016"}, 0, PLAIN_43, False),
    ],
)
def test_option_43_by_client(options: dict[int, bytes], flags: int, expected_43: bytes, has_size: bool) -> None:
    """Rows DHCP-06, O43-07 and O43-11: tags 1-5 only to who may do MTFTP, and tag 6 always."""
    node = Node(Lab(), options, flags=flags)
    for reply in (node.discover(), node.boot()):
        assert reply[43] == expected_43
        assert (reply[13] is not None) == has_size
        assert (reply[60], reply.message.file) == (b"PXEClient", b"nbp")
        assert reply[97] == options.get(97)


def test_ipxe_need_not_wait_for_a_proxy() -> None:
    assert Lab().node(IPXE).discover()[175] == bytes.fromhex("b00101")


@pytest.mark.parametrize("asked", [None, 0, 300, 576, 1472, 0xFF00])
def test_replies_fit_the_client(asked: int | None) -> None:
    """Rows DHCP-12 and DHCP-13."""
    options = {code: value for code, value in BIOS_ROM.items() if code != 57}
    options |= {} if asked is None else {57: asked.to_bytes(2, "big")}
    long_name = Boot("d" * 127)
    lab = Lab(with_boot(DHCP, long_name))
    data = lab.node({**options, 61: bytes(255)}).discover().send.data
    assert 300 <= len(data) <= max(548, min(asked or 548, 1472))


def test_what_does_not_fit_is_left_out_and_then_nothing_is_sent() -> None:
    lab = Lab(with_boot(DHCP, Boot("d" * 127)))
    crowded = lab.node({**BIOS_ROM, 57: b"\2\x40", 61: bytes(200), 97: bytes(17)}).discover()
    assert (crowded[61], crowded[66], crowded[97]) == (None, None, bytes(17))
    assert crowded[67] == b"d" * 127
    relayed = Node(lab, {**BIOS_ROM, 57: b"\2\x40"}, extra={82: bytes(255)})
    assert reason(relayed.effects(DISCOVER)) is DropReason.TOO_LARGE


# Who is answered.


@pytest.mark.parametrize("kind", [DISCOVER, INFORM])
def test_a_stranger_is_left_alone(kind: MessageType) -> None:
    node = Lab().node(SYSTEM)
    assert reason(node.effects(kind, ciaddr=IPv4Address("10.0.0.7"))) is DropReason.NOT_PXE
    assert reason(node.effects(REQUEST, {50: option("10.0.0.101")})) is DropReason.NOT_PXE
    assert reason(node.effects(REQUEST, {50: option("10.0.0.101"), 54: SERVER.packed})) is DropReason.NOT_PXE


def test_the_system_of_a_node_keeps_its_address_and_boots_nothing() -> None:
    """Quirk Q61."""
    lab = Lab()
    given = lab.node().boot().message.yiaddr
    system = lab.node(SYSTEM)
    offer = system.discover()
    ack = system.select(offer)
    for reply in (offer, ack):
        assert (reply.message.yiaddr, reply.message.file, reply.message.siaddr) == (given, b"", UNSET)
        assert {43, 60, 66, 67, 97, 13} & set(reply.message.options) == set()
        assert (reply[51], reply[1]) == (bytes.fromhex("0000a8c0"), bytes.fromhex("ffffff00"))
    assert lab.service.offered(str(given)) == "nbp", "its loader may still lose the name"
    inform = system.ask(INFORM, ciaddr=given)
    assert (inform[51], inform.message.yiaddr, inform[3]) == (None, UNSET, SERVER.packed)


def test_everybody_is_served_on_request() -> None:
    lab = Lab(with_addressing(DHCP, serve_all=True))
    plain = lab.node(SYSTEM).boot()
    assert (plain.message.yiaddr, plain.message.file) == (FIRST, b"")
    u_boot = lab.node({55: bytes((1, 3, 66, 67)), 60: b"U-Boot.armv7"}, MAC[::-1]).boot()
    assert (u_boot.message.file, u_boot.message.siaddr, u_boot[67]) == (b"nbp", SERVER, b"nbp")
    assert {43, 60} & set(u_boot.message.options) == set()


def test_http_boot_gets_a_url_or_silence() -> None:
    """Quirk Q18."""
    assert reason(Lab().node(HTTP).effects(DISCOVER)) is DropReason.NO_BOOT_FILE
    lab = Lab(with_boot(DHCP, Boot("http://SERVER:8080/efi/nbp.efi")))
    offer = lab.node(HTTP).discover()
    assert offer.message.file == offer[67] == b"http://10.0.0.1:8080/efi/nbp.efi"
    assert (offer[60], offer[43]) == (b"HTTPClient", None)


def test_no_boot_file_no_answer() -> None:
    """Quirk Q38: a client with an address and no file waits for a proxy."""
    lab = Lab(DHCP, TWO_IMAGES)
    node = lab.node()
    assert reason(node.effects(DISCOVER)) is DropReason.NO_BOOT_FILE
    assert reason(node.effects(INFORM, ciaddr=FIRST)) is DropReason.NO_BOOT_FILE
    assert reason(node.effects(REQUEST, {50: FIRST.packed, 54: SERVER.packed})) is DropReason.NO_BOOT_FILE
    assert reason(node.effects(None)) is DropReason.NO_BOOT_FILE
    assert lab.service.leases() == ()


def test_a_configured_router_is_the_only_one() -> None:
    """Quirk Q27."""
    lab = Lab(with_addressing(DHCP, router=IPv4Address("10.0.0.100")))
    offer = lab.node().discover()
    assert offer[3] == option("10.0.0.100")
    assert offer.message.yiaddr == FIRST + 1, "the address of the router is not given to anybody"


def test_with_a_menu_the_client_chooses_first() -> None:
    menu = Menu((MenuItem(0, "Local"), MenuItem(15, "Install", "nbp")))
    lab = Lab(with_boot(DHCP, Boot(menu=menu)))
    offer = lab.node().discover()
    assert (offer.message.file, offer[67], offer[13], offer.message.siaddr) == (b"", None, None, SERVER)
    assert offer[43] is not None
    assert offer[43].startswith(bytes.fromhex("060103"))
    assert dict(offer.report.detail)["file"] == "menu"
    assert lab.service.offered("10.0.0.100") is None


def test_a_reload_keeps_leases_and_names_the_new_group() -> None:
    """Row GRP-02: what DHCP says is what the table of groups says, also after a reload."""
    lab = Lab()
    node = lab.node()
    given = node.boot().message.yiaddr
    changed = replace(DHCP, multicast=replace(DHCP.multicast, base=IPv4Address("239.7.7.7")))
    lab.reconfigure(changed, ONE_IMAGE)
    again = node.boot()
    assert again.message.yiaddr == given
    assert again[43] == MTFTP_43.replace(bytes.fromhex("ef010101"), bytes.fromhex("ef070707"))
    assert node.discover()[43] == again[43]

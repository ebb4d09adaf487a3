"""Port 4011 and boot server discovery: PXE 2.1 tables 2-4 and 2-5, rows DHCP-08, DHCP-20, O43-13 to O43-16."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from mtftpd.core.dhcp.pxe_discovery import DISCOVERY_GROUP
from mtftpd.core.effects import DropReason, Effects, ReportKind, Service
from mtftpd.core.node_settings import Boot, Menu, MenuItem
from mtftpd.core.settings import Settings
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.datagram import Endpoint
from tests.core.dhcp.dhcp_lab import (
    BIOS_ROM,
    DHCP,
    HTTP,
    IPXE,
    OVMF,
    PROXY,
    SERVER,
    SYSTEM,
    TWO_IMAGES,
    UNSET,
    UUID,
    Answer,
    Lab,
    Node,
    answer,
    option,
    reason,
    with_boot,
)

REQUEST, INFORM = MessageType.REQUEST, MessageType.INFORM
CLIENT = IPv4Address("10.0.0.30")
TO_PXE = Endpoint(str(SERVER), 4011)
FROM_PXE = Endpoint(str(CLIENT), 4011)
BOOT = Boot("nbp", menu=Menu((MenuItem(0, "Local"), MenuItem(15, "Install", "boot.efi"))))
MENU_PROXY = with_boot(PROXY, BOOT)


def discover(
    lab: Lab,
    item: str,
    kind: int = REQUEST,
    source: Endpoint = FROM_PXE,
    destination: Endpoint = TO_PXE,
    socket: int = Service.PXE,
    options: dict[int, bytes] = BIOS_ROM,
) -> Effects:
    request = lab.node({**options, 43: bytes.fromhex(item)}).message(kind, ciaddr=CLIENT)
    return lab.receive(request, source, destination, socket)


def ask(lab: Lab, options: dict[int, bytes], port: int = 4011, kind: int = REQUEST) -> Answer:
    request = lab.node(options).message(kind, ciaddr=CLIENT)
    return answer(lab.receive(request, Endpoint(str(CLIENT), port), TO_PXE, Service.PXE))


@pytest.mark.parametrize("settings", [DHCP, PROXY])
@pytest.mark.parametrize(
    ("options", "port", "expected_43"),
    [
        (OVMF, 4011, "060108ff"),
        (IPXE, 68, "060108ff"),
        (BIOS_ROM, 4011, "06010a0104ef0101010202070703020606040102050102ff"),
    ],
)
def test_a_client_that_asks_what_to_boot(
    settings: Settings, options: dict[int, bytes], port: int, expected_43: str
) -> None:
    lab = Lab(settings)
    reply = ask(lab, options, port)
    assert (reply.type, reply.message.yiaddr, reply.message.ciaddr) == (MessageType.ACK, UNSET, CLIENT)
    assert (reply[54], reply[60], reply[97]) == (SERVER.packed, b"PXEClient", UUID)
    assert (reply.message.file, reply.message.siaddr) == (b"nbp", SERVER)
    assert reply[43] == bytes.fromhex(expected_43)
    assert {1, 3, 51} & set(reply.message.options) == set()
    assert (reply.send.socket, reply.send.destination, reply.send.hardware) == (Service.PXE, (str(CLIENT), port), None)
    assert reply.report.kind is ReportKind.PXE_ANSWERED
    assert dict(reply.report.detail)["delivery"] == "source"
    assert lab.service.offered(str(CLIENT)) == "nbp"


def test_the_request_may_name_the_other_server() -> None:
    """What came to our own port 4011 is for us, whatever option 54 says of the server that gave the address."""
    assert ask(Lab(PROXY), {**OVMF, 54: option("10.0.0.2")}).type == MessageType.ACK


@pytest.mark.parametrize("kind", [REQUEST, INFORM])
@pytest.mark.parametrize(
    ("destination", "socket", "source"),
    [
        (TO_PXE, Service.PXE, Endpoint(str(CLIENT), 4011)),
        (Endpoint(DISCOVERY_GROUP, 4011), Service.PXE, Endpoint(str(CLIENT), 4011)),
        (Endpoint("255.255.255.255", 67), Service.DHCP, Endpoint(str(CLIENT), 68)),
    ],
)
@pytest.mark.parametrize("settings", [MENU_PROXY, with_boot(DHCP, BOOT)])
def test_discovery_is_answered_where_it_came_from(
    kind: MessageType, destination: Endpoint, socket: int, source: Endpoint, settings: Settings
) -> None:
    lab = Lab(settings, TWO_IMAGES)
    reply = answer(discover(lab, "4704000f0000ff", kind, source, destination, socket))
    assert reply.type == MessageType.ACK
    assert (reply.send.socket, reply.send.destination) == (socket, source)
    assert reply[43] == bytes.fromhex("06010a 0104ef010102 02020707 03020606 040102 050102 4704000f0000 ff")
    assert (reply.message.file, reply[13]) == (b"boot.efi", b"\0\2")
    assert lab.service.offered(str(CLIENT)) == "boot.efi"


def test_the_layer_may_be_one_octet() -> None:
    reply = answer(discover(Lab(MENU_PROXY, TWO_IMAGES), "4703000f00", options=OVMF))
    assert reply[43] == bytes.fromhex("060108 4704000f0000 ff")


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("4704000f8000ff", DropReason.CREDENTIALS_WANTED),
        ("470400638000ff", DropReason.CREDENTIALS_WANTED),
        ("4704000f0001ff", DropReason.NOT_OUR_TYPE),
        ("470400100000ff", DropReason.NOT_OUR_TYPE),
        ("4702000fff", DropReason.MALFORMED),
        ("4704000f", DropReason.MALFORMED),
    ],
)
def test_what_is_not_answered(item: str, expected: DropReason) -> None:
    assert reason(discover(Lab(MENU_PROXY, TWO_IMAGES), item)) is expected


def test_no_file_for_the_type() -> None:
    assert reason(discover(Lab(PROXY, TWO_IMAGES), "470400000000ff")) is DropReason.NO_BOOT_FILE
    no_file = Lab(PROXY, TWO_IMAGES).node().message(REQUEST, ciaddr=CLIENT)
    effects = Lab(PROXY, TWO_IMAGES).receive(no_file, Endpoint(str(CLIENT), 68), TO_PXE, Service.PXE)
    assert reason(effects) is DropReason.NO_BOOT_FILE


def test_on_port_67_a_broken_option_43_is_an_ordinary_request() -> None:
    lab = Lab(DHCP)
    node = lab.node()
    node.discover()
    taken = {50: option("10.0.0.100"), 54: SERVER.packed, 43: b"\x47\x04\x00"}
    assert node.ask(REQUEST, taken).type == MessageType.ACK


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (MessageType.DISCOVER, BIOS_ROM, DropReason.UNEXPECTED),
        (MessageType.RELEASE, BIOS_ROM, DropReason.UNEXPECTED),
        (REQUEST, SYSTEM, DropReason.NOT_PXE),
        (None, {}, DropReason.NOT_PXE),
        (REQUEST, HTTP, DropReason.NO_BOOT_FILE),
    ],
)
def test_what_does_not_belong_on_the_pxe_port(
    kind: int | None, options: dict[int, bytes], expected: DropReason
) -> None:
    lab = Lab(PROXY)
    effects = lab.receive(lab.node(options).message(kind), Endpoint(str(CLIENT), 68), TO_PXE, Service.PXE)
    assert reason(effects) is expected


def test_answers_do_not_leave_the_link() -> None:
    source = Endpoint("8.8.8.8", 4011)
    assert reason(discover(Lab(MENU_PROXY, TWO_IMAGES), "4704000f0000ff", source=source)) is DropReason.OFF_LINK


def test_a_source_without_an_address_is_answered_as_dhcp_would() -> None:
    lab = Lab(MENU_PROXY, TWO_IMAGES)
    unset = Endpoint("0.0.0.0", 68)
    reply = answer(discover(lab, "4704000f0000ff", source=unset))
    assert reply.send.destination == (str(CLIENT), 68)


def test_relayed_discovery_goes_back_through_the_relay() -> None:
    lab = Lab(MENU_PROXY, TWO_IMAGES)
    relay = IPv4Address("172.16.5.1")
    node = Node(lab, {**BIOS_ROM, 43: bytes.fromhex("4704000f0000ff")}, giaddr=relay)
    reply = node.ask(REQUEST)
    assert reply.send.destination == (str(relay), 67)
    assert reply[43] == bytes.fromhex("06010a 4704000f0000 ff"), "no group beyond a relay"
    on_4011 = node.message(REQUEST, ciaddr=CLIENT)
    direct = answer(lab.receive(on_4011, Endpoint("172.16.5.9", 4011), TO_PXE, Service.PXE))
    assert direct.send.destination == ("172.16.5.9", 4011)

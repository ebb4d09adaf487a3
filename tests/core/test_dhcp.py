"""`Mode.DHCP` on port 67: RFC 2131 4.3 and tables 3 to 5, RFC 951, RFC 3046, and the DHCP rows of the requirements."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mtftpd.core.effects import DropReason, ReportKind
from mtftpd.core.leases import OFFER_HOLD_SECONDS
from mtftpd.core.settings import Boot, Menu, MenuItem
from mtftpd.wire.bootp import BOOTREPLY, BROADCAST_FLAG, MessageType
from mtftpd.wire.datagram import Endpoint, HardwareAddress
from mtftpd.wire.options import Options
from tests.core.dhcp_lab import (
    BIOS_ROM,
    DHCP,
    FAR,
    HTTP,
    IPXE,
    MAC,
    ONE_IMAGE,
    OVMF,
    PROXY,
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
    told,
    with_addressing,
    with_boot,
)

DISCOVER, REQUEST, INFORM = MessageType.DISCOVER, MessageType.REQUEST, MessageType.INFORM
OTHER_SERVER = option("10.0.0.2")
TO_US = Endpoint(str(SERVER), 67)
FIRST = IPv4Address("10.0.0.100")
RELAY = IPv4Address("172.16.5.1")
BEHIND_RELAY = with_addressing(DHCP, first=FAR.network_address + 50, last=FAR.network_address + 59)

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
    lab = Lab()
    node = lab.node()
    first = node.discover()
    for seconds in (0.25, 4.0, 12.0):
        lab.now = 1000.0 + seconds
        assert node.discover() == first
    assert len(lab.service.leases()) == 1


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


# REQUEST: RFC 2131 4.3.2 and table 4.


def test_the_offer_of_another_server_was_taken() -> None:
    lab = Lab()
    node = lab.node()
    node.discover()
    refused = node.effects(REQUEST, {50: option("10.0.0.9"), 54: OTHER_SERVER})
    assert reason(refused) is DropReason.OTHER_SERVER
    assert lab.node(mac=MAC[::-1]).discover().message.yiaddr == FIRST + 1
    lab.now += 1
    held = [each.state.value for each in lab.service.leases()]
    assert held == ["free", "offered"]


def test_selecting_what_was_not_offered() -> None:
    lab = Lab()
    lab.node(mac=MAC[::-1]).boot()
    node = lab.node()
    taken = node.ask(REQUEST, {50: FIRST.packed, 54: SERVER.packed})
    assert (taken.type, taken.report.kind) == (MessageType.NAK, ReportKind.DHCP_REFUSED)
    assert (taken.message.yiaddr, taken.message.siaddr, taken.message.file) == (UNSET, UNSET, b"")
    assert set(taken.message.options) == {53, 54, 56}
    assert taken.send.destination == ("255.255.255.255", 68)
    assert (taken.report.address, dict(taken.report.detail)["why"]) == ("10.0.0.100", "address not available")
    free = node.ask(REQUEST, {50: option("10.0.0.120"), 54: SERVER.packed})
    assert (free.type, free.message.yiaddr) == (MessageType.ACK, IPv4Address("10.0.0.120"))


def test_selecting_without_naming_the_address() -> None:
    lab = Lab()
    node = lab.node()
    assert reason(node.effects(REQUEST, {54: SERVER.packed})) is DropReason.UNKNOWN_LEASE
    node.discover()
    assert node.ask(REQUEST, {54: SERVER.packed}).message.yiaddr == FIRST


def test_init_reboot() -> None:
    lab = Lab()
    node = lab.node()
    unknown = node.effects(REQUEST, {50: option("10.0.0.110")})
    assert reason(unknown) is DropReason.UNKNOWN_LEASE, "no record of the client: another server may know it"
    elsewhere = node.ask(REQUEST, {50: option("192.168.7.7")})
    assert (elsewhere.type, dict(elsewhere.report.detail)["why"]) == (MessageType.NAK, "wrong network")
    given = node.boot().message.yiaddr
    assert node.ask(REQUEST, {50: given.packed}).message.yiaddr == given
    wrong = node.ask(REQUEST, {50: option("10.0.0.111")})
    assert (wrong.type, dict(wrong.report.detail)["why"]) == (MessageType.NAK, "another address is yours")


def test_init_reboot_after_the_lease_has_ended() -> None:
    lab = Lab(with_addressing(DHCP, last=FIRST))
    given = lab.node().boot().message.yiaddr
    lab.now += 12 * 3600
    assert lab.node(SYSTEM).ask(REQUEST, {50: given.packed}).type == MessageType.ACK
    lab.now += 12 * 3600
    assert lab.node(mac=MAC[::-1]).boot().message.yiaddr == given
    assert reason(lab.node(SYSTEM).effects(REQUEST, {50: given.packed})) is DropReason.NOT_PXE


def test_init_reboot_of_an_address_that_rests() -> None:
    lab = Lab()
    node = lab.node()
    given = node.boot().message.yiaddr
    assert told(node.effects(MessageType.DECLINE, {50: given.packed, 54: SERVER.packed})) is ReportKind.DHCP_DECLINED
    assert reason(node.effects(REQUEST, {50: given.packed})) is DropReason.UNKNOWN_LEASE


def test_renewing_goes_to_the_address_of_the_client() -> None:
    lab = Lab()
    given = lab.node().boot().message.yiaddr
    lab.now += 6 * 3600
    renewal = lab.node(SYSTEM).message(REQUEST, ciaddr=given)
    ack = answer(lab.receive(renewal, Endpoint(str(given), 68), TO_US))
    assert ack.type == MessageType.ACK
    assert (ack.send.destination, ack.send.hardware) == ((str(given), 68), None)
    assert (ack.message.ciaddr, ack.message.yiaddr) == (given, given)
    lab.now += 11 * 3600
    assert answer(lab.receive(renewal)).type == MessageType.ACK, "REBINDING: the same, broadcast"


def test_a_renewal_with_a_server_identifier_is_a_renewal() -> None:
    lab = Lab()
    node = lab.node()
    given = node.boot().message.yiaddr
    ack = node.ask(REQUEST, {54: SERVER.packed}, ciaddr=given)
    assert (ack.type, ack.send.destination) == (MessageType.ACK, (str(given), 68))


def test_a_renewal_that_names_us_is_for_the_address_in_ciaddr() -> None:
    node = Lab().node()
    node.boot()
    assert node.ask(REQUEST, {54: SERVER.packed}, ciaddr=FIRST + 9).type == MessageType.NAK


def test_ciaddr_beside_option_50_is_nonsense() -> None:
    """Quirk Q47."""
    node = Lab().node()
    given = node.discover().message.yiaddr
    for options in ({50: given.packed, 54: SERVER.packed}, {50: given.packed}):
        ack = node.ask(REQUEST, options, ciaddr=FIRST + 9)
        assert (ack.type, ack.message.yiaddr) == (MessageType.ACK, given)
        assert (ack.send.destination, ack.send.hardware) == ((str(given), 68), HardwareAddress(1, MAC))


def test_a_renewal_survives_a_restart_that_lost_the_lease() -> None:
    lab = Lab()
    system = lab.node(SYSTEM).message(REQUEST, ciaddr=FIRST + 7)
    assert reason(lab.receive(system)) is DropReason.UNKNOWN_LEASE, "REBINDING asks whoever knows it"
    assert answer(lab.receive(system, Endpoint(str(FIRST + 7), 68), TO_US)).message.yiaddr == FIRST + 7
    outside = lab.node(SYSTEM, MAC[::-1]).message(REQUEST, ciaddr=IPv4Address("10.0.0.30"))
    assert reason(lab.receive(outside, Endpoint("10.0.0.30", 68), TO_US)) is DropReason.UNKNOWN_LEASE


def test_renewing_the_wrong_address() -> None:
    lab = Lab()
    node = lab.node()
    node.boot()
    assert node.ask(REQUEST, ciaddr=FIRST + 9).type == MessageType.NAK
    lab.now += 12 * 3600
    assert reason(node.effects(REQUEST, ciaddr=IPv4Address("10.0.0.30"))) is DropReason.UNKNOWN_LEASE


def test_a_request_for_nothing() -> None:
    assert reason(Lab().node().effects(REQUEST)) is DropReason.NO_CIADDR


# DECLINE, RELEASE, INFORM.


def test_decline() -> None:
    lab = Lab()
    node = lab.node()
    given = node.boot().message.yiaddr
    decline = MessageType.DECLINE
    assert reason(node.effects(decline, {50: given.packed, 54: OTHER_SERVER})) is DropReason.OTHER_SERVER
    assert reason(node.effects(decline, {54: SERVER.packed})) is DropReason.UNKNOWN_LEASE
    assert told(node.effects(decline, {50: given.packed, 54: SERVER.packed})) is ReportKind.DHCP_DECLINED
    assert node.boot().message.yiaddr == given + 1


def test_release() -> None:
    lab = Lab()
    node = lab.node()
    given = node.boot().message.yiaddr
    release = MessageType.RELEASE
    assert reason(node.effects(release, {54: OTHER_SERVER}, ciaddr=given)) is DropReason.OTHER_SERVER
    assert reason(node.effects(release, {54: SERVER.packed}, ciaddr=given + 1)) is DropReason.UNKNOWN_LEASE
    assert told(node.effects(release, {54: SERVER.packed}, ciaddr=given)) is ReportKind.DHCP_RELEASED
    assert reason(lab.node(SYSTEM).effects(DISCOVER)) is DropReason.NOT_PXE, "no lease any more"
    assert node.boot().message.yiaddr == given


def test_inform() -> None:
    lab = Lab()
    assert reason(lab.node().effects(INFORM)) is DropReason.NO_CIADDR
    ack = lab.node().ask(INFORM, ciaddr=IPv4Address("10.0.0.30"))
    assert (ack.type, ack.send.destination) == (MessageType.ACK, ("10.0.0.30", 68))
    assert (ack[51], ack[58], ack.message.yiaddr) == (None, None, UNSET)
    assert (ack[1], ack.message.file) == (bytes.fromhex("ffffff00"), b"nbp")
    assert reason(lab.node().effects(INFORM, ciaddr=IPv4Address("8.8.8.8"))) is DropReason.OFF_LINK


@pytest.mark.parametrize("kind", [MessageType.OFFER, MessageType.ACK, MessageType.NAK, 13])
def test_messages_of_servers_and_unknown_ones(kind: int) -> None:
    assert reason(Lab().node().effects(kind)) is DropReason.NOT_A_REQUEST


# BOOTP: RFC 951, RFC 1542, quirk Q09.


def test_bootp() -> None:
    lab = Lab()
    node = Node(lab, {})
    reply = node.ask(None)
    assert reply.report.kind is ReportKind.BOOTP_ANSWERED
    assert (reply.type, reply.message.file, reply.message.siaddr) == (None, b"nbp", SERVER)
    assert (reply.message.yiaddr, len(reply.send.data)) == (FIRST, 300)
    assert set(reply.message.options) == {1, 3}
    lab.now += 1e9
    assert node.ask(None).message.yiaddr == FIRST
    assert lab.node(mac=MAC[::-1]).discover().message.yiaddr == FIRST + 1


def test_bootp_of_rfc_951_times_has_no_vendor_area() -> None:
    lab = Lab()
    request = replace(Node(lab, {}).message(None), options=Options(), is_dhcp=False)
    reply = answer(lab.receive(request))
    assert (reply.message.is_dhcp, reply.message.file, reply.message.yiaddr) == (False, b"nbp", FIRST)


def test_bootp_of_a_client_that_knows_its_address() -> None:
    reply = Node(Lab(), {}).ask(None, ciaddr=IPv4Address("10.0.0.30"))
    assert (reply.message.yiaddr, reply.message.ciaddr) == (UNSET, IPv4Address("10.0.0.30"))
    assert (reply.send.destination, reply.message.file) == (("10.0.0.30", 68), b"nbp")


def test_bootp_cannot_take_the_whole_range_for_ever() -> None:
    lab = Lab(with_addressing(DHCP, last=FIRST + 7))
    macs = [bytes((2, 0, 0, 0, 0, number)) for number in range(20)]
    answers = [Node(lab, {}, mac).effects(None) for mac in macs]
    assert [len(effects) for effects in answers] == [2, 2] + [1] * 18
    assert {reason(effects) for effects in answers[2:]} == {DropReason.NO_ADDRESS}
    full = Lab(with_addressing(DHCP, last=FIRST))
    full.node().boot()
    assert reason(Node(full, {}, macs[0]).effects(None)) is DropReason.NO_ADDRESS


# Addresses run out, or there are none.


def test_no_address_left_until_a_hold_is_over() -> None:
    lab = Lab(with_addressing(DHCP, last=FIRST))
    lab.node().discover()
    other = lab.node(mac=MAC[::-1])
    assert reason(other.effects(DISCOVER)) is DropReason.NO_ADDRESS
    assert lab.service.next_deadline() == lab.now + OFFER_HOLD_SECONDS
    lab.now += OFFER_HOLD_SECONDS
    assert lab.service.tick(lab.now) == ()
    assert other.discover().message.yiaddr == FIRST


def test_without_a_range_nobody_gets_an_address() -> None:
    lab = Lab(with_addressing(DHCP, first=None))
    assert reason(lab.node().effects(DISCOVER)) is DropReason.NO_ADDRESS


# Relay agents: RFC 2131 4.1, RFC 3046.


def test_a_relayed_client() -> None:
    lab = Lab(BEHIND_RELAY)
    node = Node(lab, giaddr=RELAY, extra={82: b"\1\4eth7"})
    offer = node.discover()
    ack = node.select(offer)
    for reply in (offer, ack):
        assert reply.send.destination == ("172.16.5.1", 67)
        assert reply.send.hardware is None
        assert (reply.message.giaddr, reply.message.flags) == (RELAY, 0)
        assert reply[82] == b"\1\4eth7"
        assert list(reply.message.options)[-1] == 82
        assert reply.message.yiaddr == FAR.network_address + 50
        assert (reply[3], reply[1]) == (RELAY.packed, FAR.netmask.packed)
        assert (reply[43], reply[13]) == (NO_GROUP_43, None), "a group with TTL 1 does not reach it (Q116)"


def test_a_relayed_nak_is_for_the_relay_to_broadcast() -> None:
    node = Node(Lab(BEHIND_RELAY), giaddr=RELAY, extra={82: b"\1\1x"})
    node.boot()
    nak = node.ask(REQUEST, {50: option("172.16.5.77")})
    assert (nak.type, nak.send.destination, nak.send.hardware) == (MessageType.NAK, ("172.16.5.1", 67), None)
    assert nak.message.flags == BROADCAST_FLAG
    assert nak[82] == b"\1\1x"


@pytest.mark.parametrize("relay", ["8.8.8.8", "10.0.0.1", "10.0.0.255", "10.0.0.0", "224.0.0.5"])
def test_replies_are_not_aimed_at_strangers(relay: str) -> None:
    for settings in (DHCP, PROXY):
        node = Node(Lab(settings), giaddr=IPv4Address(relay))
        assert reason(node.effects(DISCOVER)) is DropReason.RELAY_NOT_SERVED


def test_a_relay_of_a_network_without_a_range() -> None:
    assert reason(Node(Lab(DHCP), giaddr=RELAY).effects(DISCOVER)) is DropReason.RELAY_NOT_SERVED


def test_the_range_may_be_for_relayed_clients_alone() -> None:
    lab = Lab(BEHIND_RELAY)
    assert reason(lab.node().effects(DISCOVER)) is DropReason.NO_ADDRESS
    assert reason(Node(lab, {}).effects(None)) is DropReason.NO_ADDRESS
    given = Node(lab, giaddr=RELAY).boot().message.yiaddr
    renewal = lab.node().message(REQUEST, ciaddr=given)
    ack = answer(lab.receive(renewal, Endpoint(str(given), 68), TO_US))
    assert (ack.type, ack.send.destination) == (MessageType.ACK, (str(given), 68))


def test_bootp_through_a_relay_keeps_option_82_beside_its_300_octets() -> None:
    node = Node(Lab(BEHIND_RELAY), {}, giaddr=RELAY, extra={82: bytes(60)})
    reply = node.ask(None)
    assert (reply[82], len(reply.send.data)) == (bytes(60), 240 + 6 + 6 + 62 + 1)


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

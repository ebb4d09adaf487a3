"""REQUEST, DECLINE, RELEASE and INFORM in `Mode.DHCP`: RFC 2131 4.3.2 to 4.3.5 and table 4, row by row."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from mtftpd.core.effects import DropReason, ReportKind
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.datagram import Endpoint, HardwareAddress
from tests.core.dhcp.dhcp_lab import (
    DHCP,
    MAC,
    SERVER,
    SYSTEM,
    UNSET,
    Lab,
    answer,
    option,
    reason,
    told,
    with_addressing,
)

DISCOVER, REQUEST, INFORM = MessageType.DISCOVER, MessageType.REQUEST, MessageType.INFORM
OTHER_SERVER = option("10.0.0.2")
TO_US = Endpoint(str(SERVER), 67)
FIRST = IPv4Address("10.0.0.100")


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

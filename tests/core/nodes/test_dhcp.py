"""What the record of a node learns from DHCP: attempts, stages, refusals, and leases that end."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mtftpd.core.effects import Report, ReportKind, Service
from mtftpd.core.nodes.alarms import AlarmKind
from mtftpd.core.nodes.states import OFFER_SECONDS, NodeState
from mtftpd.core.settings import Mode
from mtftpd.wire.bootp import MessageType
from tests.core.dhcp.dhcp_lab import BIOS_ROM, DHCP, IPXE, OVMF, PROXY, SERVER, SYSTEM
from tests.core.nodes.node_lab import BLOCKS, HARDWARE, Lab

OTHER = IPv4Address("10.0.0.2")


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_a_boot_by_unicast_step_by_step(lab: Lab) -> None:
    lab.boot(OVMF)
    assert lab.path == ["discover", "offered", "requested", "acked"]
    socket = lab.ask("boot.efi")
    assert lab.state == "unicast"
    lab.acknowledge(socket, 3)
    node = lab.node()
    assert (node.state, node.reason, node.inferred) == (NodeState.DONE, "acknowledged all 3 blocks of boot.efi", False)
    assert (node.address, node.attempt, node.round, node.stage, node.file) == ("10.0.0.100", 1, 1, "rom", "boot.efi")
    packets = [step.packet for step in node.history]
    assert packets[0] == "DHCP from 0.0.0.0:68 xid 00000007"
    assert packets[-2:] == ["RRQ from 10.0.0.100:2070", "ACK from 10.0.0.100:2070"]
    (told,) = (report for report in lab.reports() if report.kind is ReportKind.NODE_STATE)
    assert (told.address, told.hardware) == ("10.0.0.100", HARDWARE)
    assert dict(told.detail) == {
        "state": "done", "from": "unicast", "reason": node.reason, "packet": packets[-1], "inferred": 0,
        "attempt": 1, "round": 1, "stage": "rom", "file": "boot.efi",
    }  # fmt: skip


def test_a_repeated_discover_is_the_same_attempt(lab: Lab) -> None:
    for number in range(4):
        lab.dhcp(MessageType.DISCOVER, xid=number)
        lab.sleep(4)
    assert lab.path == ["discover", "offered"]
    lab.sleep(OFFER_SECONDS)
    assert (lab.state, lab.node().inferred) == ("lost-offer", True)
    lab.dhcp(MessageType.DISCOVER)
    assert (lab.state, lab.node().attempt) == ("offered", 2)


def test_a_late_copy_of_a_discover_says_nothing(lab: Lab) -> None:
    lab.boot()
    lab.now += 1
    lab.dhcp(MessageType.DISCOVER)
    assert lab.state == "mcast-listen"
    lab.now += 5
    lab.dhcp(MessageType.DISCOVER)
    assert lab.path[-3:] == ["gave-up", "discover", "offered"]


def test_a_repeated_request_says_nothing_new(lab: Lab) -> None:
    lab.boot()
    steps = lab.path
    lab.sleep(12)
    lab.dhcp(MessageType.REQUEST, {**BIOS_ROM, 50: IPv4Address("10.0.0.100").packed, 54: SERVER.packed})
    lab.sleep(12)
    assert lab.path == steps
    lab.sleep(2)
    assert lab.state == "acked-silent"
    assert lab.alarms() == [AlarmKind.SILENT]


def test_a_request_that_is_not_answered_has_a_reason(lab: Lab) -> None:
    lab.dhcp(MessageType.REQUEST)
    assert (lab.path, lab.node().reason) == (["requested", "ignored"], "no-client-address: a REQUEST for no address")
    lab.now += 3
    lab.dhcp(MessageType.DISCOVER, {**BIOS_ROM, 60: b"HTTPClient:Arch:00016"})
    assert (lab.state, lab.node().reason, lab.node().stage) == ("ignored", "no-boot-file", "http")


def test_a_nak_is_a_refusal(lab: Lab) -> None:
    lab.dhcp(MessageType.REQUEST, {**BIOS_ROM, 50: IPv4Address("192.0.2.9").packed})
    assert (lab.state, lab.node().reason) == ("refused", "NAK: wrong network")


def test_a_node_may_choose_another_server(lab: Lab) -> None:
    lab.dhcp(MessageType.DISCOVER)
    lab.dhcp(MessageType.REQUEST, {**BIOS_ROM, 50: OTHER.packed, 54: OTHER.packed})
    assert (lab.state, lab.node().reason) == ("taken-by-other", "took the offer of 10.0.0.2")
    assert lab.alarms() == [AlarmKind.FOREIGN_SERVER]


def test_beside_another_server_that_is_how_it_should_be() -> None:
    lab = Lab(PROXY)
    lab.dhcp(MessageType.DISCOVER)
    lab.dhcp(MessageType.REQUEST, {**BIOS_ROM, 50: IPv4Address("10.0.0.77").packed, 54: OTHER.packed})
    assert lab.path[-3:] == ["requested", "acked", "mcast-listen"]
    assert lab.node().address == "10.0.0.77"
    ciaddr = IPv4Address("10.0.0.77")
    lab.dhcp(MessageType.REQUEST, socket=Service.PXE, ciaddr=ciaddr)
    assert lab.path[-3:] == ["discovery", "acked", "mcast-listen"]


def test_a_bootp_client_needs_one_packet(lab: Lab) -> None:
    lab.dhcp(None, {})
    assert lab.path == ["discover", "acked"]
    assert lab.node().stage == "bootp"


@pytest.mark.parametrize(("kind", "options"), [
    (MessageType.DECLINE, {50: IPv4Address("10.0.0.100").packed}), (MessageType.RELEASE, {}),
])  # fmt: skip
def test_giving_the_address_back_ends_the_attempt(lab: Lab, kind: int, options: dict[int, bytes]) -> None:
    lab.boot()
    lab.dhcp(kind, {**options, 54: SERVER.packed}, ciaddr=IPv4Address("10.0.0.100"))
    assert lab.state == "gave-up"
    assert "10.0.0.100" in lab.node().reason
    lab.boot(xid=8)
    lab.service.nodes.forget(HARDWARE)
    lab.dhcp(kind, {**options, 54: SERVER.packed}, ciaddr=IPv4Address("10.0.0.100"))
    assert lab.service.nodes.nodes() == ()


def test_a_system_is_the_end_and_needs_no_record_of_its_own(lab: Lab) -> None:
    lab.dhcp(MessageType.DISCOVER, SYSTEM)
    assert lab.service.nodes.nodes() == ()
    lab.boot()
    lab.dhcp(MessageType.RELEASE, SYSTEM)
    assert lab.state == "mcast-listen"
    lab.dhcp(MessageType.DISCOVER, SYSTEM)
    assert lab.state == "os"


def test_who_is_not_served_leaves_no_record() -> None:
    relayed = IPv4Address("192.0.2.1")
    lab = Lab()
    lab.dhcp(MessageType.DISCOVER, giaddr=relayed)
    lab.dhcp(MessageType.DISCOVER, {**BIOS_ROM, 61: b"\0name"}, hlen=0)
    lab.dhcp(MessageType.RELEASE)
    lab.ask(address="192.0.2.7")
    lab.open(address="192.0.2.7")
    off = Lab(replace(DHCP, mode=Mode.TFTP))
    off.dhcp(MessageType.DISCOVER)
    assert off.service.nodes.nodes() == ()
    assert [node.hardware for node in lab.service.nodes.nodes()] == [HARDWARE]


def test_the_next_program_shows_that_the_one_before_it_is_complete(lab: Lab) -> None:
    lab.boot()
    lab.open("10.0.0.109")
    lab.acknowledge(Service.MTFTP, BLOCKS, address="10.0.0.109", port=1799)
    lab.sleep(3)
    assert (lab.state, lab.node().inferred) == ("done?", True)
    lab.boot(IPXE, xid=8)
    assert lab.path[-6:] == ["done", "next-stage", "discover", "offered", "requested", "acked"]
    assert (lab.node().round, lab.node().stage, lab.node().attempt) == (2, "ipxe", 1)


def test_ipxe_out_of_the_middle_is_another_attempt(lab: Lab) -> None:
    lab.boot()
    lab.now += 30
    lab.boot(IPXE, xid=8)
    assert (lab.node().round, lab.node().stage, lab.node().attempt) == (1, "ipxe", 2)


def test_a_lease_is_released_once(lab: Lab) -> None:
    lab.boot()
    address = IPv4Address("10.0.0.100")
    assert [lease.address for lease in lab.service.leases()] == [address]
    lab.effects = lab.service.release(address, lab.now)
    assert (lab.state, lab.node().reason) == ("gave-up", "it gave back 10.0.0.100")
    assert lab.service.release(address, lab.now) == ()
    assert lab.service.release(IPv4Address("10.0.0.140"), lab.now) == ()


def test_a_lease_of_a_client_without_hardware_address(lab: Lab) -> None:
    lab.dhcp(MessageType.DISCOVER, {**BIOS_ROM, 61: b"\0name"}, hlen=0)
    (told,) = (
        effect for effect in lab.service.release(IPv4Address("10.0.0.100"), lab.now) if isinstance(effect, Report)
    )
    assert (told.kind, told.hardware) == (ReportKind.DHCP_RELEASED, None)
    assert lab.service.nodes.find("10.0.0.100") is None

"""One record for a machine with several interfaces, packet by packet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mtftpd.core.effects import Effects, Report, ReportKind, Service
from mtftpd.core.node_settings import NO_NODES, Inventory, NodeEntry, OtherNics
from mtftpd.core.nodes.records import NodeStatistics
from mtftpd.core.nodes.states import NodeState
from mtftpd.core.service import BootService
from mtftpd.core.settings import Settings
from mtftpd.wire import bootp, tftp
from mtftpd.wire.bootp import BOOTREQUEST, DhcpMessage, MessageType
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress
from mtftpd.wire.options import Options
from tests.core.dhcp.dhcp_lab import ANYBODY, BIOS_ROM, DHCP, NOBODY, ONE_IMAGE, PROXY, SERVER

A, B, C = NICS = tuple(HardwareAddress(1, bytes((2, 0, 0, 0, 0, last))) for last in (8, 9, 10))
FAR = HardwareAddress(1, bytes((2, 0, 0, 0, 9, 9)))
UNICAST = replace(DHCP, multicast=replace(DHCP.multicast, base=None), boot=replace(DHCP.boot, default="nbp"))
SILENT = replace(UNICAST, inventory=Inventory((NodeEntry(hardware=NICS, bootable=C, other_nics=OtherNics.SILENT),)))
HOLD = replace(UNICAST, inventory=Inventory((NodeEntry(hardware=NICS, bootable=C),)))


class Rack:
    """A server, and what its interfaces call."""

    def __init__(self, settings: Settings = UNICAST) -> None:
        self.service = BootService(settings, ONE_IMAGE)
        self.now = 1000.0
        self.effects: Effects = ()

    def dhcp(self, nic: HardwareAddress, kind: int, more: Mapping[int, bytes] | None = None) -> str:
        """Send a message; return the address in the answer, "" without one."""
        options = Options({53: bytes((kind,)), **BIOS_ROM, **(more or {})})
        request = DhcpMessage(BOOTREQUEST, nic.octets[-1], nic.octets.ljust(16, b"\0"), options=options)
        datagram = Datagram(Service.DHCP, NOBODY, ANYBODY, bootp.build(request))
        self.effects = self.service.receive(datagram, self.now)
        kinds = (ReportKind.DHCP_OFFERED, ReportKind.DHCP_ACKED)
        return next((each.address for each in self.reports() if each.kind in kinds), "")

    def discover(self, nic: HardwareAddress) -> str:
        return self.dhcp(nic, MessageType.DISCOVER)

    def request(self, nic: HardwareAddress, address: str, server: IPv4Address = SERVER) -> str:
        return self.dhcp(nic, MessageType.REQUEST, {50: IPv4Address(address).packed, 54: server.packed})

    def boot(self, nic: HardwareAddress) -> str:
        return self.request(nic, self.discover(nic))

    def ask(self, address: str) -> None:
        data = tftp.build(tftp.Request(1, b"nbp"))
        datagram = Datagram(Service.TFTP, Endpoint(address, 2070), Endpoint(str(SERVER), 69), data)
        self.effects = self.service.receive(datagram, self.now)

    def reports(self) -> list[Report]:
        return [each for each in self.effects if isinstance(each, Report)]

    def named(self) -> list[HardwareAddress | None]:
        return [each.hardware for each in self.reports() if each.kind is ReportKind.WRONG_NIC]

    def record(self) -> NodeStatistics:
        (found,) = self.service.nodes.nodes()
        return found


def test_the_interface_that_loads_speaks_for_its_machine_and_the_others_are_named() -> None:
    rack = Rack()
    addresses = [rack.discover(nic) for nic in NICS]
    for nic, address in zip(NICS, addresses, strict=True):
        rack.request(nic, address)
    assert (rack.record().hardware, rack.record().state) == (C, NodeState.ACKED), "acknowledged last"
    rack.ask(addresses[1])
    record = rack.record()
    assert (record.hardware, record.address, record.state) == (B, addresses[1], NodeState.UNICAST)
    assert sorted(rack.named()) == [A, C]  # type: ignore[type-var]
    assert sorted(record.wrong_nics) == [A, C]
    assert record.attempt == 1
    rack.ask(addresses[1])
    assert rack.named() == []


def test_who_calls_aside_moves_nothing() -> None:
    rack = Rack()
    rack.boot(A)
    rack.discover(B)
    assert (rack.record().hardware, rack.record().state) == (A, NodeState.ACKED)


def test_the_next_interface_is_tried_when_one_has_failed() -> None:
    rack = Rack()
    rack.boot(A)
    rack.discover(B)
    rack.now += 30
    rack.service.tick(rack.now)
    assert rack.record().state is NodeState.SILENT
    address = rack.discover(C)
    assert (rack.record().hardware, rack.record().state) == (C, NodeState.OFFERED)
    rack.ask(rack.request(C, address))
    assert sorted(rack.record().wrong_nics) == [A, B]


def test_who_does_not_boot_is_named_once_an_attempt() -> None:
    for settings, answer in ((SILENT, "silent"), (HOLD, "hold")):
        rack = Rack(settings)
        rack.discover(A)
        assert rack.named() == [A]
        (report,) = (each for each in rack.reports() if each.kind is ReportKind.WRONG_NIC)
        assert dict(report.detail) == {"boots": str(C), "known": "configured", "answer": answer}
        record = rack.record()
        assert (record.hardware, record.state) == (C, NodeState.IGNORED)
        assert str(A) in record.reason
        rack.discover(A)
        assert rack.named() == []
        rack.boot(C)
        assert (rack.record().state, rack.record().attempt) == (NodeState.ACKED, 1)
        rack.now += 100
        rack.discover(C)
        assert rack.record().wrong_nics == ()
        rack.discover(A)
        assert rack.named() == [A]
        assert rack.record().state is NodeState.OFFERED


def test_a_record_is_found_by_any_interface() -> None:
    rack = Rack(HOLD)
    rack.boot(C)
    rack.boot(A)
    assert rack.service.nodes.find(A) == rack.service.nodes.find(C) == rack.record()
    assert rack.service.nodes.forget(A)
    assert not rack.service.nodes.forget(C)


def test_records_of_interfaces_that_turn_out_to_be_one_machine_become_one() -> None:
    rack = Rack()
    rack.service.reconfigure(replace(UNICAST, inventory=NO_NODES), ONE_IMAGE, rack.now)
    for nic in (A, FAR):
        rack.boot(nic)
    assert len(rack.service.nodes.nodes()) == 2
    both = Inventory((NodeEntry(hardware=(A, FAR)),))
    rack.service.reconfigure(replace(UNICAST, inventory=both), ONE_IMAGE, rack.now)
    rack.discover(FAR)
    assert rack.record().hardware == A


def test_interfaces_of_several_machines_get_records_of_their_own() -> None:
    rack = Rack()
    for nic in (A, B):
        rack.boot(nic)
    assert rack.record().hardware == B
    rack.boot(FAR)  # with the same UUID, which therefore says nothing
    rack.boot(A)
    rack.boot(B)
    assert {each.hardware for each in rack.service.nodes.nodes()} == {A, B, FAR}


def test_an_interface_that_was_an_alias_leaves_its_former_machine() -> None:
    rack = Rack()
    for nic in (A, B):
        rack.discover(nic)
    rack.boot(FAR)
    rack.boot(B)
    assert {each.hardware for each in rack.service.nodes.nodes()} == {B, FAR}


def test_addresses_change_hands() -> None:
    rack = Rack(HOLD)
    first = rack.boot(A)
    rack.boot(C)
    key = next(lease.address for lease in rack.service.leases() if str(lease.address) == first)
    rack.service.release(key, rack.now)
    few = replace(HOLD.addressing, first=key, last=key)
    rack.service.reconfigure(replace(HOLD, addressing=few), ONE_IMAGE, rack.now)
    assert rack.boot(FAR) == first
    assert rack.service.nodes.find(first) == rack.service.nodes.find(FAR)
    rack.service.reconfigure(HOLD, ONE_IMAGE, rack.now)
    other = rack.boot(A)
    assert other != first
    record = rack.service.nodes.find(C)
    assert record is not None
    assert record.hardware == C


@pytest.mark.parametrize("nic", [A, C])
def test_an_interface_that_gets_another_address_leaves_the_former_one(nic: HardwareAddress) -> None:
    rack = Rack(HOLD)
    former = rack.boot(nic)
    other = IPv4Address("10.0.0.140")
    moved = replace(HOLD.addressing, first=other, last=other + 9)
    rack.service.reconfigure(replace(HOLD, addressing=moved), ONE_IMAGE, rack.now)
    rack.now += 100
    assert rack.boot(nic) == str(other)
    assert rack.service.nodes.find(former) is None
    assert rack.service.nodes.find(str(other)) == rack.record()


def test_beside_another_server() -> None:
    rack = Rack(replace(PROXY, boot=UNICAST.boot, inventory=HOLD.inventory))
    other = IPv4Address("10.0.0.2")
    for number, nic in enumerate((A, C)):
        rack.discover(nic)
        rack.request(nic, f"10.0.0.{50 + number}", other)
    rack.ask("10.0.0.51")
    assert (rack.record().hardware, rack.record().wrong_nics) == (C, (A,))


def test_a_machine_whose_section_is_gone_has_no_wrong_interfaces() -> None:
    rack = Rack(HOLD)
    rack.discover(A)
    address = rack.boot(C)
    assert sorted(rack.record().wrong_nics) == [A]
    rack.service.reconfigure(UNICAST, ONE_IMAGE, rack.now)
    rack.ask(address)
    assert (rack.record().state, rack.named()) == (NodeState.UNICAST, [])

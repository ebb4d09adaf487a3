"""The records of nodes: which state follows from which packets, step by step, with explicit times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.addresses.leases import OFFER_HOLD_SECONDS
from mtftpd.core.effects import Drop, DropReason, Effects, Lookup, OpenTransfer, Report, ReportKind, Service
from mtftpd.core.nodes import records
from mtftpd.core.nodes.alarms import MAX_ALARMS, AlarmKind, Alarms
from mtftpd.core.nodes.records import Node, Nodes, NodeStatistics
from mtftpd.core.nodes.states import (
    FAILED,
    INFERRED,
    MOVES,
    OFFER_SECONDS,
    RESTING,
    SILENT_FROM,
    Evidence,
    NodeState,
    destination,
    patience,
)
from mtftpd.core.service import BootService
from mtftpd.core.settings import Bandwidth, Mode, Settings
from mtftpd.wire import bootp, tftp
from mtftpd.wire.bootp import BOOTREQUEST, DhcpMessage, MessageType
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress
from mtftpd.wire.options import Options
from tests.core.dhcp_lab import ANYBODY, BIOS_ROM, DHCP, IPXE, MAC, NBP, NOBODY, OVMF, PROXY, SERVER, SYSTEM, TWO_IMAGES

HARDWARE = HardwareAddress(1, MAC)
GROUP = "239.1.1.1:1799"
OTHER = IPv4Address("10.0.0.2")
BLOCKS = NBP.blocks(512)


class Lab:
    """One server, and the packets that a test writes by hand."""

    def __init__(self, settings: Settings = DHCP) -> None:
        self.settings = replace(settings, boot=replace(settings.boot, default="nbp"))
        self.service = BootService(self.settings, TWO_IMAGES)
        self.now = 1000.0
        self.effects: Effects = ()

    def dhcp(
        self,
        kind: int | None,
        options: Mapping[int, bytes] = BIOS_ROM,
        *,
        xid: int = 7,
        mac: bytes = MAC,
        socket: int = Service.DHCP,
        **fields: object,
    ) -> None:
        values = {} if kind is None else {53: bytes((kind,))}
        message = DhcpMessage(BOOTREQUEST, xid, mac.ljust(16, b"\0"), options=Options({**values, **options}))
        message = replace(message, **fields)  # type: ignore[arg-type]
        source = Endpoint(str(message.ciaddr), 68) if int(message.ciaddr) else NOBODY
        self.effects = self.service.receive(Datagram(socket, source, ANYBODY, bootp.build(message)), self.now)

    def boot(self, options: Mapping[int, bytes] = BIOS_ROM, *, xid: int = 7, mac: bytes = MAC) -> None:
        self.dhcp(MessageType.DISCOVER, options, xid=xid, mac=mac)
        (address,) = {report.address for report in self.reports() if report.kind is ReportKind.DHCP_OFFERED}
        chosen = {50: IPv4Address(address).packed, 54: SERVER.packed}
        self.dhcp(MessageType.REQUEST, {**options, **chosen}, xid=xid, mac=mac)

    def packet(self, socket: int, data: bytes, address: str = "10.0.0.100", port: int = 2070) -> None:
        datagram = Datagram(socket, Endpoint(address, port), Endpoint(str(SERVER), 69), data)
        self.effects = self.service.receive(datagram, self.now)

    def ask(self, name: str = "nbp", socket: int = Service.TFTP, **source: object) -> int:
        self.packet(socket, tftp.build(tftp.Request(1, name.encode())), **source)  # type: ignore[arg-type]
        return next((effect.socket for effect in self.effects if isinstance(effect, OpenTransfer)), 0)

    def open(self, address: str = "10.0.0.100", port: int = 1799) -> None:
        self.ask("nbp", Service.MTFTP, address=address, port=port)

    def acknowledge(self, socket: int, last: int, **source: object) -> None:
        for number in range(1, last + 1):
            self.packet(socket, tftp.build(tftp.Ack(number)), **source)  # type: ignore[arg-type]

    def sleep(self, seconds: float) -> None:
        """Let time pass, with every timer at its time."""
        until = self.now + seconds
        while (deadline := self.service.next_deadline()) is not None and deadline <= until:
            self.now = deadline
            self.effects = self.service.tick(self.now)
        self.now = until

    def reports(self) -> list[Report]:
        return [effect for effect in self.effects if isinstance(effect, Report)]

    def node(self, hardware: HardwareAddress | None = HARDWARE) -> NodeStatistics:
        (found,) = (node for node in self.service.nodes.nodes() if node.hardware == hardware)
        return found

    @property
    def state(self) -> str:
        return self.node().state.value

    @property
    def path(self) -> list[str]:
        return [step.state.value for step in self.node().history]

    def alarms(self) -> list[AlarmKind]:
        return [alarm.kind for alarm in self.service.nodes.statistics().alarms]


@pytest.fixture
def lab() -> Lab:
    return Lab()


# The table


def test_every_state_can_be_reached_and_every_passing_one_left() -> None:
    reached = {target for _, target in MOVES.values()} | set(SILENT_FROM.values())
    assert reached == set(NodeState)
    left = set.union(*(set(origins) for origins, _ in MOVES.values()))
    assert set(NodeState) - RESTING <= left
    assert set(MOVES) == set(Evidence)


@given(st.sampled_from(NodeState), st.sampled_from(Evidence))
def test_only_an_acknowledgement_or_what_came_after_it_is_called_done(state: NodeState, evidence: Evidence) -> None:
    if destination(state, evidence) is NodeState.DONE:
        assert evidence in (Evidence.ALL_ACKNOWLEDGED, Evidence.CONFIRMED)
    if state in RESTING:
        assert patience(state, 2.0) is None


def test_an_offer_is_lost_when_its_address_is_free_again() -> None:
    assert OFFER_SECONDS == OFFER_HOLD_SECONDS
    assert NodeState.DONE not in INFERRED | FAILED


# DHCP


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


# Passes


def test_a_master_and_a_listener(lab: Lab) -> None:
    lab.boot()
    lab.open("10.0.0.109")
    assert (lab.state, lab.node().reason) == ("mcast-passive", f"{GROUP} is sending; here from the first block")
    master = lab.node(None)
    assert (master.state, master.address, master.file) == (NodeState.MASTER, "10.0.0.109", "nbp")
    lab.acknowledge(Service.MTFTP, BLOCKS, address="10.0.0.109", port=1799)
    assert lab.node(None).state is NodeState.DONE
    lab.sleep(2)
    assert lab.state == "mcast-passive"
    lab.sleep(1)
    assert lab.state == "done?"


def test_a_listener_whose_request_is_heard_again_after_the_pass_is_waited_for_all_the_same(lab: Lab) -> None:
    lab.boot()
    lab.open("10.0.0.109")
    lab.acknowledge(Service.MTFTP, BLOCKS, address="10.0.0.109", port=1799)
    chosen = {50: IPv4Address("10.0.0.100").packed, 54: SERVER.packed}
    lab.dhcp(MessageType.REQUEST, {**BIOS_ROM, **chosen})
    assert lab.state == "mcast-passive"
    lab.sleep(10)
    assert lab.state == "done?"


def test_a_listener_that_came_late_is_expected_to_open(lab: Lab) -> None:
    lab.open("10.0.0.109")
    lab.boot()
    assert (lab.state, lab.node().reason) == (
        "mcast-passive",
        f"{GROUP} is sending; here after the beginning of the pass",
    )
    lab.acknowledge(Service.MTFTP, BLOCKS, address="10.0.0.109", port=1799)
    assert (lab.state, lab.node().reason) == ("mcast-listen", f"the pass of {GROUP} is over: came late")
    lab.sleep(0.1)
    lab.open()
    assert lab.state == "mcast-master"


def test_an_open_during_a_pass_is_that_of_a_listener(lab: Lab) -> None:
    lab.boot()
    lab.boot(mac=bytes(5) + b"\1")
    lab.open("10.0.0.101")
    lab.acknowledge(Service.MTFTP, 3, address="10.0.0.101", port=1799)
    lab.open()
    assert lab.state == "mcast-passive"
    lab.service.nodes.forget(HARDWARE)
    lab.open("10.0.0.102")
    assert lab.node(None).state is NodeState.OPEN


def test_an_open_that_waits_for_others(lab: Lab) -> None:
    lab.boot()
    lab.open(port=50_000)
    lab.open("10.0.0.101", port=50_000)
    assert lab.state == "mcast-open"
    assert lab.node(None).state is NodeState.OPEN
    lab.sleep(0.2)
    assert lab.state == "mcast-master"
    lab.sleep(30)
    assert (lab.state, lab.node().reason) == ("stalled", "as master it never acknowledged block 1")


@pytest.mark.parametrize(("block", "state", "reason"), [
    (5, "stalled", "as master it fell silent, block 6 of 185"),
    (BLOCKS - 1, "done?", "it did not acknowledge the last block, block 185 of 185"),
])  # fmt: skip
def test_a_master_that_falls_silent(lab: Lab, block: int, state: str, reason: str) -> None:
    lab.boot()
    lab.open()
    lab.acknowledge(Service.MTFTP, block, port=1799)
    lab.sleep(20)
    assert (lab.state, lab.node().reason, lab.node().inferred) == (state, reason, True)


def test_a_master_that_sends_an_error(lab: Lab) -> None:
    lab.boot()
    lab.boot(mac=bytes(5) + b"\1")
    lab.open()
    lab.acknowledge(Service.MTFTP, 2, port=1799)
    lab.packet(Service.MTFTP, tftp.build(tftp.Error(8, "no")), port=1799)
    assert (lab.state, lab.node().reason) == ("aborted", "as master it sent an ERROR, block 3 of 185")
    lab.sleep(60)


def test_a_master_that_has_everything_early(lab: Lab) -> None:
    lab.boot()
    lab.open()
    lab.acknowledge(Service.MTFTP, 2, port=1799)
    lab.packet(Service.MTFTP, tftp.build(tftp.Ack(BLOCKS)), port=1799)
    assert lab.state == "done"


def test_a_master_that_opens_another_file(lab: Lab) -> None:
    lab.boot()
    lab.open()
    lab.acknowledge(Service.MTFTP, 2, port=1799)
    lab.ask("boot.efi", Service.MTFTP, port=1799)
    assert (lab.state, lab.node().group) == ("mcast-master", "239.1.1.2:1799")


def test_a_changed_image_ends_the_pass_for_everybody(lab: Lab) -> None:
    lab.boot()
    lab.open("10.0.0.109")
    lab.effects = lab.service.image_changed(NBP, lab.now)
    assert lab.node(None).reason == "the pass was ended: image changed, block 1"
    assert (lab.state, lab.node().reason) == ("mcast-listen", f"the pass of {GROUP} is over: ended at block 1 of 185")
    lab.sleep(13)
    assert lab.state == "acked-silent"


def test_a_reload_keeps_the_records(lab: Lab) -> None:
    lab.boot()
    lab.service.reconfigure(lab.settings, TWO_IMAGES, lab.now)
    assert lab.state == "mcast-listen"


# Transfers


def test_a_listener_turns_to_port_69(lab: Lab) -> None:
    lab.boot()
    lab.open("10.0.0.109")
    socket = lab.ask()
    assert lab.path[-2:] == ["fallback", "unicast"]
    assert lab.node().fallback == f"asks port 69 for nbp in state mcast-passive, not {GROUP}"
    lab.packet(socket, tftp.build(tftp.Error(0, "size")))
    assert (lab.state, lab.node().error) == ("aborted", "aborted by client: 0 size")


def test_a_size_probe_is_no_transfer(lab: Lab) -> None:
    lab.boot()
    lab.packet(Service.TFTP, tftp.build(tftp.Request(1, b"nbp", options=(("tsize", "0"),))))
    (socket,) = (effect.socket for effect in lab.effects if isinstance(effect, OpenTransfer))
    lab.packet(socket, tftp.build(tftp.Error(8, "enough")))
    assert lab.path[-3:] == ["unicast", "probe", "mcast-listen"]


def test_the_next_file_is_another_round(lab: Lab) -> None:
    lab.boot(OVMF)
    lab.acknowledge(lab.ask(), BLOCKS)
    socket = lab.ask("boot.efi")
    assert lab.path[-3:] == ["done", "next-stage", "unicast"]
    assert lab.node().round == 2
    lab.acknowledge(socket, 3)
    lab.ask("missing")
    assert lab.state == "done"


def test_a_last_block_without_acknowledgement_is_a_maybe(lab: Lab) -> None:
    lab.boot(OVMF)
    lab.acknowledge(lab.ask(), BLOCKS - 1)
    lab.sleep(30)
    assert (lab.state, lab.node().inferred) == ("done?", True)
    lab.ask("boot.efi")
    assert lab.path[-3:] == ["done", "next-stage", "unicast"]


def test_a_client_that_starts_over_has_not_failed(lab: Lab) -> None:
    lab.boot(OVMF)
    lab.acknowledge(lab.ask(), 5)
    lab.now += 3
    lab.ask()
    lab.ask("other")
    assert "stalled" not in lab.path
    lab.acknowledge(lab.ask(port=2071), BLOCKS - 1, port=2071)
    lab.now += 3
    lab.ask(port=2071)
    assert lab.state == "unicast"


def test_a_transfer_that_falls_silent(lab: Lab) -> None:
    lab.boot(OVMF)
    lab.acknowledge(lab.ask(), 5)
    lab.sleep(90)
    assert (lab.state, lab.node().reason) == ("stalled", "nbp, block 5: client fell silent")


def test_what_is_left_of_an_earlier_request_says_nothing(lab: Lab) -> None:
    lab.boot(OVMF)
    lab.ask()
    second = lab.ask(port=2071)
    lab.acknowledge(second, BLOCKS, port=2071)
    lab.sleep(60)
    assert lab.state == "done"


def test_two_transfers_at_once(lab: Lab) -> None:
    lab.boot(OVMF)
    first = lab.ask("boot.efi")
    lab.acknowledge(lab.ask(port=2071), 5, port=2071)
    lab.packet(first, tftp.build(tftp.Error(0, "gone")))
    assert lab.state == "unicast"
    lab.ask("missing")
    assert lab.state == "unicast"


def test_a_file_that_nobody_was_offered(lab: Lab) -> None:
    lab.boot()
    (lookup,) = (effect for effect in lab.effects if not isinstance(effect, Report)) if lab.ask("typo") else (None,)
    assert lookup is None
    lab.effects = lab.service.looked_up(1, None, lab.now)
    assert (lab.state, lab.node().error) == ("aborted", "ERROR 1 file not found: typo")
    assert lab.node().history[-1].packet == "RRQ from 10.0.0.100:2070"
    assert lab.alarms() == [AlarmKind.UNKNOWN_FILE]
    lab.packet(Service.TFTP, tftp.build(tftp.Request(2, b"nbp")))
    lab.ask("..", address="10.0.0.140")
    assert len(lab.service.nodes.nodes()) == 1


def test_a_record_that_was_forgotten_is_not_missed(lab: Lab) -> None:
    lab.boot(OVMF)
    first, second = lab.ask(), lab.ask("boot.efi", port=2071)
    lab.service.nodes.forget(HARDWARE)
    lab.acknowledge(second, 3, port=2071)
    lab.packet(first, tftp.build(tftp.Error(0, "gone")))
    assert lab.service.nodes.nodes() == ()


def test_a_system_that_fetches_files_is_no_next_stage(lab: Lab) -> None:
    lab.boot(OVMF)
    lab.dhcp(MessageType.DISCOVER, SYSTEM)
    lab.ask("boot.efi")
    assert lab.path[-2:] == ["os", "unicast"]


def test_a_changed_file_is_not_the_fault_of_the_node(lab: Lab) -> None:
    lab.boot(OVMF)
    lab.acknowledge(lab.ask(), 5)
    lab.service.image_changed(NBP, lab.now)
    assert (lab.state, lab.node().reason) == ("aborted", "nbp, block 5: file changed on the server")


def test_an_address_without_dhcp_is_a_record_until_dhcp_names_it(lab: Lab) -> None:
    lab.ask()
    assert lab.node(None).address == "10.0.0.100"
    lab.boot()
    assert [node.hardware for node in lab.service.nodes.nodes()] == [HARDWARE]
    lab.packet(9_999, b"\0\x63")
    lab.packet(9_999, b"\0\4\0\1")


def test_an_address_goes_from_node_to_node() -> None:
    nodes = Nodes()
    one, two = nodes.of(HARDWARE), nodes.of(HardwareAddress(1, b"123456"))
    nodes.locate(one, "10.0.0.5")
    nodes.locate(one, "10.0.0.6")
    nodes.locate(two, "10.0.0.6")
    nodes.locate(two, "")
    assert (nodes.at("10.0.0.5"), nodes.at("10.0.0.6"), one.address, two.address) == (None, two, "", "10.0.0.6")
    assert nodes.forget(two.key)
    assert not nodes.forget(two.key)
    assert nodes.at("10.0.0.6") is None


def test_there_is_a_limit_and_the_one_that_was_silent_longest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_NODES", 3)
    lab = Lab()
    for number in range(5):
        lab.dhcp(MessageType.DISCOVER, mac=bytes((2, 0, 0, 0, 0, number * 16)), xid=number)
    assert len(lab.service.nodes.nodes()) == 3
    lab.dhcp(MessageType.DISCOVER, mac=bytes((2, 0, 0, 0, 0, 32)), xid=77)
    assert [node.hardware.octets[-1] for node in lab.service.nodes.nodes() if node.hardware] == [32, 48, 64]
    lab.sleep(100)
    assert lab.service.nodes.statistics().states == {NodeState.LOST_OFFER: 3}


def test_a_history_is_bounded_and_a_reason_is_short() -> None:
    nodes, node = Nodes(), Node("10.0.0.9", None)
    for number in range(100):
        evidence = Evidence.DISCOVER if number % 2 else Evidence.REQUEST
        assert nodes_move(nodes, node, evidence, "x" * 1000, number)
    assert len(node.history) == records.HISTORY
    assert len(node.reason) == records.MAX_TEXT
    assert not nodes_move(nodes, Node("10.0.0.8", None), Evidence.SILENCE, "", 0)
    assert not Node("10.0.0.8", None).inferred
    assert len(nodes) == 2


def nodes_move(nodes: Nodes, node: Node, evidence: Evidence, reason: str, now: float) -> bool:
    record = nodes.visitor(str(node.key))
    record.history = node.history
    moved = nodes.move(record, evidence, reason, "", now, seconds=2.0)
    node.reason = record.reason
    return moved


# Alarms


def test_nodes_with_the_same_identifiers(lab: Lab) -> None:
    lab.dhcp(MessageType.DISCOVER, mac=b"\2\0\0\0\0\1")
    lab.dhcp(MessageType.DISCOVER, mac=b"\2\0\0\0\0\2", xid=8)
    assert lab.alarms() == []
    lab.dhcp(MessageType.DISCOVER, mac=b"\2\0\0\0\1\1", xid=8)
    assert lab.alarms() == [AlarmKind.DUPLICATE_UUID, AlarmKind.SAME_XID]
    lab.dhcp(MessageType.DISCOVER, mac=b"\2\0\0\0\1\1", xid=9)
    told = [report for report in lab.reports() if report.kind is ReportKind.ALARM]
    assert told == []
    duplicate = next(a for a in lab.service.nodes.statistics().alarms if a.kind is AlarmKind.DUPLICATE_UUID)
    assert duplicate.count == 2
    lab.now += 100
    lab.dhcp(MessageType.DISCOVER, {**BIOS_ROM, 97: bytes(17)}, mac=b"\2\0\0\0\2\1", xid=8)
    lab.dhcp(MessageType.DISCOVER, {**BIOS_ROM, 97: b"\0" + b"\1" * 16}, mac=b"\2\0\0\0\2", xid=10, htype=7, hlen=5)
    lab.dhcp(MessageType.DISCOVER, {**BIOS_ROM, 97: b"\0" + b"\1" * 16}, mac=b"\2\0\0\0\2\1", xid=11)
    assert len(lab.alarms()) == 2 + 1


def test_alarms_have_a_limit() -> None:
    alarms = Alarms()
    for number in range(MAX_ALARMS + 5):
        alarms.raise_alarm(AlarmKind.SILENT, str(number), "", number)
    assert [alarm.subject for alarm in alarms.statistics()] == [str(number) for number in range(5, MAX_ALARMS + 5)]


@given(st.lists(st.tuples(st.sampled_from([*Service]), st.binary(max_size=40)), max_size=8))
def test_no_packet_upsets_the_records(packets: list[tuple[int, bytes]]) -> None:
    lab = Lab()
    for socket, data in packets:
        lab.packet(socket, data)
        assert not any(isinstance(e, Drop) and e.reason not in DropReason for e in lab.effects)
    lab.sleep(200)
    assert all(node.reason for node in lab.service.nodes.nodes())


# What an operator may do


def test_a_pass_is_stopped_and_nobody_is_sent_an_error(lab: Lab) -> None:
    lab.boot()
    lab.open()
    assert lab.service.stop_pass("239.1.1.9:1799", lab.now) == ()
    lab.effects = lab.service.stop_pass(GROUP, lab.now)
    assert {type(effect) for effect in lab.effects} == {Report}
    assert lab.node().reason == "the pass was ended: stopped by the operator, block 1"
    assert lab.service.stop_pass(GROUP, lab.now) == ()


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


# Admission


def _limited(rate: float) -> Settings:
    return replace(DHCP, bandwidth=Bandwidth(rate))


def _fill(lab: Lab) -> int:
    """Have a client from elsewhere take what the link has in 0.1 s; returns the socket of its transfer."""
    options = (("windowsize", "16"), ("blksize", "1428"))
    lab.packet(Service.TFTP, tftp.build(tftp.Request(1, b"nbp", options=options)), "10.0.0.200", 3000)
    (opened,) = (effect.socket for effect in lab.effects if isinstance(effect, OpenTransfer))
    return opened


def test_who_must_wait_for_room_is_queued_with_a_place_and_then_served() -> None:
    lab = Lab(_limited(1e6))
    lab.boot()
    _fill(lab)
    lab.ask()
    assert lab.state == "queued"
    assert lab.node().reason == "asks port 69 for nbp, number 1 of 1 that wait"
    assert lab.service.statistics().admission.queue == ("10.0.0.100",)
    began = lab.now
    lab.sleep(3.0)
    assert lab.state == "unicast"
    assert lab.node().since == pytest.approx(began + 3.0)
    assert not lab.node().fallback


def test_who_gives_its_group_up_is_one_that_fell_back_also_if_it_must_wait() -> None:
    lab = Lab(_limited(1e6))
    lab.boot()
    _fill(lab)
    lab.open()
    lab.sleep(0.5)
    lab.ask(address="10.0.0.150")
    lab.ask()
    assert lab.service.statistics().admission.queue == ("10.0.0.100", "10.0.0.150")
    assert lab.node().fallback
    assert "fallback" in lab.path
    lab.sleep(3.0)
    assert lab.node().fallback


def test_a_transfer_that_ends_lets_the_next_one_begin() -> None:
    lab = Lab(_limited(1e6))
    lab.boot()
    socket = _fill(lab)
    lab.ask()
    assert lab.state == "queued"
    lab.packet(socket, tftp.build(tftp.Error(0, "enough")), "10.0.0.200", 3000)
    lab.sleep(0.0)
    assert lab.state == "unicast"


@pytest.mark.parametrize("secs", [4, 5])
def test_who_has_been_trying_for_long_has_tried(secs: int) -> None:
    lab = Lab()
    lab.boot()
    chosen = {50: IPv4Address("10.0.0.100").packed, 54: SERVER.packed}
    lab.dhcp(MessageType.REQUEST, {**BIOS_ROM, **chosen}, secs=secs)
    assert lab.service.nodes.has_tried("10.0.0.100", lab.now) is (secs >= 5)


def test_who_failed_a_while_ago_has_tried_and_a_stranger_has_not() -> None:
    lab = Lab()
    assert not lab.service.nodes.has_tried("10.0.0.100", lab.now)
    lab.boot()
    assert not lab.service.nodes.has_tried("10.0.0.100", lab.now)
    lab.sleep(100)
    assert lab.state == "acked-silent"
    lab.boot(xid=10)
    assert lab.service.nodes.has_tried("10.0.0.100", lab.now)
    lab.sleep(10)
    lab.now += 700
    assert not lab.service.nodes.has_tried("10.0.0.100", lab.now)


def test_files_that_must_be_looked_for_are_asked_of_the_shell_one_at_a_time() -> None:
    lab = Lab(_limited(1e6))
    socket = _fill(lab)
    for number in (1, 2):
        lab.ask(f"other{number}", address=f"10.0.0.15{number}")
    assert len(lab.service.statistics().admission.queue) == 2
    lab.packet(socket, tftp.build(tftp.Error(0, "enough")), "10.0.0.200", 3000)
    found = []
    for _ in range(2):
        lookups = [effect for effect in lab.service.tick(lab.now) if isinstance(effect, Lookup)]
        (lookup,) = lookups
        found.append(lookup.name)
        answer = lab.service.looked_up(lookup.request, None, lab.now)
        assert any(isinstance(effect, Report) and effect.kind is ReportKind.TFTP_REFUSED for effect in answer)
    assert found == ["other1", "other2"]
    assert lab.service.statistics().admission.queue == ()

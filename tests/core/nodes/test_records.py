"""The records of nodes themselves: the table of their moves, how many are kept and for how long, and their alarms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.addresses.leases import OFFER_HOLD_SECONDS
from mtftpd.core.effects import Drop, DropReason, ReportKind, Service
from mtftpd.core.nodes import records
from mtftpd.core.nodes.alarms import MAX_ALARMS, AlarmKind, Alarms
from mtftpd.core.nodes.records import Node, Nodes
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
from mtftpd.wire import tftp
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.datagram import HardwareAddress
from tests.core.dhcp.dhcp_lab import BIOS_ROM, OVMF
from tests.core.nodes.node_lab import HARDWARE, Lab


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


# Which records there are


def test_a_record_that_was_forgotten_is_not_missed(lab: Lab) -> None:
    lab.boot(OVMF)
    first, second = lab.ask(), lab.ask("boot.efi", port=2071)
    lab.service.nodes.forget(HARDWARE)
    lab.acknowledge(second, 3, port=2071)
    lab.packet(first, tftp.build(tftp.Error(0, "gone")))
    assert lab.service.nodes.nodes() == ()


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


def test_a_node_that_has_not_begun_has_no_attempt() -> None:
    lab = Lab()
    assert records.attempt_of(Node(HARDWARE, HARDWARE)) is None
    assert lab.service.nodes.attempt(HARDWARE) is None
    lab.boot()
    attempt = lab.service.nodes.attempt(HARDWARE)
    assert attempt is not None
    assert (attempt.node, attempt.number, attempt.state) == (HARDWARE, 1, lab.node().state)


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

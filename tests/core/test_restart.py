"""A server that was killed and started again: what it knows of nodes, and what it keeps silent about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from mtftpd.core.effects import Drop, DropReason, Report, ReportKind, SendRun, Service
from mtftpd.core.learning.fallback import NodeStage, Trigger
from mtftpd.core.mtftp.timing import QUIET
from mtftpd.core.nodes.attempts import PAST_ATTEMPTS, Attempt
from mtftpd.core.nodes.records import NodeStatistics
from mtftpd.core.nodes.states import NodeState
from mtftpd.core.service import BootService
from mtftpd.quirks.evidence import Fingerprint
from mtftpd.wire import tftp
from mtftpd.wire.bootp import MessageType
from tests.core.dhcp.dhcp_lab import TWO_IMAGES
from tests.core.nodes.node_lab import GROUP, HARDWARE, Lab

ADDRESS = "10.0.0.100"
T = 2.0
NEVER = Fingerprint(b"PXEClient", b"", b"", b"", b"", b"", 0, 6)


def written_down(node: NodeStatistics) -> Attempt:
    """Return what a shell has written of the present attempt of ``node``."""
    return Attempt(
        node.hardware or node.address, node.attempt, node.began, node.since, node.state, node.reason,
        node.history[-1].packet, node.inferred, node.round, node.address, node.stage, node.rom, node.file, node.group,
    )  # fmt: skip


def restarted(lab: Lab, attempts: Iterable[Attempt], interrupted: Iterable[str] = ()) -> Lab:
    """Return a lab whose server is another one, which finds this."""
    lab.service = BootService(lab.settings, TWO_IMAGES, leases=lab.service.leases())
    lab.service.go_on(attempts, set(interrupted), lab.now)
    return lab


def attempt(number: int, state: NodeState, began: float = 10.0, since: float = 20.0, group: str = "") -> Attempt:
    why, packet = f"why {number}", f"packet {number}"
    return Attempt(
        HARDWARE, number, began, since, state, why, packet, False, 1, ADDRESS, "rom", "intel-bios", "nbp", group
    )


def test_a_node_is_where_it_was() -> None:
    lab = Lab()
    lab.boot()
    lab.sleep(1.0)
    before = lab.node()
    restarted(lab, [written_down(before)])
    after = lab.node()
    assert before.state is NodeState.LISTEN
    assert before.began == 1000.0
    assert after == replace(before, history=before.history[-1:])
    assert lab.service.nodes.find(ADDRESS) == after


def test_who_was_at_work_is_waited_for_and_then_given_up() -> None:
    for state in (NodeState.UNICAST, NodeState.MASTER, NodeState.PASSIVE, NodeState.LISTEN, NodeState.DISCOVER):
        lab = restarted(Lab(), [attempt(1, state, group=GROUP)])
        assert lab.node().state is (NodeState.LISTEN if state is NodeState.PASSIVE else state)
        lab.sleep(4 * T + 4)
        assert lab.state not in ("stalled", "acked-silent")
        lab.sleep(2)
        assert lab.state in ("stalled", "acked-silent")
        assert "nothing heard for" in lab.node().reason


@pytest.mark.parametrize("state", [NodeState.DONE, NodeState.MAYBE_DONE, NodeState.STALLED, NodeState.OS])
def test_who_was_at_rest_rests(state: NodeState) -> None:
    lab = restarted(Lab(), [attempt(4, state)])
    assert lab.service.nodes.next_deadline() is None
    lab.sleep(1000)
    assert (lab.node().state, lab.node().reason) == (state, "why 4")


def test_a_listener_is_called_done_only_after_a_pass_that_it_heard_from_the_beginning() -> None:
    lab = restarted(Lab(), [attempt(1, NodeState.PASSIVE, group=GROUP)])
    lab.dhcp(MessageType.DISCOVER, mac=b"\2\0\0\0\0\7", xid=70)
    lab.boot(mac=b"\2\0\0\0\0\7", xid=70)
    (other,) = (node.address for node in lab.service.nodes.nodes() if node.hardware != HARDWARE)
    lab.open(address=other)
    assert lab.state == "mcast-passive", "it belongs to the audience of its group again"


def test_attempts_are_counted_on_and_the_last_ones_remembered() -> None:
    ends = [NodeState.STALLED, NodeState.GAVE_UP, NodeState.SILENT, NodeState.DONE, NodeState.DONE]
    attempts = [attempt(number, state, number * 10.0, number * 10.0 + 5) for number, state in enumerate(ends, 1)]
    lab = restarted(Lab(), reversed(attempts))
    node = lab.node()
    assert (node.attempt, node.state, node.began) == (5, NodeState.DONE, 50.0)
    assert node.past == tuple(each.as_past() for each in attempts[-1 - PAST_ATTEMPTS : -1])
    lab.dhcp(MessageType.DISCOVER)
    node = lab.node()
    assert (node.attempt, node.began) == (6, lab.now)
    assert node.past[-1] == (5, 50.0, 55.0, NodeState.DONE, "why 5")
    assert len(node.past) == PAST_ATTEMPTS


def test_every_attempt_of_a_running_server_is_remembered_with_its_end() -> None:
    lab = Lab()
    lab.dhcp(MessageType.DISCOVER)
    lab.sleep(200)
    lab.dhcp(MessageType.DISCOVER, xid=8)
    (past,) = lab.node().past
    assert (past.number, past.began, past.state) == (1, 1000.0, NodeState.LOST_OFFER)
    assert past.ended == 1070.0


def test_a_boot_that_the_restart_fell_into_goes_on() -> None:
    """Its REQUEST is no new attempt, nor is a DISCOVER that it repeats."""
    lab = Lab()
    lab.dhcp(MessageType.DISCOVER)
    restarted(lab, [written_down(lab.node())])
    lab.sleep(2.0)
    lab.boot()
    assert (lab.state, lab.node().attempt, lab.node().past) == ("mcast-listen", 1, ())


def test_a_stranger_is_a_stranger_again_until_dhcp_names_it() -> None:
    seen = attempt(1, NodeState.DONE)._replace(node=ADDRESS)
    lab = restarted(Lab(), [seen])
    assert lab.node(None).address == ADDRESS
    lab.boot()
    assert [node.hardware for node in lab.service.nodes.nodes()] == [HARDWARE]


def test_the_one_that_moved_last_has_the_address() -> None:
    other = attempt(1, NodeState.DONE, since=30.0)._replace(node=HARDWARE._replace(octets=b"\2\0\0\0\0\7"))
    lab = restarted(Lab(), [other, attempt(1, NodeState.DONE)])
    found = lab.service.nodes.find(ADDRESS)
    assert found is not None
    assert found.hardware == other.node
    assert lab.node().address == ""


# The middle of a pass


def open_pass(lab: Lab, port: int = 1799) -> bool:
    """Return whether an open is answered by the beginning of a pass."""
    lab.packet(Service.MTFTP, tftp.build(tftp.Request(1, b"nbp")), port=port)
    drops = [effect.reason for effect in lab.effects if isinstance(effect, Drop)]
    assert drops in ([], [DropReason.QUIET])
    return any(isinstance(effect, SendRun) for effect in lab.effects)


def test_a_group_is_silent_until_whoever_heard_the_dead_server_has_given_up() -> None:
    lab = restarted(Lab(), (), [GROUP])
    began = lab.now
    lab.sleep(T + QUIET - 0.01)
    assert not open_pass(lab)
    lab.sleep(0.02)
    assert open_pass(lab)
    assert lab.now - began < T + QUIET + 0.1


def test_a_group_that_was_at_rest_begins_at_once() -> None:
    assert open_pass(restarted(Lab(), (), ["239.9.9.9:1799"]))


# Forgetting


def test_an_operator_has_a_node_forgotten_with_all_that_was_learnt() -> None:
    lab = Lab()
    lab.boot()
    memory = lab.service.fallback.memory
    for hardware in (HARDWARE, HARDWARE._replace(octets=b"\2\0\0\0\0\7")):
        for stage in ("intel-bios", "ipxe"):
            memory.failed(NodeStage(hardware, stage), NEVER, Trigger.F5, lab.now)
    memory.take_changed()
    assert lab.service.forget(ADDRESS) == (Report(ReportKind.NODE_FORGOTTEN, ADDRESS, HARDWARE),)
    assert lab.service.forget(HARDWARE) == ()
    assert {mark.node.hardware.octets for mark in memory.snapshot()} == {b"\2\0\0\0\0\7"}
    assert {(mark.node.stage, held) for mark, held in memory.take_changed()} == {("intel-bios", False), ("ipxe", False)}
    assert lab.service.nodes.find(HARDWARE) is None
    lab.ask("nbp", address="10.0.0.105")
    assert lab.service.forget("10.0.0.105") == (Report(ReportKind.NODE_FORGOTTEN, "10.0.0.105", None),)

"""What the record of a node learns from port 69: files, rounds, failures, and the wait for room on the link."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mtftpd.core.effects import Lookup, OpenTransfer, Report, ReportKind, Service
from mtftpd.core.nodes.alarms import AlarmKind
from mtftpd.core.settings import Bandwidth, Settings
from mtftpd.wire import tftp
from mtftpd.wire.bootp import MessageType
from tests.core.dhcp.dhcp_lab import BIOS_ROM, DHCP, NBP, OVMF, SERVER, SYSTEM
from tests.core.nodes.node_lab import BLOCKS, GROUP, Lab


@pytest.fixture
def lab() -> Lab:
    return Lab()


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

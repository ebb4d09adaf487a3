"""What the record of a node learns from the passes of its group: master, listener, and every end of a pass."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from mtftpd.core.effects import Report, Service
from mtftpd.core.nodes.states import NodeState
from mtftpd.wire import tftp
from mtftpd.wire.bootp import MessageType
from tests.core.dhcp.dhcp_lab import BIOS_ROM, NBP, SERVER, TWO_IMAGES
from tests.core.nodes.node_lab import BLOCKS, GROUP, HARDWARE, Lab


@pytest.fixture
def lab() -> Lab:
    return Lab()


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


def test_a_pass_is_stopped_and_nobody_is_sent_an_error(lab: Lab) -> None:
    lab.boot()
    lab.open()
    assert lab.service.stop_pass("239.1.1.9:1799", lab.now) == ()
    lab.effects = lab.service.stop_pass(GROUP, lab.now)
    assert {type(effect) for effect in lab.effects} == {Report}
    assert lab.node().reason == "the pass was ended: stopped by the operator, block 1"
    assert lab.service.stop_pass(GROUP, lab.now) == ()

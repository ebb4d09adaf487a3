"""How clients leave iPXE's group: errors, silence, port 69, and what is remembered of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mtftpd.core.effects import DropReason, ReportKind, Service
from mtftpd.core.mtftp.listeners import Listeners
from mtftpd.core.mtftp.timing import GATHER
from mtftpd.core.nodes.states import NodeState
from mtftpd.core.service import BootService
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.mtftp import IPXE_GROUP
from tests.core.dhcp.dhcp_lab import DHCP, NBP, ONE_IMAGE
from tests.core.mtftp.carousel_lab import A, B, IpxeLab
from tests.core.mtftp.mtftp_lab import drops, image, reports, sent


class TestEnds:
    def test_an_error_takes_a_listener_out(self) -> None:
        lab = IpxeLab(image(20))
        lab.asks(A)
        assert drops(lab.says(A, 1)) == [DropReason.UNEXPECTED], "nothing was sent yet"
        assert drops(lab.error(A, Service.MTFTP_IPXE)) == [DropReason.UNEXPECTED]
        assert drops(lab.error(A, Service.MTFTP_IPXE)) == [DropReason.NOT_THE_MASTER]
        assert lab.until_due() == ()
        assert lab.carousel.state == "idle"

    def test_who_turns_to_port_69_is_counted_and_the_turn_ends_with_the_last(self) -> None:
        lab = IpxeLab(image(20))
        lab.asks(A)
        lab.until_due()
        assert lab.service.is_fetching(A.address)
        effects = lab.service.fetched_by_unicast(A.address, "kernel", lab.now)
        assert reports(effects, ReportKind.FALLBACK)
        assert not lab.service.is_fetching(A.address)
        assert reports(lab.until_due(), ReportKind.PASS_ENDED)
        assert lab.carousel.fallbacks == 1
        assert lab.service.fetched_by_unicast(A.address, "kernel", lab.now) == ()

    def test_an_operator_stops_it_and_it_is_quiet_until_all_have_left(self) -> None:
        lab = IpxeLab(image(20))
        lab.asks(A)
        lab.until_due()
        assert reports(lab.service.stop(str(IPXE_GROUP), lab.now), ReportKind.PASS_ABORTED)
        assert drops(lab.asks(A)) == [DropReason.QUIET]
        lab.run_until(lab.now + 1.3)
        assert lab.carousel.state == "idle"

    def test_nothing_that_has_begun_is_stopped_without_a_word(self) -> None:
        lab = IpxeLab(image(20))
        assert lab.service.stop(str(IPXE_GROUP), lab.now) == ()
        lab.asks(A)
        assert lab.service.stop(str(IPXE_GROUP), lab.now) == ()
        assert lab.carousel.state == "idle"

    def test_a_running_turn_ends_with_the_image_that_it_began_with(self) -> None:
        old, new = image(20), image(30, key=2)
        lab = IpxeLab(old)
        lab.asks(A)
        lab.until_due()
        lab.reconfigure(new)
        assert lab.service.images_in_use() == {1, 2}
        lab.to_poll()
        assert sent(lab.says(A, 19)) == [(A, 20, 1)]
        lab.says(A, 20)
        lab.until_due()
        assert lab.carousel.state == "quiet"
        lab.until_due()
        assert lab.service.images_in_use() == {2}
        lab.asks(B)
        lab.to_poll()
        assert lab.carousel.blocks == 30

    def test_who_waits_when_the_content_changes_shortly_after_a_turn_is_sent_away(self) -> None:
        lab = IpxeLab(image(20))
        lab.asks(A)
        lab.until_due()
        lab.error(A, Service.MTFTP_IPXE)
        lab.until_due()
        lab.asks(B)
        lab.reconfigure(image(30, key=2))
        assert lab.carousel.state == "quiet"

    def test_an_image_that_changed_on_the_disk_ends_it(self) -> None:
        shown = image(20)
        lab = IpxeLab(shown)
        lab.asks(A)
        assert not reports(lab.service.image_changed(replace(shown, key=7), lab.now), ReportKind.PASS_ABORTED)
        lab.until_due()
        assert reports(lab.service.image_changed(shown, lab.now), ReportKind.PASS_ABORTED)

    def test_a_group_that_rests_at_the_start_is_quiet(self) -> None:
        lab = IpxeLab(image(20))
        lab.service.rest([str(IPXE_GROUP)], lab.now)
        assert drops(lab.asks(A)) == [DropReason.QUIET]

    def test_a_paused_group_completes_its_turn_and_begins_no_other(self) -> None:
        lab = IpxeLab(image(20))
        lab.service.slow_down(lambda _group, _now: 0.5)
        lab.asks(A)
        lab.until_due()
        lab.service.pause(str(IPXE_GROUP), lab.now)
        assert lab.carousel.paused
        lab.to_poll()
        lab.says(A, 19)
        lab.says(A, 20)
        lab.until_due()
        assert drops(lab.asks(B)) == [DropReason.PAUSED]
        assert lab.service.start(str(IPXE_GROUP), lab.now) == ()

    def test_another_file_is_no_reason_to_leave(self) -> None:
        lab = IpxeLab(image(20))
        lab.asks(A)
        lab.service.learn((), lab.now)
        assert lab.service.fetched_by_unicast(A.address, "initrd", lab.now) == ()
        assert lab.service.is_fetching(A.address)


def test_there_is_no_end_of_clients_but_of_those_that_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtftpd.core.mtftp.listeners.MAX_LISTENERS", 1)
    listeners = Listeners()
    listeners.opened(A)
    assert listeners.opened(B)[1]
    assert (len(listeners), B.address in listeners) == (1, False)


def test_the_record_of_a_node_says_that_it_has_everything() -> None:
    service = BootService(replace(DHCP, faithful=False), ONE_IMAGE)
    source = Endpoint("10.0.0.101", 2000)
    opened = service.receive(Datagram(Service.MTFTP_IPXE, source, Endpoint("10.0.0.1", 1759), b"\0\1nbp\0octet\0"), 1.0)
    assert not drops(opened)
    service.tick(1.0 + GATHER)
    blocks = NBP.blocks(512)
    service.receive(
        Datagram(Service.MTFTP_IPXE, source, Endpoint("10.0.0.1", 1759), b"\0\4" + blocks.to_bytes(2, "big")), 1.3
    )
    node = service.nodes.find(source.address)
    assert node is not None
    assert (node.state, node.inferred) == (NodeState.DONE, False)

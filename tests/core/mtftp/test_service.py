"""What arrives at the MTFTP sockets and where it goes; reload and changed images; what is counted."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.effects import Drop, DropReason, Report, ReportKind, Send, SendRun, Service
from mtftpd.core.mtftp.timing import GATHER, QUIET
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.tftp import Ack, Data, Error, OptionAck, Request, build, parse_untrusted
from tests.core.mtftp.mtftp_lab import (
    GROUP,
    IPXE_GROUP,
    SECOND_GROUP,
    SETTINGS,
    A,
    B,
    C,
    Lab,
    T,
    drops,
    image,
    reports,
    sent,
    sent_later,
)


class TestOpens:
    @pytest.mark.parametrize("mode", ["octet", "OCTET", "Octet"])
    @pytest.mark.parametrize("port", [1799, 1025, 65535])
    def test_rrq_01_from_any_port_in_any_case(self, mode: str, port: int) -> None:
        lab = Lab(image(3))
        source = Endpoint(A.address, port)
        effects = lab.packet(source, b"\0\1kernel\0" + mode.encode() + b"\0") + lab.wait(GATHER)
        assert sent(effects) == [(source, 1, 1), (GROUP, 1, 1)]

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            pytest.param(build(Request(1, b"other")), DropReason.UNKNOWN_FILE, id="unknown file"),
            pytest.param(build(Request(1, b"../kernel")), DropReason.UNKNOWN_FILE, id="refused name"),
            pytest.param(build(Request(1, b"kernel", "netascii")), DropReason.BAD_MODE, id="netascii"),
            pytest.param(build(Request(2, b"kernel")), DropReason.WRITE_REQUEST, id="WRQ"),
            pytest.param(b"\0\1kernel\0oct", DropReason.MALFORMED, id="cut"),
            pytest.param(b"", DropReason.MALFORMED, id="empty"),
            pytest.param(b"\0\7/\0octet\0", DropReason.MALFORMED, id="DIR of EFI 1.02"),
            pytest.param(build(Data(1, b"x")), DropReason.NOT_A_REQUEST, id="DATA"),
            pytest.param(build(OptionAck(())), DropReason.NOT_A_REQUEST, id="OACK"),
        ],
    )
    def test_rrq_09_silence_for_what_is_no_open(self, data: bytes, reason: DropReason) -> None:
        lab = Lab(image(3))
        [effect] = lab.packet(A, data)
        assert isinstance(effect, Drop)
        assert effect.reason is reason
        assert effect.source == A
        assert lab.state == "idle"

    @pytest.mark.parametrize(
        "filename", [b"/kernel", b"kernel\xff", b"boot\\kernel", b"\\boot\\kernel", b"//boot/kernel"]
    )
    def test_rrq_13_names_as_roms_write_them(self, filename: bytes) -> None:
        assert sent(Lab(image(3)).open(A, filename)) == [(A, 1, 1), (GROUP, 1, 1)]

    @pytest.mark.parametrize("offered", ["kernel", "/boot/kernel", "mtftp://10.0.0.1:1759/kernel"])
    def test_rrq_12_an_empty_name_is_the_file_that_was_offered(self, offered: str) -> None:
        lab = Lab(image(3), offered={A.address: offered}.get)
        assert sent(lab.open(A, b"")) == [(A, 1, 1), (GROUP, 1, 1)]
        assert drops(lab.open(B, b"")) == [DropReason.UNKNOWN_FILE]

    def test_sources_that_may_not_be_answered(self) -> None:
        lab = Lab(image(3), settings=replace(SETTINGS, allowed=(IPv4Network("192.0.2.0/24"),)))
        assert drops(lab.open(Endpoint("10.0.1.1", 1799))) == [DropReason.OFF_LINK]
        assert drops(lab.open(Endpoint(A.address, 0))) == [DropReason.MALFORMED]
        relayed = Endpoint("192.0.2.1", 1799)
        assert sent(lab.open(relayed)) == [(relayed, 1, 1), (GROUP, 1, 1)]

    def test_on_the_socket_of_ipxe_only_its_image_is_known(self) -> None:
        lab = Lab(image(3), image(3, key=2, name="initrd"))
        assert drops(lab.open(C, b"initrd", socket=Service.MTFTP_IPXE)) == [DropReason.UNKNOWN_FILE]
        lab.open(C, socket=Service.MTFTP_IPXE)
        assert sent(lab.wait(GATHER)) == [(C, 1, 1), (IPXE_GROUP, 1, 1)]

    def test_without_any_group_everything_is_unknown(self) -> None:
        assert drops(Lab().open(A)) == [DropReason.UNKNOWN_FILE]


class TestOptions:
    SIZE_PROBE = (("tsize", "0"), ("blksize", "8192"))

    def test_rrq_10_a_probe_is_answered_and_opens_nothing(self) -> None:
        lab = Lab(image(3))
        [effect] = lab.open(C, options=self.SIZE_PROBE)
        assert isinstance(effect, Send)
        assert (effect.socket, effect.destination) == (Service.MTFTP, C)
        assert parse_untrusted(effect.data) == OptionAck((("tsize", str(2 * 512 + 100)), ("blksize", "512")))
        assert lab.state == "idle"
        assert lab.service.statistics().probes == 1
        assert drops(lab.error(C)) == [DropReason.NOT_THE_MASTER]

    @pytest.mark.parametrize("value", ["511", "0", "-1", "", "99999999", "\xb2\xb2\xb2\xb2", "5 12"])
    def test_rrq_10_a_block_size_that_cannot_be_512_is_left_out(self, value: str) -> None:
        lab = Lab(image(3))
        [effect] = lab.open(C, options=(("blksize", value), ("tsize", "0"), ("tsize", "7")))
        assert isinstance(effect, Send)
        assert parse_untrusted(effect.data) == OptionAck((("tsize", "1124"),))

    def test_rrq_10_nothing_that_is_known_is_silence(self) -> None:
        assert drops(Lab(image(3)).open(C, options=(("multicast", ""),))) == [DropReason.HAS_OPTIONS]

    def test_rrq_11_from_the_client_port_options_mean_nothing(self) -> None:
        """Etherboot appends them to every request."""
        assert sent(Lab(image(3)).open(A, options=self.SIZE_PROBE)) == [(A, 1, 1), (GROUP, 1, 1)]


class TestRouting:
    def test_a_master_that_opens_another_file_from_its_port_has_left_the_first(self) -> None:
        lab = Lab(image(5), image(5, key=2, name="initrd"))
        lab.lockstep(A, 3)
        effects = lab.open(A, b"initrd")
        assert sent(effects) == [(A, 1, 1), (SECOND_GROUP, 1, 1)]
        assert [report["why"] for report in reports(effects, ReportKind.MASTER_LOST)] == ["gone"]
        assert sent(lab.ack(A, 1)) == [(SECOND_GROUP, 2, 1)]
        runs = {run for _, run in sent_later(lab.run_until(lab.now + 0.5))}
        assert {(GROUP, 4, 1), (GROUP, 5, 1)} <= runs

    def test_a_client_that_waits_for_two_files_becomes_master_of_the_later(self) -> None:
        lab = Lab(image(5), image(5, key=2, name="initrd"))
        lab.open(C)
        lab.now += 0.05
        lab.open(C, b"initrd")
        lab.run_until(lab.now + GATHER)
        assert [group.master for group in lab.service.statistics().groups] == ["", str(C), ""]

    def test_two_sockets_are_two_sessions(self) -> None:
        lab = Lab(image(5))
        lab.open(C, socket=Service.MTFTP_IPXE)
        lab.open(C)
        lab.wait(GATHER)
        assert sent(lab.ack(C, 1)) == [(GROUP, 2, 1)]
        assert sent(lab.ack(C, 1, socket=Service.MTFTP_IPXE)) == [(IPXE_GROUP, 2, 1)]

    def test_errors_count_on_the_socket_of_the_session_only(self) -> None:
        lab = Lab(image(5))
        lab.lockstep(A, 2)
        assert drops(lab.error(A, socket=Service.MTFTP_IPXE)) == [DropReason.NOT_THE_MASTER]
        assert lab.group.master == str(A)

    def test_q15_the_swapped_port_is_reported_once_per_client(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mtftpd.core.mtftp.service.MAX_SWAPPED", 2)
        lab = Lab(image(5))
        seen = []
        for host in (1, 1, 2, 3, 1):
            source = Endpoint(f"10.0.0.{host}", 1799)
            effects = lab.open(source, socket=Service.MTFTP_SWAPPED)
            assert drops(effects) == [DropReason.SWAPPED_PORT]
            seen.append(len(effects) - 1)
        assert seen == [1, 0, 1, 1, 1]
        assert lab.service.statistics().swapped == 5
        assert isinstance(effects[1], Report)
        assert effects[1].detail == (("server-port", 1542),)


class TestChangedImages:
    def test_no_mixed_image_a_changed_file_ends_its_pass_and_is_served_no_more(self) -> None:
        lab = Lab(image(5))
        lab.lockstep(A, 3)
        effects = lab.service.image_changed(image(5), lab.now)
        assert len(reports(effects, ReportKind.PASS_ABORTED)) == 1
        assert drops(lab.ack(A, 3)) == [DropReason.NOT_THE_MASTER]
        lab.run_until(lab.now + 10)
        assert drops(lab.open(B)) == [DropReason.IMAGE_CHANGED]

    def test_openers_that_are_waiting_are_forgotten(self) -> None:
        lab = Lab(image(5))
        lab.open(C)
        assert lab.service.image_changed(image(5), lab.now) == ()
        assert lab.state == "idle"

    def test_other_images_go_on(self) -> None:
        lab = Lab(image(5), image(5, key=2, name="initrd"))
        lab.lockstep(A, 3)
        lab.service.image_changed(image(5, key=2), lab.now)
        assert sent(lab.ack(A, 3)) == [(GROUP, 4, 1)]
        assert lab.service.image_changed(image(5, key=7), lab.now) == ()

    def test_aborting_what_does_not_run_does_nothing(self) -> None:
        lab = Lab(image(5))
        [session, _] = lab.service._sessions.values()
        assert session.abort("stop", lab.now) == ()
        assert session.is_idle


class TestReload:
    def test_a_running_pass_ends_with_what_it_began_with(self) -> None:
        lab = Lab(image(4))
        lab.lockstep(A, 2)
        lab.reconfigure(image(9, key=2))
        runs = [*lab.ack(A, 2), *lab.ack(A, 3)]
        assert [run.image.key for run in runs if isinstance(run, SendRun)] == [1, 1]
        assert sent(lab.open(B)) == [(B, 1, 1), (SECOND_GROUP, 1, 1)]
        assert len(lab.service.statistics().groups) == 3
        assert len(reports(lab.ack(A, 4), ReportKind.PASS_ENDED)) == 1
        lab.until_due()
        lab.run_until(lab.now + 1)
        assert [group.group for group in lab.service.statistics().groups] == [str(SECOND_GROUP), str(IPXE_GROUP)]

    def test_the_master_of_a_retiring_group_may_still_ask_again(self) -> None:
        lab = Lab(image(4))
        lab.lockstep(A, 2)
        lab.reconfigure(image(9, key=2))
        moved = Endpoint(A.address, 2222)
        assert sent(lab.open(moved)) == [(moved, 2, 1), (GROUP, 2, 1)]
        assert sent(lab.ack(moved, 2)) == [(GROUP, 3, 1)]

    def test_content_that_comes_back_finds_its_pass_running(self) -> None:
        lab = Lab(image(4))
        lab.lockstep(A, 2)
        lab.reconfigure()
        assert drops(lab.open(B)) == [DropReason.UNKNOWN_FILE]
        lab.reconfigure(replace(image(4), key=5))
        assert sent(lab.ack(A, 2)) == [(GROUP, 3, 1)]
        assert drops(lab.open(B)) == [DropReason.PASS_RUNNING]

    def test_idle_groups_go_at_once(self) -> None:
        lab = Lab(image(4))
        lab.reconfigure()
        assert lab.service.statistics().groups == ()

    def start_ipxe(self, lab: Lab) -> None:
        lab.open(C, socket=Service.MTFTP_IPXE)
        lab.until_due()
        lab.ack(C, 1, socket=Service.MTFTP_IPXE)

    def state(self, lab: Lab) -> str:
        return lab.service.statistics().groups[-1].state

    def test_grp_03_new_content_on_the_group_of_ipxe_waits_until_its_listeners_have_left(self) -> None:
        lab = Lab(image(2))
        self.start_ipxe(lab)
        lab.reconfigure(image(3, key=2))
        lab.ack(C, 2, socket=Service.MTFTP_IPXE)
        start = lab.now
        assert drops(lab.open(C, socket=Service.MTFTP_IPXE)) == [DropReason.QUIET]
        lab.until_due()
        assert lab.now - start == pytest.approx(1 + QUIET)
        lab.open(C, socket=Service.MTFTP_IPXE)
        [to_master, _, _] = lab.until_due()
        assert isinstance(to_master, SendRun)
        assert to_master.image.key == 2

    @pytest.mark.parametrize("wait", [0.0, 0.5])
    def test_grp_03_also_when_the_pass_has_just_ended(self, wait: float) -> None:
        lab = Lab(image(2))
        self.start_ipxe(lab)
        lab.ack(C, 2, socket=Service.MTFTP_IPXE)
        end = lab.now
        lab.wait(wait)
        lab.reconfigure(image(3, key=2))
        assert self.state(lab) == "quiet"
        lab.until_due()
        assert lab.now - end == pytest.approx(1 + QUIET)

    def test_grp_03_and_for_openers_that_came_before_the_reload(self) -> None:
        lab = Lab(image(2))
        self.start_ipxe(lab)
        lab.ack(C, 2, socket=Service.MTFTP_IPXE)
        lab.wait(0.3)
        lab.open(B, socket=Service.MTFTP_IPXE)
        lab.reconfigure(image(3, key=2))
        assert self.state(lab) == "quiet"

    def test_later_nobody_is_waited_for(self) -> None:
        lab = Lab(image(2))
        self.start_ipxe(lab)
        lab.ack(C, 2, socket=Service.MTFTP_IPXE)
        lab.wait(5)
        lab.reconfigure(image(3, key=2))
        assert self.state(lab) == "idle"

    def test_the_same_content_changes_nothing(self) -> None:
        lab = Lab(image(2))
        self.start_ipxe(lab)
        lab.ack(C, 2, socket=Service.MTFTP_IPXE)
        lab.reconfigure(replace(image(2), key=2))
        assert self.state(lab) == "gap"


def test_obs_01_a_group_says_what_it_has_done() -> None:
    lab = Lab(image(4))
    assert lab.group.state == "idle"
    assert lab.group.blocks == 4
    lab.lockstep(A, 3)
    lab.open(B)
    lab.run_until(lab.now + 0.1)
    group = lab.group
    assert (group.state, group.block, group.blocks, group.master) == ("lockstep", 3, 4, str(A))
    assert (group.passes, group.sent, group.repeats, group.stalls, group.ignored) == (1, 5, 2, 1, 1)
    lab.ack(A, 3)
    lab.ack(A, 4)
    assert lab.group.sent == 6
    lab.lockstep(B, 2)
    lab.error(B)
    lab.run_until(lab.now + 1)
    group = lab.group
    assert (group.passes, group.sent, group.repeats, group.masters_lost) == (2, 10, 2, 1)
    assert (group.image, group.group, group.master, group.block) == ("kernel", str(GROUP), "", 0)


class TestFallbacks:
    """OBS-01 counts who opened here and then went to port 69."""

    def fall_back(self, lab: Lab, client: Endpoint, name: str = "kernel") -> list[ReportKind]:
        effects = lab.service.fetched_by_unicast(client.address, name, lab.now)
        return [each.kind for each in effects if isinstance(each, Report)]

    def test_a_client_that_opened_in_vain_is_counted_once(self) -> None:
        lab = Lab(image(4))
        lab.lockstep(A, 2)
        lab.open(B)
        assert self.fall_back(lab, B, "initrd") == []
        assert self.fall_back(lab, B, "boot/kernel") == [ReportKind.FALLBACK]
        assert self.fall_back(lab, B) == []
        assert lab.group.fallbacks == 1

    def test_the_master_too_and_its_pass_goes_on(self) -> None:
        lab = Lab(image(4))
        lab.lockstep(A, 2)
        assert self.fall_back(lab, A) == [ReportKind.FALLBACK]
        assert sent(lab.ack(A, 2)) == [(GROUP, 3, 1)]

    def test_the_probe_that_comes_before_the_open_is_not_a_fallback(self) -> None:
        lab = Lab(image(4))
        assert self.fall_back(lab, A) == []
        lab.lockstep(A, 2)
        assert self.fall_back(lab, B) == []

    def test_silence_after_an_incomplete_pass_drives_clients_to_unicast(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mtftpd.core.mtftp.session.MAX_WAITING", 1)
        lab = Lab(image(4))
        lab.lockstep(A, 2)
        [session, _] = lab.service._sessions.values()
        session.abort("stop", lab.now)
        assert drops(lab.open(B)) == drops(lab.open(C)) == [DropReason.QUIET]
        assert self.fall_back(lab, B) == [ReportKind.FALLBACK]
        assert self.fall_back(lab, C) == []


def test_next_deadline_is_the_earliest_of_all_groups() -> None:
    lab = Lab(image(4), image(4, key=2, name="initrd"))
    lab.open(A)
    first = lab.service.next_deadline()
    assert first == pytest.approx(lab.now + T + QUIET)
    lab.open(C, b"initrd")
    assert lab.service.next_deadline() == pytest.approx(lab.now + GATHER)


PACKETS = st.one_of(
    st.binary(max_size=40),
    st.binary(max_size=8).map(lambda data: b"\0\1" + data),
    st.builds(lambda name, mode: b"\0\1" + name + b"\0" + mode + b"\0", st.binary(max_size=9), st.binary(max_size=9)),
    st.integers(0, 65535).map(lambda number: build(Ack(number))),
    st.builds(lambda code: build(Error(code)), st.integers(0, 65535)),
    st.builds(lambda options: build(Request(1, b"kernel")) + options, st.binary(max_size=30)),
)


@given(st.lists(st.tuples(PACKETS, st.sampled_from([A, B, C]), st.sampled_from(sorted(Service))), max_size=30))
def test_no_datagram_is_an_exception_or_draws_an_error(packets: list[tuple[bytes, Endpoint, int]]) -> None:
    lab = Lab(image(3))
    for data, source, socket in packets:
        if socket in (Service.MTFTP, Service.MTFTP_IPXE, Service.MTFTP_SWAPPED):
            for effect in lab.packet(source, data, socket):
                assert not isinstance(effect, Send) or effect.data[:2] == b"\0\6"
        lab.wait(0.01)

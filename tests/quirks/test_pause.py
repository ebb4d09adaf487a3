"""An operator pauses a group: every ROM boots all the same, by unicast, and nobody is blamed for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mtftpd.core.effects import Drop, DropReason, ReportKind, Service
from mtftpd.core.settings import Ports
from mtftpd.rom.profiles import EDK1, SPEC, RomProfile
from mtftpd.wire.datagram import Datagram, Endpoint
from tests.quirks.boot_lab import CATALOGUE, GROUPS, NAME, SERVER, Segment, Station

GROUP = "239.1.1.1:1799"
OPEN = b"\0\1" + NAME.encode() + b"\0octet\0"


def pause(segment: Segment, group: str = GROUP) -> bool:
    effects = segment.service.pause_group(group, segment.now)
    segment._do(segment.hosts[0], effects)
    return bool(effects)


def start(segment: Segment, group: str = GROUP) -> bool:
    effects = segment.service.start_group(group, segment.now)
    segment._do(segment.hosts[0], effects)
    return bool(effects)


def in_the_middle(rom: RomProfile, nodes: int = 2) -> tuple[Segment, list[Station]]:
    """Return a segment whose pass has come to block 10, with the others listening."""
    segment = Segment(GROUPS)
    stations = [segment.add(rom, number, 0x1000 * number) for number in range(1, nodes + 1)]
    for station in stations:
        segment.power_on(station)
    while segment.service.statistics().mtftp.groups[0].block < 10:
        segment.run(0.0005)
    return segment, stations


@pytest.mark.parametrize("rom", [SPEC, EDK1], ids=lambda rom: rom.name)
def test_a_pass_that_is_paused_ends_at_once_and_all_boot_by_unicast(rom: RomProfile) -> None:
    segment, stations = in_the_middle(rom)
    assert pause(segment)
    assert not pause(segment), "it is paused already"
    (group,) = segment.service.statistics().mtftp.groups[:1]
    assert (group.paused, group.block) == (True, 0)
    segment.run(120.0)
    assert all(station.booted for station in stations)
    assert {station.node.fallback != "" for station in stations} == {True}
    assert segment.service.statistics().mtftp.groups[0].passes == 1, "no other pass began"
    assert segment.said(ReportKind.MULTICAST_TROUBLE) == []
    assert segment.service.experience().marks == ()


def test_who_comes_during_the_pause_is_not_told_of_the_group() -> None:
    segment = Segment(GROUPS)
    assert pause(segment)
    station = segment.add(SPEC)
    segment.power_on(station)
    segment.run(5.0)
    assert station.booted
    assert segment.said(ReportKind.DHCP_ACKED)[-1]["unicast"] == "F18"
    assert start(segment)
    assert not start(segment), "it is neither paused nor resting"
    segment.power_on(station)
    segment.run()
    assert station.booted
    assert segment.said(ReportKind.DHCP_ACKED)[-1]["group"] == GROUP
    assert [each["group"] for each in segment.said(ReportKind.GROUP_PAUSED)] == [GROUP]
    assert [each["group"] for each in segment.said(ReportKind.GROUP_RESUMED)] == [GROUP]


def test_an_open_during_the_pause_is_met_with_silence_that_has_a_reason() -> None:
    segment = Segment(GROUPS)
    pause(segment)
    opened = Datagram(Service.MTFTP, Endpoint("10.0.0.100", 1799), Endpoint(str(SERVER), 1542), OPEN)
    (drop, *_) = segment.service.receive(opened, segment.now)
    assert isinstance(drop, Drop)
    assert drop.reason is DropReason.PAUSED
    start(segment)
    assert not isinstance(segment.service.receive(opened, segment.now)[0], Drop)


def test_the_group_of_ipxe_completes_its_pass() -> None:
    """An iPXE that hears nothing for 0.25 s leaves and boots what it has."""
    group = "239.255.1.1:3001"
    settings = replace(GROUPS, ports=Ports())
    segment = Segment(settings)
    client = Endpoint("10.0.0.100", 49_152)
    segment.deliver(client, 1759, OPEN)
    segment.settle(0.3)
    pause(segment, group)
    for number in range(1, 22):
        segment.deliver(client, 1759, b"\0\4" + number.to_bytes(2, "big"))
    (ended,) = segment.said(ReportKind.PASS_ENDED)
    assert (ended["outcome"], ended["block"]) == ("acknowledged", 21)
    segment.settle(1.0)
    segment.deliver(client, 1759, OPEN)
    segment.settle(1.0)
    assert len(segment.said(ReportKind.PASS_STARTED)) == 1


def test_a_group_that_rests_is_started_by_the_operator() -> None:
    segment = Segment(GROUPS)
    segment.lost = lambda source, destination, data: destination.address == "239.1.1.1"
    for number in range(1, 7):
        segment.power_on(segment.add(SPEC, number, 0x1000 * number))
    segment.run()
    assert segment.said(ReportKind.GROUP_RESTS)
    assert start(segment)
    assert not start(segment)


def test_a_pause_ends_with_its_group() -> None:
    segment = Segment(GROUPS)
    assert not pause(segment, "239.9.9.9:1799")
    pause(segment)
    without = replace(GROUPS, multicast=replace(GROUPS.multicast, base=None))
    for settings in (without, GROUPS):
        segment.service.reconfigure(settings, CATALOGUE, segment.now)
    assert [group.paused for group in segment.service.statistics().mtftp.groups] == [False, False]


def test_start_begins_a_pass_for_those_who_were_told_of_it() -> None:
    """Their pace is known, and an operator is quicker than they are."""
    segment = Segment(replace(GROUPS, faithful=False))
    segment.service.rates.answered("intel-bios", 0.001, 1_000, 0)
    station = segment.add(SPEC)
    segment.power_on(station)
    while not segment.said(ReportKind.DHCP_ACKED):
        segment.run(0.001)
    segment.settle(0.5)
    assert segment.said(ReportKind.PASS_STARTED) == []
    assert start(segment)
    assert not start(segment), "it runs"
    began = segment.now
    segment.run(1.0)
    (said,) = segment.said(ReportKind.PASS_STARTED)
    assert said["master"] == ""
    assert station.booted
    assert segment.now - began < 1.0


def test_a_group_that_many_could_not_hear_is_sent_more_slowly() -> None:
    def seconds(factor: float) -> int:
        segment = Segment(replace(GROUPS, faithful=False))
        segment.service._mtftp.slow_down(lambda group, now: factor)
        segment.service.rates.answered("intel-bios", 0.001, 1_000, 0)
        segment.power_on(segment.add(SPEC))
        segment.run(0.5)
        start(segment)
        segment.run(5.0)
        (ended,) = segment.said(ReportKind.PASS_ENDED)[:1]
        return int(ended["milliseconds"])

    assert seconds(0.25) > 3 * seconds(1.0)

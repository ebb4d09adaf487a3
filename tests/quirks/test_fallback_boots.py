"""Whole boots of ROMs that multicast does not work for: what one boot teaches helps in the next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mtftpd.core.effects import ReportKind
from mtftpd.core.service import BootService
from mtftpd.quirks.vocabulary import Mutation
from mtftpd.rom.mutations import mutated
from mtftpd.rom.profiles import EDK1, SPEC, RomProfile
from tests.quirks.boot_lab import CATALOGUE, GROUPS, Segment, Station

NO_MTFTP = replace(SPEC, mtftp=None)
"""A ROM that is told of a group, because it may know what that is, and does not."""


def boot(segment: Segment, station: Station) -> list[str]:
    """Power-cycle a node; return the triggers that were named."""
    before = len(segment.said(ReportKind.MULTICAST_TROUBLE))
    segment.power_on(station)
    segment.run()
    assert station.booted
    return [str(each["trigger"]) for each in segment.said(ReportKind.MULTICAST_TROUBLE)[before:]]


def groups_told(segment: Segment) -> list[bool]:
    return ["group" in each for each in segment.said(ReportKind.DHCP_ACKED)]


@pytest.mark.parametrize("rom", [SPEC, EDK1])
def test_a_rom_that_multicast_works_for_is_never_accused(rom: RomProfile) -> None:
    segment = Segment(GROUPS)
    station = segment.add(rom)
    assert [boot(segment, station) for _ in range(3)] == [[], [], []]
    assert groups_told(segment) == [True, True, True]


@pytest.mark.parametrize(
    ("rom", "faults", "trigger"),
    [(NO_MTFTP, (), "F5"), (EDK1, (Mutation.NO_IGMP,), "F5"), (SPEC, (Mutation.NO_IGMP,), "F5")],
)
def test_who_falls_back_is_spared_it_the_next_time(rom: RomProfile, faults: tuple[Mutation, ...], trigger: str) -> None:
    segment = Segment(GROUPS)
    station = segment.add(mutated(rom, faults))
    named = boot(segment, station)
    assert trigger in named or "F4" in named
    began = segment.now
    assert boot(segment, station) == []
    assert segment.now - began < 1.0, "no time is lost with a group any more"
    assert groups_told(segment) == [True, False]
    assert segment.said(ReportKind.DHCP_ACKED)[1]["unicast"] in named


def test_who_refuses_offers_with_a_group_gets_one_without_in_the_same_boot() -> None:
    segment = Segment(GROUPS)
    station = segment.add(mutated(SPEC, (Mutation.REJECT_43_1_5,)))
    assert boot(segment, station) == ["F6"]
    assert groups_told(segment) == [False]


def test_a_network_that_carries_no_group_is_not_the_nodes_fault() -> None:
    segment = Segment(GROUPS)
    segment.lost = lambda source, destination, data: destination.address == "239.1.1.1"
    stations = [segment.add(SPEC, number, 0x1000 * number) for number in range(1, 7)]
    for station in stations:
        segment.power_on(station)
    segment.run()
    assert all(station.booted for station in stations)
    assert "network" in [each["charged"] for each in segment.said(ReportKind.MULTICAST_TROUBLE)]
    late = segment.add(SPEC, 9, 0x9000)
    boot(segment, late)
    assert segment.said(ReportKind.DHCP_ACKED)[-1]["unicast"] == "F13"


def test_what_was_learnt_outlives_the_server() -> None:
    segment = Segment(GROUPS)
    station = segment.add(NO_MTFTP)
    boot(segment, station)
    experience = segment.service.experience()
    segment.hosts[0].service = BootService(GROUPS, CATALOGUE, experience=experience)
    boot(segment, station)
    assert groups_told(segment) == [True, False]

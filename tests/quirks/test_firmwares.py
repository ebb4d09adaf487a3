"""Every client that is known, as a ROM: it boots, with groups and without, and is recognised where that is possible."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mtftpd.core.effects import ReportKind
from mtftpd.core.settings import Settings
from mtftpd.quirks.profiles import PROFILES
from mtftpd.rom.actions import Phase
from mtftpd.rom.firmwares import FIRMWARES
from mtftpd.rom.profiles import RomProfile
from tests.quirks.boot_lab import GROUPS, UNICAST, Segment, Station

RECOGNISED = {
    "landesk-0.99": "intel-bios", "edk2-2008": "edk2-now", "ipxe-mtftp": "ipxe", "pxelinux": "intel-bios",
    "becker-worst": "intel-bios", "rlx-3nic": "intel-bios", "atftp-mtftp": "intel-bios", "nilo": "intel-bios",
    "os-dhclient": "intel-bios",
}  # fmt: skip
"""Those that nothing on the wire tells from another one, with that one."""


def serving_all(settings: Settings) -> Settings:
    return replace(settings, addressing=replace(settings.addressing, serve_all=True))


def boot(segment: Segment, rom: RomProfile) -> Station:
    """Power on a machine with ``rom`` and return the interface that it boots from."""
    interfaces = segment.add_machine(rom, 1)
    for each in interfaces:
        segment.power_on(each)
    segment.run()
    return interfaces[rom.boots_from - 1]


def test_there_is_one_for_each_profile() -> None:
    assert list(FIRMWARES) == list(PROFILES)


@pytest.mark.parametrize("settings", [GROUPS, UNICAST], ids=["groups", "unicast"])
@pytest.mark.parametrize("name", FIRMWARES)
def test_it_boots(name: str, settings: Settings) -> None:
    segment = Segment(serving_all(settings))
    assert boot(segment, FIRMWARES[name]).booted
    assert segment.said(ReportKind.DHCP_ACKED)[0]["rom"] == RECOGNISED.get(name, name)


def test_ipxe_opens_the_group_that_is_compiled_into_it() -> None:
    segment = Segment(replace(GROUPS, faithful=False))
    assert boot(segment, FIRMWARES["ipxe-mtftp"]).booted
    (started,) = segment.said(ReportKind.PASS_STARTED)
    assert started["group"] == "239.255.1.1:3001"
    assert not segment.said(ReportKind.TFTP_STARTED)


def test_two_of_three_interfaces_end_after_dhcp() -> None:
    segment = Segment(UNICAST)
    boot(segment, FIRMWARES["rlx-3nic"])
    assert [each.node.phase for each in segment.stations] == [Phase.FAILED, Phase.FAILED, Phase.DONE]

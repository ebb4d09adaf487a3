"""Every reason to fall back, F1 to F18, from what a node does to the name in the reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mtftpd.core.effects import Effects, Report, ReportKind, Service
from mtftpd.core.images import MAX_MTFTP_SIZE, Image
from mtftpd.core.learning.audiences import QUERY_SECONDS
from mtftpd.core.learning.fallback import Trigger
from mtftpd.core.node_settings import Inventory, NodeEntry, Scope
from mtftpd.core.service import BootService
from mtftpd.core.settings import Catalogue, Ports, Settings
from mtftpd.quirks.vocabulary import Mutation as F
from mtftpd.rom.dhcp_request import request
from mtftpd.rom.mutations import mutated
from mtftpd.rom.profiles import SPEC, Identity, RomProfile
from mtftpd.wire import bootp
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress
from tests.quirks.boot_lab import CATALOGUE, GROUPS, NAME, Segment, Station, boots
from tests.quirks.scenes import EDK2

FIRST = HardwareAddress(1, bytes((2, 0, 0, 0, 0, 1)))
OPEN = b"\0\1" + NAME.encode() + b"\0octet\0"
SWAPPED = replace(GROUPS, ports=Ports(mtftp_server=1541, mtftp_client=1798))
BY_UNICAST = replace(GROUPS, inventory=Inventory((NodeEntry(hardware=(FIRST,), own=Scope(multicast=False)),)))


def named(reports: list[Report]) -> set[str]:
    """Return all triggers in ``reports``: why a node was not told of a group, what it did, and why a group rests."""
    pairs = [pair for report in reports for pair in report.detail]
    return {str(value) for name, value in pairs if name in ("unicast", "trigger")}


def booted(settings: Settings, rom: RomProfile, *faults: F) -> set[str]:
    return named(boots(settings, rom, faults).reports)


def offered(message: DhcpMessage, catalogue: Catalogue = CATALOGUE) -> set[str]:
    """Return what the offer to a DISCOVER says that no simulated ROM sends."""
    service = BootService(GROUPS, catalogue)
    asked = Datagram(Service.DHCP, Endpoint("0.0.0.0", 68), Endpoint("255.255.255.255", 67), bootp.build(message))
    return named(reports_of(service.receive(asked, 0.0)))


def reports_of(effects: Effects) -> list[Report]:
    return [effect for effect in effects if isinstance(effect, Report)]


def discover(hardware: HardwareAddress = FIRST) -> DhcpMessage:
    return request(MessageType.DISCOVER, Identity(hardware, bytes(16), 7), SPEC.dhcp, {})


def told(segment: Segment, faults: tuple[F, ...] = ()) -> Station:
    """Return a node that has its address and knows its group."""
    station = segment.add(mutated(SPEC, faults))
    segment.power_on(station)
    while not segment.said(ReportKind.DHCP_ACKED):
        segment.run(0.001)
    segment.run(0.001)
    return station


def relayed() -> set[str]:
    return offered(replace(discover(), giaddr=IPv4Address("10.0.0.9")))


def too_large() -> set[str]:
    image = Image(1, NAME, MAX_MTFTP_SIZE + 1, "22" * 32)
    return offered(discover(), Catalogue((image,), {NAME: image}))


def deaf() -> set[str]:
    return booted(GROUPS, SPEC, F.NO_IGMP, F.NO_FALLBACK)


def silent_after_ack() -> set[str]:
    segment = Segment(GROUPS)
    segment.lost = lambda source, destination, data: source.port not in (67, 68)
    told(segment)
    segment.settle(60.0)
    return named(segment.reports)


def master(packet: bytes) -> set[str]:
    """A node is the master of a pass; then it says ``packet``, or nothing for ever."""
    segment = Segment(GROUPS)
    station = told(segment, (F.NO_FALLBACK,))
    while segment.service.statistics().mtftp.groups[0].block < 10:
        segment.run(0.0005)
    segment.lost = lambda source, destination, data: source.address == station.address
    if packet:
        segment.deliver(Endpoint(station.address, 1799), 1542, packet)
    segment.settle(30.0)
    return named(segment.reports)


def opens_again_and_again() -> set[str]:
    segment = Segment(GROUPS)
    segment.lost = lambda source, destination, data: source.port not in (67, 68)
    station = told(segment)
    for _ in range(3):
        segment.deliver(Endpoint(station.address, 1799), 1542, OPEN)
        segment.settle(3.0)
    return named(segment.reports)


def many_hear_nothing(*, listens: bool) -> set[str]:
    segment = Segment(GROUPS)
    if listens:
        segment.service.fallback.querier.listen(-QUERY_SECONDS)
    segment.lost = lambda source, destination, data: destination.address == "239.1.1.1"
    for number in range(1, 7):
        segment.power_on(segment.add(SPEC, number, 0x1000 * number))
    segment.run()
    return named(segment.reports)


def small_blocks_only() -> set[str]:
    segment = Segment(GROUPS)
    station = segment.add(mutated(replace(SPEC, mtftp=None), (F.DROP_1000,)))
    for _ in range(2):
        segment.power_on(station)
        segment.run()
        segment.settle(90.0)
    return named(segment.reports)


SCENARIOS: dict[Trigger, Callable[[], set[str]]] = {
    Trigger.F1: lambda: booted(GROUPS, EDK2),
    Trigger.F2: relayed,
    Trigger.F3: too_large,
    Trigger.F4: deaf,
    Trigger.F5: lambda: booted(GROUPS, replace(SPEC, mtftp=None)),
    Trigger.F6: lambda: booted(GROUPS, SPEC, F.REJECT_43_1_5),
    Trigger.F7: silent_after_ack,
    Trigger.F8: lambda: booted(SWAPPED, SPEC, F.BE_PORTS),
    Trigger.F9: lambda: master(b""),
    Trigger.F10: lambda: master(b"\0\5\0\x08\0"),
    Trigger.F11: opens_again_and_again,
    Trigger.F12: lambda: booted(GROUPS, SPEC),
    Trigger.F13: lambda: many_hear_nothing(listens=False),
    Trigger.F14: lambda: many_hear_nothing(listens=True),
    Trigger.F15: small_blocks_only,
    Trigger.F16: lambda: offered(discover(HardwareAddress(6, b"\2\0\0\0\0\1"))),
    Trigger.F17: lambda: booted(GROUPS, SPEC, F.SAYS_IPXE),
    Trigger.F18: lambda: booted(BY_UNICAST, SPEC),
}


def test_no_trigger_is_without_a_scenario() -> None:
    assert list(SCENARIOS) == list(Trigger)


@pytest.mark.parametrize("trigger", Trigger, ids=lambda trigger: trigger.name)
def test_the_reason_is_named(trigger: Trigger) -> None:
    assert trigger.name in SCENARIOS[trigger]()


@pytest.mark.parametrize(
    "trigger",
    [Trigger.F1, Trigger.F2, Trigger.F3, Trigger.F12, Trigger.F14, Trigger.F16, Trigger.F17, Trigger.F18],
    ids=lambda trigger: trigger.name,
)
def test_no_other_reason_is_named_where_there_is_but_one(trigger: Trigger) -> None:
    others = SCENARIOS[trigger]() - {trigger.name}
    assert not others or (trigger is Trigger.F14 and Trigger.F13.name not in others)

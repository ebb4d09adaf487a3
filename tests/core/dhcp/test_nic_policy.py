"""DHCP for machines with several interfaces, packet by packet."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mtftpd.core.addresses.holds import HOLD_SECONDS
from mtftpd.core.addresses.leases import LeaseState
from mtftpd.core.effects import DropReason, Report, ReportKind
from mtftpd.core.node_settings import Inventory, NodeEntry, OtherNics
from mtftpd.core.settings import Settings
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.datagram import HardwareAddress
from tests.core.dhcp.dhcp_lab import DHCP, PROXY, SERVER, SYSTEM, Lab, Node, reason

MACS = tuple(bytes.fromhex("02004d540008")[:5] + bytes((last,)) for last in (8, 9, 10))
NICS = tuple(HardwareAddress(1, mac) for mac in MACS)
UNICAST = replace(DHCP, multicast=replace(DHCP.multicast, base=None))


def with_nodes(other_nics: OtherNics, settings: Settings = UNICAST, bootable: int | None = 2) -> Settings:
    boots = None if bootable is None else NICS[bootable]
    return replace(settings, inventory=Inventory((NodeEntry(hardware=NICS, bootable=boots, other_nics=other_nics),)))


def with_range(settings: Settings, count: int) -> Settings:
    first = IPv4Address("10.0.0.100")
    return replace(settings, addressing=replace(settings.addressing, first=first, last=first + count - 1))


def interfaces(lab: Lab) -> tuple[Node, ...]:
    return tuple(lab.node(mac=mac) for mac in MACS)


def seconds(lab: Lab, nic: Node) -> int:
    return int.from_bytes(nic.boot()[51] or b"", "big")


def states(lab: Lab) -> list[str]:
    return [lease.state.value for lease in sorted(lab.service.leases(), key=lambda lease: lease.address)]


def test_only_the_interface_that_boots_is_answered() -> None:
    lab = Lab(with_nodes(OtherNics.SILENT))
    first, _, boots = interfaces(lab)
    for kind in (MessageType.DISCOVER, MessageType.REQUEST, MessageType.INFORM, None):
        assert reason(first.effects(kind, {54: SERVER.packed})) is DropReason.WRONG_NIC
    assert seconds(lab, boots) == DHCP.addressing.lease_seconds
    assert reason(first.effects(MessageType.RELEASE, {54: SERVER.packed})) is DropReason.UNKNOWN_LEASE


def test_the_same_in_proxy_mode() -> None:
    lab = Lab(with_nodes(OtherNics.SILENT, PROXY))
    first, _, boots = interfaces(lab)
    assert reason(first.effects(MessageType.DISCOVER)) is DropReason.WRONG_NIC
    boots.discover()


def test_nothing_of_this_happens_when_it_is_switched_off() -> None:
    lab = Lab(replace(with_nodes(OtherNics.SILENT), without=frozenset({ServerAction.ONE_NIC})))
    assert [seconds(lab, nic) for nic in interfaces(lab)] == [DHCP.addressing.lease_seconds] * 3


def test_the_others_are_given_an_address_for_a_short_time() -> None:
    lab = Lab(with_nodes(OtherNics.HOLD))
    assert [seconds(lab, nic) for nic in interfaces(lab)] == [60, 60, DHCP.addressing.lease_seconds]
    lab.now += HOLD_SECONDS
    assert lab.service.next_deadline() == lab.now
    over = lab.keep(lab.service.tick(lab.now))
    said = [(each.kind, each.hardware) for each in over if isinstance(each, Report)]
    assert said == [(ReportKind.HOLD_OVER, nic) for nic in NICS[:2]]
    assert states(lab) == ["free", "free", "bound"]


def test_a_lease_that_is_shorter_anyway_stays_so() -> None:
    settings = with_nodes(OtherNics.HOLD)
    lab = Lab(replace(settings, addressing=replace(settings.addressing, lease_seconds=30)))
    assert seconds(lab, interfaces(lab)[0]) == 30


def test_the_one_that_boots_takes_the_last_address_from_one_that_does_not() -> None:
    lab = Lab(with_range(with_nodes(OtherNics.HOLD), 1))
    first, second, boots = interfaces(lab)
    first.boot()
    assert reason(second.effects(MessageType.DISCOVER)) is DropReason.NO_ADDRESS
    assert reason(boots.effects(MessageType.REQUEST)) is DropReason.NO_CIADDR
    reports = [each.kind for each in boots.effects(MessageType.DISCOVER) if isinstance(each, Report)]
    assert reports == [ReportKind.DHCP_OFFERED, ReportKind.HOLD_OVER]
    assert reason(first.effects(MessageType.DISCOVER)) is DropReason.NO_ADDRESS


def test_a_stranger_may_have_what_was_silent_for_long_enough() -> None:
    lab = Lab(with_range(with_nodes(OtherNics.HOLD, bootable=None), 1))
    stranger = lab.node(mac=bytes.fromhex("02004d5400ff"))
    interfaces(lab)[0].boot()
    assert reason(stranger.effects(MessageType.DISCOVER)) is DropReason.NO_ADDRESS
    lab.now += 4 * UNICAST.multicast.seconds + 5
    assert len(stranger.effects(MessageType.DISCOVER)) == 3


def test_so_may_a_client_that_is_not_pxe() -> None:
    settings = with_range(with_nodes(OtherNics.HOLD), 1)
    lab = Lab(replace(settings, addressing=replace(settings.addressing, serve_all=True)))
    interfaces(lab)[0].boot()
    lab.node(SYSTEM, mac=bytes.fromhex("02004d5400ff")).effects(MessageType.DISCOVER)
    assert states(lab) == ["offered"]


def test_the_address_of_a_node_is_that_of_the_interface_that_boots() -> None:
    lab = Lab(UNICAST)
    fixed = IPv4Address("10.0.0.7")
    for bootable, owner in ((2, 2), (None, 0)):
        (entry,) = with_nodes(OtherNics.HOLD, bootable=bootable).inventory.entries
        lab.reconfigure(replace(UNICAST, inventory=Inventory((replace(entry, address=fixed),))))
        given = [nic.boot().message.yiaddr == fixed for nic in interfaces(lab)]
        assert given == [number == owner for number in range(3)]
        lab.service.release(fixed, lab.now)


def test_what_is_inferred_from_the_uuid_and_learnt_from_a_request() -> None:
    lab = Lab(UNICAST)
    first, second, boots = interfaces(lab)
    assert seconds(lab, first) == DHCP.addressing.lease_seconds, "who knows that there are more"
    assert seconds(lab, second) == 60
    offer = boots.boot()
    lab.service.loads(str(offer.message.yiaddr), lab.now)
    lab.service.loads("10.9.9.9", lab.now)
    assert seconds(lab, boots) == DHCP.addressing.lease_seconds
    lab.now += HOLD_SECONDS
    lab.keep(lab.service.tick(lab.now))
    assert states(lab) == ["free", "free", "bound"], "the first one had called alone and was given it for long"


def test_the_system_of_a_listener_gets_its_address_again() -> None:
    lab = Lab(UNICAST)
    interfaces(lab)[0].boot()
    boots = interfaces(lab)[1].boot()
    lab.now += HOLD_SECONDS
    lab.keep(lab.service.tick(lab.now))
    assert states(lab) == ["bound", "free"]
    system = lab.node(SYSTEM, mac=MACS[1])
    acked = system.boot()
    assert acked.message.yiaddr == boots.message.yiaddr
    assert int.from_bytes(acked[51] or b"", "big") == DHCP.addressing.lease_seconds
    lab.now += HOLD_SECONDS
    assert lab.keep(lab.service.tick(lab.now)) == ()
    assert states(lab) == ["bound", "bound"]


def test_a_system_on_the_interface_that_boots_is_answered_as_ever() -> None:
    lab = Lab(with_nodes(OtherNics.SILENT))
    interfaces(lab)[2].boot()
    lab.node(SYSTEM, mac=MACS[2]).boot()
    assert reason(lab.node(SYSTEM, mac=MACS[0]).effects(MessageType.DISCOVER)) is DropReason.NOT_PXE


@pytest.mark.parametrize("settings", [with_nodes(OtherNics.SILENT), with_nodes(OtherNics.HOLD)])
def test_sections_are_reloaded(settings: Settings) -> None:
    lab = Lab(UNICAST)
    lab.reconfigure(settings)
    boots = interfaces(lab)[2]
    assert seconds(lab, boots) == DHCP.addressing.lease_seconds
    assert lab.service.nics.is_wrong(NICS[0])
    assert LeaseState.BOUND.value in states(lab)

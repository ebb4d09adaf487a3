"""What is in force for one node, and what its client is told then."""

from __future__ import annotations

import uuid
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core import settings as settings_module
from mtftpd.core.addresses import whereabouts
from mtftpd.core.addresses.whereabouts import Identity, Whereabouts
from mtftpd.core.dhcp import boot_plan
from mtftpd.core.effects import DropReason, OpenTransfer, Report, ReportKind, Send, SendRun, Service, StuffArp
from mtftpd.core.learning.fallback import Trigger
from mtftpd.core.node_settings import (
    ANYBODY,
    NO_BOOT,
    NOTHING_SAID,
    Boot,
    Inventory,
    Menu,
    MenuItem,
    NodeEntry,
    NodeSettings,
    Scope,
    Subnet,
    Terms,
)
from mtftpd.core.service import BootService
from mtftpd.core.settings import Addressing, Mode, Settings
from mtftpd.errors import BadConfig
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire import bootp
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress
from tests.core.dhcp.dhcp_lab import (
    BIOS_ROM,
    DHCP,
    FAR,
    IPXE,
    LINK,
    MAC,
    NOBODY,
    ONE_IMAGE,
    OVMF,
    SERVER,
    TWO_IMAGES,
    UUID,
    Lab,
    reason,
)

HARDWARE = HardwareAddress(1, MAC)
OTHER = HardwareAddress(1, bytes(5) + b"\2")
MENU = Menu((MenuItem(0, "Local disk"), MenuItem(17, "Other", "boot.efi")))


def with_entries(*entries: NodeEntry, settings: Settings = DHCP) -> Settings:
    return replace(settings, inventory=Inventory(entries))


def with_scope(**said: object) -> Settings:
    return with_entries(NodeEntry(hardware=(HARDWARE,), own=Scope(**said)))  # type: ignore[arg-type]


# Inheritance


def test_node_over_group_over_subnet_over_everybody() -> None:
    subnet = Subnet(FAR, scope=Scope(domain="subnet", lease_seconds=300, boot_file="subnet", dns=(FAR[1],)))
    entry = NodeEntry(
        hardware=(HARDWARE,), group=Scope(domain="group", boot_file="group"), own=Scope(boot_file="own", ntp=(FAR[2],))
    )
    settings = with_entries(entry, settings=replace(DHCP, addressing=Addressing(domain="all", lease_seconds=60)))
    settings = replace(settings, subnets=(subnet,))
    found = settings.node(HARDWARE, b"", subnet)
    assert found.entry is entry
    assert found.terms == Terms(300, None, (FAR[1],), (FAR[2],), "group")
    assert found.boot.default == "own"
    assert settings.node(OTHER, b"", subnet).boot.default == "subnet"
    assert settings.node(OTHER).terms == Terms(60, domain="all")
    assert settings.node(OTHER).entry is ANYBODY


def test_of_boot_files_the_innermost_section_decides() -> None:
    outer = Boot("outer", ((0, "outer0"), (7, "outer7")), MENU)
    assert outer.within(Scope(boot_file="inner")) == Boot("inner")
    assert outer.within(Scope(by_architecture=((7, "inner7"),))) == Boot("outer", ((0, "outer0"), (7, "inner7")))
    assert outer.within(Scope(boot_file="inner", by_architecture=((9, "x"),))) == Boot("inner", ((9, "x"),))
    assert outer.within(Scope(menu=replace(MENU, timeout=3))) == replace(outer, menu=replace(MENU, timeout=3))
    assert outer.within(Scope(boot_file="inner", menu=MENU)) == Boot("inner", (), MENU)
    assert outer.within(Scope(domain="x")) == outer


def test_work_arounds_are_switched_off_and_on_again() -> None:
    everybody = NodeSettings(without=frozenset({ServerAction.ECHO_60}))
    inner = everybody.within(Scope(without=frozenset({ServerAction.ECHO_97}), having=frozenset({ServerAction.ECHO_60})))
    assert inner.does(ServerAction.ECHO_60)
    assert inner.demanded == frozenset({ServerAction.ECHO_60})
    assert inner.within(Scope(without=frozenset({ServerAction.ECHO_60}))).demanded == frozenset()
    assert not inner.does(ServerAction.ECHO_97)
    assert everybody.within(NOTHING_SAID) is everybody


def test_the_router_of_one_network_is_not_told_in_another() -> None:
    near, far = Subnet(LINK.network), Subnet(FAR)
    settings = replace(DHCP, addressing=Addressing(router=LINK.network[254]), subnets=(near, far))
    assert settings.node(HARDWARE, b"", near).terms.router == LINK.network[254]
    assert settings.node(HARDWARE, b"", far).terms.router is None
    assert settings.subnet_of(FAR[9]) is far
    assert settings.subnet_of(IPv4Address("192.0.2.1")) is None


def test_what_was_found_once_is_kept_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_module, "MAX_FOUND", 2)
    near = Subnet(LINK.network, scope=Scope(domain="near"))
    entries = [NodeEntry(name=str(n), hardware=(HardwareAddress(1, bytes((2, n)) + MAC[2:]),)) for n in range(3)]
    settings = replace(with_entries(*entries), subnets=(near,))
    first = settings.node(entries[0].hardware[0], b"", near)
    assert settings.node(entries[0].hardware[0], b"", near) is first
    for entry in entries:
        assert settings.node(entry.hardware[0], b"", near).entry is entry
        assert settings.node(entry.hardware[0]).terms.domain == ""
    assert settings.node(entries[0].hardware[0], b"", near) == first


SCOPES = st.builds(
    Scope,
    boot_file=st.sampled_from(["", "a", "b"]),
    by_architecture=st.dictionaries(st.sampled_from([0, 7]), st.sampled_from(["c", "d"])).map(
        lambda pairs: tuple(pairs.items())
    ),
    multicast=st.sampled_from([None, True, False]),
    domain=st.sampled_from(["", "e", "f"]),
    rom=st.sampled_from(["", "ipxe", "gpxe"]),
)


@given(everybody=SCOPES, subnet=SCOPES, group=SCOPES, own=SCOPES)
def test_whatever_a_section_says_is_in_force_unless_one_inside_of_it_says_otherwise(
    everybody: Scope, subnet: Scope, group: Scope, own: Scope
) -> None:
    found = NodeSettings().within(everybody).within(subnet).of(NodeEntry(group=group, own=own))
    from_inside = (own, group, subnet, everybody)
    assert found.rom == next((each.rom for each in from_inside if each.rom), "")
    assert found.terms.domain == next((each.domain for each in from_inside if each.domain), "")
    assert found.multicast is next((each.multicast for each in from_inside if each.multicast is not None), True)
    for number in (0, 7):
        files = (dict(each.by_architecture).get(number) or each.boot_file for each in from_inside)
        booted = dict(found.boot.by_architecture).get(number) or found.boot.default
        assert booted == next(filter(None, files), "")


# Who a node is


def test_a_node_is_found_by_any_of_its_hardware_addresses_before_its_uuid() -> None:
    machine = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
    one = NodeEntry(name="one", hardware=(HARDWARE, OTHER))
    two = NodeEntry(name="two", uuid=machine.bytes)
    inventory = Inventory((one, two))
    third = HardwareAddress(1, b"\6" * 6)
    assert inventory.find(OTHER, machine.bytes) is one
    assert inventory.find(third, machine.bytes) is two
    assert inventory.find(third, machine.bytes_le) is two
    assert inventory.find(third, b"\7" * 16) is ANYBODY
    assert inventory.find(third) is ANYBODY


@given(st.uuids())
def test_both_orders_of_octets_are_one_uuid(machine: uuid.UUID) -> None:
    for written in (machine.bytes, machine.bytes_le):
        inventory = Inventory((NodeEntry(uuid=written),))
        assert inventory.find(HARDWARE, machine.bytes) is inventory.find(HARDWARE, machine.bytes_le)
        assert inventory.find(HARDWARE, machine.bytes) is not ANYBODY


# What a client is told


def test_a_node_boots_its_own_file() -> None:
    lab = Lab(with_scope(boot_file="boot.efi"), TWO_IMAGES)
    assert lab.node().discover()[67] == b"boot.efi"
    assert lab.node(OVMF).discover()[67] == b"boot.efi"
    assert reason(lab.node(mac=OTHER.octets).effects(1)) is DropReason.NO_BOOT_FILE


def test_a_node_is_known_by_its_uuid() -> None:
    lab = Lab(with_entries(NodeEntry(uuid=UUID[1:], own=Scope(boot_file="boot.efi"))), TWO_IMAGES)
    assert lab.node().discover()[67] == b"boot.efi"
    assert reason(lab.node({**BIOS_ROM, 97: b"\0" + b"\5" * 16}).effects(1)) is DropReason.NO_BOOT_FILE


def test_a_node_has_its_own_menu_and_its_own_types_of_boot_server() -> None:
    lab = Lab(with_scope(menu=MENU), TWO_IMAGES)
    offer = lab.node().discover()
    assert offer[67] is None
    assert b"Local disk" in (offer[43] or b"")
    question = {43: b"\x47\4\0\x11\0\0\xff"}
    assert lab.node().ask(3, question)[67] == b"boot.efi"
    assert reason(lab.node(mac=OTHER.octets).effects(3, question)) is DropReason.NOT_OUR_TYPE


def test_the_operator_says_unicast_only() -> None:
    lab = Lab(with_scope(multicast=False))
    offer = lab.node().discover()
    assert dict(offer.report.detail)["unicast"] == Trigger.F18.name
    assert "group" in dict(lab.node(mac=OTHER.octets).discover().report.detail)


def test_the_operator_names_the_rom() -> None:
    offer = Lab(with_scope(rom="edk2-2008")).node().discover()
    assert dict(offer.report.detail)["rom"] == "edk2-2008"
    assert dict(offer.report.detail)["unicast"] == Trigger.F18.name


@pytest.mark.parametrize(
    ("action", "option"),
    [(ServerAction.ECHO_60, 60), (ServerAction.ECHO_97, 97), (ServerAction.ADD_58_59, 58), (ServerAction.ADD_43_6, 43)],
)
def test_a_work_around_that_one_node_does_without(action: ServerAction, option: int) -> None:
    lab = Lab(with_scope(without=frozenset({action}), multicast=False))
    assert lab.node().discover()[option] is None
    assert lab.node(mac=OTHER.octets).discover()[option] is not None


def test_a_boot_file_of_any_section_must_fit_the_packet() -> None:
    for settings in (
        with_scope(boot_file="n" * 200),
        with_entries(NodeEntry(group=Scope(boot_file="n" * 200))),
        replace(DHCP, subnets=(Subnet(IPv4Network("10.9.0.0/24"), scope=Scope(by_architecture=((0, "n" * 200),))),)),
    ):
        with pytest.raises(BadConfig, match="boot file"):
            Lab(settings)


def test_more_boots_than_are_kept_ready_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot_plan, "MAX_BOOTS", 2)
    entries = [NodeEntry(hardware=(HardwareAddress(1, bytes((2, n)) + MAC[2:]),), own=Scope(boot_file=f"f{n}"))
               for n in range(5)]  # fmt: skip
    lab = Lab(replace(with_entries(*entries), boot=NO_BOOT), TWO_IMAGES)
    for _ in range(2):
        for entry in entries:
            node = lab.node(mac=entry.hardware[0].octets)
            assert node.discover()[67] == entry.own.boot_file.encode()


# What a node fetches


def test_a_work_around_that_a_node_fetches_its_files_without() -> None:
    settings = with_scope(without=frozenset({ServerAction.FIX_NAME}))
    lab = Lab(settings)
    service = BootService(settings, ONE_IMAGE)
    addresses = []
    for mac in (MAC, OTHER.octets):
        message = bootp.build(lab.node(mac=mac).message(MessageType.DISCOVER), max_size=9000)
        effects = service.receive(Datagram(Service.DHCP, NOBODY, Endpoint("255.255.255.255", 67), message), 1.0)
        (report,) = [each for each in effects if isinstance(each, Report) and each.kind is ReportKind.DHCP_OFFERED]
        addresses.append(report.address)
    kinds = []
    for address in (*addresses, "10.0.0.200"):
        request = Datagram(Service.TFTP, Endpoint(address, 2070), Endpoint(str(SERVER), 69), b"\0\1/nbp\0octet\0")
        kinds.append(next(type(each) for each in service.receive(request, 2.0) if not isinstance(each, StuffArp)))
    assert kinds == [Send, OpenTransfer, OpenTransfer]


def test_work_arounds_that_others_get_only_when_they_need_them() -> None:
    lab = Lab(with_scope(having=frozenset({ServerAction.OMIT_43, ServerAction.FORCE_BROADCAST})))
    demanded, usual = lab.node().discover(), lab.node(mac=OTHER.octets).discover()
    assert (demanded[43], usual[43] is None) == (None, False)
    assert demanded.send.destination.address == "255.255.255.255"
    assert usual.send.destination.address == str(usual.message.yiaddr)
    settings = with_scope(having=frozenset({ServerAction.REFUSE_OPTIONS}))
    service = BootService(settings, ONE_IMAGE)
    replies = []
    for mac in (MAC, OTHER.octets):
        message = bootp.build(lab.node(mac=mac).message(MessageType.DISCOVER), max_size=9000)
        effects = service.receive(Datagram(Service.DHCP, NOBODY, Endpoint("255.255.255.255", 67), message), 1.0)
        (address,) = {each.address for each in effects if isinstance(each, Report) and each.address}
        request = b"\0\1nbp\0octet\0tsize\x000\0"
        datagram = Datagram(Service.TFTP, Endpoint(address, 2070), Endpoint(str(SERVER), 69), request)
        replies.append([type(each) for each in service.receive(datagram, 2.0) if isinstance(each, (Send, SendRun))])
    assert replies == [[SendRun], [Send]], "DATA 1 at once, and an OACK"


def test_a_proxy_learns_from_the_request_who_has_which_address() -> None:
    lab = Lab(replace(with_scope(without=frozenset({ServerAction.WINDOW_1})), mode=Mode.PROXY))
    lab.node().effects(MessageType.REQUEST, {50: LINK.network[77].packed, 54: LINK.network[2].packed})
    assert lab.service.left_out_at(str(LINK.network[77])) == frozenset({ServerAction.WINDOW_1})
    assert lab.service.left_out_at(str(LINK.network[78])) == frozenset()


def test_a_node_with_a_section_may_be_kept_from_option_multicast() -> None:
    lab = Lab(replace(with_scope(multicast=False), mode=Mode.PROXY))
    lab.node().effects(MessageType.REQUEST, {50: LINK.network[77].packed, 54: LINK.network[2].packed})
    assert not lab.service.allows_multicast(str(LINK.network[77]))
    assert lab.service.allows_multicast(str(LINK.network[78]))


def test_ipxe_is_kept_from_option_multicast_and_what_it_loads_is_not() -> None:
    """Its ``tftm`` asks for the option and hears no group, up to the end of its patience."""
    lab = Lab(replace(with_scope(), mode=Mode.PROXY))
    taken = {50: LINK.network[77].packed, 54: LINK.network[2].packed}
    lab.node(IPXE).effects(MessageType.REQUEST, taken)
    assert not lab.service.allows_multicast(str(LINK.network[77]))
    lab.node().effects(MessageType.REQUEST, taken)
    assert lab.service.allows_multicast(str(LINK.network[77]))


def test_who_is_at_an_address_is_bounded_and_keeps_its_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whereabouts, "MAX_KNOWN", 2)
    known = Whereabouts()
    known.tell("a", Identity(HARDWARE, b"u"))
    known.tell("a", Identity(HARDWARE))
    assert known.at("a") == Identity(HARDWARE, b"u")
    known.tell("a", Identity(HARDWARE, is_ipxe=True))
    assert known.at("a") == Identity(HARDWARE, b"u", is_ipxe=True)
    known.tell("a", Identity(OTHER))
    assert known.at("a") == Identity(OTHER)
    known.tell("b", Identity(OTHER))
    known.tell("c", Identity(OTHER))
    assert known.at("a") is None

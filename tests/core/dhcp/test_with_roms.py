"""The DHCP service against the ROMs of `mtftpd.rom`, which know nothing of it: two readings of PXE 2.1 must agree."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

import pytest

from mtftpd.core.effects import Send, Service
from mtftpd.core.node_settings import Boot, Menu, MenuItem
from mtftpd.core.settings import Multicast, Settings
from mtftpd.rom.actions import Actions, TakeAddress, Transmit
from mtftpd.rom.dhcp import Dhcp
from mtftpd.rom.profiles import EDK1, SPEC, DhcpProfile, Identity, RomPorts
from mtftpd.wire import bootp
from mtftpd.wire.bootp import BOOTREPLY, DhcpMessage, MessageType
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress
from mtftpd.wire.options import Options
from mtftpd.wire.pxe import MtftpTags
from tests.core.dhcp.dhcp_lab import DHCP, MAC, PROXY, SERVER, TWO_IMAGES, UUID, Lab, with_boot

PORTS = {Service.DHCP: 67, Service.PXE: 4011}
TAGS = MtftpTags(IPv4Address("239.1.1.1"), 1799, 1542, 2, 2)
OTHER = IPv4Address("10.0.0.2")


@dataclass
class Segment:
    """One ROM and one server, and perhaps another DHCP server that knows nothing of PXE, on one wire."""

    lab: Lab
    rom: Dhcp
    other: bool = False
    address: str = "0.0.0.0"
    sent: list[DhcpMessage] = field(default_factory=list)

    def run(self) -> Dhcp:
        self.perform(self.rom.start(self.lab.now))
        while not self.rom.over and (deadline := self.rom.next_deadline()) is not None:
            self.lab.now = max(self.lab.now, deadline)
            self.perform(self.rom.tick(self.lab.now))
        return self.rom

    def perform(self, actions: Actions) -> None:
        for action in actions:
            if isinstance(action, TakeAddress):
                self.address = action.address
            elif isinstance(action, Transmit):
                self.transmit(action)

    def transmit(self, sent: Transmit) -> None:
        message = bootp.parse_untrusted(sent.data)
        self.sent.append(message)
        socket = Service.PXE if sent.destination.port == 4011 else Service.DHCP
        source = Endpoint(self.address, sent.port)
        if self.other and socket == Service.DHCP:
            self.deliver(Endpoint(str(OTHER), 67), Endpoint("255.255.255.255", 68), other_server(message))
        for effect in self.lab.receive(sent.data, source, sent.destination, socket):
            if isinstance(effect, Send):
                self.deliver(Endpoint(str(SERVER), PORTS[Service(effect.socket)]), effect.destination, effect.data)

    def deliver(self, source: Endpoint, destination: Endpoint, data: bytes) -> None:
        if data and not self.rom.over:
            self.perform(self.rom.receive(Datagram(destination.port, source, destination, data), self.lab.now))


def other_server(request: DhcpMessage) -> bytes:
    """A DHCP server as every router has one: an address, a mask and nothing else."""
    answers = {MessageType.DISCOVER: MessageType.OFFER, MessageType.REQUEST: MessageType.ACK}
    kind = answers.get(MessageType(request.message_type or 1))
    if kind is None or request.options.address(54) not in (None, OTHER):
        return b""
    options = Options({53: bytes((kind,)), 54: OTHER.packed, 51: bytes((0, 0, 14, 16)), 1: b"\xff\xff\xff\0"})
    fields = {"xid": request.xid, "chaddr": request.chaddr, "flags": request.flags}
    return bootp.build(DhcpMessage(BOOTREPLY, yiaddr=IPv4Address("10.0.0.77"), options=options, **fields))  # type: ignore[arg-type]


def boot(settings: Settings, profile: DhcpProfile, *, other: bool = False) -> Segment:
    rom = Dhcp(Identity(HardwareAddress(1, MAC), UUID, xid=0x26F30339), profile, RomPorts())
    segment = Segment(Lab(settings, TWO_IMAGES), rom, other)
    segment.run()
    return segment


def with_groups(settings: Settings, tags: MtftpTags | None) -> Settings:
    return replace(settings, multicast=Multicast(tags.group if tags is not None else None))


NBP_BY_DEFAULT = Boot("nbp")
CHOICE = Boot("nbp", menu=Menu((MenuItem(15, "Install", "boot.efi"), MenuItem(0, "Local"))))


@pytest.mark.parametrize("broadcast", [True, False])
@pytest.mark.parametrize("tags", [TAGS, None])
@pytest.mark.parametrize("profile", [SPEC.dhcp, EDK1.dhcp])
def test_a_rom_boots_in_dhcp_mode(profile: DhcpProfile, tags: MtftpTags | None, broadcast: bool) -> None:
    settings = with_groups(with_boot(DHCP, NBP_BY_DEFAULT), tags)
    segment = boot(settings, replace(profile, broadcast=broadcast))
    plan = segment.rom.plan
    assert plan is not None, segment.rom.reason or segment.rom.refusals
    assert (str(plan.address), plan.server, plan.boot_file) == ("10.0.0.100", SERVER, b"nbp")
    assert (plan.mtftp, plan.blocks) == (tags, None if tags is None else 185)
    assert [each.message_type for each in segment.sent] == [MessageType.DISCOVER, MessageType.REQUEST]
    assert segment.rom.refusals == []
    assert segment.lab.service.offered("10.0.0.100") == "nbp"


@pytest.mark.parametrize("tags", [TAGS, None])
@pytest.mark.parametrize("profile", [SPEC.dhcp, EDK1.dhcp])
def test_a_rom_boots_beside_another_server(profile: DhcpProfile, tags: MtftpTags | None) -> None:
    segment = boot(with_groups(with_boot(PROXY, NBP_BY_DEFAULT), tags), profile, other=True)
    plan = segment.rom.plan
    assert plan is not None, segment.rom.reason or segment.rom.refusals
    assert (str(plan.address), plan.server, plan.boot_file, plan.mtftp) == ("10.0.0.77", SERVER, b"nbp", tags)
    assert segment.lab.service.offered("10.0.0.77") == "nbp"


@pytest.mark.parametrize("profile", [SPEC.dhcp, EDK1.dhcp])
@pytest.mark.parametrize(("settings", "other"), [(DHCP, False), (PROXY, True)])
def test_a_rom_chooses_from_the_menu(profile: DhcpProfile, settings: Settings, other: bool) -> None:
    segment = boot(with_boot(settings, CHOICE), profile, other=other)
    plan = segment.rom.plan
    assert plan is not None, segment.rom.reason or segment.rom.refusals
    assert (plan.boot_file, plan.blocks) == (b"boot.efi", 2)
    assert plan.mtftp == replace(TAGS, group=IPv4Address("239.1.1.2"))
    assert segment.lab.service.offered(str(plan.address)) == "boot.efi"


def test_without_a_boot_file_a_rom_gives_up_instead_of_hanging() -> None:
    segment = boot(DHCP, SPEC.dhcp)
    assert (segment.rom.plan, segment.rom.over) == (None, True)

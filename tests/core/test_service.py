"""The whole server as one object: who gets which datagram, one deadline, and a configuration that swaps whole."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.effects import (
    FIRST_TRANSFER,
    Drop,
    DropReason,
    Effects,
    Lookup,
    OpenTransfer,
    Report,
    ReportKind,
    Send,
    SendRun,
    Service,
)
from mtftpd.core.images import Image
from mtftpd.core.service import BootService
from mtftpd.core.settings import Addressing, Catalogue
from mtftpd.errors import BadConfig
from mtftpd.wire import bootp, tftp
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.options import Options
from tests.core.dhcp.dhcp_lab import ANYBODY, BIOS_ROM, DHCP, MAC, NBP, NOBODY, ONE_IMAGE, SERVER

CLIENT = Endpoint("10.0.0.100", 2070)
OPENER = Endpoint("10.0.0.101", 50_000)
"""Not the client port: such clients open without having listened, so the answer waits for others."""
RRQ = tftp.build(tftp.Request(1, b"nbp"))
NEWER = Image(7, "nbp", 1000, "77" * 32)


def at(socket: int, data: bytes, source: Endpoint = CLIENT) -> Datagram:
    return Datagram(socket, source, Endpoint(str(SERVER), 69), data)


def discover() -> Datagram:
    message = bootp.DhcpMessage(
        op=bootp.BOOTREQUEST, xid=1, chaddr=MAC.ljust(16, b"\0"), options=Options({53: b"\1", **BIOS_ROM})
    )
    return Datagram(Service.DHCP, NOBODY, ANYBODY, bootp.build(message))


def kinds(effects: Effects) -> list[type]:
    return [type(effect) for effect in effects]


def offered_group(effects: Effects) -> IPv4Address:
    """Return tag 1 of the OFFER among these effects."""
    (send,) = (effect for effect in effects if isinstance(effect, Send))
    value = bootp.parse_untrusted(send.data).options[43]
    assert value[:5] == b"\6\1\x0a\1\4"
    return IPv4Address(value[5:9])


@pytest.fixture
def service() -> BootService:
    return BootService(DHCP, ONE_IMAGE)


def test_each_socket_has_its_service(service: BootService) -> None:
    assert kinds(service.receive(discover(), 0.0))[:2] == [Send, Report]
    assert kinds(service.receive(at(Service.TFTP, RRQ), 0.0))[0] is OpenTransfer
    assert [told.kind for told in service.receive(at(Service.MTFTP, RRQ, OPENER), 0.0) if isinstance(told, Report)] == [
        ReportKind.NODE_STATE
    ]
    assert service.receive(at(FIRST_TRANSFER + 99, b"\0\4\0\1"), 0.0) != ()
    sizes = service.statistics()
    assert (sizes.dhcp.received, sizes.tftp.requests, sizes.mtftp.groups[0].state) == (1, 1, "gather")


def test_the_earliest_deadline_counts(service: BootService) -> None:
    assert service.next_deadline() is None
    service.receive(discover(), 0.0)
    offer_expires = service.next_deadline()
    assert offer_expires is not None
    service.receive(at(Service.MTFTP, RRQ, OPENER), 1.0)
    gathered = service.next_deadline()
    assert gathered is not None
    assert gathered < offer_expires
    assert service.tick(gathered - 0.001) == ()
    runs = [effect for effect in service.tick(gathered) if isinstance(effect, SendRun)]
    assert [(run.destination.address, run.first_block, run.count) for run in runs] == [
        ("10.0.0.101", 1, 1), ("239.1.1.1", 1, 1),
    ]  # fmt: skip


def test_a_file_of_no_name_is_looked_up(service: BootService) -> None:
    (lookup,) = service.receive(at(Service.TFTP, tftp.build(tftp.Request(1, b"grub/font"))), 0.0)
    assert isinstance(lookup, Lookup)
    assert lookup.name == "grub/font"
    assert kinds(service.looked_up(lookup.request, None, 0.0)) == [Send, Report]


def test_a_changed_file_ends_what_serves_it(service: BootService) -> None:
    service.receive(at(Service.TFTP, RRQ), 0.0)
    service.receive(at(Service.MTFTP, RRQ, OPENER), 0.0)
    reports = [effect.kind for effect in service.image_changed(NBP, 0.1) if isinstance(effect, Report)]
    assert ReportKind.TFTP_FAILED in reports


def test_who_opened_and_then_asks_port_69_has_fallen_back(service: BootService) -> None:
    service.receive(at(Service.MTFTP, RRQ), 0.0)
    service.receive(at(Service.MTFTP, RRQ, OPENER), 0.0)
    service.tick(0.2)
    stranger = service.receive(at(Service.TFTP, RRQ, Endpoint("10.0.0.102", 2070)), 0.5)
    fallen = service.receive(at(Service.TFTP, RRQ, Endpoint(OPENER.address, 2070)), 0.5)
    assert ReportKind.FALLBACK not in [effect.kind for effect in stranger if isinstance(effect, Report)]
    assert ReportKind.FALLBACK in [effect.kind for effect in fallen if isinstance(effect, Report)]
    assert service.statistics().mtftp.groups[0].fallbacks == 1


def test_dhcp_and_mtftp_agree_after_a_reload(service: BootService) -> None:
    first = offered_group(service.receive(discover(), 0.0))
    service.reconfigure(DHCP, Catalogue((NEWER,), {"nbp": NEWER}), 1.0)
    second = offered_group(service.receive(discover(), 2.0))
    assert first != second
    binding = service.groups.for_request(Service.MTFTP, "nbp")
    assert binding is not None
    assert (binding.image, binding.group.address) == (NEWER, str(second))


def test_images_are_in_use_as_long_as_anything_sends_them(service: BootService) -> None:
    """By the catalogue, by a transfer, and by a pass that began before a reload."""
    service.receive(at(Service.TFTP, RRQ), 0.0)
    service.receive(at(Service.MTFTP, RRQ, Endpoint("10.0.0.101", 1799)), 0.0)
    service.reconfigure(DHCP, Catalogue((NEWER,), {"nbp": NEWER}), 1.0)
    assert service.images_in_use() == {NBP.key, NEWER.key}
    service.receive(at(FIRST_TRANSFER, b"\0\5\0\0\0"), 1.0)
    assert service.images_in_use() == {NBP.key, NEWER.key}
    service.tick(100.0)
    service.tick(200.0)
    assert service.images_in_use() == {NEWER.key}


def test_a_refused_configuration_changes_nothing(service: BootService) -> None:
    before = (service.settings, service.catalogue, service.groups)
    elsewhere = Addressing(IPv4Address("192.0.2.1"), IPv4Address("192.0.2.9"))
    with pytest.raises(BadConfig):
        service.reconfigure(replace(DHCP, addressing=elsewhere), Catalogue(), 1.0)
    assert (service.settings, service.catalogue, service.groups) == before
    assert offered_group(service.receive(discover(), 2.0)) == IPv4Address("239.1.1.1")


@given(st.sampled_from([*Service, FIRST_TRANSFER]), st.binary(max_size=600))
def test_no_datagram_is_left_without_an_effect_or_a_reason(socket: int, data: bytes) -> None:
    service = BootService(DHCP, ONE_IMAGE)
    effects = service.receive(at(socket, data), 0.0)
    assert effects
    assert all(effect.reason in DropReason for effect in effects if isinstance(effect, Drop))

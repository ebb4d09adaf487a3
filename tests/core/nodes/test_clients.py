"""Who is asking: section 3 of the catalogue of ROMs, as far as one packet tells."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mtftpd.core.addresses.leases import ClientKey
from mtftpd.core.node_settings import NodeSettings
from mtftpd.core.nodes.clients import ClientKind, is_ethernet, recognise
from mtftpd.wire.bootp import BOOTREQUEST, DhcpMessage
from mtftpd.wire.datagram import HardwareAddress
from mtftpd.wire.options import Options
from tests.core.dhcp.dhcp_lab import BIOS_ROM, HTTP, IPXE, MAC, OVMF, SYSTEM

MESSAGE = DhcpMessage(BOOTREQUEST, 1, MAC + bytes(10))


@pytest.mark.parametrize(
    ("options", "kind", "architecture", "is_ipxe", "rom"),
    [
        (BIOS_ROM, ClientKind.PXE, 0, False, "intel-bios"),
        (OVMF, ClientKind.PXE, 7, False, "edk2-now"),
        (IPXE, ClientKind.PXE, 0, True, "ipxe"),
        ({**BIOS_ROM, 77: b"\4gPXE"}, ClientKind.PXE, 0, True, "gpxe"),
        (HTTP, ClientKind.HTTP, 16, False, "edk2-now"),
        (SYSTEM, ClientKind.OTHER, 0, False, "os-dhclient"),
        ({60: b"PXEClient"}, ClientKind.PXE, 0, False, "intel-bios"),
        ({60: b"PXEClient:Arch:00011:UNDI:003000"}, ClientKind.PXE, 11, False, "edk2-now"),
        ({60: b"PXEClient:Arch:00011:UNDI:003000", 93: b"\0\7\0\6"}, ClientKind.PXE, 7, False, "edk2-now"),
        ({60: b"pxeclient:Arch:00000:UNDI:002001"}, ClientKind.OTHER, 0, False, "os-dhclient"),
        ({60: b"PXEServer"}, ClientKind.OTHER, 0, False, "os-dhclient"),
        ({60: b"U-Boot.armv7", 93: b"\0\x15"}, ClientKind.OTHER, 21, False, "u-boot"),
    ],
)
def test_what_options_say(
    options: dict[int, bytes], kind: ClientKind, architecture: int, is_ipxe: bool, rom: str
) -> None:
    client = recognise(replace(MESSAGE, options=Options({53: b"\1", **options})))
    assert client is not None
    assert (client.kind, client.architecture) == (kind, architecture)
    assert (client.is_ipxe, client.rom.profile.id) == (is_ipxe, rom)
    assert client.boots == (kind is not ClientKind.OTHER)
    assert client.wants_boot_file == (67 in options.get(55, b""))


def test_without_option_53_it_is_bootp() -> None:
    client = recognise(MESSAGE)
    assert client is not None
    assert (client.kind, client.boots, client.may_do_mtftp) == (ClientKind.BOOTP, True, False)


def test_the_key_is_the_hardware_address() -> None:
    one = recognise(replace(MESSAGE, options=Options({61: b"a"})))
    two = recognise(replace(MESSAGE, xid=2, options=Options({61: b"b", 97: bytes(17)})))
    assert one is not None
    assert two is not None
    assert one.key == two.key == ClientKey(1, MAC)


def test_the_client_identifier_stands_in_for_it() -> None:
    nameless = replace(MESSAGE, htype=32, hlen=0, chaddr=bytes(16))
    assert recognise(nameless) is None
    assert recognise(replace(nameless, options=Options({61: b""}))) is None
    client = recognise(replace(nameless, options=Options({61: b"x" * 400})))
    assert client is not None
    assert client.key == ClientKey(32, b"x" * 255, is_identifier=True)


@pytest.mark.parametrize(
    ("htype", "octets", "expected"),
    [(1, MAC, True), (1, bytes(6), False), (1, b"\xff" * 6, False), (6, MAC, False), (1, MAC + b"\0\0", False)],
)
def test_ethernet_stations(htype: int, octets: bytes, expected: bool) -> None:
    assert is_ethernet(HardwareAddress(htype, octets)) is expected


def test_the_operator_knows_better() -> None:
    message = replace(MESSAGE, options=Options({53: b"\1", **BIOS_ROM}))
    client = recognise(message, NodeSettings(rom="edk2-2008"))
    assert client is not None
    assert (client.rom.profile.id, client.may_do_mtftp) == ("edk2-2008", False)


def test_a_raspberry_pi_is_no_bios() -> None:
    chaddr = bytes.fromhex("b827eb010203") + bytes(10)
    client = recognise(replace(MESSAGE, chaddr=chaddr, options=Options({53: b"\1", **BIOS_ROM})))
    assert client is not None
    assert (client.rom.profile.id, client.may_do_mtftp) == ("rpi3", False)


def test_without_the_hardware_address_as_key_the_uuid_is_it() -> None:
    client = recognise(replace(MESSAGE, options=Options({97: b"\0" + bytes(16)})), by_chaddr=False)
    assert client is not None
    assert client.key == ClientKey(1, b"\0" + bytes(16), is_identifier=True)

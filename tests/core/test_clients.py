"""Who is asking: section 3 of the catalogue of ROMs, as far as one packet tells."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mtftpd.core.clients import ClientKind, is_ethernet, recognise
from mtftpd.core.leases import ClientKey
from mtftpd.wire.bootp import BOOTREQUEST, DhcpMessage
from mtftpd.wire.datagram import HardwareAddress
from mtftpd.wire.options import Options
from tests.core.dhcp_lab import BIOS_ROM, HTTP, IPXE, MAC, OVMF, SYSTEM

MESSAGE = DhcpMessage(BOOTREQUEST, 1, MAC + bytes(10))


@pytest.mark.parametrize(
    ("options", "kind", "architecture", "is_ipxe", "is_edk2"),
    [
        (BIOS_ROM, ClientKind.PXE, 0, False, False),
        (OVMF, ClientKind.PXE, 7, False, True),
        (IPXE, ClientKind.PXE, 0, True, False),
        ({**BIOS_ROM, 77: b"\4gPXE"}, ClientKind.PXE, 0, True, False),
        (HTTP, ClientKind.HTTP, 16, False, True),
        (SYSTEM, ClientKind.OTHER, 0, False, False),
        ({60: b"PXEClient"}, ClientKind.PXE, 0, False, False),
        ({60: b"PXEClient:Arch:00011:UNDI:003000"}, ClientKind.PXE, 11, False, False),
        ({60: b"PXEClient:Arch:00011:UNDI:003000", 93: b"\0\7\0\6"}, ClientKind.PXE, 7, False, False),
        ({60: b"pxeclient:Arch:00000:UNDI:002001"}, ClientKind.OTHER, 0, False, False),
        ({60: b"PXEServer"}, ClientKind.OTHER, 0, False, False),
        ({60: b"U-Boot.armv7", 93: b"\0\x15"}, ClientKind.OTHER, 21, False, False),
    ],
)
def test_what_options_say(
    options: dict[int, bytes], kind: ClientKind, architecture: int, is_ipxe: bool, is_edk2: bool
) -> None:
    client = recognise(replace(MESSAGE, options=Options({53: b"\1", **options})))
    assert client is not None
    assert (client.kind, client.architecture) == (kind, architecture)
    assert (client.is_ipxe, client.is_edk2) == (is_ipxe, is_edk2)
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

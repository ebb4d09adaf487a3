"""The advertisement that ends iPXE's wait for IPv6 routers."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

from tools.lab.router import advertisement, checksum

HARDWARE = bytes.fromhex("0200005e1001")


def test_it_is_whole_and_offers_nothing() -> None:
    frame = advertisement(HARDWARE)
    assert frame[:14] == bytes.fromhex("333300000001") + HARDWARE + b"\x86\xdd"
    header, message = frame[14:54], frame[54:]
    length, next_header, hop_limit = struct.unpack_from("!HBB", header, 4)
    assert (header[0] >> 4, length, next_header, hop_limit) == (6, len(message), 58, 255)
    assert IPv6Address(header[8:24]) == IPv6Address("fe80::ff:fe5e:1001")
    assert IPv6Address(header[24:]) == IPv6Address("ff02::1")
    kind, code, _, _, flags, lifetime = struct.unpack_from("!BBHBBH", message)
    assert (kind, code, flags, lifetime) == (134, 0, 0, 0), "no router for anybody"
    assert checksum(header[8:] + struct.pack("!II", length, next_header) + message) == 0

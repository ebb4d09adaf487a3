"""A router that has nothing to say, for iPXE: ``python -m tools.lab.router INTERFACE`` in a namespace.

iPXE asks for IPv6 routers beside DHCP and waits some 15 s for an answer.  An advertisement without a prefix and with
lifetime 0 (RFC 4861 4.2) ends that at once.  It needs no IPv6 of the kernel, which lab segments leave out.
"""

from __future__ import annotations

import socket
import struct
import sys

ETHERTYPE = 0x86DD
ICMPV6 = 58
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_ALLMULTI = 263, 1, 2
"""linux/if_packet.h; Python has no names for them."""
SOLICITATION, ADVERTISEMENT = 133, 134
ALL_NODES = b"\xff\x02" + bytes(13) + b"\x01"
ALL_NODES_ETHERNET = b"\x33\x33\0\0\0\x01"
_NEXT_HEADER, _TYPE = 20, 54
"""Where a frame without extension headers has these."""


def link_local(hardware: bytes) -> bytes:
    """Return the address that an interface gives itself (RFC 4291 appendix A)."""
    return b"\xfe\x80" + bytes(6) + bytes((hardware[0] ^ 2,)) + hardware[1:3] + b"\xff\xfe" + hardware[3:]


def checksum(octets: bytes) -> int:
    """Return the internet checksum of an even number of octets."""
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def advertisement(hardware: bytes) -> bytes:
    """Return the frame that tells everybody that ``hardware`` is no way out."""
    source = link_local(hardware)
    fields = (64, 0, 0, 0, 0)  # hop limit, flags, lifetime, reachable and retransmission time
    body = struct.pack("!BBHII", *fields) + b"\x01\x01" + hardware
    pseudo = source + ALL_NODES + struct.pack("!II", len(body) + 4, ICMPV6)
    unsummed = struct.pack("!BBH", ADVERTISEMENT, 0, 0) + body
    message = struct.pack("!BBH", ADVERTISEMENT, 0, checksum(pseudo + unsummed)) + body
    header = struct.pack("!IHBB", 6 << 28, len(message), ICMPV6, 255)
    ethernet = ALL_NODES_ETHERNET + hardware + struct.pack("!H", ETHERTYPE)
    return ethernet + header + source + ALL_NODES + message


def main() -> None:
    """Answer until it is stopped."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE)) as opened:
        opened.bind((sys.argv[1], 0))
        everything = struct.pack("iHH8s", socket.if_nametoindex(sys.argv[1]), PACKET_MR_ALLMULTI, 0, b"")
        opened.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, everything)
        answer = advertisement(opened.getsockname()[4][:6])
        while True:
            frame = opened.recv(2048)
            if len(frame) > _TYPE and (frame[_NEXT_HEADER], frame[_TYPE]) == (ICMPV6, SOLICITATION):
                opened.send(answer)


if __name__ == "__main__":
    main()

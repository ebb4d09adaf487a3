"""A UDP datagram as an Ethernet frame in one step: for clients without an address, and for captures of sockets."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address
from struct import Struct as Layout
from typing import Final

from mtftpd.wire import ethernet
from mtftpd.wire.checksum import internet_checksum
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.ethernet import EtherType
from mtftpd.wire.ipv4 import Protocol
from mtftpd.wire.udp import MAX_PAYLOAD

_CACHED_ADDRESSES: Final = 4_096
"""Text and octets of an address are some 150 octets: 0.6 MiB when 4,096 nodes are known."""

_ETHERNET: Final = Layout("!6s6sH")
_IPV4: Final = Layout("!BBHHHBBH4s4s")
_UDP: Final = Layout("!HHHH")
_PSEUDO_HEADER: Final = Layout("!4s4sHH")


def udp_frame(
    source_mac: bytes,
    destination_mac: bytes,
    source: Endpoint,
    destination: Endpoint,
    payload: bytes,
    *,
    ttl: int = 64,
) -> bytes:
    """Return the Ethernet frame of one UDP datagram, both checksums made, unpadded.

    Hardware addresses are 6 octets.  The datagram is never fragmented: whoever puts the frame on a wire keeps
    ``payload`` within the MTU less 28 octets; a capture may hold up to 65,507.  Raises ValueError for what does not
    fit.
    """
    if len(source_mac) != ethernet.ADDRESS_SIZE or len(destination_mac) != ethernet.ADDRESS_SIZE:
        raise ValueError("an Ethernet address has 6 octets")
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"UDP cannot carry {len(payload)} octets, only {MAX_PAYLOAD}")
    if not (0 <= source.port <= 0xFFFF and 0 <= destination.port <= 0xFFFF and 0 <= ttl <= 0xFF):
        raise ValueError("a port or the TTL does not fit its field")
    sender, receiver = _packed(source.address), _packed(destination.address)
    length = 8 + len(payload)
    addresses = _PSEUDO_HEADER.pack(sender, receiver, Protocol.UDP, length)
    ports = _UDP.pack(source.port, destination.port, length, 0)
    udp_checksum = internet_checksum(b"".join((addresses, ports, payload))) or 0xFFFF
    unsummed = _IPV4.pack(0x45, 0, 20 + length, 0, 0, ttl, Protocol.UDP, 0, sender, receiver)
    ip_checksum = internet_checksum(unsummed)
    return b"".join(
        (
            _ETHERNET.pack(destination_mac, source_mac, EtherType.IPV4),
            _IPV4.pack(0x45, 0, 20 + length, 0, 0, ttl, Protocol.UDP, ip_checksum, sender, receiver),
            _UDP.pack(source.port, destination.port, length, udp_checksum),
            payload,
        )
    )


@lru_cache(maxsize=_CACHED_ADDRESSES)
def _packed(address: str) -> bytes:
    return IPv4Address(address).packed

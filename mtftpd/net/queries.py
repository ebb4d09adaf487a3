"""Hears the IGMP queries of a link: who asks for the members of groups, so that switches do not forget them."""

from __future__ import annotations

import socket

from mtftpd.core.settings import Link
from mtftpd.errors import Malformed, MissingCapability
from mtftpd.wire import igmp, ipv4
from mtftpd.wire.igmp import Message, Query

MAX_PACKET = 9_216
"""Octets read of one packet; what is longer is no query."""
MAX_DRAIN = 64
"""Packets read at once: a flood of them must not keep everything else waiting."""


class Queries:
    """A raw socket on the link; raises `MissingCapability` without CAP_NET_RAW."""

    def __init__(self, link: Link) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        try:
            self._socket = socket.socket(socket.AF_INET, kind, socket.IPPROTO_IGMP)
        except PermissionError:
            raise MissingCapability("IGMP queries are not heard: CAP_NET_RAW is missing") from None
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.name.encode() + b"\0")

    def fileno(self) -> int:
        """Return the descriptor, to wait on."""
        return self._socket.fileno()

    def heard(self) -> bool:
        """Read what has come; return whether a query was among it.  Raises BlockingIOError when nothing has."""
        found = is_query(self._socket.recv(MAX_PACKET))
        for _ in range(MAX_DRAIN - 1):
            try:
                found |= is_query(self._socket.recv(MAX_PACKET))
            except BlockingIOError:
                break
        return found

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def is_query(data: bytes) -> bool:
    """Return whether an IPv4 packet is an IGMP query of any version."""
    try:
        packet = igmp.parse_untrusted(ipv4.parse_untrusted(data, verify=False).payload)
    except Malformed:
        return False
    return isinstance(packet, Query) or (isinstance(packet, Message) and packet.type == igmp.Type.QUERY)

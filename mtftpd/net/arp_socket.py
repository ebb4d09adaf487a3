"""ARP beside the kernel: ask a station of the link for its hardware address, whatever the kernel's table says."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address
from typing import Final

from mtftpd.core.settings import Link
from mtftpd.net.neighbours import uses_arp
from mtftpd.wire import arp, ethernet
from mtftpd.wire.ethernet import EtherType

_MAX_PACKET: Final = 64
"""Octets: an ARP packet has 28, and 46 where frames are padded."""


class ArpSocket:
    """A packet socket for ARP alone; without CAP_NET_RAW, or on a link without ARP, it is not ``available``.

    ``reason`` then says why, for people.
    """

    def __init__(self, link: Link) -> None:
        self.reason = ""
        self._link = link
        self._socket: socket.socket | None = None
        if not uses_arp(link.name):
            self.reason = f"{link.name} has no ARP"
            return
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        try:
            opened = socket.socket(socket.AF_PACKET, kind, socket.htons(EtherType.ARP))
        except PermissionError:
            self.reason = "CAP_NET_RAW is missing"
            return
        opened.bind((link.name, EtherType.ARP))
        self._hardware: bytes = opened.getsockname()[4]
        self._socket = opened

    @property
    def available(self) -> bool:
        """Whether anybody can be asked."""
        return self._socket is not None

    def fileno(self) -> int:
        """Return the descriptor; only while it is ``available``."""
        return self._present().fileno()

    def ask(self, address: IPv4Address) -> None:
        """Ask everybody on the link who has ``address``; what the kernel has no room for is lost.  Raises OSError."""
        question = arp.Packet(arp.Operation.REQUEST, self._hardware, self._link.address, bytes(6), address)
        everybody = (self._link.name, EtherType.ARP, 0, 0, ethernet.BROADCAST)
        self._present().sendto(arp.build(question), everybody)

    def receive(self) -> bytes:
        """Return the next ARP packet that came in, of anybody; raises BlockingIOError when there is none."""
        return self._present().recv(_MAX_PACKET)

    def close(self) -> None:
        """Close the socket; nobody can be asked afterwards."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _present(self) -> socket.socket:
        assert self._socket is not None, "whoever asks has looked whether it is available"
        return self._socket

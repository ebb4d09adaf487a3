"""Whole frames to a hardware address: how to reach a client that has no address to answer ARP for (RFC 2131 4.1)."""

from __future__ import annotations

import socket
from typing import Final

from mtftpd.core.settings import Link
from mtftpd.wire.datagram import Endpoint, HardwareAddress
from mtftpd.wire.frames import udp_frame

ETHERNET: Final = 1
"""The hardware type of Ethernet, in DHCP (RFC 1700) and in the kernel (ARPHRD_ETHER)."""
LOOPBACK: Final = 772
"""ARPHRD_LOOPBACK: frames as on Ethernet, every address is zero."""
_HARDWARE_SIZE: Final = 6


class LinkLayer:
    """A packet socket on the link; without CAP_NET_RAW, or where frames are not Ethernet, it is not ``available``.

    ``reason`` then says why, for people.
    """

    def __init__(self, link: Link) -> None:
        self._mtu = link.mtu
        self._socket: socket.socket | None = None
        self._source = b""
        self.reason = ""
        try:
            # Protocol 0: nothing is ever received here.
            opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
        except PermissionError:
            self.reason = "CAP_NET_RAW is missing"
            return
        opened.bind((link.name, 0))
        _, _, _, kind, self._source = opened.getsockname()
        if kind in (ETHERNET, LOOPBACK) and len(self._source) == _HARDWARE_SIZE:
            self._socket = opened
        else:
            self.reason = f"{link.name} does not carry Ethernet frames"
            opened.close()

    @property
    def available(self) -> bool:
        """Whether frames can be sent at all."""
        return self._socket is not None

    def send(self, hardware: HardwareAddress, source: Endpoint, destination: Endpoint, data: bytes) -> bool:
        """Send one datagram to ``hardware``; False when that cannot be done and a broadcast must do.

        Raises BlockingIOError and OSError of the socket.
        """
        if self._socket is None or hardware.htype != ETHERNET or len(hardware.octets) != _HARDWARE_SIZE:
            return False
        if len(data) + 28 > self._mtu:  # Frames are not fragmented.
            return False
        self._socket.send(udp_frame(self._source, hardware.octets, source, destination, data))
        return True

    def close(self) -> None:
        """Close the socket; nothing can be sent afterwards."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

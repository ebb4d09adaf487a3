"""How fast an interface says that it is: the ethtool ioctl, which needs no rights and works in every network namespace.

``/sys/class/net`` is that of the namespace in which it was mounted, which need not be ours.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from array import array
from typing import Final

SIOCETHTOOL: Final = 0x8946
ETHTOOL_GSET: Final = 0x1
DUPLEX_HALF: Final = 0x00
UNKNOWN_SPEEDS: Final = (0, 0xFFFFFFFF)
"""Mbit/s that mean nothing: a link that is down, or a device that has none (SPEED_UNKNOWN)."""

_COMMAND = struct.Struct("@IIIHBBBBBBIIHBBIII")
"""struct ethtool_cmd: the low half of the speed is the fourth field, duplex the fifth, the high half the thirteenth."""
_REQUEST = struct.Struct("@16sP16x")
"""struct ifreq with a pointer."""


def link_speed(name: str) -> tuple[float, bool]:
    """Return the speed in bit/s, 0 when nobody knows it, and whether the link is half duplex."""
    command = array("B", _COMMAND.pack(ETHTOOL_GSET, *bytes(17)))
    request = _REQUEST.pack(name.encode(), command.buffer_info()[0])
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            fcntl.ioctl(asking, SIOCETHTOOL, request)
    except OSError:  # Loopback, tunnels and some virtual cards have no link to speak of.
        return 0.0, False
    fields = _COMMAND.unpack(command.tobytes())
    speed = fields[3] | fields[12] << 16
    if speed in UNKNOWN_SPEEDS:
        return 0.0, False
    return speed * 1e6, fields[4] == DUPLEX_HALF

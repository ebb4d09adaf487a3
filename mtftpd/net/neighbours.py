"""The kernel's neighbour table of one link, through rtnetlink: permanent entries of ours and nobody else's.

A permanent entry (NUD_PERMANENT) is never probed and never expires; one that the kernel has learnt ends 8 s after the
first packet to a client that answers no ARP.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import socket
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Final

from mtftpd.errors import Malformed
from mtftpd.wire import netlink
from mtftpd.wire.netlink import Flag, Message, MessageType, Neighbour, NeighbourState, Outcome

_READ: Final = 1 << 18
"""Octets of one read: the kernel fills 32 KiB of a dump at most."""
_ETHERNET: Final = 1
"""ARPHRD_ETHER (linux/if_arp.h)."""
_NO_ARP: Final = 0x80
"""IFF_NOARP (netdevice(7))."""
_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFHWADDR: Final = 0x8927
_NAME_SIZE: Final = 16
_REQUEST_SIZE: Final = 40
"""``struct ifreq`` (netdevice(7)): a name, then a union."""
_NO_SUCH_LINK: Final = (1 << 31) - 1
_EVERYBODY: Final = IPv4Address("255.255.255.255")
_SET_BY_SOMEBODY: Final = NeighbourState.PERMANENT | NeighbourState.NOARP
_FOUND_RIGHT: Final = NeighbourState.REACHABLE | NeighbourState.DELAY | NeighbourState.PROBE
_SECONDS: Final = 5.0
"""The kernel answers while it takes the request; a wait means that something is broken."""


class NeighbourTable:
    """The entries of the link with this index.  Without CAP_NET_ADMIN it is not ``available``: ``reason`` says why."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._sequence = itertools.count(1)
        self.reason = ""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.settimeout(_SECONDS)
        try:
            # The kernel looks at the right to do it before it looks for the link.
            self._request(MessageType.NEWNEIGH, Neighbour(_NO_SUCH_LINK, IPv4Address(0)), Flag.REPLACE)
        except OSError as error:
            if error.errno == errno.EPERM:
                self.reason = "CAP_NET_ADMIN is missing"

    @property
    def available(self) -> bool:
        """Whether entries can be set at all."""
        return not self.reason

    def obstacle(self, address: IPv4Address, hardware: bytes, *, over: bool) -> str:
        """Return why no entry of ours may be set at ``address``, "" if one may; raises OSError.

        An entry that somebody else has set stays.  With ``over`` any other one may be replaced, otherwise none that
        the kernel has just found to be right.
        """
        found = self.find(address)
        if found is None:
            return ""
        if found.state & _SET_BY_SOMEBODY:
            return "somebody else has set an entry"
        if not over and found.state & _FOUND_RIGHT and found.hardware != hardware:
            return f"{found.hardware.hex(':')} has the address and answers"
        return ""

    def put(self, address: IPv4Address, hardware: bytes) -> None:
        """Set a permanent entry in the place of any other one.  Raises OSError, also for what is no station's address.

        The kernel would take 0.0.0.0, which on loopback is the key of everybody's entry.
        """
        if address.is_unspecified or address.is_loopback or address.is_multicast or address == _EVERYBODY:
            raise OSError(errno.EINVAL, f"{address} is no station of a link")
        wanted = Neighbour(self._index, address, hardware, NeighbourState.PERMANENT)
        self._request(MessageType.NEWNEIGH, wanted, Flag.CREATE | Flag.REPLACE)

    def remove(self, address: IPv4Address, hardware: bytes) -> bool:
        """Remove our permanent entry, if it is still there as we set it; return whether it was.  Raises OSError."""
        if not self.holds(address, hardware):
            return False
        self._request(MessageType.DELNEIGH, Neighbour(self._index, address), Flag(0))
        return True

    def holds(self, address: IPv4Address, hardware: bytes) -> bool:
        """Return whether there is a permanent entry of just this content.  Raises OSError."""
        found = self.find(address)
        return found is not None and bool(found.state & NeighbourState.PERMANENT) and found.hardware == hardware

    def find(self, address: IPv4Address) -> Neighbour | None:
        """Return what the kernel knows about ``address``.  Raises OSError."""
        try:
            (found,) = self._request(MessageType.GETNEIGH, Neighbour(self._index, address), Flag(0))
        except FileNotFoundError:
            return None
        return found

    def close(self) -> None:
        """Close the socket; the entries stay."""
        self._socket.close()

    def _request(self, kind: MessageType, body: Neighbour, flags: Flag) -> list[Neighbour]:
        """Have the kernel do one thing and return the entries that it tells of; raises OSError when it refuses."""
        sequence = next(self._sequence) & 0xFFFFFFFF
        message = Message(kind, body, Flag.REQUEST | Flag.ACK | flags, sequence)
        self._socket.send(netlink.build(message))
        told: list[Neighbour] = []
        for answer in self._answers(sequence):
            if isinstance(answer.body, Outcome):
                if answer.body.errno:
                    raise OSError(answer.body.errno, os.strerror(answer.body.errno))
                return told
            if isinstance(answer.body, Neighbour):
                told.append(answer.body)
        raise AssertionError("unreachable")  # pragma: no cover - the answers end with an outcome or an error

    def _answers(self, sequence: int) -> Iterator[Message]:
        while True:
            try:
                messages = netlink.parse_untrusted(self._socket.recv(_READ))
            except Malformed as error:
                raise OSError(errno.EBADMSG, error.reason) from error
            for message in messages:
                if message.sequence == sequence:
                    yield message


def uses_arp(interface: str) -> bool:
    """Return whether this is an Ethernet on which stations are asked for; loopback and tunnels are not."""
    request = interface.encode().ljust(_REQUEST_SIZE, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        try:
            kind = fcntl.ioctl(asking, _SIOCGIFHWADDR, request)
            flags = fcntl.ioctl(asking, _SIOCGIFFLAGS, request)
        except OSError:
            return False
    return _shown(kind) == _ETHERNET and not _shown(flags) & _NO_ARP


def _shown(answer: bytes) -> int:
    """Return the 16-bit number behind the name in a ``struct ifreq``."""
    return int.from_bytes(answer[_NAME_SIZE : _NAME_SIZE + 2], sys.byteorder)

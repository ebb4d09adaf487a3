"""The service with a door: once it is shut, nothing new begins, and what runs goes on to its end."""

from __future__ import annotations

from mtftpd.core.effects import Drop, DropReason, Effects, Service
from mtftpd.core.images import Image
from mtftpd.core.service import BootService
from mtftpd.wire.datagram import Datagram
from mtftpd.wire.tftp import Opcode

_REQUESTS_ONLY = frozenset((Service.DHCP, Service.PXE, Service.TFTP))
"""Whatever comes in here begins something; the ACKs of a pass come to the sockets that its blocks left from."""
_OPEN = Opcode.RRQ.to_bytes(2, "big")


class Gate:
    """Has the calls of a service that the pump makes; open until `shut`."""

    def __init__(self, service: BootService) -> None:
        self._service = service
        # While the door is open nothing stands in it: the pump calls this once per block.
        self.receive = service.receive
        self.looked_up = service.looked_up
        self.tick = service.tick
        self.next_deadline = service.next_deadline

    def shut(self) -> None:
        """Refuse every request from now on."""
        self.receive = self._receive_when_shut

    def _receive_when_shut(self, datagram: Datagram, now: float) -> Effects:
        if not _begins_something(datagram):
            return self._service.receive(datagram, now)
        return (Drop(DropReason.STOPPING, datagram.source),)

    def congested(self, is_congested: bool, now: float) -> None:
        """Tell the service whether a socket of groups has no room."""
        self._service.congested(is_congested, now)

    def image_changed(self, image: Image, now: float) -> Effects:
        """End what serves ``image``."""
        return self._service.image_changed(image, now)


def _begins_something(datagram: Datagram) -> bool:
    return datagram.socket in _REQUESTS_ONLY or datagram.data[:2] == _OPEN

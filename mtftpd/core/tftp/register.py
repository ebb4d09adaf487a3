"""Which transfers exist: by socket, by client, by age; how many there may be; which image is in use.

It decides nothing about the protocol.  Everything is kept in the order of entry, so the oldest is the first.
"""

from __future__ import annotations

from collections.abc import Iterator

from mtftpd.core.effects import FIRST_TRANSFER
from mtftpd.core.images import Image
from mtftpd.core.tftp.states import State
from mtftpd.core.tftp.transfer import Transfer
from mtftpd.wire.datagram import Endpoint

MAX_TRANSFERS = 4_000
"""Not ended, at once: twice the 2,000 nodes of a large cluster.  4,000 * ~2 KB are 8 MB, and 4,000 descriptors."""
MAX_OF_ADDRESS = 512
"""Not ended, of one address: a client behind address translation is many, a ROM has one or two."""
MAX_HALF_OPEN = 2_000
"""2,000 * 1 KB, and 0.2 KB of each client's address, are 2.4 MB.  At a flood of 10,000 forged requests a second an
honest client has 200 ms to answer.
"""
MAX_LINGERING = 1_000
"""Over, socket still open: 1,000 descriptors, 1.5 MB; at 200 ends a second each lingers its 5 s."""


class Register:
    """All transfers whose socket is open."""

    def __init__(self) -> None:
        self.transfers: dict[int, Transfer] = {}
        """By socket, the lingering ones included."""
        self.half_open: dict[int, Transfer] = {}
        """In the order of their deadlines, so that a forged request costs no timer."""
        self.lingering: dict[int, Transfer] = {}
        self._newest: dict[Endpoint, Transfer] = {}
        self._of_address: dict[str, list[Transfer]] = {}
        self._borrowed: dict[int, int] = {}
        self._next = FIRST_TRANSFER

    def take_socket(self) -> int:
        """Return a socket number that was never used."""
        self._next += 1
        return self._next - 1

    def add(self, transfer: Transfer) -> None:
        """Enter a transfer that has sent its first reply."""
        self.transfers[transfer.socket] = transfer
        self.half_open[transfer.socket] = transfer
        self._newest[transfer.peer] = transfer
        siblings = self._of_address.get(transfer.peer.address)
        if siblings is None:
            self._of_address[transfer.peer.address] = [transfer]
        else:
            siblings.append(transfer)

    def asked_again(self, transfer: Transfer) -> None:
        """Note that a half-open transfer gets more time from now on."""
        self.half_open[transfer.socket] = self.half_open.pop(transfer.socket)

    def oldest_half_open(self) -> Transfer | None:
        """Return the half-open transfer whose time is over first."""
        return next(iter(self.half_open.values()), None)

    def answered(self, transfer: Transfer) -> None:
        """Note that the client has answered the first reply, or that there is nothing to answer any more."""
        self.half_open.pop(transfer.socket, None)

    def ended(self, transfer: Transfer) -> None:
        """Move a transfer that is over to the lingering ones."""
        self.answered(transfer)
        siblings = self._of_address[transfer.peer.address]
        siblings.remove(transfer)
        if not siblings:
            del self._of_address[transfer.peer.address]
        self.lingering[transfer.socket] = transfer

    def closed(self, transfer: Transfer) -> None:
        """Forget a transfer that lingered."""
        del self.transfers[transfer.socket]
        del self.lingering[transfer.socket]
        if self._newest.get(transfer.peer) is transfer:
            del self._newest[transfer.peer]

    def of_peer(self, peer: Endpoint) -> Transfer | None:
        """Return the newest transfer of this client port, if its socket is open."""
        return self._newest.get(peer)

    def newest_of_address(self, address: str) -> Transfer | None:
        """Return the newest transfer of this address that has not ended."""
        siblings = self._of_address.get(address)
        return siblings[-1] if siblings else None

    def to_evict(self, address: str) -> Transfer | None:
        """Return the half-open transfer that must go before ``address`` gets another one, if one must."""
        siblings = self._of_address.get(address, ())
        if len(siblings) >= MAX_OF_ADDRESS:
            return next((transfer for transfer in siblings if transfer.half_open), None)
        if len(self.half_open) >= MAX_HALF_OPEN or self._running() >= MAX_TRANSFERS:
            return self.oldest_half_open()
        return None

    def has_room(self, address: str) -> bool:
        """Return whether one more transfer of ``address`` may start."""
        return self._running() < MAX_TRANSFERS and len(self._of_address.get(address, ())) < MAX_OF_ADDRESS

    def surplus(self) -> Transfer | None:
        """Return the lingering transfer that must be closed early, if one must."""
        return next(iter(self.lingering.values())) if len(self.lingering) > MAX_LINGERING else None

    def running(self) -> Iterator[Transfer]:
        """Return the transfers that have not ended."""
        return (transfer for transfer in self.transfers.values() if transfer.state is not State.LINGER)

    def borrow(self, image: Image) -> None:
        """Count one more transfer of an image that was looked up for it."""
        self._borrowed[image.key] = self._borrowed.get(image.key, 0) + 1

    def borrow_again(self, image: Image) -> None:
        """Count one more transfer of an image that another transfer has; one of the catalogue is not counted."""
        if image.key in self._borrowed:
            self._borrowed[image.key] += 1

    def give_back(self, image: Image) -> bool:
        """Count one transfer less; returns whether that was the last one of an image that was looked up."""
        uses = self._borrowed.get(image.key)
        if uses is None:
            return False
        if uses > 1:
            self._borrowed[image.key] = uses - 1
            return False
        del self._borrowed[image.key]
        return True

    def _running(self) -> int:
        return len(self.transfers) - len(self.lingering)

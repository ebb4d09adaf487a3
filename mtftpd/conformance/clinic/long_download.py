"""A unicast file of 65,536 blocks: block numbers have 16 bits, and RFC 1350 does not say what comes after 65,535.

Rules
1. The file is the image and NULs behind it; its blocks are as small as RFC 2348 allows, so that it is 512 KiB.
2. Its last block, the only one behind 65,535, has number 0 first.
3. Then it has number 0 again, and number 1 after that, `PATIENCE` apart, for clients that count so.
"""

from __future__ import annotations

from typing import Final

from mtftpd.conformance.clinic.downloads import Download
from mtftpd.conformance.clinic.effects import Shots
from mtftpd.conformance.clinic.styles import Transfer
from mtftpd.conformance.clinic.visit import Read, Visit
from mtftpd.wire import tftp

SMALLEST: Final = 8
"""Octets of a block (RFC 2348): 65,535 of them are 524,280 octets."""
LAST: Final = 65_536
PATIENCE: Final = 4.0
"""Seconds: longer than the first wait of a client that repeats its ACK."""
AFTER_65535: Final = (0, 1)


class LongDownload(Download):
    """A transfer that ends behind block 65,535; `Visit.rolled_to` is the number by which the client went on."""

    def __init__(self, read: Read, style: Transfer, image: bytes, visit: Visit) -> None:
        super().__init__(read, style, image, visit)
        self._blocks = LAST
        if "tsize" in self._granted:
            self._granted["tsize"] = str((LAST - 1) * self._size)

    def acknowledge(self, number: int, now: float) -> Shots:
        """Go on; behind block 65,535 wait for either number."""
        if self._sent < LAST:
            return self._offer_last(now) if number == LAST - 1 else super().acknowledge(number, now)
        if number in AFTER_65535 and not self.over:
            self._visit.rolled_to = number
            self.over = self._visit.finished = True
        return []

    def _offer_last(self, now: float) -> Shots:
        self._sent, self._sent_at = LAST, now
        self._visit.reached_turn = True
        zero, one = (tftp.build(tftp.Data(number, b"")) for number in AFTER_65535)
        return [self._shot(zero), self._shot(zero, PATIENCE), self._shot(one, 2 * PATIENCE)]

    def _packet(self, block: int) -> bytes:
        piece = self._image[(block - 1) * self._size : block * self._size]
        return tftp.build(tftp.Data(block, piece.ljust(self._size, b"\0")))


def begin(read: Read, style: Transfer, image: bytes, visit: Visit) -> Download:
    """Return the transfer that ``style`` wants; nobody is sent 65,536 blocks of another size than the smallest."""
    asked = read.options.get("blksize", "")
    if style.long and style.grants and asked.isdecimal():
        return LongDownload(read, style, image, visit)
    return Download(read, style, image, visit)

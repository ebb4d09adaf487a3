"""Unicast TFTP as a probe wants it: block for block, with one thing wrong."""

from __future__ import annotations

from typing import Final

from mtftpd.conformance.clinic.effects import OTHER, TFTP, Shot, Shots
from mtftpd.conformance.clinic.styles import Transfer, Trouble
from mtftpd.conformance.clinic.visit import AT_ONCE, Read, Visit
from mtftpd.wire import tftp

PLAIN: Final = 512
PAUSE: Final = 12.0
"""Seconds in which every client that repeats anything has repeated its ACK."""
STRANGER_HEARD: Final = 1.0
COPIES: Final = 20
_BEHIND: Final = 2
"""The block behind which there is trouble."""
_KNOWN: Final = ("blksize", "tsize", "windowsize")


class Download:
    """One transfer to the port that ``read`` came from."""

    def __init__(self, read: Read, style: Transfer, image: bytes, visit: Visit) -> None:
        self.read = read
        self.over = False
        self.port = OTHER if style.own_port else TFTP
        self._style = style
        self._image = image
        self._visit = visit
        self._granted = self._grant() if style.grants else {}
        self._size = int(self._granted.get("blksize", PLAIN))
        self._window = int(self._granted.get("windowsize", 1))
        self._blocks = len(image) // self._size + 1
        self._sent = 0
        self._sent_at = read.when
        self._troubled = False

    @property
    def began_with_size(self) -> bool:
        """Whether the client asked for the size, and has been sent no more than one block."""
        return "tsize" in self.read.options and self._sent <= 1

    def start(self, now: float) -> Shots:
        """Answer the request."""
        self._sent_at = now
        if not self._granted:
            return self._send(1, now)
        self._visit.granted = dict(self._granted)
        return [self._shot(tftp.build(tftp.OptionAck(tuple(self._granted.items()))))]

    def again(self, now: float) -> Shots:
        """Answer a repeated request, unless it was sent before it can have been answered."""
        return self.start(now) if not self._sent or now - self._sent_at >= AT_ONCE else []

    def acknowledge(self, number: int, now: float) -> Shots:
        """Go on behind the acknowledged block; what is repeated at once gets no answer."""
        if self.over or number > self._blocks:
            return []
        if number == self._blocks:
            self.over = self._visit.finished = True
            return []
        fresh = number >= self._sent
        if not fresh and now - self._sent_at < AT_ONCE and not self._lost(number):
            return []
        if number == _BEHIND and fresh and self._style.trouble is not Trouble.NONE and not self._troubled:
            self._troubled = True
            return self._make_trouble(now)
        if number == _BEHIND and self._troubled and now - self._sent_at < AT_ONCE:
            return []
        return self._send(number + 1, now)

    def resume(self, now: float) -> Shots:
        """Send the block that trouble has held back."""
        return [] if self.over or not self._troubled or self._sent > _BEHIND else self._send(_BEHIND + 1, now)

    def _lost(self, number: int) -> bool:
        return self._style.window and self._window > 1 and number == 1

    def _grant(self) -> dict[str, str]:
        asked = self.read.options
        granted = {name: asked[name] for name in _KNOWN if asked.get(name, "").isdecimal()}
        if "blksize" in granted:
            granted["blksize"] = str(max(8, min(int(granted["blksize"]), self._style.largest)))
        if "tsize" in granted:
            granted["tsize"] = str(len(self._image))
        if not self._style.window:
            granted.pop("windowsize", None)
        if self._style.extra_option and granted:
            granted["utimeout" if "timeout" in asked else "timeout"] = "1000000" if "timeout" in asked else "1"
        return granted

    def _send(self, first: int, now: float) -> Shots:
        last = min(first + self._window - 1, self._blocks)
        shots = [self._shot(self._packet(block)) for block in range(first, last + 1)]
        if self._style.window and len(shots) > 2 and first == 1:
            del shots[1]
        self._sent, self._sent_at = last, now
        self._visit.all_sent |= last == self._blocks
        return shots

    def _make_trouble(self, now: float) -> Shots:
        match self._style.trouble:
            case Trouble.STRANGER:
                return [Shot(0.0, OTHER, self.read.source, self._packet(_BEHIND + 1))]
            case Trouble.DUPLICATES:
                return [*[self._shot(self._packet(_BEHIND))] * COPIES, *self._send(_BEHIND + 1, now)]
        return []

    def _packet(self, block: int) -> bytes:
        return tftp.build(tftp.Data(block & 0xFFFF, self._image[(block - 1) * self._size : block * self._size]))

    def _shot(self, data: bytes, after: float = 0.0) -> Shot:
        return Shot(after, self.port, self.read.source, data)

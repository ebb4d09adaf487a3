"""MTFTP as a probe wants it: what follows an open."""

from __future__ import annotations

from typing import Final

from mtftpd.conformance.clinic.effects import (
    GROUP,
    IPXE,
    IPXE_GROUP,
    OTHER,
    PALINDROMES,
    SWAPPABLE,
    Shot,
    Shots,
)
from mtftpd.conformance.clinic.styles import Session
from mtftpd.conformance.clinic.visit import AT_ONCE, Read, Visit
from mtftpd.wire import tftp
from mtftpd.wire.datagram import Endpoint

SIZE: Final = 512
PACE: Final = 0.003
"""Seconds between blocks that nobody acknowledges: slow enough for any receiver.  A pass is short, so the clinic seldom
loses the processor within it: iPXE leaves a group that pauses for 0.25 s."""
COPIES: Final = 6
MAX_ANSWERS: Final = 3
"""Opens of one boot that are answered: who does not hear the group would open for ever."""
_DOUBLED: Final = 2


class GroupSession:
    """The multicast transfer of one boot."""

    def __init__(self, style: Session, image: bytes, visit: Visit) -> None:
        self._style = style
        self._visit = visit
        self._blocks = [image[at : at + SIZE] for at in range(0, len(image) + 1, SIZE)]
        self._master: Endpoint | None = None
        self._group = IPXE_GROUP
        self._port = IPXE
        self._sent = 0
        self._sent_at = 0.0
        self._answers = 0

    def open(self, read: Read, now: float) -> Shots:
        """Answer an open; all but the first are answered like a master's, where the probe has been made."""
        self._port = read.port
        if read.port != IPXE:
            ports = PALINDROMES if read.port == PALINDROMES[1] else SWAPPABLE
            self._group = Endpoint(str(GROUP), ports[0])
        first = self._visit.group_began is None
        if not first and (now - self._sent_at < AT_ONCE or self._style in _ANSWERED_ONCE):
            return []
        if self._answers >= MAX_ANSWERS:
            return []
        self._answers += 1
        self._master, self._sent, self._sent_at = read.source, 1, now
        self._visit.group_began = now if first else self._visit.group_began
        return self._answer(self._style if first else _AFTERWARDS.get(self._style, self._style))

    def acknowledge(self, source: Endpoint, number: int, now: float) -> Shots:
        """Go on behind the block that the master has acknowledged."""
        if source == self._master and number == len(self._blocks):
            self._visit.group_finished = True
            return []
        if source != self._master or number != self._sent or number >= len(self._blocks):
            repeated = source == self._master and number == self._sent - 1 and now - self._sent_at >= AT_ONCE
            return self._on_group(self._sent) if repeated else []
        self._sent, self._sent_at = number + 1, now
        shots = self._on_group(number + 1)
        if self._style is Session.DUPLICATES and number + 1 == _DOUBLED:
            shots = shots * COPIES
        return shots

    def _answer(self, style: Session) -> Shots:
        """Return what an open is answered with."""
        unicast, count = self._to_master(1), len(self._blocks)
        match style:
            case Session.LOCKSTEP | Session.DUPLICATES:
                return [unicast, *self._on_group(1)]
            case Session.GROUP_FIRST:
                return [*self._on_group(1), unicast._replace(after=PACE)]
            case Session.OTHER_PORT:
                return [unicast._replace(port=OTHER), *self._on_group(1, PACE)]
            case Session.ERROR:
                return [
                    unicast._replace(data=tftp.build(tftp.Error(tftp.ErrorCode.FILE_NOT_FOUND, "not by multicast")))
                ]
            case Session.GROUP_ONLY:
                return self._pass(range(1, count + 1))
            case Session.TAIL:
                return self._pass(range(count // 2 + 1, count + 1))
            case Session.BACK:
                return self._pass((1, 2, 3, 4, 5, 3, *range(6, count + 1)))
            case Session.SECOND_ONLY:
                return [unicast]
        return []

    def second_only(self) -> Shots:
        """Return the group's blocks from 2 on, for who has not acknowledged the unicast DATA 1."""
        return self._pass(range(2, len(self._blocks) + 1))

    def _pass(self, blocks: range | tuple[int, ...]) -> Shots:
        return [shot for place, block in enumerate(blocks) for shot in self._on_group(block, place * PACE)]

    def _to_master(self, block: int) -> Shot:
        assert self._master is not None, "only an open is answered"
        return Shot(0.0, self._port, self._master, self._packet(block))

    def _on_group(self, block: int, after: float = 0.0) -> Shots:
        return [Shot(after, self._port, self._group, self._packet(block))]

    def _packet(self, block: int) -> bytes:
        return tftp.build(tftp.Data(block, self._blocks[block - 1]))


_AFTERWARDS: Final = {Session.TAIL: Session.LOCKSTEP, Session.GROUP_FIRST: Session.LOCKSTEP}
"""How later opens of a boot are answered where that is another way."""

_ANSWERED_ONCE: Final = frozenset({Session.GROUP_ONLY, Session.BACK, Session.SECOND_ONLY, Session.OTHER_PORT})
"""Where a second open is what the probe wants to see, or the way to port 69."""

"""The packets of one case, in the order in which they passed: the evidence of its verdict."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mtftpd.wire import text
from mtftpd.wire.datagram import Endpoint

FIRST: Final = 256
LAST: Final = 768
"""Packets that are kept of a case, from its beginning and from its end: 1,024 of 1,500 octets are 1.5 MB."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One datagram of a case.

    ``number`` counts from 1 in its case, in the order in which the packets were looked at; ``time`` is in seconds
    since the case began; ``sent`` says that the suite sent it.  ``hardware`` is (source, destination) of the frame
    where that is known.  ``problem`` is an ICMP error.
    """

    number: int
    time: float
    sent: bool
    source: Endpoint
    destination: Endpoint
    data: bytes
    hardware: tuple[bytes, bytes] = (b"", b"")
    problem: str = ""

    @property
    def summary(self) -> str:
        """One line."""
        return self.problem or text.summary(self.data, self.source.port, self.destination.port)

    @property
    def description(self) -> str:
        """Every field, a line each."""
        return self.problem or text.describe(self.data, self.source.port, self.destination.port)


class Trace:
    """Writes down what a case sends and hears; of a long one only the beginning and the end are kept."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._first: list[Packet] = []
        self._last: deque[Packet] = deque(maxlen=LAST)
        self.count = 0

    def add(
        self, time: float, ends: tuple[Endpoint, Endpoint], data: bytes, *, sent: bool,
        hardware: tuple[bytes, bytes] = (b"", b""), problem: str = "",
    ) -> Packet:  # fmt: skip
        """Write down a datagram from ``ends[0]`` to ``ends[1]`` at ``time`` and return it as a packet of the case."""
        self.count += 1
        packet = Packet(self.count, time - self._began, sent, *ends, data, hardware, problem)
        if len(self._first) < FIRST:
            self._first.append(packet)
        else:
            self._last.append(packet)
        return packet

    @property
    def packets(self) -> Sequence[Packet]:
        """What is kept, in the order of time, which is not that in which a case has looked at its ports."""
        return sorted((*self._first, *self._last), key=lambda packet: packet.time)

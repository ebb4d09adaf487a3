"""Blocks that a listener reads one behind the other, and remembers together.

A listener only stores what it hears.  A machine on which dozens of them run has better things to do than to ask each of
them about each block: `mtftpd.rom.mtftp.Mtftp.quiet_until` says how far it is sure that there is no answer.
"""

from __future__ import annotations

from typing import Final

from mtftpd.rom.actions import NOTHING, Actions
from mtftpd.rom.blocks import BLOCK_SIZE
from mtftpd.rom.node import Node
from mtftpd.wire.datagram import Datagram, Endpoint

DATA: Final = b"\0\3"
FULL: Final = 4 + BLOCK_SIZE
"""Octets of a DATA packet that is not the last."""


class RunReader:
    """Hands what one socket read to ``node``, which hears of a run of blocks when that ends; `flush` ends it."""

    __slots__ = ("_destination", "_first", "_next", "_node", "_packets", "_source", "_until")

    def __init__(self, node: Node, destination: Endpoint) -> None:
        self._node = node
        self._destination = destination
        self._packets: list[bytes] = []
        self._source = ("", 0)
        self._first = self._next = self._until = 0

    def take(self, data: bytes, source: tuple[str, int], now: float) -> Actions:
        """Take a datagram that was sent to the destination of this socket."""
        block = data[2] << 8 | data[3] if len(data) == FULL and data[:2] == DATA else 0
        if self._next <= block <= self._until and source == self._source:
            if block != self._next or not self._packets:
                self.flush(now)
                self._first = block
            self._packets.append(data)
            self._next = block + 1
            return NOTHING
        self.flush(now)
        node, self._until = self._node, 0
        heard = self._heard()
        actions = node.receive(Datagram(self._destination.port, Endpoint(*source), self._destination, data), now)
        if block and self._heard() > heard:
            self._source = source
            self._next = block + 1
            self._until = node.quiet_until(block)
        return actions

    def flush(self, now: float) -> None:
        """Let the node hear of what it has not been told."""
        if self._packets:
            self._node.hear_run(self._first, self._packets, now)
            self._packets.clear()

    def _heard(self) -> int:
        listener = self._node.mtftp
        return 0 if listener is None else listener.heard

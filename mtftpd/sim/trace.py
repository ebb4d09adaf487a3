"""The packets of one node as lines for people; blocks in a row are one line."""

from __future__ import annotations

from collections.abc import Callable

from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.text import summary

_DATA = b"\0\3"


class Trace:
    """Hands each line to ``tell`` as soon as it is known to be whole, the last one at `end`; keeps all in ``lines``."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.lines: list[str] = []
        self._tell = tell
        self._line = ""
        self._way: tuple[str, Endpoint, Endpoint] | None = None
        self._first = 0
        self._last = 0

    def witness(self, when: float, what: str, source: Endpoint, destination: Endpoint, data: bytes) -> None:
        """Take a packet (a `mtftpd.sim.station.Witness`)."""
        block = data[2] << 8 | data[3] if data[:2] == _DATA else 0
        if block and block == self._last + 1 and (what, source, destination) == self._way:
            self._last = block
            return
        self.end()
        self._line = f"{when:11.6f} {what}: {source} > {destination}: {summary(data, source.port, destination.port)}"
        self._way = (what, source, destination) if block else None
        self._first = self._last = block

    def end(self) -> None:
        """Tell what is left."""
        if not self._line:
            return
        more = f", and all up to DATA {self._last}" if self._last > self._first else ""
        self.lines.append(self._line + more)
        self._tell(self.lines[-1])
        self._line = ""

"""What a simulated ROM asks of the world, and the memory that it loads its image into.

Every machine of this package has one shape: ``receive(datagram, now)``, ``tick(now)`` and ``next_deadline()``, with
``now`` in seconds of a monotonic clock.  The first two return a tuple of the values below, to be performed in order by
a shell with real sockets or by a simulator.  Silence is the shared empty tuple: a listener costs no garbage.

A ROM names its sockets by their local port.  What it receives carries the destination that the packet was sent to:
the own address, the group, or the limited broadcast.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple, Protocol

from mtftpd.wire.datagram import Datagram, Endpoint

BROADCAST: Final = "255.255.255.255"
NO_ADDRESS: Final = "0.0.0.0"


class Phase(Enum):
    """Where a node is on its way; the value is the identifier in reports."""

    OFF = "off"
    DISCOVER = "discover"
    REQUEST = "request"
    PROXY = "proxy-request"
    PROBE = "probe"
    LISTEN = "listen"
    OPEN = "open"
    MASTER = "master"
    UNICAST = "unicast"
    DONE = "done"
    FAILED = "failed"


class Bind(NamedTuple):
    """Receive what is sent to the UDP port ``port`` of the own address (any address, as long as there is none)."""

    port: int


class Unbind(NamedTuple):
    """Stop receiving on ``port``."""

    port: int


class Join(NamedTuple):
    """Receive what is sent to a multicast group and port; unless ``reported``, no switch is told."""

    group: Endpoint
    reported: bool = True


class Leave(NamedTuple):
    """Undo `Join`."""

    group: Endpoint


class TakeAddress(NamedTuple):
    """Use ``address`` with a network of ``prefix`` bits from now on; ``router`` is None or the way out.

    `NO_ADDRESS` gives back what it had.
    """

    address: str
    prefix: int
    router: str | None = None


class Transmit(NamedTuple):
    """Send one datagram from the local port ``port``."""

    port: int
    destination: Endpoint
    data: bytes


class Enter(NamedTuple):
    """The node moved to another phase; ``detail`` is for people."""

    phase: Phase
    detail: str = ""


Action = Bind | Unbind | Join | Leave | TakeAddress | Transmit | Enter
Actions = tuple[Action, ...]

NOTHING: Final[Actions] = ()


class Memory(Protocol):
    """Where an image is loaded to."""

    def write(self, offset: int, packet: bytes) -> None:
        """Store what follows the four octets of the DATA header of ``packet`` at ``offset`` of the image."""


class ImageMemory:
    """The memory of one node, grown as blocks arrive; ``limit`` is for the caller to respect."""

    def __init__(self) -> None:
        self._octets = bytearray()

    @property
    def size(self) -> int:
        """How far it has been written to, in octets; there may be holes."""
        return len(self._octets)

    def write(self, offset: int, packet: bytes) -> None:
        """Store the payload of ``packet`` at ``offset``."""
        octets = self._octets
        if offset > len(octets):
            octets.extend(bytes(offset - len(octets)))
        octets[offset : offset + len(packet) - 4] = memoryview(packet)[4:]

    def image(self, length: int) -> bytes:
        """Return the first ``length`` octets."""
        return bytes(self._octets[:length])


class Machine(Protocol):
    """The shape of every client machine; ``over`` says that it has nothing more to do."""

    over: bool

    def receive(self, datagram: Datagram, now: float) -> Actions:
        """Take a datagram that arrived at ``now``."""

    def tick(self, now: float) -> Actions:
        """Do what is due at ``now``; calling it early does nothing."""

    def next_deadline(self) -> float | None:
        """Return when `tick` must be called, or None."""

    def stop(self) -> Actions:
        """Give back what is open, without a word to anybody."""

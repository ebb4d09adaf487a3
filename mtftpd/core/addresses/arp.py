"""Which clients the kernel must be able to reach without asking: entries of the neighbour table that are wanted now.

Many ROMs answer no ARP while they are busy (quirk Q63): the kernel's own entry for such a client ends within a minute
of the first packet, and the download with it.  So the shell is asked to set an entry where we told the client what
address it has, and to remove it when it is no longer needed:

* An ACK or a BOOTP reply of ours wants one for `ATTEMPT_SECONDS`: whoever listens to a group says nothing meanwhile.
* A request on port 69 wants one for as long as files are fetched, and for `GRACE_SECONDS` behind the last of them;
  after a longer pause (somebody looks at a menu) the next request wants it again.
* A system that has booted answers ARP, and an address that was given back is nobody's: the end.

Relayed clients have none, because the entry would be that of the relay; nor have clients of another network.  A proxy
gives no addresses: there a client has one that asked for its boot file on port 4011 from the address that it says it
has, and such an entry replaces none that the kernel finds to be right (``given`` is False).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from mtftpd.core.deadlines import Deadlines
from mtftpd.core.effects import DropArp, Effects, StuffArp
from mtftpd.wire.datagram import HardwareAddress

ATTEMPT_SECONDS = 600.0
"""After an ACK: a pass of 32 MiB takes a slow master 10 minutes, and those who only listen are not heard of."""
GRACE_SECONDS = 60.0
"""After the last file: a loader that has what it wants unpacks it, and asks for the next one within this time."""
MAX_ENTRIES = 4_096
"""Entries at once, twice the nodes of a large cluster: 4,096 * 0.5 KB are 2 MB of the kernel's memory.  It does not
count permanent ones against its limit (gc_thresh3).  The one that was wanted longest ago goes first."""
MAX_KNOWN = 16_384
"""Addresses whose clients are remembered: 16,384 * ~400 bytes are 6.5 MB; the oldest is forgotten first."""


@dataclass(frozen=True, slots=True)
class ArpStatistics:
    """A snapshot: entries that are wanted now, and clients that would have one again if they asked for a file."""

    wanted: int = 0
    known: int = 0


@dataclass(slots=True)
class _Node:
    hardware: HardwareAddress
    given: bool
    resting: bool = False
    """Whether it fetched nothing when its deadline last came."""


class ArpEntries:
    """The wanted entries.  What must be done is returned by `take` and `tick`."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Node] = OrderedDict()
        self._wanted: OrderedDict[str, None] = OrderedDict()
        self._deadlines: Deadlines[str] = Deadlines()
        self._effects: list[StuffArp | DropArp] = []

    def granted(self, address: str, hardware: HardwareAddress, given: bool, now: float) -> None:
        """Note that the client ``hardware`` has ``address``: we gave it (``given``), or it says so and was answered."""
        node = self._known.get(address)
        if node is not None and node.given and not given and node.hardware != hardware:
            return  # A lease of ours outweighs what somebody else says of himself.
        if node is None or node.hardware != hardware:
            node = self._known[address] = _Node(hardware, given)
        node.given = node.given or given
        self._want(address, node, now + ATTEMPT_SECONDS)
        if len(self._known) > MAX_KNOWN:
            self.gone(next(iter(self._known)))

    def asked(self, address: str, now: float) -> None:
        """Note that the node at ``address`` asked for a file on port 69."""
        node = self._known.get(address)
        if node is not None:
            self._want(address, node, now + GRACE_SECONDS)

    def booted(self, address: str, now: float) -> None:
        """Note that the node at ``address`` runs its system."""
        if address in self._wanted:
            self._known[address].resting = True
            self._deadlines.set(address, now + GRACE_SECONDS)

    def gone(self, address: str) -> None:
        """Note that ``address`` was given back, or is known to be somebody else's."""
        if self._known.pop(address, None) is not None and address in self._wanted:
            self._drop(address)

    def take(self) -> Effects:
        """Return what must be done since the last call."""
        effects = tuple(self._effects)
        self._effects.clear()
        return effects

    def tick(self, now: float, is_busy: Callable[[str], bool]) -> Effects:
        """Let go of the entries of nodes that fetch nothing; ``is_busy`` tells whether the one at an address does."""
        for address in self._deadlines.due(now):
            node = self._known[address]
            was_resting, node.resting = node.resting, not is_busy(address)
            if was_resting and node.resting:
                self._drop(address)
                continue
            self._deadlines.set(address, now + GRACE_SECONDS)
        return self.take()

    def next_deadline(self) -> float | None:
        """Return when `tick` is due, or None."""
        return self._deadlines.next()

    def statistics(self) -> ArpStatistics:
        """Return a snapshot."""
        return ArpStatistics(len(self._wanted), len(self._known))

    def _want(self, address: str, node: _Node, until: float) -> None:
        node.resting = False
        self._known.move_to_end(address)
        self._wanted[address] = None
        self._wanted.move_to_end(address)
        self._deadlines.set(address, until)
        self._effects.append(StuffArp(address, node.hardware, node.given))
        if len(self._wanted) > MAX_ENTRIES:
            self._drop(next(iter(self._wanted)))

    def _drop(self, address: str) -> None:
        del self._wanted[address]
        self._deadlines.clear(address)
        self._effects.append(DropArp(address))

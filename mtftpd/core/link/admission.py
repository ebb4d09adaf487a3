"""Who may begin a transfer when the budget of the link is full, and who waits for it.

A ROM waits long for its first packet and short for every other one, and many are dead after a failure (quirk Q93).  So
what is held back is the request of a new client, for `HOLD_SECONDS` at most; whoever has begun is finished first.

1. The budget is full when one block (or window) for each client that is being served takes longer than `ROUND` on the
   wire.  Then a read request waits, unless its client was served a moment ago: it is in the middle of its boot.
2. Whoever has asked before goes first: a repeated request, an earlier attempt that failed, a group given up.
3. A request is forgotten in no case.  After `HOLD_SECONDS` it is answered, full or not.

The machine of the transfer sees a request when it is admitted, so its timers begin then.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mtftpd.core.deadlines import Deadlines
from mtftpd.core.effects import Drop, DropReason, Effects, Report, ReportKind, Service
from mtftpd.core.filenames import normalise, shown
from mtftpd.core.link.wire_time import block_octets
from mtftpd.core.settings import Bandwidth
from mtftpd.wire.datagram import Datagram
from mtftpd.wire.tftp import Opcode

HOLD_SECONDS: Final = 3.0
"""EDK2 repeats its request after 4 s, EDK1 after 5, and both give up at the third to sixth time (quirk Q94)."""
ROUND: Final = 0.1
"""Seconds: PXELINUX repeats its ACK after 110 ms, the soonest of the ROMs (quirk Q94)."""
SERVED_SECONDS: Final = 30.0
"""After a transfer its client may go on at once: PXELINUX asks for a dozen files one after the other."""
MAX_HELD: Final = 4_096
"""Requests that wait; more are answered at once.  4,096 * ~1 KB are 4 MiB."""
MAX_SERVED: Final = 8_192
"""Clients that are remembered as served; the oldest is forgotten first.  8,192 * ~150 octets are 1.2 MB."""

_READ_REQUEST: Final = Opcode.RRQ.to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class AdmissionStatistics:
    """The addresses that wait, first who is next; ``held`` counts requests that waited, ``overdue`` those to the end.

    ``committed`` is what one round of all transfers takes, in seconds of the link.
    """

    queue: tuple[str, ...] = ()
    held: int = 0
    overdue: int = 0
    committed: float = 0.0


class Admission:
    """The queue in front of port 69; ``has_tried(address, now)``: whether a client has failed or waited before."""

    def __init__(self, bandwidth: Bandwidth, has_tried: Callable[[str, float], bool]) -> None:
        self._has_tried = has_tried
        self._again: OrderedDict[str, Datagram] = OrderedDict()
        self._first: OrderedDict[str, Datagram] = OrderedDict()
        self._deadlines: Deadlines[str] = Deadlines()
        self._committed: dict[str, int] = {}
        self._octets = 0
        self._served: OrderedDict[str, float] = OrderedDict()
        self._held = 0
        self._overdue = 0
        self._seen_at = 0.0
        self.reconfigure(bandwidth)

    def reconfigure(self, bandwidth: Bandwidth) -> None:
        """Go on with another budget; without one nobody waits any longer."""
        self._rate = bandwidth.rate / 8
        self.limited = bandwidth.rate > 0
        if not self.limited:
            # The ends of these transfers are not heard of, and a later budget would wait for them.
            self._committed.clear()
            self._octets = 0

    def hold(self, datagram: Datagram, now: float) -> Effects | None:
        """Take a datagram of port 69; returns the effects of holding it back, or None if it is to be answered now."""
        if not self.limited or datagram.socket != Service.TFTP or datagram.data[:2] != _READ_REQUEST:
            return None
        source = datagram.source
        address = source.address
        queue = self._again if address in self._again else self._first
        if address in queue:
            # Once more, perhaps from another port: the newest is the one that its client listens for.
            del queue[address]
            self._again[address] = datagram
            return (Drop(DropReason.DUPLICATE_REQUEST, source, f"waits as number {len(self._again)}"),)
        if not self._must_wait(address, now):
            return None
        tried = self._has_tried(address, now)
        (self._again if tried else self._first)[address] = datagram
        self._held += 1
        self._deadlines.set(address, now + HOLD_SECONDS)
        self._seen_at = now
        waiting = len(self._again) + len(self._first)
        name = datagram.data[2:].partition(b"\0")[0]
        detail: tuple[tuple[str, str | int], ...] = (
            ("file", shown(normalise(name) or name)),
            ("position", len(self._again) if tried else waiting),
            ("waiting", waiting),
        )
        return (Report(ReportKind.TFTP_QUEUED, address, None, detail),)

    def learn(self, effects: Effects, now: float) -> None:
        """Take note of who begins and who ends."""
        if not self.limited:
            return
        self._seen_at = now
        for effect in effects:
            if type(effect) is not Report:
                continue
            if effect.kind is ReportKind.TFTP_STARTED:
                detail = dict(effect.detail)
                self._release(effect.address)
                octets = int(detail["window"]) * block_octets(int(detail["block_size"]))
                self._committed[effect.address] = octets
                self._octets += octets
                self._serve(effect.address, now)
            elif effect.kind in (ReportKind.TFTP_DONE, ReportKind.TFTP_FAILED):
                self._release(effect.address)
                self._serve(effect.address, now)

    def next_deadline(self) -> float | None:
        """Return when `admitted` has somebody, or None while nobody waits."""
        if (self._again or self._first) and not self._is_full():
            return self._seen_at
        return self._deadlines.next()

    def admitted(self, now: float) -> Datagram | None:
        """Return the next request that is to be answered now, or None; ask until there is none."""
        overdue = self._deadlines.take(now)
        if overdue is not None:
            address = overdue
            self._overdue += 1
        elif (self._again or self._first) and not self._is_full():
            address = next(iter(self._again or self._first))
            self._deadlines.clear(address)
        else:
            return None
        self._serve(address, now)
        return (self._again if address in self._again else self._first).pop(address)

    def statistics(self) -> AdmissionStatistics:
        """Return a snapshot."""
        committed = self._octets / self._rate if self.limited else 0.0
        return AdmissionStatistics((*self._again, *self._first), self._held, self._overdue, committed)

    def _must_wait(self, address: str, now: float) -> bool:
        if address in self._committed or now - self._served.get(address, -SERVED_SECONDS) < SERVED_SECONDS:
            return False
        waiting = len(self._again) + len(self._first)
        return (waiting > 0 or self._is_full()) and waiting < MAX_HELD

    def _is_full(self) -> bool:
        return self.limited and self._octets >= self._rate * ROUND

    def _release(self, address: str) -> None:
        self._octets -= self._committed.pop(address, 0)

    def _serve(self, address: str, now: float) -> None:
        self._served[address] = now
        self._served.move_to_end(address)
        if len(self._served) > MAX_SERVED:
            self._served.popitem(last=False)

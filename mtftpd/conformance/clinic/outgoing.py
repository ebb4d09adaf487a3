"""What leaves the clinic, at once or later; packets are noted in the boot that they are sent for.

A patient is sent frames to its hardware address: some ROMs answer no ARP, and the kernel would give them up.
"""

from __future__ import annotations

import heapq

from mtftpd.conformance.clinic.chart import Chart
from mtftpd.conformance.clinic.effects import AskArp, Effect, Effects, Practice, Send, Shots
from mtftpd.conformance.clinic.visit import Visit
from mtftpd.wire import text
from mtftpd.wire.datagram import HardwareAddress

_ETHERNET = 1


class Outgoing:
    """Effects that are ready, and sends and reminders that wait for their time; ``visit`` is the boot that goes on."""

    def __init__(self, practice: Practice, chart: Chart) -> None:
        self.visit: Visit | None = None
        self._practice = practice
        self._chart = chart
        self._ready: list[Effect] = []
        self._later: list[tuple[float, int, Send | None]] = []
        self._count = 0

    def begin(self, visit: Visit | None) -> None:
        """Forget what still waits: another boot begins, or None does."""
        self.visit = visit
        self._later.clear()

    def tell(self, *effects: Effect) -> None:
        """Put what is no packet in line."""
        self._ready += effects

    def send(self, send: Send, now: float, delay: float = 0.0) -> None:
        """Send, ``delay`` seconds from now."""
        if delay:
            self._wait(now + delay, send)
            return
        if self.visit is not None:
            what = text.summary(send.data, send.port, send.destination.port)
            self.visit.note(f"> {send.destination} {what}", now)
        self._ready.append(send if send.hardware else send._replace(hardware=self._station(send.destination.address)))

    def fire(self, shots: Shots, now: float) -> None:
        """Send each of ``shots`` at its time."""
        for after, port, destination, data in shots:
            self.send(Send(port, destination, data), now, after)

    def ask_arp(self, address: str, now: float) -> None:
        """Ask who has ``address``."""
        if self.visit is not None:
            self.visit.note(f"> ARP who has {address}", now)
        self._ready.append(AskArp(address))

    def remind(self, when: float) -> None:
        """Have `reaches_reminder` return True when it is ``when``."""
        self._wait(when, None)

    def next_deadline(self) -> float | None:
        """Return when `reaches_reminder` must be called, or None."""
        return self._later[0][0] if self._later else None

    def reaches_reminder(self, now: float) -> bool:
        """Send what is due before the next reminder that is due, and return whether there is one."""
        while self._later and self._later[0][0] <= now:
            send = heapq.heappop(self._later)[2]
            if send is None:
                return True
            self.send(send, now)
        return False

    def take(self) -> Effects:
        """Return what is to be done now."""
        ready, self._ready = tuple(self._ready), []
        return ready

    def _wait(self, when: float, send: Send | None) -> None:
        self._count += 1
        heapq.heappush(self._later, (when, self._count, send))

    def _station(self, address: str) -> HardwareAddress | None:
        for octets, given in zip(self._chart.hardware, self._practice.addresses, strict=False):
            if str(given) == address:
                return HardwareAddress(_ETHERNET, octets)
        return None

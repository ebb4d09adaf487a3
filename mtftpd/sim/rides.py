"""How one stream of blocks reaches thousands of listeners without an event for each of them and each block.

A client that listens does nothing but remember, as long as full blocks come in ascending order, up to a block that it
can name (`mtftpd.rom.mtftp.Mtftp.quiet_until`).  Until then it rides: the blocks are written down once for all riders,
with the time at which each entered the segment, and each rider works off its part when somebody wants to know, with its
own losses, its own port and its own ring.  Whatever is not quiet gets off first.  The outcome is that of one event per
packet, to the last bit.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mtftpd.sim.ports import BLOCK_OCTETS, BLOCK_SIZE, Flood, wire_octets
from mtftpd.wire.datagram import Datagram, Endpoint

if TYPE_CHECKING:
    from mtftpd.sim.memory import Content
    from mtftpd.sim.station import Station

MANY_LOSSES: Final = 4
"""From so many on a map of what was heard takes less time than the runs between them."""
_SLACK: Final = 1e-9
"""Seconds by which packets must be further apart than the slowest receiver needs, against rounding."""


@dataclass(slots=True)
class Seat:
    """How far a rider is: ``cursor`` counts the written blocks that it has worked off, ``until`` is its last quiet."""

    cursor: int
    until: int


class Ride:
    """One group on one segment: ``walkers`` take every block as it comes, the others ride."""

    def __init__(self, group: Endpoint, content: Content, flood: Flood, spacing: float, calm: float) -> None:
        """``spacing`` is the time in which the slowest receiver of the segment is through with a block.

        A ride ends with a silence longer than ``calm``.
        """
        self.walkers: dict[Station, None] = {}
        self._group = group
        self._content = content
        self._flood = flood
        self._spacing = spacing + _SLACK
        self._calm = calm
        self._seats: dict[Station, Seat] = {}
        self._stops: dict[int, list[Station]] = {}
        self._next = 0
        self._source = Endpoint("", 0)
        self._blocks: list[int] = []
        self._times: list[float] = []
        self._others: list[float] = []
        self._repeats: list[int] = []
        self._crowded = 0

    def carry(self, source: Endpoint, block: int, when: float, now: float) -> None:
        """Take ``block``, whose end enters the segment at ``when``."""
        full = block * BLOCK_SIZE <= self._content.size
        count = len(self._times)
        repeated = count and block == self._next - 1
        follows = count and (repeated or block == self._next) and when - self._times[-1] <= self._calm
        if not (full and follows and source == self._source):
            self._start_again(source, now)
            count, self._next = 0, block
        elif repeated:
            self._repeats.append(count)
        for station in self._stops.pop(block, ()):
            seat = self._seats.get(station)
            if seat is not None and seat.until < block:
                self.get_off(station, now)
        others = self._flood.backlog(when)
        if self.walkers:
            datagram = self._datagram(block)
            octets = wire_octets(len(datagram.data))
            for station in tuple(self.walkers):
                station.offer(datagram, octets, when, others)
        if not full:
            self._next = 0
            return
        if others:
            self._crowded = count + 1
        elif count and when - self._times[-1] < self._spacing:
            self._crowded = count
        self._blocks.append(block)
        self._times.append(when)
        self._others.append(others)
        self._next = block + 1

    def get_on(self, station: Station) -> None:
        """Let ``station`` ride, if it may: everything that was carried so far has reached it, or was lost."""
        # The newest block may be repeated for who lost it: it is not behind the rider yet.
        until = station.quiet_until(self._next - 2) if self._next and station in self.walkers else 0
        if until < self._next or not self._next:
            return
        del self.walkers[station]
        self._seats[station] = Seat(len(self._times), until)
        self._stops.setdefault(until + 1, []).append(station)

    def get_off(self, station: Station, now: float) -> None:
        """Let ``station`` take every block by itself again, those included that are still on their way to it."""
        self.settle(station, now)
        seat = self._seats.pop(station)
        for index in range(seat.cursor, len(self._times)):
            datagram = self._datagram(self._blocks[index])
            station.offer(datagram, BLOCK_OCTETS, self._times[index], self._others[index])
        self.walkers[station] = None

    def remove(self, station: Station, now: float) -> None:
        """Forget a station that is no longer a member."""
        if station in self._seats:
            self.get_off(station, now)
        self.walkers.pop(station, None)

    def rides(self, station: Station) -> bool:
        """Return whether ``station`` rides."""
        return station in self._seats

    def settle_all(self, now: float) -> None:
        """Bring every rider up to ``now``."""
        for station in self._seats:
            self.settle(station, now)

    def settle(self, station: Station, now: float) -> None:
        """Work off what has reached ``station`` by ``now``."""
        seat, times = self._seats[station], self._times
        start = seat.cursor
        end = bisect_right(times, now, lo=start, key=station.earliest)
        if end == start:
            return
        seat.cursor = end
        if self._crowded <= start and station.is_idle(times[start]):
            self._settle_apart(station, start, end)
        else:
            self._settle_crowded(station, start, end, now)

    def _settle_apart(self, station: Station, start: int, end: int) -> None:
        """No block waits for the one before it: only the losses have to be drawn."""
        times = self._times
        station.wire.pause_until(times[start], times[end - 1])
        station.port.free_at = times[end - 1] + BLOCK_OCTETS * station.port.per_octet
        offsets = station.wire.lost.take(end - start)
        if len(offsets) >= MANY_LOSSES and self._hear_at_once(station, start, end, offsets):
            return
        begin, last = start, -1
        for offset in (*offsets, end - start):
            lost = start + offset
            if begin < lost:
                last = lost - 1
                self._hear(station, begin, last, station.earliest(times[last]))
            begin = lost + 1
        if last >= 0:
            station.ring.busy_until = station.earliest(times[last])

    def _hear_at_once(self, station: Station, start: int, end: int, lost: list[int]) -> bool:
        """Hand over what was written down from ``start`` to ``end``, except for the offsets ``lost``, as one map."""
        blocks = self._blocks
        last = end - start
        for offset in (*reversed(lost), -1):
            last -= 1
            if offset != last:
                break
        if last < 0:
            return True
        first = blocks[start]
        missing = bytearray((blocks[end - 1] - first >> 3) + 1)
        for block in self._missing(start, end, lost):
            missing[block - first >> 3] |= 1 << (block - first & 7)
        held = ((1 << blocks[end - 1] - first + 1) - 1) & ~int.from_bytes(missing, "little")
        when = station.earliest(self._times[start + last])
        if not station.hear_map(first, held, end - start - len(lost), when):
            return False
        station.ring.busy_until = when
        return True

    def _missing(self, start: int, end: int, lost: list[int]) -> Iterable[int]:
        """Return the blocks of which no copy was heard."""
        blocks, repeats = self._blocks, self._repeats
        numbers = [blocks[start + offset] for offset in lost]
        if bisect_right(repeats, start) == bisect_left(repeats, end):
            return numbers
        return [
            number
            for number, copies in Counter(numbers).items()
            if copies == bisect_right(blocks, number, start, end) - bisect_left(blocks, number, start, end)
        ]

    def _settle_crowded(self, station: Station, start: int, end: int, now: float) -> None:
        """Blocks queue up at the port or in the ring, where there may be no room."""
        times, others = self._times, self._others
        send, take, wire = station.port.send, station.ring.take, station.wire
        begin = last = -1
        heard_at = 0.0
        for index in range(start, end):
            arrival = send(times[index], BLOCK_OCTETS)
            if arrival < 0:
                continue
            wire.pause_until(times[index], times[index])
            if wire.lost.next():
                continue
            done = take(arrival, others[index])
            if done < 0:
                continue
            if done > now:
                station.expect(self._datagram(self._blocks[index]), done)
                continue
            if index != last + 1 and last >= 0:
                self._hear(station, begin, last, heard_at)
                begin = index
            elif last < 0:
                begin = index
            last, heard_at = index, done
        if last >= 0:
            self._hear(station, begin, last, heard_at)

    def _hear(self, station: Station, begin: int, last: int, when: float) -> None:
        """Hand over what was written down from ``begin`` to ``last``: ascending runs, each repetition begins one."""
        blocks, repeats = self._blocks, self._repeats
        for cut in repeats[bisect_right(repeats, begin) : bisect_right(repeats, last)]:
            station.hear(blocks[begin], blocks[cut - 1], when)
            begin = cut
        station.hear(blocks[begin], blocks[last], when)

    def _start_again(self, source: Endpoint, now: float) -> None:
        for station in tuple(self._seats):
            self.get_off(station, now)
        self._stops.clear()
        self._blocks.clear()
        self._repeats.clear()
        self._times.clear()
        self._others.clear()
        self._crowded = 0
        self._source = source

    def _datagram(self, block: int) -> Datagram:
        data = self._content.packet(block, BLOCK_SIZE, block)
        return Datagram(self._group.port, self._source, self._group, data)

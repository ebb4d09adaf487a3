"""Many timers as one: a heap whose entries are corrected only when they surface."""

from __future__ import annotations

from heapq import heapify, heappop, heappush, heapreplace
from typing import Generic, TypeVar

K = TypeVar("K")

_SLACK = 64
"""Heap entries that are tolerated beyond twice the live deadlines: 64 * ~120 bytes is under 8 KiB."""


class Deadlines(Generic[K]):
    """At most one deadline per key, in seconds of the monotonic clock.

    Moving a deadline later, which is what every packet of a healthy transfer does, costs two dictionary
    accesses: the heap keeps the older, earlier entry and puts it right when it comes up.
    """

    __slots__ = ("_heap", "_queued", "_sequence", "_when")

    def __init__(self) -> None:
        self._when: dict[K, float] = {}
        self._queued: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._when)

    def set(self, key: K, when: float) -> None:
        """Give ``key`` the deadline ``when``, in place of the one that it may have."""
        self._when[key] = when
        queued = self._queued.get(key)
        if queued is not None and queued <= when:
            return
        self._sequence += 1
        self._queued[key] = when
        heappush(self._heap, (when, self._sequence, key))
        if len(self._heap) > 2 * len(self._when) + _SLACK:
            self._compact()

    def clear(self, key: K) -> None:
        """Forget the deadline of ``key``, if it has one."""
        self._when.pop(key, None)

    def of(self, key: K) -> float:
        """Return the deadline of ``key``, which has one."""
        return self._when[key]

    def next(self) -> float | None:
        """Return the earliest deadline, or None without any."""
        heap = self._heap
        while heap:
            queued, sequence, key = heap[0]
            when = self._when.get(key)
            if self._queued.get(key) != queued or when is None:
                self._discard_top()
            elif when > queued:
                self._queued[key] = when
                heapreplace(heap, (when, sequence, key))
            else:
                return when
        return None

    def due(self, now: float) -> list[K]:
        """Return the keys whose deadline has come at ``now``, earliest first, and forget their deadlines."""
        keys: list[K] = []
        if not self._heap or self._heap[0][0] > now:  # the usual answer; what is on top is never too late
            return keys
        while (key := self.take(now)) is not None:
            keys.append(key)
        return keys

    def take(self, now: float) -> K | None:
        """Return the key whose deadline was the first to come at ``now`` and forget that deadline, None without one."""
        if not self._heap or self._heap[0][0] > now:
            return None  # Every entry is as early as its deadline, or earlier.
        when = self.next()
        if when is None or when > now:
            return None
        key = self._heap[0][2]
        self._discard_top()
        del self._when[key]
        return key

    def _discard_top(self) -> None:
        queued, _, key = heappop(self._heap)
        if self._queued.get(key) == queued:
            del self._queued[key]

    def _compact(self) -> None:
        """Rebuild the heap from the live deadlines: moving earlier and clearing leave stale entries."""
        self._queued = dict(self._when)
        self._heap = [(when, number, key) for number, (key, when) in enumerate(self._when.items())]
        self._sequence = len(self._heap)
        heapify(self._heap)

"""An ACK leaves when its lease is on the disk: effects that wait for the store, and nothing else that does.

A node's answers stay in order: while one of them waits, the later ones of that node wait behind it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final, NamedTuple

from mtftpd.core.effects import Effects, Report, SaveLease
from mtftpd.daemon.journal import say
from mtftpd.daemon.store import Durability
from mtftpd.wire.datagram import HardwareAddress

PATIENCE: Final = 1.0
"""Seconds after which a disk that does not answer is no reason to keep nodes from booting: PXE ROMs ask again after
1 to 4 s and give up after 4 to 60.  `WriteBarrier.look` is called about once a second, so it may be twice as long."""


class _Held(NamedTuple):
    ticket: int
    since: float
    node: HardwareAddress | None
    effects: Effects


class WriteBarrier:
    """Stands before ``perform``, and lets through what waits for nothing.

    ``write_down`` gives the store what else is to be kept of what has been performed: it is durable before the ACK.
    """

    def __init__(self, store: Durability, perform: Callable[[Effects], None], write_down: Callable[[], None]) -> None:
        self.descriptor = store.descriptor
        self._store = store
        self._perform = perform
        self._write_down = write_down
        self._held: deque[_Held] = deque()
        self._nodes: Counter[HardwareAddress | None] = Counter()
        self._given_up = 0

    def __len__(self) -> int:
        return len(self._held)

    def is_slow(self) -> bool:
        """Whether the store has not written yet what was waited for in vain."""
        return self._store.durable() < self._given_up

    def perform(self, effects: Effects) -> None:
        """Perform ``effects``, now or once the leases in them are durable."""
        if effects and (self._held or effects[0].__class__ is SaveLease):
            effects = self._save(effects)
        self._perform(effects)

    def settle(self) -> None:
        """Perform what has become durable; called when the store's descriptor is readable."""
        self._store.acknowledge()
        durable = self._store.durable()
        while self._held and self._held[0].ticket <= durable:
            self._let_go()

    def look(self, now: float) -> None:
        """Stop waiting for a store that has not answered for `PATIENCE` at ``now`` (monotonic seconds)."""
        if not self._held or now - self._held[0].since < PATIENCE:
            return
        if not self.is_slow():
            text = "the disk of the state folder does not answer; clients are answered without waiting for it"
            say(logging.ERROR, "state-slow", (("waiting", len(self._held)),), text=text)
        self._given_up = self._store.ticket()
        while self._held:
            self._let_go()

    def _let_go(self) -> None:
        held = self._held.popleft()
        self._nodes[held.node] -= 1
        if not self._nodes[held.node]:
            del self._nodes[held.node]
        self._perform(held.effects)

    def _save(self, effects: Effects) -> Effects:
        """Save the leases and return what can be performed at once."""
        if effects[0].__class__ is SaveLease:
            self._write_down()
        is_awaited, saved = False, 0
        for effect in effects:
            if type(effect) is not SaveLease:
                break  # All of them come first.
            self._store.save_lease(effect)
            is_awaited = is_awaited or effect.awaited
            saved += 1
        rest = effects[saved:]
        node = next((each.hardware for each in rest if type(each) is Report), None)
        must_wait = is_awaited and not self.is_slow() and self._store.durable() < self._store.ticket()
        if not rest or not (must_wait or (node is not None and node in self._nodes)):
            return rest
        self._held.append(_Held(self._store.ticket(), time.monotonic(), node, rest))
        self._nodes[node] += 1
        return ()

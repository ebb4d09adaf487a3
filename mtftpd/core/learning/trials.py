"""Each node's last trial of multicast: found by the node, by the address that it has, and by the group."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import takewhile
from math import inf
from typing import NamedTuple

from mtftpd.core.learning.audiences import AUDIENCE_SECONDS
from mtftpd.core.learning.fallback import NodeStage, Trigger
from mtftpd.quirks.evidence import Fingerprint

TIMER_TABLE_SECONDS = 64.0
"""Within which DISCOVERs belong together: 4 + 8 + 16 + 32 s and their jitter (PXE 2.1 2.2.1)."""
MAX_TRIALS = 16_384
"""Trials, the oldest go first: 16,384 * about 800 bytes is 13 MB."""


class Told(NamedTuple):
    """What a node was told by DHCP: the group, and the name of the file for TFTP."""

    group: str
    file: str


@dataclass(slots=True, eq=False)
class Trial:
    """One node that was told of ``group`` for ``file``; ``began`` is when it was offered that, or took it."""

    node: NodeStage
    fingerprint: Fingerprint
    group: str
    file: str
    began: float
    address: str = ""
    offers: int = 0
    offered_at: float = -inf
    masters: int = 0
    heard: bool | None = None
    """Whether it has acknowledged what went to the group, None as long as nothing tells."""
    verdict: Trigger | None = None
    over: bool = False

    def is_asking(self, now: float) -> bool:
        """Return whether the node has got offers, and nothing else yet."""
        return not self.over and not self.address and now - self.began <= TIMER_TABLE_SECONDS


class Trials:
    """All trials, one of each node."""

    def __init__(self) -> None:
        self._by_node: OrderedDict[NodeStage, Trial] = OrderedDict()
        self._by_address: dict[str, Trial] = {}
        self._by_group: dict[str, OrderedDict[NodeStage, Trial]] = {}

    def of(self, node: NodeStage) -> Trial | None:
        """Return the trial of ``node``, or None."""
        return self._by_node.get(node)

    def at(self, address: str) -> Trial | None:
        """Return the trial of the node that took ``address``, or None."""
        return self._by_address.get(address)

    def of_group(self, group: str) -> tuple[Trial, ...]:
        """Return all that were told of ``group``, in the order in which they began."""
        return tuple(self._by_group.get(group, {}).values())

    def audience(self, group: str, now: float) -> list[Trial]:
        """Return those of ``group`` that began so close together that what they suffer may have one cause."""
        trials = reversed(self._by_group.get(group, OrderedDict()).values())
        return list(takewhile(lambda trial: now - trial.began <= AUDIENCE_SECONDS, trials))

    def begin(self, node: NodeStage, fingerprint: Fingerprint, told: Told, now: float) -> Trial:
        """Return a new trial, which replaces the last one of ``node``."""
        self.drop(node)
        trial = self._by_node[node] = Trial(node, fingerprint, told.group, told.file, now)
        self._by_group.setdefault(told.group, OrderedDict())[node] = trial
        return trial

    def surplus(self) -> NodeStage | None:
        """Return whose trial is to be dropped because there are too many, or None."""
        return next(iter(self._by_node)) if len(self._by_node) > MAX_TRIALS else None

    def took(self, trial: Trial, address: str, now: float) -> None:
        """Take note that the node of ``trial`` requests ``address``: only now it begins."""
        if self._by_address.get(trial.address) is trial:
            del self._by_address[trial.address]
        trial.began = now
        trial.address = address
        self._by_address[address] = trial
        self._by_group[trial.group].move_to_end(trial.node)

    def drop(self, node: NodeStage) -> None:
        """Forget the trial of ``node``, if there is one."""
        trial = self._by_node.pop(node, None)
        if trial is None:
            return
        if self._by_address.get(trial.address) is trial:
            del self._by_address[trial.address]
        others = self._by_group[trial.group]
        del others[node]
        if not others:
            del self._by_group[trial.group]

"""Runs of blocks that wait for their turn: a queue for each flow, and weights that say whose turn it is.

A flow is one multicast group or one unicast transfer; groups and transfers are two classes.  Each class, and each flow
in it, has a clock that counts what it has sent, in octets divided by its weight; whose clock is behind is next
(start-time fair queueing, Goyal 1996).  Whoever had nothing to send does not save that up.  Inside a flow the order is
that in which the runs came.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush, heapreplace
from typing import Final

from mtftpd.core.effects import FIRST_TRANSFER, SendRun
from mtftpd.core.link.wire_time import block_octets
from mtftpd.wire.datagram import Endpoint

GROUP_WEIGHT: Final = 3.0
TRANSFER_WEIGHT: Final = 1.0
"""So transfers have a quarter of the link while groups want it all: a fallback does not wait for the end of a pass."""

FlowKey = Endpoint | int


def flow_of(run: SendRun) -> FlowKey:
    """Return the flow that a run belongs to: the socket of a transfer, or a group."""
    return run.socket if run.socket >= FIRST_TRANSFER else run.destination


@dataclass(slots=True, eq=False)
class Flow:
    """One flow: what waits, and its clock."""

    weight: float
    clock: float = 0.0
    runs: deque[SendRun] = field(default_factory=deque)

    @property
    def blocks(self) -> int:
        """How many blocks wait."""
        return sum(run.count for run in self.runs)


class FlowClass:
    """Flows that share one part of the link by their own weights."""

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.clock = 0.0
        self.octets = 0
        """What waits, in octets of time."""
        self.backlogged = 0.0
        """The weights of the flows that wait, together."""
        self._flows: dict[FlowKey, Flow] = {}
        self._order: list[tuple[float, int, Flow]] = []
        self._sequence = 0
        self._served = 0.0

    def flow(self, key: FlowKey) -> Flow | None:
        """Return a flow that has something waiting, or has sent something while others waited."""
        return self._flows.get(key)

    def add(self, key: FlowKey, weight: float) -> Flow:
        """Return the flow of ``key``, a new one if there is none."""
        flow = self._flows.get(key)
        if flow is None:
            flow = self._flows[key] = Flow(weight)
        return flow

    def put(self, flow: Flow, run: SendRun) -> None:
        """Let ``run`` wait behind what waits in its flow already."""
        if not flow.runs:
            flow.clock = max(flow.clock, self._served)
            self._sequence += 1
            heappush(self._order, (flow.clock, self._sequence, flow))
            self.backlogged += flow.weight
        self.octets += run.count * block_octets(run.block_size)
        if flow.runs and _continues(flow.runs[-1], run):
            last = flow.runs[-1]
            flow.runs[-1] = last._replace(count=last.count + run.count)
        else:
            flow.runs.append(run)

    def first(self) -> tuple[Flow, SendRun] | None:
        """Return whose turn it is and what waits there; None when nothing does."""
        if not self._order:
            return None
        flow = self._order[0][2]
        return flow, flow.runs[0]

    def take(self, blocks: int) -> SendRun:
        """Take the first ``blocks`` of the run that `first` has shown."""
        flow = self._order[0][2]
        run = flow.runs[0]
        part = run if blocks == run.count else run._replace(count=blocks)
        if part is run:
            flow.runs.popleft()
        else:
            flow.runs[0] = run._replace(first_block=run.first_block + blocks, count=run.count - blocks)
        octets = blocks * block_octets(run.block_size)
        self.octets -= octets
        self._served = flow.clock
        flow.clock += octets / flow.weight
        if flow.runs:
            self._sequence += 1
            heapreplace(self._order, (flow.clock, self._sequence, flow))
        else:
            heappop(self._order)
            self._rested(flow)
        return part

    def take_back(self, flow: Flow, image_key: int | None = None) -> None:
        """Forget what waits in ``flow``: all of it, or the blocks of one image."""
        if not flow.runs:
            return
        kept = deque(run for run in flow.runs if image_key is not None and run.image.key != image_key)
        self.octets -= sum(run.count * block_octets(run.block_size) for run in flow.runs if run not in kept)
        flow.runs = kept
        if not kept:
            self._order = sorted(entry for entry in self._order if entry[2] is not flow)
            self._rested(flow)

    def forget(self, key: FlowKey) -> None:
        """Forget a flow that is over."""
        flow = self._flows.pop(key, None)
        if flow is not None:
            self.take_back(flow)

    def forget_image(self, image_key: int) -> None:
        """Forget every block of one image that waits."""
        for flow in tuple(self._flows.values()):
            self.take_back(flow, image_key)

    def _rested(self, flow: Flow) -> None:
        self.backlogged -= flow.weight
        if not self._order:
            # Nobody waits any more, so nobody is owed anything.
            self._flows.clear()
            self._served = self.backlogged = 0.0


def _continues(last: SendRun, run: SendRun) -> bool:
    return run == last._replace(first_block=last.first_block + last.count, count=run.count)

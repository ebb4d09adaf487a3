"""One record for each node: where it is in its boot, since when, why, and which packet said so.

A node is its hardware address (quirks Q46, Q53, Q55); what speaks TFTP is found by the address that DHCP gave or saw.
Who comes without DHCP (another mode, or a restart in between) is known by its address alone until DHCP names it.
What is learnt from which packet is in `mtftpd.core.nodes.watch`.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from mtftpd.core.deadlines import Deadlines
from mtftpd.core.effects import Report, ReportKind
from mtftpd.core.nodes.attempts import PAST_ATTEMPTS, Attempt, NodeKey, PastAttempt
from mtftpd.core.nodes.states import INFERRED, RESTING, Evidence, NodeState, destination, patience
from mtftpd.wire.datagram import HardwareAddress

MAX_NODES = 8_192
"""Records: 2,000 nodes with three interfaces each, and visitors.  The one that was silent for longest goes first."""
HISTORY = 16
"""Transitions of one node; a boot has about 10.  8,192 * (16 * 300 + 1,200) octets are 49 MB when all are full."""
MAX_TEXT = 120
"""Characters of a reason: file names come from the network."""

_MEMBERS = frozenset({NodeState.LISTEN, NodeState.OPEN, NodeState.PROBE, NodeState.PASSIVE})
"""States in which a node belongs to the audience of its group."""


class Transition(NamedTuple):
    """One step: when (monotonic seconds), to which state, why, by which packet, and whether it is only inferred."""

    at: float
    state: NodeState
    reason: str
    packet: str
    inferred: bool


@dataclass(slots=True, eq=False)
class Node:
    """The record of one node.

    ``attempt`` counts boots from power-on (``past`` are those before the present one, which is number ``begun`` and
    began at ``began``), ``round`` what was loaded one after the other in this attempt, ``stage``
    is the program that speaks ("rom", "ipxe", "http", "bootp"), ``rom`` the profile that it was taken for.  ``file``
    is the last one that it was told of or asked for, ``group`` where it may listen, ``late`` that it came after the
    beginning of the pass that runs.  ``aliases`` are its other interfaces, ``nics`` all of them by the
    address that each has, and ``wrong`` those that have called in this attempt although another one boots.
    """

    key: NodeKey
    hardware: HardwareAddress | None
    address: str = ""
    state: NodeState = NodeState.DISCOVER
    since: float = 0.0
    reason: str = ""
    attempt: int = 0
    round: int = 1
    stage: str = ""
    rom: str = ""
    file: str = ""
    group: str = ""
    late: bool = False
    fallback: str = ""
    error: str = ""
    server: str = ""
    transfers: int = 0
    xid: int = -1
    asked_at: float = 0.0
    aliases: set[HardwareAddress] = field(default_factory=set)
    nics: dict[str, HardwareAddress] = field(default_factory=dict)
    wrong: dict[HardwareAddress, None] = field(default_factory=dict)
    secs: int = 0
    began: float = 0.0
    begun: int = 0
    past: deque[PastAttempt] = field(default_factory=lambda: deque(maxlen=PAST_ATTEMPTS))
    history: deque[Transition] = field(default_factory=lambda: deque(maxlen=HISTORY))

    @property
    def inferred(self) -> bool:
        """Whether the state is a conclusion and not what the node has said."""
        return self.history[-1].inferred if self.history else False


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """A snapshot of one record; ``since`` is on the clock of the service."""

    hardware: HardwareAddress | None
    address: str
    state: NodeState
    since: float
    reason: str
    inferred: bool
    attempt: int
    round: int
    stage: str
    rom: str
    file: str
    group: str
    fallback: str
    error: str
    wrong_nics: tuple[HardwareAddress, ...]
    history: tuple[Transition, ...]
    began: float = 0.0
    past: tuple[PastAttempt, ...] = ()


class Nodes:
    """All records.  ``reports`` holds what has not been told yet; whoever moves a node tells it."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self._by_key: OrderedDict[NodeKey, Node] = OrderedDict()
        self._by_address: dict[str, Node] = {}
        self._by_nic: dict[HardwareAddress, Node] = {}
        self._members: dict[str, dict[NodeKey, Node]] = {}
        self._deadlines: Deadlines[NodeKey] = Deadlines()

    def __len__(self) -> int:
        return len(self._by_key)

    def known(self, key: NodeKey) -> Node | None:
        """Return the record of a hardware address (or of an address without one), or None."""
        return self._by_key.get(key) or (self._by_nic.get(key) if isinstance(key, HardwareAddress) else None)

    def of(self, hardware: HardwareAddress) -> Node:
        """Return the record of ``hardware`` alone, a new one if there is none."""
        shared = self._by_nic.get(hardware)
        if shared is not None or ((own := self._by_key.get(hardware)) is not None and own.hardware != hardware):
            # It belonged to a machine, and does so no longer.
            self._remove(shared or self._by_key[hardware])
        return self._by_key.get(hardware) or self._add(Node(hardware, hardware))

    def of_machine(self, nics: Iterable[HardwareAddress]) -> Node:
        """Return the one record of a machine with these interfaces, a new one if there is none."""
        found = [node for node in dict.fromkeys(map(self.known, nics)) if node is not None]
        first = found[0] if found else None
        for node in found[1:]:
            self._remove(node)
        for hardware in nics:
            if first is None:
                first = self._add(Node(hardware, hardware))
            elif hardware != first.key and hardware not in first.aliases:
                self._by_nic[hardware] = first
                first.aliases.add(hardware)
                if first.hardware is not None and first.address:
                    first.nics[first.address] = first.hardware  # It may have been alone when it got that.
        assert first is not None, "a machine has interfaces"
        return first

    def at(self, address: str) -> Node | None:
        """Return the record of the node that has ``address``, or None."""
        return self._by_address.get(address)

    def visitor(self, address: str) -> Node:
        """Return the record of who asks from ``address``, a new one if DHCP has not told who that is."""
        node = self._by_address.get(address) or self._add(Node(address, None, address))
        if node.address != address:
            # Another interface of it loads than the one that was in charge.
            node.address, node.hardware = address, node.nics[address]
        return node

    def locate(self, node: Node, address: str) -> None:
        """Take note that ``node`` has ``address`` from now on, and nobody else."""
        if not address or node.address == address:
            return
        if self._by_address.get(address) is not node:
            self.vacate(address)
        if self._by_address.get(node.address) is node and node.address not in node.nics:
            del self._by_address[node.address]
        node.address = address
        self._by_address[address] = node

    def locate_nic(self, node: Node, hardware: HardwareAddress, address: str) -> None:
        """Take note that one of several interfaces of ``node`` has ``address``."""
        if not address:
            return
        if self._by_address.get(address) is not node:
            self.vacate(address)
        for former in [each for each, nic in node.nics.items() if nic == hardware and each != address]:
            del node.nics[former]
            if former != node.address:
                del self._by_address[former]
        node.nics[address] = hardware
        self._by_address[address] = node

    def take_over(self, node: Node, hardware: HardwareAddress) -> None:
        """Let another interface speak for ``node``."""
        if hardware != node.hardware:
            node.hardware = hardware
            node.address = next((address for address, nic in node.nics.items() if nic == hardware), "")

    def vacate(self, address: str) -> None:
        """Take note that nobody of whom there is a record has ``address`` any more."""
        former = self._by_address.pop(address, None)
        if former is None:
            return
        if former.hardware is None:
            self._remove(former)
        former.nics.pop(address, None)
        if former.address == address:
            former.address = ""

    def audience(self, group: str) -> tuple[Node, ...]:
        """Return who may be listening to ``group``, the master excepted."""
        return tuple(self._members.get(group, {}).values())

    def tell_group(self, node: Node, group: str) -> None:
        """Take note of the group that ``node`` was told of, "" for none."""
        self._leave(node)
        node.group = group

    def move(self, node: Node, evidence: Evidence, reason: str, packet: str, now: float, *, seconds: float) -> bool:
        """Let ``evidence`` move ``node``; False when it says nothing new.  ``seconds`` is T of its group."""
        state = destination(node.state, evidence) if node.history or evidence is not Evidence.SILENCE else None
        if state is None or (state is node.state and node.history):
            return False
        former = node.state.value if node.history else ""
        if node.attempt != node.begun:
            if node.history:
                node.past.append(PastAttempt(node.begun, node.began, node.since, node.state, node.reason))
            node.began, node.begun = now, node.attempt
        node.state, node.since, node.reason = state, now, reason[:MAX_TEXT]
        step = Transition(now, state, node.reason, packet, state in INFERRED)
        node.history.append(step)
        self._leave(node)
        if node.group and state in _MEMBERS:
            self._members.setdefault(node.group, {})[node.key] = node
        self._by_key.move_to_end(node.key)
        self.await_sign(node, patience(state, seconds), now)
        self.reports.append(_report(node, former, step))
        return True

    def adopt(self, node: Node, seconds: float, now: float) -> None:
        """Take over the record of a former run (`mtftpd.core.nodes.former`) of a node that is not known yet.

        Nobody knows what it did meanwhile: if it was at work, it has as long to give a sign as a listener.
        """
        address, node.address = node.address, ""
        self.locate(self._add(node), address)
        if node.group and node.state in _MEMBERS:
            self._members.setdefault(node.group, {})[node.key] = node
        if node.state not in RESTING:
            self.await_sign(node, patience(NodeState.LISTEN, seconds), now)

    def await_sign(self, node: Node, seconds: float | None, now: float) -> None:
        """Be told by `due` when ``node`` gives no sign for so long; None: never."""
        if seconds is None:
            self._deadlines.clear(node.key)
        else:
            self._deadlines.set(node.key, now + seconds)

    def due(self, now: float) -> Iterator[Node]:
        """Yield the nodes that gave no sign in time."""
        for key in self._deadlines.due(now):
            yield self._by_key[key]

    def next_deadline(self) -> float | None:
        """Return when `due` is to be asked next, or None."""
        return self._deadlines.next()

    def forget(self, key: NodeKey) -> bool:
        """Remove a record; False when there is none."""
        node = self.known(key)
        if node is not None:
            self._remove(node)
        return node is not None

    def statistics(self, first: int = 0, count: int = MAX_NODES) -> tuple[NodeStatistics, ...]:
        """Return ``count`` snapshots from number ``first`` on, those of the nodes that moved longest ago first."""
        return tuple(snapshot(node) for node in islice(self._by_key.values(), first, first + count))

    def by_state(self) -> dict[NodeState, int]:
        """Return how many nodes are in each state."""
        return dict(Counter(node.state for node in self._by_key.values()))

    def _add(self, node: Node) -> Node:
        if len(self._by_key) >= MAX_NODES:
            self._remove(next(iter(self._by_key.values())))
        self._by_key[node.key] = node
        if node.address:
            self._by_address[node.address] = node
        return node

    def _remove(self, node: Node) -> None:
        del self._by_key[node.key]
        self._leave(node)
        self._deadlines.clear(node.key)
        for address in (node.address, *node.nics):
            if self._by_address.get(address) is node:
                del self._by_address[address]
        for hardware in node.aliases:
            del self._by_nic[hardware]

    def _leave(self, node: Node) -> None:
        members = self._members.get(node.group)
        if members is not None and members.pop(node.key, None) is not None and not members:
            del self._members[node.group]


def snapshot(node: Node) -> NodeStatistics:
    """Return what is known of ``node`` now."""
    return NodeStatistics(
        node.hardware,
        node.address,
        node.state,
        node.since,
        node.reason,
        node.inferred,
        node.attempt,
        node.round,
        node.stage,
        node.rom,
        node.file,
        node.group,
        node.fallback,
        node.error,
        tuple(node.wrong),
        tuple(node.history),
        node.began,
        tuple(node.past),
    )


def attempt_of(node: Node) -> Attempt | None:
    """Return the present boot of ``node``, to be written down; None when it has not begun."""
    if not node.history:
        return None
    return Attempt(
        node.hardware or node.address,
        node.attempt,
        node.began,
        node.since,
        node.state,
        node.reason,
        node.history[-1].packet,
        node.inferred,
        node.round,
        node.address,
        node.stage,
        node.rom,
        node.file,
        node.group,
    )


def _report(node: Node, former: str, step: Transition) -> Report:
    detail: tuple[tuple[str, str | int], ...] = (
        ("state", step.state.value),
        ("from", former),
        ("reason", step.reason),
        ("packet", step.packet),
        ("inferred", int(step.inferred)),
        ("attempt", node.attempt),
        ("round", node.round),
        ("stage", node.stage),
        ("file", node.file),
    )
    return Report(ReportKind.NODE_STATE, node.address, node.hardware, detail)

"""What the control socket can be asked about the running server, and the few things that it can be told to do.

Ages are in seconds at the time of the answer: the clock of the service means nothing outside.  How far transfers and
passes have got is read from those when somebody asks; nothing is counted for it on the way of a block.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, fields
from ipaddress import AddressValueError, IPv4Address
from math import isfinite
from typing import Any

from mtftpd import __version__
from mtftpd.core.addresses.leases import ClientKey, Lease
from mtftpd.core.nodes.alarms import Alarm, AlarmKind
from mtftpd.core.nodes.records import NodeStatistics
from mtftpd.core.nodes.states import NodeState
from mtftpd.core.service import BootService, Statistics
from mtftpd.core.tftp.reports import TransferStatistics
from mtftpd.daemon.control import Command
from mtftpd.daemon.journal import Journal
from mtftpd.daemon.loop import Pump
from mtftpd.daemon.plain import plain
from mtftpd.daemon.session_commands import SessionCommands, session_view
from mtftpd.daemon.store import Store
from mtftpd.daemon.trace import Traces
from mtftpd.wire.datagram import HardwareAddress

Request = Mapping[str, Any]
Answer = Mapping[str, Any]

PAGE = 256
"""Entries of one answer: 4 ms of work."""

_ETHERNET_OCTETS = 6
_LISTS = frozenset({"history", "past"})
"""What of a node is shown for itself."""


class Status:
    """Answers about ``service``; what it is told to do is performed by ``pump``."""

    def __init__(self, service: BootService, pump: Pump, journal: Journal, state: Store | None, traces: Traces) -> None:
        self._service = service
        self._pump = pump
        self._journal = journal
        self._state = state
        self._traces = traces
        self._started = time.monotonic()
        self._sampled = (self._started, 0)
        self._sending = 0.0
        self._sessions = SessionCommands(service, pump, lambda: _Progress(service.statistics()).view)

    def commands(self) -> dict[str, Command]:
        """Return the commands of the control socket."""
        return {
            "status": self.status,
            "version": lambda _: {"version": __version__},
            "nodes": self._nodes,
            "node": self._node,
            "forget": self._forget,
            **self._sessions.commands(),
            "leases": self._leases,
            "release": self._release,
            "trace": self._trace,
            "trace-stop": self._stop_trace,
        }

    def status(self, _request: Request) -> Answer:
        """Return all totals, and every transfer that is running."""
        statistics = self._service.statistics()
        return {**self._totals(statistics), "tftp": statistics.tftp}

    def totals(self) -> Answer:
        """Return all totals; of transfers, how many there are."""
        return self._totals(self._service.statistics())

    def _totals(self, statistics: Statistics) -> dict[str, Any]:
        now = time.monotonic()
        tftp = {part.name: getattr(statistics.tftp, part.name) for part in fields(statistics.tftp)}
        return {
            "version": __version__,
            "uptime": round(now - self._started, 3),
            "dhcp": statistics.dhcp,
            "mtftp": {
                "groups": [session_view(group) for group in statistics.mtftp.groups + statistics.multicast.transfers],
                "probes": statistics.mtftp.probes,
                "swapped": statistics.mtftp.swapped,
            },
            "tftp": {**tftp, "transfers": len(statistics.tftp.transfers)},
            "multicast_option": {**asdict(statistics.multicast), "transfers": len(statistics.multicast.transfers)},
            "arp": {**asdict(statistics.arp), "owned": self._pump.owned_neighbours()},
            "nodes": {"states": statistics.nodes.states, **alarm_views(statistics.nodes.alarms, now)},
            "traffic": self._pump.counters(),
            "budget": self._budget(statistics),
            "reports": self._journal.reports,
            "state": self._health(),
        }

    def sample(self) -> None:
        """Take note of what was sent, about once a second, so that `status` can tell the present rate."""
        now, sent = time.monotonic(), self._service.budget.statistics().sent
        before, sent_before = self._sampled
        self._sampled = (now, sent)
        self._sending = (sent - sent_before) * 8 / (now - before) if now > before else 0.0

    def _budget(self, statistics: Statistics) -> Answer:
        """Return the use of the link, rates in bit/s: ``rate`` 0 is no limit, and then nothing is counted."""
        return {
            **plain(statistics.budget),
            "sending": round(self._sending),
            **plain(statistics.admission),
        }

    def _health(self) -> Answer:
        """Return how the state folder is; ``degraded`` is "" or says why leases are in memory only."""
        state, barrier = self._state, self._pump.barrier
        if state is None or barrier is None:
            return {"degraded": "", "path": ""}
        health = state.health()
        slow = "the disk does not answer" if barrier.is_slow() else ""
        return {**plain(health), "degraded": health.degraded or slow, "waiting": len(barrier)}

    def line(self) -> str:
        """Return how it goes, in one line for ``systemctl status``."""
        statistics = self._service.statistics()
        states = statistics.nodes.states
        link = self._service.settings.link
        passes = sum(group.block > 0 for group in statistics.mtftp.groups + statistics.multicast.transfers)
        told = ", ".join(f"{states[state]} {state.value}" for state in NodeState if states.get(state))
        return (
            f"serving {link.name} ({link.address}): {sum(states.values())} nodes{f' ({told})' if told else ''}, "
            f"{passes} passes, {len(statistics.tftp.transfers)} transfers, {len(statistics.nodes.alarms)} alarms"
        )

    def _nodes(self, request: Request) -> Answer:
        """Return one page: 8,192 nodes at once would hold up everything else for a tenth of a second."""
        first = _first(request)
        statistics = self._service.statistics()
        progress = _Progress(statistics)
        page = self._service.nodes.nodes(first, PAGE)
        total = sum(statistics.nodes.states.values())
        return {"nodes": [progress.view(node) for node in page], "total": total}

    def _node(self, request: Request) -> Answer:
        who = _who(request)
        node = self._service.nodes.find(who)
        if node is None:
            raise ValueError(f"no node {who}")
        now = time.monotonic()
        steps = [
            {"age": round(now - at, 3), "state": state, "reason": reason, "packet": packet, "inferred": inferred}
            for at, state, reason, packet, inferred in node.history
        ]
        past = [
            {"attempt": number, "began": round(now - began, 3), "ended": round(now - ended, 3), "state": state,
             "reason": reason}
            for number, began, ended, state, reason in node.past
        ]  # fmt: skip
        return {"node": _Progress(self._service.statistics()).view(node), "history": steps, "past": past}

    def _forget(self, request: Request) -> Answer:
        who = _who(request)
        effects = self._service.forget(who)
        if not effects:
            raise ValueError(f"no node {who}")
        self._pump.perform(effects)
        return {"forgotten": str(who)}

    def _trace(self, request: Request) -> Answer:
        after = request.get("after", 0)
        if not isinstance(after, int):
            raise ValueError("after: give the number of the last entry that is known, or 0")
        return {"entries": self._traces.ask(_who(request), after, time.monotonic())}

    def _stop_trace(self, request: Request) -> Answer:
        who = _who(request)
        if not self._traces.stop(who):
            raise ValueError(f"{who} is not traced")
        return {"stopped": str(who)}

    def _leases(self, request: Request) -> Answer:
        now = time.monotonic()
        first = _first(request)
        leases = sorted(self._service.leases(), key=lambda lease: lease.address)
        return {"leases": [_lease(each, now) for each in leases[first : first + PAGE]], "total": len(leases)}

    def _release(self, request: Request) -> Answer:
        try:
            address = IPv4Address(str(request.get("address", "")))
        except AddressValueError:
            raise ValueError("address: give an IPv4 address") from None
        effects = self._service.release(address, time.monotonic())
        if not effects:
            raise ValueError(f"nobody has a lease of {address}")
        self._pump.perform(effects)
        return {"released": str(address)}


def alarm_views(alarms: tuple[Alarm, ...], now: float) -> dict[str, Any]:
    """Return the alarms that are not over, how many there are of each kind, and the other DHCP servers among them."""
    views = [
        {
            "kind": alarm.kind,
            "subject": alarm.subject,
            "text": alarm.text,
            "count": alarm.count,
            "age": round(now - alarm.last, 3),
            "since": round(now - alarm.first, 3),
        }
        for alarm in alarms
    ]
    kinds = [alarm.kind for alarm in alarms]
    foreign = sorted(alarm.subject for alarm in alarms if alarm.kind is AlarmKind.FOREIGN_SERVER)
    return {
        "alarms": views,
        "alarm_counts": {kind: kinds.count(kind) for kind in AlarmKind},
        "foreign_servers": foreign,
    }


class _Progress:
    """How far nodes have got: acknowledged, sent to them as master, or sent to their group while they listened."""

    def __init__(self, statistics: Statistics) -> None:
        self._now = time.monotonic()
        self._transfers = {each.peer.address: each for each in statistics.tftp.transfers}
        self._groups = {each.group: each for each in statistics.mtftp.groups if each.block}
        self._queue = {address: place for place, address in enumerate(statistics.admission.queue, 1)}

    def view(self, node: NodeStatistics) -> dict[str, Any]:
        """Return one node as the control socket tells it."""
        view = {each.name: getattr(node, each.name) for each in fields(node) if each.name not in _LISTS}
        view["age"] = round(self._now - view.pop("since"), 3)
        view["began"] = round(self._now - view["began"], 3)
        return {**view, **self._of(node)}

    def _of(self, node: NodeStatistics) -> dict[str, Any]:
        transfer = self._transfers.get(node.address)
        if node.state is NodeState.UNICAST and transfer is not None:
            return _transfer(transfer, self._now)
        group = self._groups.get(node.group)
        if node.state in (NodeState.MASTER, NodeState.PASSIVE) and group is not None:
            kind = "sent" if node.state is NodeState.MASTER else "bound"
            rate = session_view(group)["rate"]
            return {"block": group.block, "blocks": group.blocks, "kind": kind, "rate": rate}
        if node.address in self._queue:
            return {"block": self._queue[node.address], "blocks": len(self._queue), "kind": "queued", "rate": 0}
        return {"block": 0, "blocks": 0, "kind": "", "rate": 0}


def _transfer(transfer: TransferStatistics, now: float) -> dict[str, Any]:
    seconds = now - transfer.started
    rate = round(transfer.block * transfer.block_size / seconds) if seconds > 0 else 0
    return {"block": transfer.block, "blocks": transfer.blocks, "kind": "acked", "rate": rate}


def _lease(lease: Lease, now: float) -> dict[str, Any]:
    seconds = round(lease.expires - now) if lease.expires and isfinite(lease.expires) else None
    return {"address": lease.address, "client": _client(lease.key), "state": lease.state, "seconds": seconds}


def _client(key: ClientKey | None) -> str:
    if key is None:
        return ""
    return f"id {key.octets.hex(':')}" if key.is_identifier else str(HardwareAddress(key.htype, key.octets))


def _first(request: Request) -> int:
    first = request.get("first", 0)
    if not isinstance(first, int) or first < 0:
        raise ValueError("first: give the number of the first entry of the page, from 0")
    return first


def _who(request: Request) -> HardwareAddress | str:
    """Read the name of a node: an Ethernet address with colons, hyphens or neither, or an IPv4 address."""
    text = str(request.get("node", "")).strip()
    try:
        return str(IPv4Address(text))
    except AddressValueError:
        pass
    try:
        octets = bytes.fromhex(text.replace(":", "").replace("-", "").replace(".", ""))
    except ValueError:
        octets = b""
    if len(octets) != _ETHERNET_OCTETS:
        raise ValueError(f"{text!r} is neither a hardware address nor an IPv4 address")
    return HardwareAddress(1, octets)

"""What passes and transfers say about the nodes that take part in them, or should."""

from __future__ import annotations

from collections.abc import Callable

from mtftpd.core.effects import Report, ReportKind
from mtftpd.core.nodes.alarms import AlarmKind, Alarms
from mtftpd.core.nodes.records import Node, Nodes
from mtftpd.core.nodes.states import FAILED, SUCCEEDED, Evidence, NodeState, patience
from mtftpd.core.settings import Catalogue, Settings
from mtftpd.wire.datagram import Endpoint

ASKS_AGAIN_SECONDS = 1.0
"""Beyond T: a listener with holes opens or turns to port 69 within T of the end of a pass."""

_FILE_NOT_FOUND = 1
_WHY_LOST = {
    "silent": (Evidence.SILENCE, "as master it fell silent"),
    "error": (Evidence.ERROR, "as master it sent an ERROR"),
    "complete": (Evidence.ALL_ACKNOWLEDGED, "as master it acknowledged the last block"),
    "gone": (Evidence.SILENCE, "as master it opened another file"),
}

Handler = Callable[[Report, str, float], None]


class DownloadWatch:
    """Moves ``nodes`` by what MTFTP and TFTP report; ``goes_on``: what ends in this packet is asked for again in it."""

    def __init__(self, nodes: Nodes, alarms: Alarms) -> None:
        self.goes_on = False
        self._nodes = nodes
        self._alarms = alarms
        self._running: set[str] = set()
        self.by_kind: dict[ReportKind, Handler] = {
            ReportKind.PASS_STARTED: self._pass_started,
            ReportKind.MASTER_LOST: self._master_lost,
            ReportKind.MASTER_BACK: self._master_back,
            ReportKind.PASS_ENDED: self._pass_ended,
            ReportKind.PASS_ABORTED: self._pass_ended,
            ReportKind.LISTENER_DONE: self._listener_done,
            ReportKind.TFTP_QUEUED: self._transfer_held,
            ReportKind.TFTP_STARTED: self._transfer_started,
            ReportKind.TFTP_DONE: self._transfer_done,
            ReportKind.TFTP_FAILED: self._transfer_failed,
            ReportKind.TFTP_REFUSED: self._refused,
        }

    def reconfigure(self, settings: Settings, catalogue: Catalogue) -> None:
        """Go on with another configuration."""
        self._seconds = float(settings.multicast.seconds)
        self._paths = catalogue.paths

    def move(self, node: Node, evidence: Evidence, reason: str, packet: str, now: float) -> bool:
        """Move ``node`` with the time-outs of this configuration."""
        was = node.state
        moved = self._nodes.move(node, evidence, reason, packet, now, seconds=self._seconds)
        if moved and was is NodeState.SILENT:
            self._alarms.over(AlarmKind.SILENT, str(node.hardware or node.address))
        return moved

    def patience(self, node: Node) -> float | None:
        """Return how long ``node`` may stay in its state without a sign."""
        return patience(node.state, self._seconds)

    def silent(self, node: Node, now: float) -> None:
        """Draw the conclusion from a silence that was long enough."""
        if node.state is NodeState.PASSIVE:
            reason = f"it listened to a whole pass of {node.group} and asks for nothing"
            self.move(node, Evidence.NOTHING_MISSED, reason, "", now)
            return
        seconds = round(now - node.since)
        after = f"{node.state.value} ({node.reason})"
        self.move(node, Evidence.SILENCE, f"nothing heard for {seconds} s after {after}", "", now)

    def may_listen(self, node: Node, packet: str, now: float) -> None:
        """Take note that ``node`` knows its group and has no reason not to listen."""
        if not node.group or node.fallback:
            return
        self.move(node, Evidence.GROUP_KNOWN, f"it was told of {node.group}", packet, now)
        if node.group in self._running:
            self._join(node, packet, now, late=True)

    def opened(self, source: Endpoint, packet: str, now: float) -> None:
        """Take an open that was not answered at once."""
        node = self._visitor(source.address)
        self.move(node, Evidence.OPEN, f"opened {node.group or 'a group'}, not answered yet", packet, now)
        if node.group in self._running:
            self._join(node, packet, now, late=True)

    def _join(self, node: Node, packet: str, now: float, *, late: bool) -> None:
        since = "after the beginning of the pass" if late else "from the first block"
        if self.move(node, Evidence.PASS_JOINED, f"{node.group} is sending; here {since}", packet, now):
            node.late = late

    def _visitor(self, address: str) -> Node:
        """Return the record of ``address``, a new one for whom DHCP did not name; strangers were dropped before."""
        node = self._nodes.visitor(address)
        if not node.history:
            node.attempt, node.stage = 1, "rom"
        return node

    # Passes

    def _pass_started(self, report: Report, packet: str, now: float) -> None:
        detail = dict(report.detail)
        group = str(detail["group"])
        self._running.add(group)
        if report.address:
            self._master_began(report.address, group, detail, packet, now)
        for node in self._nodes.audience(group):
            self._join(node, packet, now, late=False)

    def _master_began(self, address: str, group: str, detail: dict[str, str | int], packet: str, now: float) -> None:
        master = self._visitor(address)
        self._nodes.tell_group(master, group)
        if master.file not in self._paths:
            master.file = str(detail["image"])
        reason = f"DATA 1 of {detail['blocks']} sent to it, master of {group}"
        self.move(master, Evidence.PASS_BEGUN, reason, packet, now)

    def _master_lost(self, report: Report, packet: str, now: float) -> None:
        detail = dict(report.detail)
        master = self._nodes.at(report.address)
        if master is None or master.state is not NodeState.MASTER or master.group != detail["group"]:
            return
        evidence, reason = _WHY_LOST[str(detail["why"])]
        block, blocks = detail["block"], detail["blocks"]
        if evidence is Evidence.SILENCE and block == blocks:
            evidence, reason = Evidence.LAST_UNACKNOWLEDGED, "it did not acknowledge the last block"
        self.move(master, evidence, f"{reason}, block {block} of {blocks}", packet, now)

    def _master_back(self, report: Report, packet: str, now: float) -> None:
        detail = dict(report.detail)
        master = self._visitor(report.address)
        self.move(master, Evidence.PASS_BEGUN, f"acknowledges again, block {detail['block']}", packet, now)

    def _pass_ended(self, report: Report, packet: str, now: float) -> None:
        detail = dict(report.detail)
        group, outcome = str(detail["group"]), str(detail["outcome"])
        block, blocks = detail["block"], detail["ideal"]
        self._running.discard(group)
        master = self._nodes.at(report.address)
        if master is not None and master.state is NodeState.MASTER and master.group == group:
            if outcome == "acknowledged":
                self.move(master, Evidence.ALL_ACKNOWLEDGED, f"acknowledged all {blocks} blocks", packet, now)
            elif outcome == "unanswered":
                self.move(master, Evidence.SILENCE, "as master it never acknowledged block 1", packet, now)
            else:
                self.move(master, Evidence.ERROR, f"the pass was ended: {outcome}, block {block}", packet, now)
        for node in self._nodes.audience(group):
            if node.state is not NodeState.PASSIVE:
                continue
            if block == blocks and not node.late:
                self._nodes.await_sign(node, self._seconds + ASKS_AGAIN_SECONDS, now)
            else:
                missed = "came late" if node.late else f"ended at block {block} of {blocks}"
                self.move(node, Evidence.PASS_OVER, f"the pass of {group} is over: {missed}", packet, now)

    def _listener_done(self, report: Report, packet: str, now: float) -> None:
        node, blocks = self._visitor(report.address), dict(report.detail)["blocks"]
        self.move(node, Evidence.ALL_ACKNOWLEDGED, f"acknowledged all {blocks} blocks when it was asked", packet, now)

    # Transfers

    def _transfer_held(self, report: Report, packet: str, now: float) -> None:
        detail = dict(report.detail)
        node = self._asks(report, packet, now)
        reason = f"asks port 69 for {node.file}, number {detail['position']} of {detail['waiting']} that wait"
        self.move(node, Evidence.HELD, reason, packet, now)

    def _transfer_started(self, report: Report, packet: str, now: float) -> None:
        node = self._asks(report, packet, now)
        node.transfers += 1
        self.move(node, Evidence.TRANSFER, f"asks port 69 for {node.file}", packet, now)

    def _asks(self, report: Report, packet: str, now: float) -> Node:
        """Take note of what a request on port 69 says of what came before it; returns who asks."""
        node = self._visitor(report.address)
        file = str(dict(report.detail)["file"])
        is_same = self._is_same(file, node.file)
        if not is_same and node.state in SUCCEEDED:
            self.move(node, Evidence.CONFIRMED, f"it asks for another file, {file}", packet, now)
            if self.move(node, Evidence.NEXT_FILE, f"it has {node.file} and asks for {file}", packet, now):
                node.round += 1
                node.fallback = ""
                self._nodes.tell_group(node, "")
        elif node.group and "group" not in dict(report.detail):
            reason = f"asks port 69 for {file} in state {node.state.value}, not {node.group}"
            if self.move(node, Evidence.TURNED_TO_UNICAST, reason, packet, now):
                node.fallback = reason
        node.file = file
        node.error = ""
        return node

    def _transfer_done(self, report: Report, packet: str, now: float) -> None:
        detail = dict(report.detail)
        node = self._ended(report)
        if node is None:
            return
        file, end = str(detail["file"]), detail["end"]
        if end == "complete":
            reason = f"acknowledged all {detail['blocks']} blocks of {file}"
            self.move(node, Evidence.ALL_ACKNOWLEDGED, reason, packet, now)
        elif node.transfers or self.goes_on:
            return
        elif end == "size probe":
            self.move(node, Evidence.SIZE_KNOWN, f"asked for the size of {file}", packet, now)
            self.may_listen(node, packet, now)
        else:
            self.move(node, Evidence.LAST_UNACKNOWLEDGED, f"{end} of {file}", packet, now)

    def _transfer_failed(self, report: Report, packet: str, now: float) -> None:
        detail = dict(report.detail)
        node = self._ended(report)
        if node is None or node.transfers or self.goes_on:
            return
        # A leftover of an earlier file, or of a request that was made twice, says nothing about what came after it.
        if node.state is not NodeState.UNICAST or node.file != detail["file"]:
            return
        end = str(detail["end"])
        by_client = end.startswith("aborted by client")
        node.error = end if by_client else node.error
        ends = by_client or "on the server" in end
        evidence = Evidence.ERROR if ends else Evidence.SILENCE
        self.move(node, evidence, f"{detail['file']}, block {detail['blocks']}: {end}", packet, now)

    def _ended(self, report: Report) -> Node | None:
        node = self._nodes.at(report.address)
        if node is not None:
            node.transfers = max(0, node.transfers - 1)
        return node

    def _refused(self, report: Report, packet: str, now: float) -> None:
        node = self._nodes.at(report.address)
        if node is None or node.state in SUCCEEDED or node.transfers:
            return
        detail = dict(report.detail)
        node.error = f"ERROR {detail['code']} {detail['end']}: {detail['file']}"
        if detail["code"] == _FILE_NOT_FOUND and node.state not in FAILED:
            text = f"{node.hardware or node.address} asks for {detail['file'] or 'a file without a name'}"
            self._alarms.raise_alarm(AlarmKind.UNKNOWN_FILE, str(detail["file"]), f"{text}: {detail['end']}", now)
        self.move(node, Evidence.ERROR, node.error, packet, now)

    def _is_same(self, one: str, other: str) -> bool:
        """Return whether two names are those of one file."""
        image = self._paths.get(one)
        return one == other or (image is not None and image == self._paths.get(other))

"""What the server's own effects say about each node: a reader of reports and drops that moves the records.

The machines know nothing of it.  It is shown every packet that is not an ordinary block, with what was done about it;
how far a running transfer or pass has got is asked of those when somebody wants to know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mtftpd.core.effects import Drop, DropReason, Effects, Lookup, Report, ReportKind, Sender, Service
from mtftpd.core.groups import Groups
from mtftpd.core.learning.audiences import QUERY_SECONDS
from mtftpd.core.learning.fallback import Trigger
from mtftpd.core.nodes.alarms import Alarm, AlarmKind, Alarms
from mtftpd.core.nodes.attempts import Attempt
from mtftpd.core.nodes.clients import ClientKind
from mtftpd.core.nodes.download import DownloadWatch
from mtftpd.core.nodes.former import former_nodes
from mtftpd.core.nodes.nic_records import NicWatch
from mtftpd.core.nodes.nics import Nics
from mtftpd.core.nodes.records import MAX_NODES, Node, Nodes, NodeStatistics, attempt_of, snapshot
from mtftpd.core.nodes.standing import stand
from mtftpd.core.nodes.states import FAILED, QUIET_SECONDS, Evidence, NodeState
from mtftpd.core.settings import Catalogue, Mode, Settings
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.datagram import Datagram, HardwareAddress
from mtftpd.wire.tftp import Opcode

COPY_SECONDS = 2.0
"""A DISCOVER with the former transaction number is a late copy for so long; no ROM starts again in less."""

LATE_SECONDS = 20
"""What the first DISCOVER that is heard says in secs when the switch port was blocked until then: the spanning tree
takes 30 s and more (quirk Q70), and all but the last of 4, 8 and 16 s of waiting are gone by then."""
FAILED_SECONDS = 600.0
"""An attempt that failed counts for so long: who is switched off and on again is back sooner."""
RETRYING_SECS = 5
"""In the field ``secs`` of DHCP: ROMs repeat their first DISCOVER after 4 s (PXE 2.1 section 2.2.6)."""

_HAS_WAITED = frozenset({NodeState.OPEN, NodeState.MASTER, NodeState.PASSIVE, NodeState.MAYBE_DONE, NodeState.FALLBACK})
_NOT_OURS = frozenset({DropReason.RELAY_NOT_SERVED, DropReason.OFF_LINK, DropReason.MODE, DropReason.NOT_PXE})
"""Whoever is not served at all leaves no record."""
_OPENED_IN_VAIN = frozenset(
    {DropReason.PASS_RUNNING, DropReason.QUIET, DropReason.UNHEARD, DropReason.IN_VAIN, DropReason.PAUSED}
)
_LOOKING = frozenset({NodeState.DISCOVER, NodeState.IGNORED, NodeState.OFFERED})
_ANSWERED = frozenset({NodeState.ACKED, NodeState.LISTEN, NodeState.PASSIVE, NodeState.PROBE})
_SYSTEM = ClientKind.OTHER.value
_ROM = ClientKind.PXE.value
_NAMES = {Service.DHCP: "DHCP", Service.PXE: "PXE", Service.TFTP: "TFTP"}
_SILENT_STATES = frozenset({NodeState.SILENT})


@dataclass(frozen=True, slots=True)
class NodesStatistics:
    """How many nodes are in each state, and what an operator should look at."""

    states: dict[NodeState, int]
    alarms: tuple[Alarm, ...]


class NodeWatch:
    """Learns from the effects of one server; every transition and alarm becomes a `Report`."""

    def __init__(self, settings: Settings, catalogue: Catalogue, nics: Nics) -> None:
        self._nodes = Nodes()
        self._alarms = Alarms()
        self._download = DownloadWatch(self._nodes, self._alarms)
        self._nics = NicWatch(self._nodes, nics, self._download.move)
        self._asked = ""
        self.reconfigure(settings, catalogue)
        self._by_kind: dict[ReportKind, Callable[[Report, str, float], None]] = {
            ReportKind.DHCP_DECLINED: self._gave_back,
            ReportKind.DHCP_RELEASED: self._gave_back,
            ReportKind.GROUP_RESTS: self._group_rests,
            **self._download.by_kind,
        }

    def reconfigure(self, settings: Settings, catalogue: Catalogue) -> None:
        """Go on with another configuration; records stay."""
        self._settings = settings
        self._own = str(settings.link.address)
        self._download.reconfigure(settings, catalogue)

    def learn(self, datagram: Datagram | None, effects: Effects, now: float) -> Effects:
        """Take what was done about ``datagram`` (None: a timer, a lookup) and return it with what that says."""
        packet = _describe(datagram) if datagram is not None else self._asked
        self._asked = packet if any(type(effect) is Lookup for effect in effects) else ""
        if datagram is not None and datagram.socket in (Service.MTFTP, Service.MTFTP_IPXE):
            if not effects:
                self._download.opened(datagram.source, packet, now)
            for effect in effects:
                if type(effect) is Drop and effect.reason in _OPENED_IN_VAIN:
                    self._download.opened(effect.source, packet, now)
        self._download.goes_on = bool(self._asked) or any(
            type(effect) is Report and effect.kind is ReportKind.TFTP_STARTED for effect in effects
        )
        for effect in effects:
            if type(effect) is Report:
                self._report(effect, packet, now)
            elif type(effect) is Drop and effect.sender is not None:
                self._dhcp(effect.sender, effect, packet, now)
            elif type(effect) is Drop and effect.reason is DropReason.UNKNOWN_FILE:
                file = effect.detail or "a file without a name"
                text = f"{effect.source.address} opens {file}: there is no such group"
                self._alarms.raise_alarm(AlarmKind.UNKNOWN_FILE, effect.detail, text, now)
        if datagram is not None:
            self._nics.asked(datagram.source.address)
        return self._told(effects)

    def stand(self, groups: Groups, busy: Iterable[str], now: float) -> Effects:
        """Take note of the configuration that is served from now on, and of the groups that are in use."""
        stand(self._alarms, self._settings.link, groups, busy, now)
        return self._told(())

    def restore(self, attempts: Iterable[Attempt], now: float) -> None:
        """Go on with what a former run wrote down; to be called before anything is learnt."""
        for node in former_nodes(attempts):
            self._nodes.adopt(node, self._settings.multicast.seconds, now)

    def tick(self, now: float) -> Effects:
        """Return what the silence of nodes says at ``now``."""
        for node in self._nodes.due(now):
            self._download.silent(node, now)
            if node.state in _SILENT_STATES:
                who = str(node.hardware or node.address)
                self._alarms.raise_alarm(AlarmKind.SILENT, who, f"{who}: {node.reason}", now)
        self._alarms.tick(now)
        return self._told(())

    def next_deadline(self) -> float | None:
        """Return when `tick` is due."""
        deadlines = (self._nodes.next_deadline(), self._alarms.next_deadline())
        return min((when for when in deadlines if when is not None), default=None)

    def forget(self, who: HardwareAddress | str) -> bool:
        """Remove the record of a node; False when there is none."""
        found = self.find(who)
        return found is not None and self._nodes.forget(found.hardware or found.address)

    def nodes(self, first: int = 0, count: int = MAX_NODES) -> tuple[NodeStatistics, ...]:
        """Return snapshots of ``count`` records from number ``first`` on, who moved longest ago first."""
        return self._nodes.statistics(first, count)

    def find(self, who: HardwareAddress | str) -> NodeStatistics | None:
        """Return a snapshot of the node with this hardware address or IPv4 address."""
        node = self._record(who)
        return None if node is None else snapshot(node)

    def attempt(self, who: HardwareAddress | str) -> Attempt | None:
        """Return the present boot of the node with this address, None when there is none."""
        node = self._record(who)
        return None if node is None else attempt_of(node)

    def _record(self, who: HardwareAddress | str) -> Node | None:
        return self._nodes.known(who) or (self._nodes.at(who) if isinstance(who, str) else None)

    def has_tried(self, address: str, now: float) -> bool:
        """Return whether whoever has ``address`` failed a while ago, or has waited for a group or an offer already."""
        node = self._nodes.at(address)
        if node is None:
            return False
        failed = any(step.state in FAILED and now - step.at < FAILED_SECONDS for step in node.history)
        return failed or node.state in _HAS_WAITED or node.secs >= RETRYING_SECS

    def statistics(self) -> NodesStatistics:
        """Return the totals."""
        return NodesStatistics(self._nodes.by_state(), self._alarms.statistics())

    def _told(self, effects: Effects) -> Effects:
        for told in (self._nodes.reports, self._alarms.reports):
            if told:
                effects = (*effects, *told)
                told.clear()
        return effects

    def _report(self, report: Report, packet: str, now: float) -> None:
        if report.sender is not None:
            self._dhcp(report.sender, report, packet, now)
        elif (handler := self._by_kind.get(report.kind)) is not None:
            handler(report, packet, now)

    # DHCP and PXE

    def _dhcp(self, sender: Sender, outcome: Report | Drop, packet: str, now: float) -> None:
        if not sender.hardware.octets:
            return
        packet = f"{packet} xid {sender.xid:08x}"
        if sender.server and sender.server != self._own:
            text = f"{sender.hardware} takes the offer of DHCP server {sender.server}"
            self._alarms.raise_alarm(AlarmKind.FOREIGN_SERVER, sender.server, text, now)
        if sender.client == _SYSTEM:
            self._system(sender, outcome, packet, now)
            return
        if type(outcome) is Drop and outcome.reason in _NOT_OURS:
            return
        self._alarms.compare(sender, now)
        node = self._nics.record(sender, outcome, packet, now)
        if node is None:
            return
        self._look_when_it_began(node, sender, now)
        if sender.message in (MessageType.DISCOVER, None):
            if self._discover(node, sender, packet, now):
                self._answered_discover(node, outcome, packet, now)
        elif sender.message in (MessageType.REQUEST, MessageType.INFORM):
            self._request(node, sender, outcome, packet, now)
        node.xid, node.asked_at = sender.xid, now
        node.secs = 0 if sender.is_ipxe else sender.secs  # iPXE has no time in it (Q56)

    def _look_when_it_began(self, node: Node, sender: Sender, now: float) -> None:
        """Say when the first DISCOVER that is heard is not the first that was sent; iPXE has no time in secs (Q56)."""
        is_first = not node.history or now - node.asked_at >= QUIET_SECONDS
        if sender.message == MessageType.DISCOVER and is_first and not sender.is_ipxe and sender.secs >= LATE_SECONDS:
            text = (
                f"{sender.hardware} has asked for {sender.secs} s before it was heard: look at portfast of its switch"
            )
            self._alarms.raise_alarm(AlarmKind.LATE_START, str(sender.hardware), text, now)

    def _system(self, sender: Sender, outcome: Report | Drop, packet: str, now: float) -> None:
        """Take DHCP without PXE: a node that has booted runs its system now, or another one from a disk."""
        node = self._nodes.known(sender.hardware)
        taken = outcome.address if type(outcome) is Report and outcome.kind is ReportKind.DHCP_ACKED else ""
        if self._nodes.at(taken) is not node:
            self._nodes.vacate(taken)
        asks = sender.message in (MessageType.DISCOVER, MessageType.REQUEST, MessageType.INFORM)
        if node is not None and asks:
            self._move(node, Evidence.SYSTEM, f"DHCP of a system, in state {node.state.value}", packet, now)

    def _discover(self, node: Node, sender: Sender, packet: str, now: float) -> bool:
        """Take a DISCOVER or BOOTP request; False for a late copy, which means nothing."""
        stage = "ipxe" if sender.is_ipxe else "rom" if sender.client == _ROM else sender.client
        is_quiet = now - node.asked_at >= QUIET_SECONDS
        is_new = not node.history
        if not is_new and not is_quiet:
            if node.state in _LOOKING and node.stage == stage:
                self._refresh(node, now)
                return True
            if sender.xid == node.xid and now - node.asked_at < COPY_SECONDS:
                return False
        if stage == "ipxe" and node.stage not in ("", "ipxe"):
            self._move(node, Evidence.CONFIRMED, "iPXE asks for an address", packet, now)
        if stage == "ipxe" and node.stage != "ipxe" and node.state is NodeState.DONE:
            self._move(node, Evidence.NEXT_PROGRAM, "iPXE asks for an address", packet, now)
            node.round += 1
        else:
            reason = f"it began again in state {node.state.value}"
            if not is_new:
                self._move(node, Evidence.FROM_SCRATCH, reason, packet, now)
            node.attempt += 1
            node.round = 1
        node.stage = stage
        node.file = node.fallback = node.error = node.server = ""
        node.transfers, node.late = 0, False
        node.wrong.clear()
        self._nodes.tell_group(node, "")
        self._move(node, Evidence.DISCOVER, f"attempt {node.attempt}, {stage}", packet, now)
        return True

    def _answered_discover(self, node: Node, outcome: Report | Drop, packet: str, now: float) -> None:
        if type(outcome) is Drop:
            self._not_answered(node, outcome, packet, now)
            return
        assert type(outcome) is Report
        self._take_plan(node, outcome)
        if outcome.kind is ReportKind.BOOTP_ANSWERED:
            self._acked(node, outcome.address, "BOOTP reply", packet, now)
        else:
            reason = f"OFFER of {outcome.address or 'a boot file'}: {node.file}"
            self._move(node, Evidence.OFFER, f"{reason}, {node.group}" if node.group else reason, packet, now)

    def _request(self, node: Node, sender: Sender, outcome: Report | Drop, packet: str, now: float) -> None:
        is_copy = sender.xid == node.xid and now - node.asked_at < QUIET_SECONDS
        asks_server = type(outcome) is Report and outcome.kind is ReportKind.PXE_ANSWERED
        if is_copy and node.state in _ANSWERED and not asks_server:
            self._refresh(node, now)
            return
        if not node.history:
            node.attempt, node.stage = 1, "ipxe" if sender.is_ipxe else "rom"
        if type(outcome) is Drop:
            self._request_dropped(node, sender, outcome, packet, now)
            return
        assert type(outcome) is Report
        if outcome.kind is ReportKind.DHCP_REFUSED:
            self._move(node, Evidence.REQUEST, f"REQUEST of {outcome.address}", packet, now)
            self._move(node, Evidence.NAK, f"NAK: {dict(outcome.detail).get('why', '')}", packet, now)
            return
        self._take_plan(node, outcome)
        address = outcome.address or sender.address
        if asks_server:
            self._move(node, Evidence.PXE_REQUEST, "it asks for its boot server", packet, now)
        else:
            self._move(node, Evidence.REQUEST, f"REQUEST of {address}", packet, now)
        self._acked(node, address, f"ACK for {address}", packet, now)

    def _request_dropped(self, node: Node, sender: Sender, drop: Drop, packet: str, now: float) -> None:
        node.server = sender.server
        self._move(node, Evidence.REQUEST, f"REQUEST of {sender.address or 'no address'}", packet, now)
        if drop.reason is not DropReason.OTHER_SERVER:
            self._not_answered(node, drop, packet, now)
        elif self._settings.mode is Mode.PROXY:
            # Its server's ACK is not for us to see; what we have offered counts from now on.
            self._acked(node, sender.address, f"takes {sender.address} from {sender.server}", packet, now)
        else:
            self._move(node, Evidence.OTHER_SERVER, f"took the offer of {sender.server}", packet, now)

    def _acked(self, node: Node, address: str, reason: str, packet: str, now: float) -> None:
        self._nodes.locate(node, address)
        self._move(node, Evidence.ACK, reason, packet, now)
        self._download.may_listen(node, packet, now)

    def _not_answered(self, node: Node, drop: Drop, packet: str, now: float) -> None:
        _, _, why = drop.detail.partition(": ")
        reason = f"{drop.reason.value}: {why}" if why else drop.reason.value
        self._move(node, Evidence.NOT_ANSWERED, reason, packet, now)

    def _gave_back(self, report: Report, packet: str, now: float) -> None:
        node = self._nodes.known(report.hardware) if report.hardware is not None else None
        if node is not None:
            does = "found in use" if report.kind is ReportKind.DHCP_DECLINED else "gave back"
            self._move(node, Evidence.RELEASED, f"it {does} {report.address}", packet, now)

    def _group_rests(self, report: Report, packet: str, now: float) -> None:
        detail = dict(report.detail)
        group = str(detail["group"])
        text = (
            f"{detail['failed']} of {detail['audience']} nodes of {group} failed together: it rests for"
            f" {detail['seconds']} s and is sent at {detail['rate-percent']} % of its rate then"
        )
        self._alarms.raise_alarm(AlarmKind.PASS_LOST, group, text, now)
        if detail["trigger"] == Trigger.F14.name:
            text = f"no IGMP query for {QUERY_SECONDS:.0f} s, and {group} is not heard: run a querier or stop snooping"
            self._alarms.raise_alarm(AlarmKind.NO_QUERIER, "", text, now)

    def _take_plan(self, node: Node, report: Report) -> None:
        detail = dict(report.detail)
        node.rom = str(detail.get("rom", ""))
        node.file = str(detail.get("file", node.file))
        group = str(detail.get("group", ""))
        if group != node.group:
            self._nodes.tell_group(node, group)

    def _refresh(self, node: Node, now: float) -> None:
        """Begin to wait again; a listener is waited for from the end of its pass on, whatever it repeats."""
        if (seconds := self._download.patience(node)) is not None:
            self._nodes.await_sign(node, seconds, now)

    def _move(self, node: Node, evidence: Evidence, reason: str, packet: str, now: float) -> None:
        self._download.move(node, evidence, reason, packet, now)


def _describe(datagram: Datagram) -> str:
    """Name a packet in a few words; only its first octets are looked at."""
    service = _NAMES.get(datagram.socket, "")  # type: ignore[call-overload]
    if service in ("DHCP", "PXE"):
        address, port = datagram.source
        return f"{service} from {address}:{port}"
    number = int.from_bytes(datagram.data[:2], "big")
    try:
        name = Opcode(number).name
    except ValueError:
        name = f"opcode {number}"
    return f"{name} from {datagram.source}"

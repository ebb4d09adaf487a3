"""One record for a machine with several interfaces: which of them speaks for it, and which are named as wrong ones.

1. The interface that boots speaks for the machine.  As long as that is not known, the one does that came farthest: the
   first one that calls, then whoever was acknowledged last, until one asks for a file.
2. What the others say moves nothing.  When it is known that another one boots, each is told of once an attempt.
"""

from __future__ import annotations

from collections.abc import Callable

from mtftpd.core.effects import Drop, Report, ReportKind, Sender
from mtftpd.core.nodes.nics import Machine, Nics
from mtftpd.core.nodes.records import Node, Nodes
from mtftpd.core.nodes.states import FAILED, Evidence, NodeState
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.datagram import HardwareAddress

S = NodeState
_NOT_LOADING = FAILED | {S.DISCOVER, S.OFFERED, S.REQUESTED, S.TAKEN, S.ACKED, S.LISTEN, S.DISCOVERY}

Move = Callable[[Node, Evidence, str, str, float], bool]


class NicWatch:
    """Finds the record of who calls; ``move`` moves one by evidence, reason, packet and time."""

    def __init__(self, nodes: Nodes, nics: Nics, move: Move) -> None:
        self._nodes = nodes
        self._nics = nics
        self._move = move

    def record(self, sender: Sender, outcome: Report | Drop, packet: str, now: float) -> Node | None:
        """Return the record that a DHCP message moves; None when it says nothing about its machine."""
        hardware = sender.hardware
        machine = self._nics.machine(hardware)
        if machine is None:
            return self._nodes.of(hardware)
        node = self._nodes.of_machine(machine.nics)
        address = sender.address if sender.message == MessageType.REQUEST else ""
        if type(outcome) is Report:
            address = outcome.address or address
        self._nodes.locate_nic(node, hardware, address)
        if self._nics.is_wrong(hardware):
            self._called(node, machine, hardware, packet, now)
            return None
        if hardware != node.hardware and not self._takes_over(node, machine, hardware, outcome):
            return None
        self._nodes.take_over(node, hardware)
        return node

    def asked(self, address: str) -> None:
        """Name the other interfaces of a machine when one has asked for a file from ``address``."""
        node = self._nodes.at(address)
        if node is None or not node.nics or node.hardware is None:
            return
        machine = self._nics.machine(node.hardware)
        if machine is None:
            return
        for nic in node.nics.values():
            if self._nics.is_wrong(nic):
                self._name(node, machine, nic)

    def _takes_over(self, node: Node, machine: Machine, hardware: HardwareAddress, outcome: Report | Drop) -> bool:
        if not node.history or machine.bootable == hardware:
            return True
        is_acked = type(outcome) is Report and outcome.kind is ReportKind.DHCP_ACKED
        return node.state in (_NOT_LOADING if is_acked else FAILED)

    def _called(self, node: Node, machine: Machine, hardware: HardwareAddress, packet: str, now: float) -> None:
        if not node.history:
            node.hardware, node.attempt, node.stage, node.asked_at = machine.bootable, 1, "rom", now
            self._move(node, Evidence.DISCOVER, "attempt 1, rom", packet, now)
            reason = f"{hardware} calls, but {machine.bootable} boots, of which nothing was heard"
            self._move(node, Evidence.NOT_ANSWERED, reason, packet, now)
        self._name(node, machine, hardware)

    def _name(self, node: Node, machine: Machine, hardware: HardwareAddress) -> None:
        if hardware in node.wrong:
            return
        node.wrong[hardware] = None
        address = next((each for each, nic in node.nics.items() if nic == hardware), "")
        detail: tuple[tuple[str, str | int], ...] = (
            ("boots", str(machine.bootable)),
            ("known", machine.known),
            ("answer", self._nics.answer(hardware).value),
        )
        self._nodes.reports.append(Report(ReportKind.WRONG_NIC, address, hardware, detail))

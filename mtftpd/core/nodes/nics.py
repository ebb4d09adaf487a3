"""Machines with several interfaces, of which one boots (quirk Q54): which belong together, and which of them it is.

An operator says which interfaces belong together, or two things do that must come together: one UUID (option 97), and
addresses that lie side by side.  A UUID that is seen elsewhere as well belongs to nobody (quirk Q53).  Which interface
boots, the operator says, or the last one that has asked for a file.

==========================  ==========================================================================================
interface                   answer
==========================  ==========================================================================================
of no machine that is known like anybody's
the one that boots          like anybody's
another, policy "silent"    none; only where the operator has said which one boots, so that no mistake is for ever
another, policy "hold"      an address for a short time, which is let go when no request for a file follows
any, none is known to boot  the same
==========================  ==========================================================================================
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from mtftpd.core.node_settings import Inventory, NodeEntry, OtherNics
from mtftpd.core.nodes.alarms import NO_UUID, are_neighbours
from mtftpd.wire.datagram import HardwareAddress

MAX_MACHINES = 8_192
"""Machines that are remembered: 8,192 * (8 interfaces * ~150 + 500) octets are 14 MB; the oldest go first."""
MAX_ADDRESSES = 16_384
"""IPv4 addresses whose interface is known: 16,384 * ~200 octets are 3 MB; the oldest go first."""


class Answer(Enum):
    """How an interface is answered; see the table above."""

    FULL = "full"
    HOLD = "hold"
    SILENT = "silent"


class KnownMachine(NamedTuple):
    """What is worth keeping for the next run: these interfaces are one machine, and ``bootable`` is the one."""

    nics: tuple[HardwareAddress, ...]
    bootable: HardwareAddress


@dataclass(slots=True, eq=False)
class Machine:
    """Interfaces of one machine, the first that was known first; ``known`` says how it is known which one boots."""

    nics: dict[HardwareAddress, None] = field(default_factory=dict)
    bootable: HardwareAddress | None = None
    known: str = ""
    other_nics: OtherNics = OtherNics.HOLD
    uuid: bytes = b""


class Nics:
    """All machines with more than one interface, as far as they are known."""

    def __init__(self, inventory: Inventory) -> None:
        self._machines: OrderedDict[HardwareAddress, Machine] = OrderedDict()
        self._by_uuid: OrderedDict[bytes, Machine | None] = OrderedDict()
        self._located: OrderedDict[str, HardwareAddress] = OrderedDict()
        self._inventory = inventory

    def adopt(self, learnt: Iterable[KnownMachine]) -> None:
        """Take up what an earlier run has learnt (`snapshot`)."""
        for each in learnt:
            machine = Machine(dict.fromkeys(each.nics), each.bootable, "learnt")
            for hardware in machine.nics:
                self._keep(hardware, machine)

    def reconfigure(self, inventory: Inventory) -> None:
        """Go on with other sections; what was learnt is kept for nodes that have none."""
        self._inventory = inventory
        for hardware, machine in list(self._machines.items()):
            if not machine.uuid and machine.known != "learnt":
                del self._machines[hardware]

    def seen(self, hardware: HardwareAddress, uuid: bytes) -> Machine | None:
        """Take note of an interface that calls with ``uuid`` (16 octets); return its machine if it has several."""
        entry = self._inventory.find(hardware, uuid)
        if len(entry.hardware) > 1:
            return self._as_configured(hardware, entry)
        if uuid not in NO_UUID:
            self._infer(hardware, uuid, is_unique=bool(entry.uuid))
        return self.machine(hardware)

    def machine(self, hardware: HardwareAddress) -> Machine | None:
        """Return the machine of an interface; None when no other one of it is known."""
        machine = self._machines.get(hardware)
        return machine if machine is not None and len(machine.nics) > 1 else None

    def is_wrong(self, hardware: HardwareAddress) -> bool:
        """Return whether another interface of the same machine is known to be the one that boots."""
        machine = self.machine(hardware)
        return machine is not None and machine.bootable not in (None, hardware)

    def answer(self, hardware: HardwareAddress) -> Answer:
        """Return how ``hardware`` is to be answered."""
        machine = self.machine(hardware)
        if machine is None or machine.bootable == hardware:
            return Answer.FULL
        is_silent = machine.other_nics is OtherNics.SILENT and machine.known == "configured"
        return Answer.SILENT if is_silent else Answer.HOLD

    def locate(self, hardware: HardwareAddress, address: str) -> None:
        """Take note that an interface has ``address``."""
        self._located[address] = hardware
        self._located.move_to_end(address)
        if len(self._located) > MAX_ADDRESSES:
            self._located.popitem(last=False)

    def loads(self, address: str) -> HardwareAddress | None:
        """Take note that a file was asked for from ``address``; return the interface, if it is known whose it is.

        What the operator has said is not overruled.
        """
        hardware = self._located.get(address)
        machine = self._machines.get(hardware) if hardware is not None else None
        if machine is not None and machine.known != "configured":
            machine.bootable, machine.known = hardware, "learnt"
        return hardware

    def learnt(self, hardware: HardwareAddress) -> KnownMachine | None:
        """Return what was learnt of the machine that ``hardware`` is an interface of."""
        machine = self.machine(hardware)
        if machine is None or machine.known != "learnt" or machine.bootable is None:
            return None
        return KnownMachine(tuple(machine.nics), machine.bootable)

    def forget(self, hardware: HardwareAddress) -> None:
        """Forget the machine that ``hardware`` is an interface of."""
        machine = self._machines.get(hardware)
        if machine is not None:
            for each in machine.nics:
                self._machines.pop(each, None)
            for uuid in [uuid for uuid, known in self._by_uuid.items() if known is machine]:
                del self._by_uuid[uuid]

    def snapshot(self) -> tuple[KnownMachine, ...]:
        """Return what was learnt of machines with several interfaces."""
        found = {id(machine): machine for machine in self._machines.values()}
        return tuple(
            KnownMachine(tuple(machine.nics), machine.bootable)
            for machine in found.values()
            if machine.known == "learnt" and machine.bootable is not None and len(machine.nics) > 1
        )

    def _as_configured(self, hardware: HardwareAddress, entry: NodeEntry) -> Machine | None:
        if hardware not in entry.hardware:
            return None  # It has the UUID of the section, but is none of the interfaces that are named there.
        machine = self._machines.get(hardware)
        if machine is None or tuple(machine.nics) != entry.hardware:
            machine = Machine(dict.fromkeys(entry.hardware))
            for each in entry.hardware:
                self._keep(each, machine)
        machine.other_nics = entry.other_nics
        if entry.bootable is not None:
            machine.bootable, machine.known = entry.bootable, "configured"
        elif machine.known == "configured":
            machine.bootable, machine.known = None, ""
        return machine

    def _infer(self, hardware: HardwareAddress, uuid: bytes, *, is_unique: bool) -> None:
        own = self._machines.get(hardware)
        if uuid not in self._by_uuid:
            self._by_uuid[uuid] = own or Machine()
            if len(self._by_uuid) > MAX_MACHINES:
                self._by_uuid.popitem(last=False)
        machine = self._by_uuid[uuid]
        if machine is None or (machine is own and machine.uuid) or (own is not None and len(own.nics) > 1):
            return  # Several machines are known to share it, or it is known where this one belongs.
        if not is_unique and not all(are_neighbours(hardware, each) for each in machine.nics):
            self._by_uuid[uuid] = None
            for each in machine.nics:
                self._machines.pop(each, None)
            return
        if own is not None and own is not machine:
            # What it has loaded so far, it has loaded for this machine.
            machine.bootable, machine.known = own.bootable or machine.bootable, own.known or machine.known
        machine.uuid = uuid
        machine.nics[hardware] = None
        self._keep(hardware, machine)

    def _keep(self, hardware: HardwareAddress, machine: Machine) -> None:
        self._machines[hardware] = machine
        self._machines.move_to_end(hardware)
        while len(self._machines) > MAX_MACHINES:
            oldest, former = self._machines.popitem(last=False)
            former.nics.pop(oldest, None)

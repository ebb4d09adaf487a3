"""What an operator should look at although nothing has failed yet: each thing is told once and counted from then on."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mtftpd.core.effects import Report, ReportKind, Sender
from mtftpd.wire.datagram import HardwareAddress

MAX_ALARMS = 256
"""Alarms that are remembered: 256 * ~400 octets are 100 KB; the one that was quiet for longest goes first."""
MAX_SEEN = 8_192
"""Machine identifiers and transaction numbers that are compared: 2 * 8,192 * ~250 octets are 4 MB."""
XID_SECONDS = 60.0
"""Two nodes with one xid within this time can take each other's replies; later it is chance."""
NEIGHBOURS = 8
"""Interfaces of one machine have addresses that lie this close, and one UUID: that is as it should be."""

NO_UUID = frozenset({b"", bytes(16), b"\xff" * 16})
"""What machines without a UUID of their own say (quirk Q53)."""


class AlarmKind(Enum):
    """What is wrong; the value is the identifier in status and events."""

    FOREIGN_SERVER = "foreign-dhcp-server"
    DUPLICATE_UUID = "duplicate-uuid"
    SAME_XID = "same-xid"
    UNKNOWN_FILE = "file-nobody-was-offered"
    SILENT = "silent-after-ack"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that was seen ``count`` times, from ``first`` to ``last`` (monotonic seconds)."""

    kind: AlarmKind
    subject: str
    text: str
    count: int
    first: float
    last: float


class Alarms:
    """All alarms; ``reports`` are those that have not been told yet."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self._alarms: OrderedDict[tuple[AlarmKind, str], Alarm] = OrderedDict()
        self._by_uuid: OrderedDict[bytes, HardwareAddress] = OrderedDict()
        self._by_xid: OrderedDict[int, tuple[HardwareAddress, float]] = OrderedDict()

    def raise_alarm(self, kind: AlarmKind, subject: str, text: str, now: float) -> None:
        """Count one occurrence; only the first of a ``subject`` is told."""
        key = (kind, subject)
        known = self._alarms.pop(key, None)
        if known is None:
            self._alarms[key] = Alarm(kind, subject, text, 1, now, now)
            self.reports.append(Report(ReportKind.ALARM, detail=(("alarm", kind.value), ("text", text))))
        else:
            self._alarms[key] = Alarm(kind, subject, text, known.count + 1, known.first, now)
        _bound(self._alarms, MAX_ALARMS)

    def compare(self, sender: Sender, now: float) -> None:
        """Look whether another node has the identifiers of this one."""
        hardware = sender.hardware
        uuid = sender.uuid[1:]
        if uuid not in NO_UUID:
            other = self._by_uuid.setdefault(uuid, hardware)
            if other != hardware and not are_neighbours(other, hardware):
                self.raise_alarm(
                    AlarmKind.DUPLICATE_UUID, uuid.hex(), f"{hardware} has the UUID of {other}: {uuid.hex()}", now
                )
            self._by_uuid.move_to_end(uuid)
            _bound(self._by_uuid, MAX_SEEN)
        known, seen = self._by_xid.pop(sender.xid, (hardware, now))
        if known != hardware and now - seen < XID_SECONDS:
            text = f"{hardware} uses the transaction number of {known}: {sender.xid:08x}"
            self.raise_alarm(AlarmKind.SAME_XID, f"{sender.xid:08x}", text, now)
        self._by_xid[sender.xid] = (hardware, now)
        _bound(self._by_xid, MAX_SEEN)

    def statistics(self) -> tuple[Alarm, ...]:
        """Return all alarms, the newest last."""
        return tuple(self._alarms.values())


def are_neighbours(one: HardwareAddress, other: HardwareAddress) -> bool:
    """Return whether both may be interfaces of one machine."""
    if one.htype != other.htype or len(one.octets) != len(other.octets):
        return False
    return abs(int.from_bytes(one.octets, "big") - int.from_bytes(other.octets, "big")) < NEIGHBOURS


def _bound(table: OrderedDict[Any, Any], most: int) -> None:
    if len(table) > most:
        table.popitem(last=False)

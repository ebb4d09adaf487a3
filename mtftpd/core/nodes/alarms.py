"""What an operator should look at although nothing has failed yet: told once, counted, and told again when it is over.

Something that happens is over when it has not happened again for the time in `QUIET`; a condition of the
configuration is over when the configuration no longer has it (`Alarms.stand`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from mtftpd.core.deadlines import Deadlines
from mtftpd.core.effects import Report, ReportKind, Sender
from mtftpd.core.learning.audiences import REST_SECONDS
from mtftpd.wire.datagram import HardwareAddress

MAX_ALARMS = 256
"""Alarms at once: 256 * ~400 octets are 100 KB.  Beyond that the one that was quiet for longest is told to be over."""
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
    LATE_START = "first-discover-late"
    PASS_LOST = "pass-lost"
    NO_QUERIER = "no-igmp-querier"
    IMAGE_TOO_LARGE = "image-too-large-for-multicast"
    SERVER_ADDRESS = "server-address-like-multicast"
    ALIASING = "aliasing-groups"


QUIET: Final = {
    AlarmKind.FOREIGN_SERVER: 600.0,
    AlarmKind.DUPLICATE_UUID: 24 * 3600.0,
    AlarmKind.SAME_XID: XID_SECONDS,
    AlarmKind.UNKNOWN_FILE: 600.0,
    AlarmKind.SILENT: 3600.0,
    AlarmKind.LATE_START: 3600.0,
    AlarmKind.PASS_LOST: REST_SECONDS,
    AlarmKind.NO_QUERIER: REST_SECONDS,
}
"""Seconds without another occurrence after which it is over: a server answers the DISCOVERs of ten minutes, a machine
boots once a day, a group rests while its audience is lost.  What is not here is over when it is said to be.
"""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that was seen ``count`` times, from ``first`` to ``last`` (monotonic seconds)."""

    kind: AlarmKind
    subject: str
    text: str
    count: int
    first: float
    last: float


_Key = tuple[AlarmKind, str]


class Alarms:
    """All alarms that are not over; ``reports`` are beginnings and ends that have not been told yet."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self._alarms: OrderedDict[_Key, Alarm] = OrderedDict()
        self._over: Deadlines[_Key] = Deadlines()
        self._by_uuid: OrderedDict[bytes, HardwareAddress] = OrderedDict()
        self._by_xid: OrderedDict[int, tuple[HardwareAddress, float]] = OrderedDict()

    def raise_alarm(self, kind: AlarmKind, subject: str, text: str, now: float) -> None:
        """Count one occurrence; only the first of a ``subject`` is told."""
        key = (kind, subject)
        known = self._alarms.pop(key, None)
        if known is None:
            self._alarms[key] = Alarm(kind, subject, text, 1, now, now)
            self.reports.append(_report(ReportKind.ALARM, self._alarms[key]))
        else:
            self._alarms[key] = Alarm(kind, subject, text, known.count + 1, known.first, now)
        if kind in QUIET:
            self._over.set(key, now + QUIET[kind])
        if len(self._alarms) > MAX_ALARMS:
            # A condition of the configuration is never told again, so it is kept.
            self._end(next((each for each in self._alarms if each[0] in QUIET), key))

    def over(self, kind: AlarmKind, subject: str) -> None:
        """Take note that it is over; nothing happens when there was no such alarm."""
        if (kind, subject) in self._alarms:
            self._end((kind, subject))

    def stand(self, kind: AlarmKind, texts: Mapping[str, str], now: float) -> None:
        """Have exactly the alarms of ``kind`` that ``texts`` (subject -> text) holds: those before are over."""
        for other, subject in list(self._alarms):
            if other is kind and subject not in texts:
                self._end((kind, subject))
        for subject, text in texts.items():
            if (kind, subject) not in self._alarms:
                self.raise_alarm(kind, subject, text, now)

    def next_deadline(self) -> float | None:
        """Return when `tick` is due, or None."""
        return self._over.next()

    def tick(self, now: float) -> None:
        """End what has not happened again for long enough."""
        for key in self._over.due(now):
            self._end(key)

    def _end(self, key: _Key) -> None:
        self.reports.append(_report(ReportKind.ALARM_OVER, self._forget(key)))

    def _forget(self, key: _Key) -> Alarm:
        self._over.clear(key)
        return self._alarms.pop(key)

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


def _report(kind: ReportKind, alarm: Alarm) -> Report:
    return Report(kind, detail=(("alarm", alarm.kind.value), ("text", alarm.text), ("count", alarm.count)))


def _bound(table: OrderedDict[Any, Any], most: int) -> None:
    if len(table) > most:
        table.popitem(last=False)

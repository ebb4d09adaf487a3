"""What the server tells people: one line for each event, to standard error, as text or as JSON.

The identifier of a message is the value of its `ReportKind` or `DropReason`.  Nothing is ever logged for one block.
Drops are counted without exception, but one source gets one line for a reason in `DROP_INTERVAL`.

At power-on there are two lines for each node, so what the core says is written once for each turn of the pump
(`Journal.flush`), in one piece.  Warnings and what the server itself says leave at once, behind all that waits.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections import Counter, OrderedDict
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import TextIO

from mtftpd.core.effects import Drop, DropReason, Report, ReportKind

LOGGER = logging.getLogger("mtftpd")

DROP_INTERVAL = 60.0
"""Seconds between two lines about the same reason and source."""
MAX_SOURCES = 4096
"""Pairs of reason and source that are remembered: about 300 octets each, 1.2 MB; the oldest is forgotten first."""
MAX_DROP_LINES = 20
"""Lines about drops in one second: with forged sources each packet would be the first of its kind, 9.5 us a line."""
MAX_HELD = 512
"""Lines that wait for the end of a turn: 512 * ~250 octets are 128 KB."""
MAX_PAIRS = 1_024
"""Values that are known as they are written: 1,024 * ~700 octets are 0.7 MB, and a file name has up to 500 of them."""
MAX_VALUE = 200
"""Characters of one value: names come from the network, and a log line must not grow with them."""

_WARNINGS = frozenset(
    {
        ReportKind.DHCP_REFUSED,
        ReportKind.DHCP_DECLINED,
        ReportKind.TFTP_FAILED,
        ReportKind.PASS_ABORTED,
        ReportKind.MASTER_LOST,
        ReportKind.NO_GROUP,
        ReportKind.ALARM,
        ReportKind.GROUP_RESTS,
    }
)
_QUIET = {ReportKind.NODE_STATE: logging.DEBUG}
"""What a node does follows from lines that are logged anyway; ``--events`` and ``trace`` have it step by step."""
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_COLOURS = {logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31"}

Pairs = tuple[tuple[str, str | int], ...]

_PLAIN = re.compile(r"[!#-<>-~]+")
"""Printable ASCII without space, quotation mark and equals sign."""


class Journal:
    """Turns reports and drops into log lines, and counts them."""

    def __init__(self) -> None:
        self.reports: Counter[ReportKind] = Counter()
        self.drops: Counter[DropReason] = Counter()
        self._silent_until: OrderedDict[tuple[DropReason, str], tuple[float, int]] = OrderedDict()
        self._second = -1
        self._lines = 0

    def report(self, report: Report) -> None:
        """Log one event of the core."""
        self.reports[report.kind] += 1
        level = logging.WARNING if report.kind in _WARNINGS else _QUIET.get(report.kind, logging.INFO)
        if not LOGGER.isEnabledFor(level):
            return  # Every step of every node: most of what there is.
        who: Pairs = (("address", report.address),) if report.address else ()
        if report.hardware is not None:
            who = (*who, ("hardware", str(report.hardware)))
        LOGGER.handle(Said(level, report.kind.value, (*who, *report.detail), "report"))

    def drop(self, drop: Drop, now: float) -> None:
        """Count a packet that got no answer, and log it unless the same was said less than a minute ago."""
        self.drops[drop.reason] += 1
        key = (drop.reason, drop.source.address)
        until, suppressed = self._silent_until.pop(key, (now, 0))
        if now < until or not self._may_say(now):
            self._silent_until[key] = (max(until, now), suppressed + 1)
            self._forget_oldest()
            return
        self._silent_until[key] = (now + DROP_INTERVAL, 0)
        self._forget_oldest()
        pairs: Pairs = (("source", str(drop.source)),)
        if drop.detail:
            pairs = (*pairs, ("detail", drop.detail))
        if suppressed:
            pairs = (*pairs, ("suppressed", suppressed))
        LOGGER.handle(Said(logging.INFO, drop.reason.value, pairs, "drop"))

    def flush(self) -> None:
        """Write what was said in this turn."""
        for handler in logging.getLogger().handlers:
            handler.flush()

    def _may_say(self, now: float) -> bool:
        if int(now) != self._second:
            self._second, self._lines = int(now), 0
        self._lines += 1
        return self._lines <= MAX_DROP_LINES

    def _forget_oldest(self) -> None:
        if len(self._silent_until) > MAX_SOURCES:
            self._silent_until.popitem(last=False)


_FRAME = vars(logging.LogRecord(LOGGER.name, logging.INFO, "", 0, "", (), None))


class Said(logging.LogRecord):
    """A line of the core, for any handler: without the place in the code, for which `logging` would walk the stack."""

    event: str
    pairs: Pairs
    kind: str

    def __init__(self, level: int, event: str, pairs: Pairs, kind: str) -> None:
        name = logging.getLevelName(level)
        now = time.time()
        self.__dict__.update(_FRAME, levelno=level, levelname=name, created=now, event=event, pairs=pairs, kind=kind)


def say(level: int, event: str, pairs: Pairs = (), *, kind: str = "server", text: str = "") -> None:
    """Log one event: its identifier, an optional sentence for people, and its values in a fixed order."""
    LOGGER.log(level, text, extra={"event": event, "pairs": pairs, "kind": kind})


def configure(log_format: str, stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process to ``stream`` (standard error) in one of the two forms."""
    stream = sys.stderr if stream is None else stream
    handler = Lines(stream)
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines(*_dress(stream)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    LOGGER.setLevel(logging.INFO)


class Lines(logging.StreamHandler[TextIO]):
    """Writes lines in their order, those of the core together when it is flushed."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._held: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take one line."""
        if type(record) is Said and record.levelno <= logging.INFO and len(self._held) < MAX_HELD:
            self._held.append(self.format(record) + self.terminator)
        else:
            self.flush()
            super().emit(record)

    def flush(self) -> None:
        """Write what waits."""
        self.acquire()
        try:
            held, self._held = self._held, []
            with suppress(OSError, ValueError):  # A log that cannot be written keeps nobody from booting.
                if held:
                    self.stream.write("".join(held))
                super().flush()
        finally:
            self.release()


def _dress(stream: TextIO) -> tuple[bool, bool]:
    """Return whether lines go to the systemd journal (it adds the time itself) and whether to use colours."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False, False
    is_journal = os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
    return is_journal, stream.isatty() and not os.environ.get("NO_COLOR")


class TextLines(logging.Formatter):
    """``2026-11-22T20:00:00.000Z info tftp-started address=... file=...``; for the journal a priority, no time."""

    def __init__(self, is_journal: bool = False, is_coloured: bool = False) -> None:
        super().__init__()
        self._is_journal = is_journal
        self._is_coloured = is_coloured

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        event, pairs, kind, text = _parts(record)
        words = [word for word in ("drop" if kind == "drop" else "", event, text) if word]
        words += [_pair(name, value) for name, value in pairs]
        body = " ".join(words)
        if self._is_journal:
            return f"<{_PRIORITIES.get(record.levelno, 6)}>{body}"
        level = record.levelname.lower()
        if self._is_coloured and record.levelno in _COLOURS:
            level = f"\x1b[{_COLOURS[record.levelno]}m{level}\x1b[0m"
        return f"{_time(record)} {level} {body}"


class JsonLines(logging.Formatter):
    """One JSON object for each event: time, level, id, then the values under their names."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        event, pairs, kind, text = _parts(record)
        line: dict[str, str | int] = {"time": _time(record), "level": record.levelname.lower(), "event": event}
        line["kind"] = kind
        if text:
            line["text"] = text
        for name, value in pairs:
            line.setdefault(name, value[:MAX_VALUE] if isinstance(value, str) else value)
        return json.dumps(line)


def _parts(record: logging.LogRecord) -> tuple[str, Pairs, str, str]:
    """Return event, values, kind and text; lines of libraries get the event ``log``."""
    if type(record) is Said:
        return record.event, record.pairs, record.kind, ""
    text = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        text = f"{text}: {logging.Formatter().formatException(record.exc_info)}"
    fields = record.__dict__
    return fields.get("event", "log"), fields.get("pairs", ()), fields.get("kind", "server"), _one_line(text)


def _one_line(text: str) -> str:
    return "".join(letter if letter == " " or "!" <= letter <= "~" else f"\\x{ord(letter):02x}" for letter in text)


@lru_cache(MAX_PAIRS, typed=True)
def _pair(name: str, value: str | int) -> str:
    """Return one value under its name; in a storm most are those of the line before."""
    return f"{name}={_quoted(value)}"


def _quoted(value: str | int) -> str:
    """Quote what would not read back as one word: text from the network must not be able to forge a line."""
    if isinstance(value, int):
        return str(value)
    word = value[:MAX_VALUE]
    return word if _PLAIN.fullmatch(word) else json.dumps(word)


def _time(record: logging.LogRecord) -> str:
    second, fraction = divmod(record.created, 1)
    return f"{_date(second)}.{int(fraction * 1000):03d}Z"


@lru_cache(1)
def _date(second: float) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:-6]

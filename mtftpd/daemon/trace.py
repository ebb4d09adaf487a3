"""Every packet and decision of single nodes, for as long as somebody wants to know.

While nobody does, nothing of this is in the way of a packet: the pump is given a tap only when the first trace begins.
Blocks and their ACKs that follow one another are one entry a second, so that a download does not push everything else
out of the ring.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from mtftpd.core.effects import Drop, Report, ReportKind
from mtftpd.core.nodes.records import NodeStatistics
from mtftpd.daemon.performer import Tap
from mtftpd.wire.datagram import Endpoint, HardwareAddress
from mtftpd.wire.text import summary
from mtftpd.wire.tftp import Opcode

MAX_TRACED: Final = 8
RING: Final = 4_096
"""Entries of one node: 8 * 4,096 * ~400 octets are 13 MB; the oldest go first."""
KEEP_SECONDS: Final = 600.0
"""After the last question about it a trace ends."""
LOOK_SECONDS: Final = 10.0
MERGE_SECONDS: Final = 1.0
PAGE: Final = 256

_CHADDR: Final = slice(28, 34)
"""Where a DHCP message has the hardware address (RFC 2131 section 2)."""
_BLOCKS: Final = (Opcode.DATA.to_bytes(2, "big"), Opcode.ACK.to_bytes(2, "big"))


@dataclass(slots=True)
class Entry:
    """One line; ``last`` and ``count`` grow while blocks are merged into it."""

    number: int
    at: float
    began: float
    kind: str
    text: str
    last: int = 0
    count: int = 1

    def view(self) -> dict[str, Any]:
        """Return the line as the control socket tells it."""
        moment = datetime.fromtimestamp(self.at, UTC)
        text = self.text if self.count == 1 else f"{self.text} to {self.last}, {self.count} packets"
        stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
        return {"number": self.number, "time": stamp, "kind": self.kind, "text": text}


@dataclass(slots=True)
class Trace:
    """What happened to one node since somebody asked for it first."""

    hardware: HardwareAddress | None
    address: str
    group: str = ""
    asked_at: float = 0.0
    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=RING))
    growing: dict[tuple[Endpoint, Endpoint, bytes], Entry] = field(default_factory=dict)
    next_number: int = 1

    def concerns(self, source: Endpoint, destination: Endpoint, data: bytes) -> bool:
        """Return whether a datagram is of this node: by its address, its group, or chaddr."""
        if self.address in (source.address, destination.address) or (self.group and str(destination) == self.group):
            return True
        return self.hardware is not None and data[:1] in (b"\1", b"\2") and data[_CHADDR] == self.hardware.octets

    def add(self, kind: str, text: str, now: float) -> Entry:
        """Append one entry."""
        entry = Entry(self.next_number, time.time(), now, kind, text)
        self.next_number += 1
        self.entries.append(entry)
        return entry

    def packet(self, source: Endpoint, destination: Endpoint, data: bytes, now: float) -> None:
        """Append a packet, or count it as one more of the blocks that are going by."""
        code = data[:2]
        if code not in _BLOCKS or len(data) < 4:
            self.growing.clear()
            self.add("packet", f"{source} > {destination} {summary(data, source.port, destination.port)}", now)
            return
        number = int.from_bytes(data[2:4], "big")
        flow = (source, destination, code)
        entry = self.growing.get(flow)
        if entry is None or now - entry.began >= MERGE_SECONDS:
            text = f"{source} > {destination} {Opcode(code[1]).name} {number}"
            self.growing[flow] = self.add("packet", text, now)
        else:
            entry.last = number
            entry.count += 1

    def decision(self, text: str, now: float) -> None:
        """Append what was decided; blocks that come after it begin another entry."""
        self.growing.clear()
        self.add("decision", text, now)

    def page(self, after: int, now: float) -> list[dict[str, Any]]:
        """Return entries beyond number ``after`` that are complete, oldest first, `PAGE` at most."""
        self.growing = {flow: e for flow, e in self.growing.items() if now - e.began < MERGE_SECONDS}
        growing = min((entry.number for entry in self.growing.values()), default=self.next_number)
        chosen = [entry for entry in self.entries if after < entry.number < growing]
        return [entry.view() for entry in chosen[:PAGE]]


class Traces:
    """All traces; it is listener of the reports and the tap of the pump, which ``use_tap`` gives and takes."""

    def __init__(self, capture: Tap | None, find: Callable[[HardwareAddress | str], NodeStatistics | None]) -> None:
        self.use_tap: Callable[[Tap | None], None] = lambda _tap: None
        self._capture = capture
        self._find = find
        self._traces: dict[HardwareAddress | str, Trace] = {}
        self._looked_at = 0.0
        self._is_tapping = False

    def ask(self, who: HardwareAddress | str, after: int, now: float) -> list[dict[str, Any]]:
        """Return what is new of a node since entry ``after``; the first question begins its trace."""
        node = self._find(who)
        key = node.hardware or node.address if node is not None else who
        trace = self._traces.get(key)
        if trace is None:
            trace = self._begin(key, node, now)
        trace.asked_at = now
        return trace.page(after, now)

    def stop(self, who: HardwareAddress | str) -> bool:
        """End a trace; False when there is none."""
        node = self._find(who)
        key = node.hardware or node.address if node is not None else who
        is_there = self._traces.pop(key, None) is not None
        self._settle()
        return is_there

    def _begin(self, key: HardwareAddress | str, node: NodeStatistics | None, now: float) -> Trace:
        self.expire(now)
        if len(self._traces) >= MAX_TRACED:
            raise ValueError(f"{MAX_TRACED} nodes are traced already; end one of them with --stop")
        hardware = key if isinstance(key, HardwareAddress) else None
        trace = Trace(hardware, node.address if node is not None else key if isinstance(key, str) else "")
        trace.group = node.group if node is not None else ""
        for step in node.history if node is not None else ():
            trace.add("before", f"{step.state.value}: {step.reason}{_by(step.packet)}", now - KEEP_SECONDS)
            trace.entries[-1].at = time.time() - (now - step.at)
        self._traces[key] = trace
        self._settle()
        return trace

    def expire(self, now: float) -> None:
        """End the traces that nobody has asked about for `KEEP_SECONDS`."""
        for key in [key for key, trace in self._traces.items() if now - trace.asked_at > KEEP_SECONDS]:
            del self._traces[key]
        self._settle()

    def _settle(self) -> None:
        if bool(self._traces) != self._is_tapping:
            self._is_tapping = not self._is_tapping
            self.use_tap(self if self._is_tapping else self._capture)

    def datagram(self, source: Endpoint, destination: Endpoint, data: bytes) -> None:
        """Show one datagram to the traces that it concerns, and to the capture."""
        if self._capture is not None:
            self._capture.datagram(source, destination, data)
        now = time.monotonic()
        if now - self._looked_at > LOOK_SECONDS:
            self._looked_at = now
            self.expire(now)
        for trace in self._traces.values():
            if trace.concerns(source, destination, data):
                trace.packet(source, destination, data, now)

    def flush(self) -> None:
        """Pass it on to the capture."""
        if self._capture is not None:
            self._capture.flush()

    def report(self, report: Report) -> None:
        """Take one event of the core."""
        if not self._traces:
            return
        detail = dict(report.detail)
        for trace in self._traces.values():
            is_wrong_nic_of_it = report.kind is ReportKind.WRONG_NIC and detail["boots"] == str(trace.hardware)
            if not is_wrong_nic_of_it and not _is_of(trace, report.hardware, report.address):
                continue
            if report.kind is ReportKind.NODE_STATE:
                trace.address = report.address or trace.address
                node = self._find(trace.hardware or trace.address)
                trace.group = node.group if node is not None else ""
                inferred = " (inferred)" if detail["inferred"] else ""
                text = f"{detail['state']}{inferred}: {detail['reason']}{_by(str(detail['packet']))}"
            else:
                said = (f"{name}={value}" for name, value in report.detail)
                of = (str(report.hardware),) if is_wrong_nic_of_it else ()
                text = " ".join((report.kind.value, *of, *said))
            trace.decision(text, time.monotonic())

    def drop(self, drop: Drop, now: float) -> None:
        """Take a packet that got no answer."""
        hardware = drop.sender.hardware if drop.sender is not None else None
        for trace in self._traces.values():
            if _is_of(trace, hardware, drop.source.address):
                trace.decision(" ".join(("no answer:", drop.reason.value, drop.detail)).rstrip(), now)


def _is_of(trace: Trace, hardware: HardwareAddress | None, address: str) -> bool:
    if hardware is not None and trace.hardware is not None:
        return hardware == trace.hardware
    return bool(address) and address == trace.address


def _by(packet: str) -> str:
    return f" [{packet}]" if packet else ""

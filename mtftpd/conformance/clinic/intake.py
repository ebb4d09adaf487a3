"""What packets say by themselves, whatever boot they come from."""

from __future__ import annotations

from typing import Final

from mtftpd.conformance.clinic.chart import Chart
from mtftpd.conformance.clinic.findings import Finding, Trait
from mtftpd.conformance.clinic.visit import AT_ONCE, Read, Visit
from mtftpd.quirks.vocabulary import Mutation as F
from mtftpd.wire import tftp
from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.pxe import architectures, is_ipxe

_MAX_MESSAGE, _PARAMETERS, _CLASS, _USER_CLASS, _ARCHITECTURE, _INTERFACE, _UUID, _IPXE = (
    57,
    55,
    60,
    77,
    93,
    94,
    97,
    175,
)
_KEPT: Final = (_PARAMETERS, _MAX_MESSAGE, _CLASS, _USER_CLASS, _ARCHITECTURE, _INTERFACE, _UUID, _IPXE)
_HTTP: Final = b"HTTPClient"
_NOBODY: Final = (bytes(16), b"\xff" * 16)
ODD_ARCHITECTURE: Final = 9
LARGE_BLOCK: Final = 2_048
"""Whoever asks for blocks beyond this has not looked at what its network can carry."""
TWICE: Final = 3
"""ACKs that must come twice before that is a habit."""


def is_patient(chart: Chart, message: DhcpMessage, wanted: bytes, room: int) -> bool:
    """Return whether ``message`` is of the patient, which is ``wanted`` or the first that boots.

    All its interfaces have its UUID; ``room`` is how many of them can be given an address.  UEFI has a client of
    HTTP boot beside that of PXE, which tries when the other one has failed: it is not examined.
    """
    if message.options.get(_CLASS, b"").startswith(_HTTP):
        return False
    octets, uuid = message.hardware.octets, message.options.get(_UUID, b"")[1:]
    if chart.hardware:
        shared = uuid and uuid == chart.uuid and Trait.SHARED_UUID not in chart.findings
        return octets in chart.hardware or (bool(shared) and len(chart.hardware) < room)
    return octets == wanted if wanted else boots(message)


def boots(message: DhcpMessage) -> bool:
    """Return whether firmware has sent a DISCOVER or REQUEST, and no system that was booted."""
    return message.options.get(_CLASS, b"") != b"" or _ARCHITECTURE in message.options


def see_discover(chart: Chart, message: DhcpMessage) -> None:
    """Take what a DISCOVER of the patient says."""
    octets, options = message.hardware.octets, message.options
    if octets not in chart.hardware:
        chart.hardware.append(octets)
        if len(chart.hardware) > 1:
            chart.findings.add(F.THREE_NICS)
    identifier = options.get(_UUID, b"")[1:]
    chart.uuid = chart.uuid or identifier
    chart.options = chart.options or {code: options[code] for code in _KEPT if code in options}
    listed = architectures(options.get(_ARCHITECTURE, b""))
    chart.architecture = listed[0] if listed else 0
    signs: dict[Finding, bool] = {
        F.CIADDR_IN_DISCOVER: int(message.ciaddr) != 0,
        F.NO_BROADCAST_FLAG: not message.broadcast,
        F.SAYS_IPXE: is_ipxe(options) or options.get(_USER_CLASS, b"").endswith(b"gPXE"),
        F.ARCHITECTURE_9: chart.architecture == ODD_ARCHITECTURE,
        F.OWN_CLASS: bool(listed) and not options.get(_CLASS, b"").startswith(b"PXEClient"),
        Trait.SHARED_UUID: identifier in _NOBODY,
    }
    chart.findings.update(sign for sign, is_there in signs.items() if is_there)


def see_read(chart: Chart, visit: Visit, read: Read) -> None:
    """Take what a request to port 69 says; ``visit`` holds those before it."""
    for name in ("blksize", "windowsize", "tsize"):
        if read.options.get(name, "").isdecimal():
            chart.asked[name] = max(chart.asked.get(name, 0), int(read.options[name]))
    offered, last = visit.boot_file, visit.reads[-1] if visit.reads else None
    same = last is not None and (last.source, last.name, last.options) == (read.source, read.name, read.options)
    signs = {
        F.EMPTY_NAME: not read.name,
        F.FF_NAME: read.name == offered + b"\xff",
        F.BACKSLASH_NAME: b"\\" in read.name,
        F.NETASCII: read.mode == tftp.NETASCII,
        F.ASK_8192: chart.asked.get("blksize", 0) > LARGE_BLOCK,
        F.WINDOW_4: chart.asked.get("windowsize", 0) > 1,
        F.DUP_RRQ: same and last is not None and read.when - last.when < AT_ONCE / 4,
    }
    chart.findings.update(sign for sign, is_there in signs.items() if is_there)


def see_end(chart: Chart, visit: Visit) -> None:
    """Take what a boot has shown of its ACKs when it is over."""
    pairs = zip(visit.acks, visit.acks[1:], strict=False)
    doubled = {
        first.number for first, second in pairs
        if first.number == second.number and second.when - first.when < AT_ONCE / 4
    }  # fmt: skip
    if visit.probe != "duplicates" and len(doubled) >= TWICE:
        chart.findings.add(F.DUP_ACK)
    if visit.reads and not visit.requests:
        chart.findings.add(F.NEVER_REQUEST)

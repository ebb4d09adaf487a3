"""The reports of a run for machines: JUnit XML, and a pcapng file for each case."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from mtftpd.conformance.packets import Packet
from mtftpd.conformance.results import Report, Result
from mtftpd.conformance.verdicts import Verdict
from mtftpd.errors import Unavailable
from mtftpd.wire import ethernet, pcapng_writer
from mtftpd.wire.frames import udp_frame
from mtftpd.wire.pcapng import Direction, Interface, LinkType

_NOT_JUDGED: Final = (Verdict.INCONCLUSIVE, Verdict.NOT_APPLICABLE, Verdict.NOT_RUN)


def junit(report: Report) -> bytes:
    """Return the run as JUnit XML: a suite for each protocol, a test case for each case."""
    top = ET.Element("testsuites", name=f"mtftpd conformance server {report.target}")
    for suite in dict.fromkeys(case.suite for case in report.cases):
        results = [result for result in report.results if result.case.suite == suite]
        element = ET.SubElement(
            top,
            "testsuite",
            name=suite,
            tests=str(len(results)),
            failures=str(sum(result.verdict is Verdict.FAIL for result in results)),
            errors=str(sum(bool(result.trouble) for result in results)),
            skipped=str(sum(result.verdict in _NOT_JUDGED and not result.trouble for result in results)),
            time=f"{sum(result.seconds for result in results):.3f}",
        )
        for result in results:
            _add_case(element, result)
    return _octets(top)


def _add_case(suite: ET.Element, result: Result) -> None:
    case = ET.SubElement(
        suite, "testcase", classname=f"conformance.{result.case.suite}", name=result.case.name,
        time=f"{result.seconds:.3f}",
    )  # fmt: skip
    if result.verdict is Verdict.FAIL:
        failure = ET.SubElement(case, "failure", message=_clean(result.reason), type=" ".join(result.case.ids))
        failure.text = _clean(_story(result))
    elif result.trouble:
        ET.SubElement(case, "error", message=_clean(result.reason)).text = _clean(result.trouble)
    elif result.verdict in _NOT_JUDGED:
        ET.SubElement(case, "skipped", message=_clean(f"{result.verdict.value}: {result.reason}"))


def _story(result: Result) -> str:
    """Return requirement, evidence and packets as lines."""
    lines = [f"{each.id} {each.level.value}: {each.statement} ({'; '.join(each.source)})"
             for each in result.case.requirements]  # fmt: skip
    lines += [line_of(packet) for packet in result.packets]
    if result.evidence is not None and result.evidence.packet is not None:
        lines += [f"packet {result.evidence.packet.number}:", result.evidence.packet.description]
    return "\n".join(lines)


def line_of(packet: Packet) -> str:
    """Return a packet of a case as one line: number, time, who to whom, what."""
    return f"{packet.number:5} {packet.time:9.4f}  {packet.source} > {packet.destination}  {packet.summary}"


def _clean(text: str) -> str:
    """Return ``text`` without what XML 1.0 cannot hold."""
    return "".join(each if each >= " " or each in "\n\t" else "?" for each in text)


def _octets(top: ET.Element) -> bytes:
    ET.indent(top)
    octets: bytes = ET.tostring(top, encoding="utf-8", xml_declaration=True)
    return octets + b"\n"


def pcapng(result: Result) -> bytes:
    """Return the packets of a case as a pcapng file; headers below UDP are made up where they are not known."""
    blocks = [pcapng_writer.header([Interface(LinkType.ETHERNET, result.case.name)], "mtftpd conformance")]
    for packet in result.packets:
        if packet.problem:
            continue
        comment = ""
        if result.evidence is not None and packet is result.evidence.packet:
            comment = str(result.evidence)
        blocks.append(
            pcapng_writer.packet(
                int((result.began + packet.time) * 1e9),
                _frame(packet),
                direction=Direction.OUTBOUND if packet.sent else Direction.INBOUND,
                comment=comment,
            )
        )
    return b"".join(blocks)


def _frame(packet: Packet) -> bytes:
    source, destination = packet.hardware
    source = source or _hardware_of(packet.source.address)
    destination = destination or _hardware_of(packet.destination.address)
    return udp_frame(source, destination, packet.source, packet.destination, packet.data)


def _hardware_of(address: str) -> bytes:
    """Return a hardware address for one that is not known: that of the group, or 02:00 and the IPv4 address."""
    parsed = IPv4Address(address)
    if parsed.is_multicast:
        return ethernet.group_address(parsed)
    return ethernet.BROADCAST if address == "255.255.255.255" else b"\x02\x00" + parsed.packed


def write(path: Path, content: bytes) -> None:
    """Write a whole file in one step: whoever reads it finds the old one or the new one.  Raises `Unavailable`."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}; name a file that can be written") from error

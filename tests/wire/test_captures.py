"""Reading and writing capture files."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.errors import Malformed
from mtftpd.wire import pcapng, pcapng_writer, tftp
from mtftpd.wire.captures import MAX_BLOCK, MAX_INTERFACES, CaptureReader, Record, is_capture
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.frames import udp_frame
from mtftpd.wire.pcapng import Captured, Direction, Interface, LinkType, Statistics
from tests.wire.vectors import load, plain

DATA = Path(__file__).parents[1] / "data"
VECTORS = load("pcapng")

times = st.integers(0, (1 << 64) - 1)
packets = st.binary(max_size=200)
comments = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
directions = st.sampled_from(Direction)


def read(data: bytes, *cuts: int) -> tuple[list[Record], str]:
    """Read a capture in pieces cut at ``cuts``; return its records and the reason why it ended early, if it did."""
    records: list[Record] = []
    reader = CaptureReader()
    edges = [0, *sorted(cut for cut in cuts if cut <= len(data)), len(data)]
    try:
        for start, stop in pairwise(edges):
            records.extend(reader.feed(data[start:stop]))
        reader.finish()
    except Malformed as problem:
        return records, problem.reason
    return records, ""


def table(record: Record) -> dict[str, Any]:
    return {"kind": type(record).__name__, **plain(record)}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
def test_vector_is_read(vector: dict[str, Any]) -> None:
    records, reason = read(vector["data"])
    assert [table(record) for record in records] == vector["records"]
    assert reason == vector.get("malformed", "")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
def test_pieces_make_no_difference(vector: dict[str, Any]) -> None:
    data = vector["data"]
    whole = read(data)
    assert read(data, *range(1, len(data))) == whole
    assert all(read(data, cut) == whole for cut in range(1, len(data), 7))


@pytest.mark.parametrize(
    "vector", [each for each in VECTORS if "malformed" not in each], ids=lambda vector: str(vector["name"])
)
def test_vector_cut_at_every_length(vector: dict[str, Any]) -> None:
    data = vector["data"]
    whole, _ = read(data)
    for size in range(len(data)):
        records, reason = read(data[:size])
        assert records == whole[: len(records)]
        # A file that ends between two blocks is a shorter file.
        assert reason in ("the capture is empty", "the capture is cut short", "")


@pytest.mark.parametrize(
    ("name", "link_type", "count", "ticks"),
    [
        ("mtftp-atftp.pcap", LinkType.ETHERNET, 19, 1_000_000),
        ("igmpv2-nanoseconds.pcap", LinkType.ETHERNET, 6, 1_000_000_000),
        ("dhcp-ipxe.pcapng", LinkType.ETHERNET, 19, 1_000_000_000),
    ],
)
def test_captures_of_tcpdump_and_wireshark(name: str, link_type: int, count: int, ticks: int) -> None:
    records, reason = read((DATA / name).read_bytes())
    packets = [record for record in records if isinstance(record, Captured)]
    assert (len(packets), reason) == (count, "")
    assert {packet.interface.link_type for packet in packets} == {link_type}
    assert {packet.interface.ticks_per_second for packet in packets} <= {ticks, 1_000_000}
    clock = [packet.time for packet in packets if packet.time is not None]
    assert clock == sorted(clock)
    assert len(clock) == count


def test_same_capture_in_both_formats() -> None:
    fine, _ = read((DATA / "igmpv2-nanoseconds.pcap").read_bytes())
    coarse, _ = read((DATA / "igmpv2.pcap").read_bytes())
    values = [[(each.time, each.data) for each in records if isinstance(each, Captured)] for records in (fine, coarse)]
    assert values[0] == values[1]


@given(st.binary(max_size=100), st.lists(st.integers(1, 100), max_size=3))
def test_any_octets_give_records_or_malformed(data: bytes, cuts: list[int]) -> None:
    read(data, *cuts)
    for start in (vector["data"] for vector in VECTORS if "malformed" not in vector):
        read(start + data, *cuts)


@given(st.sampled_from([vector["data"] for vector in VECTORS if vector["hex"]]), st.data())
def test_a_changed_octet_gives_records_or_malformed(data: bytes, source: st.DataObject) -> None:
    changed = bytearray(data)
    changed[source.draw(st.integers(0, len(data) - 1))] = source.draw(st.integers(0, 255))
    read(bytes(changed))


def test_interfaces_are_bounded() -> None:
    one = pcapng_writer.header([Interface()])[28:]
    section = pcapng_writer.header([])
    assert read(section + one * MAX_INTERFACES) == ([], "")
    assert read(section + one * (MAX_INTERFACES + 1))[1] == "more than 1024 interfaces"


def test_blocks_are_bounded() -> None:
    header = pcapng_writer.header([Interface()])
    largest = pcapng_writer.packet(0, bytes(MAX_BLOCK - 32))
    assert len(largest) == MAX_BLOCK
    records, reason = read(header + largest)
    assert (len(records), reason) == (1, "")
    assert (
        read(header + pcapng_writer.packet(0, bytes(MAX_BLOCK - 31)))[1]
        == f"a block cannot have {MAX_BLOCK + 4} octets"
    )


def test_options_are_bounded() -> None:
    option = bytes.fromhex("01 00 00 00")
    body = bytes(20) + option * (pcapng.MAX_OPTIONS + 1)
    with pytest.raises(Malformed, match="more than 256 options"):
        pcapng.read_enhanced("<", body, [Interface()])
    assert pcapng.read_enhanced("<", body[:-4], [Interface()]).data == b""
    with pytest.raises(Malformed, match="cut short in its header"):
        pcapng.read_enhanced("<", body[: 20 + 2], [Interface()])


def test_names_are_bounded() -> None:
    (record,), _ = read(pcapng_writer.header([Interface(name="e" * 300)]) + pcapng_writer.packet(0, b""))
    assert isinstance(record, Captured)
    assert record.interface.name == "e" * pcapng.MAX_NAME


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (bytes.fromhex("0a0d0d0a"), True),
        (bytes.fromhex("d4c3b2a1"), True),
        (bytes.fromhex("a1b23c4d"), True),
        (b"00 0", False),
        (b"", False),
    ],
)
def test_what_a_capture_begins_with(start: bytes, expected: bool) -> None:
    assert is_capture(start) is expected


# Writing


INTERFACE = Interface(LinkType.ETHERNET, "eth0", 262_144, 1_000_000_000)


@given(times, packets, directions, comments)
def test_written_packet_is_read_back(time: int, data: bytes, direction: Direction, comment: str) -> None:
    header = pcapng_writer.header([Interface(LinkType.RAW), INTERFACE], "mtftpd")
    octets = pcapng_writer.packet(time, data, interface=1, direction=direction, comment=comment)
    assert read(header + octets) == ([Captured(INTERFACE, time, data, len(data), direction, comment)], "")


@given(times, packets, directions, comments)
def test_packet_writer_agrees_with_the_schema(time: int, data: bytes, direction: Direction, comment: str) -> None:
    octets = pcapng_writer.packet(time, data, direction=direction, comment=comment)
    options: list[tuple[int, bytes]] = []
    if comment:
        options.append((pcapng.OPTION_COMMENT, comment.encode()))
    if direction:
        options.append((pcapng.PACKET_FLAGS, direction.to_bytes(4, "little")))
    body = pcapng.SCHEMAS["<"].enhanced.build(
        {
            "interface": 0,
            "high": time >> 32,
            "low": time & 0xFFFFFFFF,
            "captured_length": len(data),
            "original_length": len(data),
            "data": data,
            "options": options,
        }
    )
    length = (len(body) + 12).to_bytes(4, "little")
    assert octets == (6).to_bytes(4, "little") + length + body + length


@given(times, st.integers(0, 1 << 63), st.integers(0, 1 << 63))
def test_written_statistics_are_read_back(time: int, received: int, dropped: int) -> None:
    octets = pcapng_writer.header([INTERFACE]) + pcapng_writer.statistics(time, received, dropped)
    assert read(octets) == ([Statistics(INTERFACE, time, received, dropped)], "")


def test_long_comment_is_cut() -> None:
    (record,), reason = read(pcapng_writer.header([INTERFACE]) + pcapng_writer.packet(0, b"", comment="c" * 70_000))
    assert isinstance(record, Captured)
    assert (len(record.comment), reason) == (pcapng.MAX_OPTION, "")


def test_statistics_without_counters() -> None:
    body = bytes(12) + bytes.fromhex("04 00 04 00 01 00 00 00")
    assert pcapng.read_statistics("<", body, [INTERFACE]) == Statistics(INTERFACE, 0)


@pytest.mark.system
def test_tcpdump_reads_what_we_write_and_finds_the_checksums_right() -> None:
    here, there = Endpoint("10.99.0.1", 69), Endpoint("10.99.0.11", 2070)
    frame = udp_frame(b"\2" * 6, b"\xff" * 6, here, there, tftp.build(tftp.Request(1, b"img.bin")))
    clock = 1_763_840_000_123_456_789
    octets = pcapng_writer.header([INTERFACE], "mtftpd") + pcapng_writer.statistics(clock, 2, 0)
    octets += pcapng_writer.packet(clock, frame, direction=Direction.OUTBOUND, comment="why")
    octets += pcapng_writer.packet(clock + 1, frame)
    command = ["tcpdump", "-nn", "-vv", "-tt", "--nano", "-r", "-"]
    shown = subprocess.run(command, input=octets, capture_output=True, check=True).stdout.decode()
    assert [line.split()[0] for line in shown.splitlines() if " IP " in line] == [
        "1763840000.123456789",
        "1763840000.123456790",
    ]
    assert shown.count("[udp sum ok]") == 2
    assert "bad cksum" not in shown

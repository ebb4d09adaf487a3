"""Packets as text, taken apart from captures of other people's software and from what nobody should send."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.wire import arp, bootp, dissect, ethernet, igmp, ipv4, pxe, text, tftp, udp
from mtftpd.wire.captures import CaptureReader
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.frames import udp_frame
from mtftpd.wire.options import Options
from mtftpd.wire.pcapng import Captured, LinkType
from mtftpd.wire.plain import indented, plain, plain_layer, printable

DATA = Path(__file__).parents[1] / "data"
CAPTURES = sorted(path.name for path in DATA.glob("*.pcap*"))

ports = st.one_of(st.sampled_from([67, 68, 69, 75, 1542, 1758, 1759, 3001, 4011, 5000]), st.integers(0, 0xFFFF))
heads = st.sampled_from([bytes((0, number)) for number in range(8)])
payloads = st.one_of(st.binary(max_size=80), st.builds(lambda head, rest: head + rest, heads, st.binary(max_size=40)))

HERE, THERE = Endpoint("10.0.0.1", 2000), Endpoint("10.0.0.2", 3000)
MAC, OTHER_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")


def frames(name: str) -> list[bytes]:
    return [record.data for record in CaptureReader().feed((DATA / name).read_bytes()) if isinstance(record, Captured)]


def is_plain(line: str) -> bool:
    return line.isascii() and line.isprintable()


@pytest.mark.parametrize("name", CAPTURES)
def test_captures_are_shown_as_in_the_golden_file(name: str) -> None:
    golden = (DATA / "summaries" / f"{name}.txt").read_text().splitlines()
    assert [text.frame_summary(frame) for frame in frames(name)] == golden


@pytest.mark.parametrize("name", CAPTURES)
def test_every_frame_of_the_captures_cut_at_every_length(name: str) -> None:
    for frame in frames(name)[:12]:
        for size in range(0, len(frame), 3):
            assert is_plain(text.frame_summary(frame[:size]))


@given(payloads, ports, ports)
def test_any_payload_has_a_line_and_a_description(data: bytes, source: int, destination: int) -> None:
    assert is_plain(text.summary(data, source, destination))
    assert all(is_plain(line) for line in text.describe(data, source, destination).splitlines())


@given(st.binary(max_size=120), st.sampled_from(LinkType) | st.integers(0, 300))
def test_any_frame_has_a_line_and_a_description(data: bytes, link_type: int) -> None:
    assert is_plain(text.frame_summary(data, link_type))
    assert all(is_plain(line) for line in text.describe_frame(data, link_type).splitlines())


@given(st.sampled_from([frame for name in CAPTURES for frame in frames(name)[:8]]), st.data())
def test_a_changed_octet_is_still_shown(frame: bytes, source: st.DataObject) -> None:
    changed = bytearray(frame)
    for _ in range(3):
        changed[source.draw(st.integers(0, len(frame) - 1))] = source.draw(st.integers(0, 255))
    layers = dissect.dissect_frame(bytes(changed))
    assert is_plain(text.layers_summary(layers))
    assert all(is_plain(line) for line in text.layers_description(layers).splitlines())
    assert json.loads(json.dumps([plain_layer(layer, innermost=layer is layers[-1]) for layer in layers]))


@given(st.binary(max_size=60))
def test_unknown_octets_have_at_least_one_layer(data: bytes) -> None:
    assert is_plain(text.layers_summary(dissect.dissect_unknown(data)))


@pytest.mark.parametrize(
    ("packet", "ports", "line"),
    [
        (tftp.Request(1, b"a\xff\"\n"), (2070, 69), 'TFTP RRQ "a\\xff\\x22\\x0a" octet'),
        (tftp.Request(1, b"a", "octet", (("blksize", "512"),)), (2070, 69), 'TFTP RRQ "a" octet blksize=512'),
        (tftp.Request(2, b"f", "netascii"), (2070, 69), 'TFTP WRQ "f" netascii'),
        (tftp.Request(1, b"f"), (1758, 1759), 'MTFTP RRQ "f" octet'),
        (tftp.Data(7, bytes(512)), (1542, 1799), "MTFTP DATA 7, 512 octets"),
        (tftp.Data(7, bytes(3)), (40000, 50000), "TFTP DATA 7, 3 octets"),
        (tftp.Ack(65535), (40000, 50000), "TFTP ACK 65535"),
        (tftp.Error(1, "no \x1b[31m"), (69, 2070), 'TFTP ERROR 1 "no \\x1b[31m"'),
        (tftp.OptionAck((("tsize", "5"),)), (69, 2070), "TFTP OACK tsize=5"),
    ],
)  # fmt: skip
def test_tftp_lines(packet: tftp.Packet, ports: tuple[int, int], line: str) -> None:
    assert text.summary(tftp.build(packet), *ports) == line


@pytest.mark.parametrize(
    ("data", "ports", "line"),
    [
        (b"\0\7/\0", (2070, 1759), "MTFTP malformed: TFTP has no opcode 7 (at byte 0)"),
        (b"\0\1f", (2070, 69), "TFTP malformed: TFTP packet is cut short in filename (at byte 3)"),
        (b"\0\1f", (2070, 4000), "payload, 3 octets"),
        (b"\0\4\0\1", (53, 4000), "payload, 4 octets"),
        (b"", (2070, 4000), "payload, 0 octets"),
        (b"x", (68, 67), "DHCP malformed: shorter than a BOOTP header and a magic cookie (at byte 1)"),
    ],
)
def test_other_lines(data: bytes, ports: tuple[int, int], line: str) -> None:
    assert text.summary(data, *ports) == line


def dhcp(options: dict[int, bytes], **fields: object) -> bytes:
    message = bootp.DhcpMessage(2, 0xBEEF, MAC.ljust(16, b"\0"), options=Options(options), **fields)  # type: ignore[arg-type]
    return bootp.build(message)


TAGS = pxe.build(pxe.PxeOptions(pxe.MtftpTags(IPv4Address("239.1.1.1"), 1799, 1542, 2, 2), discovery_control=10))
PXE, CUT = b"PXEClient", "element 1 is cut (at byte 0)"
ITEM = pxe.build(pxe.PxeOptions(boot_item=pxe.BootItem(15, 0)))


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (dhcp({53: b"\2", 60: PXE, 43: TAGS}), 'DHCP OFFER {} class="PXEClient" group=239.1.1.1:1799 port=1542'),
        (dhcp({53: b"\5", 60: PXE, 43: ITEM}), 'DHCP ACK {} class="PXEClient" item=15'),
        (dhcp({53: b"\5", 60: PXE, 43: b"\1\4"}), f'DHCP ACK {{}} class="PXEClient" [option 43 malformed: {CUT}]'),
        (dhcp({53: b"\5", 60: b"MSFT 5.0", 43: b"\1\4"}), 'DHCP ACK {} class="MSFT 5.0"'),
        (dhcp({53: b"\x63"}), "DHCP type 99 {}"),
        (dhcp({}), "BOOTP reply {}"),
        (dhcp({53: b"\2", 67: b"pxe.0\0"}, yiaddr=IPv4Address(9)), 'DHCP OFFER {} yiaddr=0.0.0.9 file="pxe.0"'),
        (bootp.build(bootp.DhcpMessage(1, 0xBEEF, MAC.ljust(16, b"\0"))), "BOOTP request {}"),
    ],
)  # fmt: skip
def test_dhcp_lines(data: bytes, line: str) -> None:
    expected = line.format("xid=0x0000beef client=02:00:00:00:00:01")
    assert text.summary(data, 67, 68) == expected
    # Demonstrations run on other ports: the magic cookie tells.
    assert text.summary(data, 10067, 10068) == expected


@pytest.mark.parametrize(
    ("packet", "line"),
    [
        (igmp.Message(0x11, IPv4Address(0), 100), "IGMP QUERY 0.0.0.0"),
        (igmp.Query(IPv4Address("239.1.1.1"), 10, sources=(IPv4Address(1),)), "IGMP QUERY_V3 239.1.1.1, 1 sources"),
        (
            igmp.Report((igmp.Record(3, IPv4Address("239.1.1.1")), igmp.Record(9, IPv4Address("239.1.1.2")))),
            "IGMP REPORT_V3 CHANGE_TO_INCLUDE(239.1.1.1, 0 sources) 9(239.1.1.2, 0 sources)",
        ),
    ],
)
def test_igmp_lines(packet: igmp.Packet, line: str) -> None:
    data = igmp.build(packet)
    ip = ipv4.build(ipv4.Packet(IPv4Address("10.0.0.1"), IPv4Address("224.0.0.22"), 2, data))
    assert text.frame_summary(ip, LinkType.RAW) == f"10.0.0.1 > 224.0.0.22 {line}"
    changed = ip[:-1] + bytes((ip[-1] ^ 1,))
    assert text.frame_summary(changed, LinkType.RAW).endswith("[the IGMP checksum is wrong (at byte 2)]")


def packet(protocol: int, payload: bytes, **fields: bool | int) -> bytes:
    source, destination = IPv4Address(HERE.address), IPv4Address(THERE.address)
    return ipv4.build(ipv4.Packet(source, destination, protocol, payload, **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (packet(1, bytes(8)), "10.0.0.1 > 10.0.0.2 ICMP, 8 octets"),
        (packet(6, bytes(20)), "10.0.0.1 > 10.0.0.2 TCP, 20 octets"),
        (packet(132, b""), "10.0.0.1 > 10.0.0.2 protocol 132, 0 octets"),
        (packet(17, bytes(8), more_fragments=True), "10.0.0.1 > 10.0.0.2 fragment, 8 octets"),
        (packet(17, b""), "10.0.0.1 > 10.0.0.2 UDP malformed: a UDP segment is cut short in its header (at byte 0)"),
        (bytes.fromhex("60") + bytes(39), "IPv6, 40 octets"),
        (b"", "IPv4 malformed: an IPv4 packet is cut short in its header (at byte 0)"),
    ],
)  # fmt: skip
def test_network_lines(data: bytes, line: str) -> None:
    assert text.frame_summary(data, LinkType.RAW) == line
    assert text.frame_summary(bytes(4) + data, LinkType.NULL) == line
    assert text.frame_summary(bytes(14) + b"\x08\0" + data, LinkType.LINUX_COOKED).endswith(line) is (
        data[:1] != b"\x60"
    )
    assert text.frame_summary(b"\x08\0" + bytes(18) + data, LinkType.LINUX_COOKED_2).endswith(line) is (
        data[:1] != b"\x60"
    )


def test_link_lines() -> None:
    assert text.frame_summary(bytes(15), LinkType.LINUX_COOKED) == "Linux cooked malformed: the header is cut short"
    assert text.frame_summary(b"abc", 147) == "link type 147, 3 octets"
    assert text.frame_summary(b"abc") == "Ethernet malformed: an Ethernet frame is cut short in its header (at byte 3)"
    who = "02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff"
    frame = ethernet.Frame(ethernet.BROADCAST, MAC, 0x86DD, bytes(40))
    assert text.frame_summary(ethernet.build(frame)) == f"{who} IPv6, 40 octets"
    frame = ethernet.Frame(ethernet.BROADCAST, MAC, 0x88CC, b"lldp")
    assert text.frame_summary(ethernet.build(frame)) == f"{who} type 0x88cc, 4 octets"
    address = IPv4Address("10.0.0.1")
    odd = arp.build(arp.Packet(8, MAC, address, OTHER_MAC, address))
    assert (
        text.frame_summary(ethernet.build(ethernet.Frame(ethernet.BROADCAST, MAC, 0x0806, odd)))
        == f"{who} ARP operation 8"
    )


def test_description_of_a_cooked_frame() -> None:
    data = bytes(14) + b"\x08\0" + packet(6, b"abc")
    lines = text.describe_frame(data, LinkType.LINUX_COOKED).splitlines()
    assert lines[:2] == ["Linux cooked, 39 octets", "IPv4, 23 octets"]
    assert lines[-2:] == ["TCP, 3 octets", "  octets: 616263"]


def test_wrong_checksums_are_noted_and_unfinished_ones_are_not() -> None:
    frame = bytearray(udp_frame(MAC, OTHER_MAC, HERE, THERE, b"\0\4\0\1"))
    line = "10.0.0.1:2000 > 10.0.0.2:3000 TFTP ACK 1"
    assert text.frame_summary(bytes(frame)) == line
    frame[40] ^= 1
    assert text.frame_summary(bytes(frame)) == f"{line} [the UDP checksum is wrong (at byte 6)]"
    assert "note: the UDP checksum is wrong" in text.describe_frame(bytes(frame))
    frame[24] ^= 1
    assert "[the IPv4 header checksum is wrong (at byte 10)]" in text.frame_summary(bytes(frame))
    frame[24] ^= 1
    # The sum of the pseudo header alone, not inverted: Linux left the rest to the network card.
    frame[40:42] = (0x0A00 + 1 + 0x0A00 + 2 + 17 + 12).to_bytes(2, "big")
    assert text.frame_summary(bytes(frame)) == line


def test_octets_of_unknown_kind() -> None:
    frame = udp_frame(MAC, OTHER_MAC, HERE, THERE, b"\0\4\0\1")
    names = [[layer.name for layer in dissect.dissect_unknown(data)] for data in (frame, frame[14:], frame[42:], b"x")]
    assert names == [["Ethernet", "IPv4", "UDP", "TFTP"], ["IPv4", "UDP", "TFTP"], ["TFTP"], ["payload"]]
    assert [layer.name for layer in dissect.dissect_unknown(dhcp({53: b"\2"}))] == ["DHCP"]
    # The type of IPv4 where a frame has its type, and 4 where a packet has its version, but neither.
    assert [layer.name for layer in dissect.dissect_unknown(bytes(12) + b"\x08\0junk")] == ["payload"]
    assert [layer.name for layer in dissect.dissect_unknown(b"E junk")] == ["payload"]


def test_description_of_a_frame() -> None:
    request = tftp.build(tftp.Request(1, b"img.bin", "octet", (("tsize", "0"),)))
    frame = udp_frame(MAC, OTHER_MAC, HERE, Endpoint("10.0.0.2", 69), request)
    assert text.describe_frame(frame).splitlines() == [
        "Ethernet, 66 octets",
        "  destination: 02:00:00:00:00:02",
        "  source: 02:00:00:00:00:01",
        "  type: 2048",
        "IPv4, 52 octets",
        "  source: 10.0.0.1",
        "  destination: 10.0.0.2",
        "  protocol: 17",
        "  ttl: 64",
        "  identification: 0",
        "  service: 0",
        "  dont_fragment: False",
        "  more_fragments: False",
        "  fragment_offset: 0",
        "UDP, 32 octets",
        "  source_port: 2000",
        "  destination_port: 69",
        "TFTP, 24 octets",
        "  packet: Request",
        "  opcode: 1",
        "  filename: img.bin",
        "  mode: octet",
        "  options:",
        "    - - tsize",
        '      - 0',
    ]  # fmt: skip


def test_description_of_dhcp() -> None:
    shown = text.describe(dhcp({53: b"\2", 60: b"PXEClient", 43: TAGS}), 67, 68).splitlines()
    assert shown[0] == "DHCP, 300 octets"
    at = shown.index("    53 message-type: 2")
    assert shown[at + 1 : at + 6] == [
        '    60 vendor-class: "PXEClient"',
        "    43 vendor-specific:",
        "      mtftp:",
        "        group: 239.1.1.1",
        "        client_port: 1799",
    ]
    broken = text.describe(dhcp({60: b"PXEClient", 43: b"\1\4"}), 67, 68)
    assert "    43 vendor-specific: 0x0104 [malformed: element 1 is cut (at byte 0)]" in broken.splitlines()


def test_malformed_and_unknown_layers_show_their_octets() -> None:
    assert text.describe(b"\0\1f", 2070, 69).splitlines() == [
        "TFTP, 3 octets",
        "  malformed: TFTP packet is cut short in filename (at byte 3)",
        "  octets: 000166",
    ]
    assert text.describe(b"abc", 5, 6).splitlines() == ["payload, 3 octets", "  octets: 616263"]
    block = text.describe(tftp.build(tftp.Data(1, bytes(512))), 69, 2070)
    assert block.splitlines()[-1] == f"  payload: {'00' * 32}... (512 octets)"


def test_plain_data() -> None:
    assert plain((1, None, True, "a\x00b")) == [1, None, True, "a\\x00b"]
    assert plain(ethernet.EtherType.IPV4) == 0x0800
    assert printable("a\u20ac\U0001f600\\") == "a\\u20ac\\U0001f600\\x5c"
    assert list(indented([{"a": 1, "b": [], "c": None}, {}, 3])) == ["- a: 1", "-", "- 3"]


def test_udp_layer_keeps_the_octets_of_the_segment() -> None:
    frame = udp_frame(MAC, OTHER_MAC, HERE, THERE, b"\0\4\0\1")
    layers = dissect.dissect_frame(frame + bytes(14))
    assert [len(layer.octets) for layer in layers] == [len(frame) + 14, len(frame), 12, 4]
    assert isinstance(layers[2].value, udp.Segment)

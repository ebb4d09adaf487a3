"""``mtftpd decode`` on captures of other people's software, on hex, and on what is neither."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mtftpd.cli import run
from mtftpd.cli.decode import command, decode

DATA = Path(__file__).parents[1] / "data"
OPEN = "00 01 69 6d 67 2e 62 69 6e 00 6f 63 74 65 74 00"
ACK_FRAME = (
    "42:0f:40:32:96:1d:52:54:00:12:34:56:08:00:45:00:00:20:05:29:00:00:40:11:60:78:0a:63:00:66:0a:63:00:01:"
    "8c:39:ed:a8:00:0c:70:c2:00:04:00:01"
)


def invoke(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(decode, [str(each) for each in arguments], input=stdin)


@pytest.mark.parametrize("path", sorted(DATA.glob("*.pcap*")), ids=lambda path: str(path.name))
def test_captures_have_a_line_per_packet(path: Path) -> None:
    result = invoke(path)
    assert (result.exit_code, result.stderr) == (0, "")
    shown = [line.split(maxsplit=2) for line in result.stdout.splitlines()]
    golden = (DATA / "summaries" / f"{path.name}.txt").read_text().splitlines()
    assert [summary for _, _, summary in shown] == golden
    assert [int(number) for number, _, _ in shown] == list(range(1, len(golden) + 1))
    times = [float(time) for _, time, _ in shown]
    assert times[0] == 0
    assert times == sorted(times)


def test_standard_input() -> None:
    path = DATA / "mtftp-ipxe.pcap"
    assert invoke("-", stdin=path.read_bytes()).stdout == invoke(path).stdout


def test_verbose_shows_the_whole_schema() -> None:
    result = invoke("--verbose", DATA / "dhcp-ipxe.pcapng")
    lines = [line.strip() for line in result.stdout.splitlines()]
    for expected in (
        "Ethernet, 442 octets",
        "chaddr: 52540012345600000000000000000000",
        '60 vendor-class: "PXEClient:Arch:00000:UNDI:002001"',
        "filename: boot.bin",
        "packet: OptionAck",
    ):
        assert expected in lines, expected


def test_json_lines_hold_what_the_lines_say() -> None:
    path = DATA / "mtftp-atftp.pcap"
    packets: list[dict[str, Any]] = [json.loads(line) for line in invoke("--json", path).stdout.splitlines()]
    golden = (DATA / "summaries" / f"{path.name}.txt").read_text().splitlines()
    assert [packet["summary"] for packet in packets] == golden
    assert not any(packet["malformed"] for packet in packets)
    request = packets[4]
    assert request["number"] == 5
    assert request["size"] == request["original_size"] == 58
    assert [layer["layer"] for layer in request["layers"]] == ["Ethernet", "IPv4", "UDP", "MTFTP"]
    assert request["layers"][-1]["filename"] == "img.bin"
    seconds, _, nanoseconds = request["time"].partition(".")
    assert (len(seconds), len(nanoseconds)) == (10, 9)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (OPEN, 'TFTP RRQ "img.bin" octet'),
        (OPEN.replace(" ", ""), 'TFTP RRQ "img.bin" octet'),
        (f"0x{OPEN}", 'TFTP RRQ "img.bin" octet'),
        (ACK_FRAME, "10.99.0.102:35897 > 10.99.0.1:60840 TFTP ACK 1"),
        ("00 01 69", "TFTP malformed: TFTP packet is cut short in filename (at byte 3)"),
    ],
)
def test_hex(text: str, line: str) -> None:
    result = invoke(text)
    assert (result.exit_code, result.stdout) == (0, f"     1  {line}\n")


def test_hex_text_with_several_packets(tmp_path: Path) -> None:
    path = tmp_path / "packets.txt"
    path.write_text(f"{OPEN[:24]}\n{OPEN[24:]}\n  \n\n{ACK_FRAME}\n")
    shown = ['     1  TFTP RRQ "img.bin" octet', "     2  10.99.0.102:35897 > 10.99.0.1:60840 TFTP ACK 1"]
    assert invoke(path).stdout.splitlines() == shown
    assert invoke("-", stdin=path.read_bytes()).stdout.splitlines() == shown
    (first, _) = [json.loads(line) for line in invoke("--json", path).stdout.splitlines()]
    assert first == {
        "number": 1,
        "summary": 'TFTP RRQ "img.bin" octet',
        "malformed": False,
        "layers": [
            {
                "layer": "TFTP",
                "size": 16,
                "packet": "Request",
                "opcode": 1,
                "filename": "img.bin",
                "mode": "octet",
                "options": [],
            }
        ],
    }


def capture_with(*, damage: bytes) -> bytes:
    """Return a big-endian pcapng file, typed by hand: a packet with a comment, ``damage``, then statistics."""
    words = """
        0a0d0d0a 0000001c 1a2b3c4d 00010000 ffffffff ffffffff 0000001c
        00000001 00000014 00010000 00000000 00000014
        00000006 00000030 00000000 00000000 00000001 00000003 00000010 61626300 00010004 6f64641b 00000000 00000030
    """
    statistics = "00000005 00000028 00000000 00000000 00000000 00040008 00000000 00000007 00000000 00000028"
    return bytes.fromhex(words) + damage + bytes.fromhex(statistics)


def test_a_bad_packet_does_not_end_the_run() -> None:
    damage = bytes.fromhex("00000006 00000020 00000009 00000000 00000001 00000000 00000000 00000020")
    result = invoke("-", stdin=capture_with(damage=damage))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "     1      0.000000  Ethernet malformed: an Ethernet frame is cut short in its header (at byte 3)"
        " [3 of 16 octets captured] # odd\\x1b",
        "     2  malformed block of type 6: interface 9 is not described",
        "     3  capture statistics: 7 packets received, None dropped",
    ]
    shown = [json.loads(line) for line in invoke("--json", "-", stdin=capture_with(damage=damage)).stdout.splitlines()]
    assert [each["malformed"] for each in shown] == [True, True, False]
    assert "octets: 616263" in invoke("-v", "-", stdin=capture_with(damage=damage)).stdout


def test_packets_without_a_time() -> None:
    # A simple packet block has none.
    simple = bytes.fromhex("00000003 00000014 00000003 61626300 00000014")
    lines = invoke("-", stdin=capture_with(damage=simple)).stdout.splitlines()
    assert lines[1].startswith("     2  Ethernet malformed")
    shown = [json.loads(line) for line in invoke("--json", "-", stdin=capture_with(damage=simple)).stdout.splitlines()]
    assert "time" in shown[0]
    assert "time" not in shown[1]


@pytest.mark.parametrize(
    ("stdin", "message"),
    [
        (b"", "standard input: there is nothing in it"),
        (b"hello world", "standard input: neither a pcapng or pcap capture nor hexadecimal text"),
        (b"\x7fELF\0\0", "standard input: neither a pcapng or pcap capture nor hexadecimal text"),
        (b"0" * ((1 << 20) + 1), "is not read"),
        (bytes.fromhex("0a0d0d0a 0000001c 1a2b3c4d"), "standard input: the capture is cut short (at byte 12)"),
        (bytes.fromhex("0a0d0d0a 0000001c 1a2b3c4e"), "has no byte-order magic"),
    ],
)
def test_what_cannot_be_read_is_an_error(stdin: bytes, message: str) -> None:
    result = invoke("-", stdin=stdin)
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr


def test_packets_before_the_cut_are_shown() -> None:
    data = (DATA / "mtftp-ipxe.pcap").read_bytes()[:-1]
    result = invoke("-", stdin=data)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 22
    assert result.stderr == f"Error: standard input: the capture is cut short (at byte {len(data)})\n"


@pytest.mark.parametrize("source", ["no-such-file.pcap", "0g", "", "0", str(DATA)])
def test_neither_file_nor_hex_is_wrong_usage(source: str) -> None:
    result = invoke(source)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is neither a file nor the hexadecimal octets of a packet" in result.stderr


def test_file_that_cannot_be_read() -> None:
    # Root may read any file, so a file that fails when it is read is needed: /proc/self/mem does at address 0.
    result = invoke("/proc/self/mem")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: /proc/self/mem: Input/output error\n"


def test_help_has_two_examples() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    _, _, examples = result.stdout.partition("Examples:")
    assert examples.count("mtftpd decode") == 2


def test_the_group_finds_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert command is decode
    assert run(["decode", OPEN]) == 0
    assert capsys.readouterr().out == '     1  TFTP RRQ "img.bin" octet\n'
    assert run(["decode", "-v", "zz"]) == 2
    assert run(["decode", "/proc/self/mem"]) == 1
    assert "Input/output error" in capsys.readouterr().err

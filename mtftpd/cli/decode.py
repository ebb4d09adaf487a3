"""``mtftpd decode``."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import click

from mtftpd.errors import Malformed
from mtftpd.wire import text
from mtftpd.wire.captures import BadBlock, CaptureReader, Record, is_capture
from mtftpd.wire.dissect import Layer, dissect_frame, dissect_unknown
from mtftpd.wire.pcapng import NANOSECONDS, Captured, Statistics
from mtftpd.wire.plain import plain_layer, printable

_CHUNK: Final = 1 << 16

_MAX_TEXT: Final = 1 << 20
"""Hexadecimal text that is read: 1 MiB is 350 whole frames, more comes as a capture."""

_EXAMPLES = """\b
Examples:
  mtftpd decode --verbose boot.pcapng
  mtftpd decode "00 01 6c 69 6e 75 78 2e 69 6d 67 00 6f 63 74 65 74 00"
"""


@click.command("decode", epilog=_EXAMPLES)
@click.argument("source", metavar="FILE|HEX")
@click.option("-v", "--verbose", is_flag=True, help="Show all that is in a packet below its line.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per packet.")
def decode(source: str, verbose: bool, as_json: bool) -> None:
    """Show the packets of a capture or of hexadecimal text, one line each.

    FILE is a pcapng or pcap capture, or text with the hexadecimal octets of packets, an empty line between two of
    them; - is standard input.  HEX is one packet.  In text, an Ethernet frame, an IPv4 packet and the payload of a
    UDP datagram are told apart by what they look like.

    A packet that makes no sense is shown with the reason and does not end the run.  Exit status: 0, 1 when FILE
    cannot be read to its end, 2 when there is neither such a file nor such a packet.
    """
    place = "standard input" if source == "-" else source
    show = _show_json if as_json else _show_verbosely if verbose else _show_line
    try:
        for number, item in enumerate(_items(source), 1):
            show(number, item)
    except Malformed as problem:
        raise click.ClickException(f"{place}: {problem}") from problem
    except OSError as problem:
        if problem.errno == errno.EPIPE:
            raise
        raise click.ClickException(f"{place}: {problem.strerror}") from problem


@dataclass(frozen=True, slots=True)
class _Item:
    """One thing to show: its line, its layers if it is a packet, its record and nanoseconds if it was captured."""

    line: str
    layers: tuple[Layer, ...] = ()
    record: Record | None = None
    elapsed: int | None = None


def _of_octets(data: bytes) -> _Item:
    layers = dissect_unknown(data)
    return _Item(text.layers_summary(layers), layers)


def _of_record(record: Record, start: int | None) -> _Item:
    if isinstance(record, Statistics):
        return _Item(f"capture statistics: {record.received} packets received, {record.dropped} dropped", (), record)
    if isinstance(record, BadBlock):
        return _Item(f"malformed block of type {record.type}: {record.reason}", (), record)
    layers = dissect_frame(record.data, record.interface.link_type)
    elapsed = None if record.time is None or start is None else record.time - start
    return _Item(text.layers_summary(layers) + _remarks(record), layers, record, elapsed)


def _remarks(record: Captured) -> str:
    cut = f" [{len(record.data)} of {record.original_length} octets captured]"
    comment = f" # {printable(record.comment)}" if record.comment else ""
    return (cut if len(record.data) < record.original_length else "") + comment


def _items(source: str) -> Iterator[_Item]:
    """Yield what is in a file, in standard input, or in the argument itself."""
    if source == "-":
        yield from _from_stream(sys.stdin.buffer)
    elif os.path.isfile(source):
        with open(source, "rb") as stream:
            yield from _from_stream(stream)
    else:
        data = _octets(source)
        if not data:
            raise click.UsageError(f"{source!r} is neither a file nor the hexadecimal octets of a packet")
        yield _of_octets(data)


def _from_stream(stream: BinaryIO) -> Iterator[_Item]:
    first = stream.read(_CHUNK)
    if not first:
        raise Malformed("there is nothing in it")
    if is_capture(first):
        yield from _from_capture(first, stream)
    else:
        yield from _from_text(first + stream.read(_MAX_TEXT))


def _from_capture(first: bytes, stream: BinaryIO) -> Iterator[_Item]:
    reader = CaptureReader()
    chunk, start = first, None
    while chunk:
        for record in reader.feed(chunk):
            if start is None and isinstance(record, Captured):
                start = record.time
            yield _of_record(record, start)
        chunk = stream.read(_CHUNK)
    reader.finish()


def _from_text(octets: bytes) -> Iterator[_Item]:
    if len(octets) > _MAX_TEXT:
        raise Malformed(f"no capture, and hexadecimal text of more than {_MAX_TEXT} octets is not read")
    lines = octets.decode("latin-1").splitlines()
    packets = "\n".join(line.strip() for line in lines).split("\n\n")
    for packet in filter(None, packets):
        data = _octets(packet)
        if not data:
            raise Malformed("neither a pcapng or pcap capture nor hexadecimal text")
        yield _of_octets(data)


def _octets(digits: str) -> bytes:
    """Return the octets in hexadecimal text, with white space or colons between them; none when it is not that."""
    try:
        return bytes.fromhex(digits.strip().removeprefix("0x").replace(":", " "))
    except ValueError:
        return b""


def _show_line(number: int, item: _Item) -> None:
    time = "" if item.elapsed is None else f"{item.elapsed / NANOSECONDS:12.6f}  "
    click.echo(f"{number:6}  {time}{item.line}")


def _show_verbosely(number: int, item: _Item) -> None:
    _show_line(number, item)
    if item.layers:
        for line in text.layers_description(item.layers).splitlines():
            click.echo(f"        {line}")


def _show_json(number: int, item: _Item) -> None:
    content: dict[str, Any] = {"number": number}
    if isinstance(item.record, Captured):
        if item.record.time is not None:
            seconds, rest = divmod(item.record.time, NANOSECONDS)
            content["time"] = f"{seconds}.{rest:09}"
        content |= {"size": len(item.record.data), "original_size": item.record.original_length}
    content["summary"] = item.line
    content["malformed"] = isinstance(item.record, BadBlock) or any(layer.problem for layer in item.layers)
    content["layers"] = [plain_layer(layer, innermost=layer is item.layers[-1]) for layer in item.layers]
    click.echo(json.dumps(content))


command = decode
"""The name under which the group looks for it."""

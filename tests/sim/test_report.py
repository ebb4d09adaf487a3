"""The report: pictures that any reader of PNG shows, and a page that needs nothing from elsewhere."""

from __future__ import annotations

import re
import struct
import zlib
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from mtftpd.sim.chance import Quality
from mtftpd.sim.clock import Clock
from mtftpd.sim.heat import FIRST_INTERVAL, MOST_PICTURES, Album, png
from mtftpd.sim.memory import UNIT, Content, MarkedMemory
from mtftpd.sim.outcome import Outcome
from mtftpd.sim.report import html, lines
from mtftpd.sim.simulation import Simulation
from tests.sim.scenes import scene


def chunks(image: bytes) -> dict[bytes, bytes]:
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = {}, 8
    while at < len(image):
        (length,) = struct.unpack_from(">I", image, at)
        kind, data = image[at + 4 : at + 8], image[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", image, at + 8 + length)[0] == zlib.crc32(kind + data)
        found[kind] = data
        at += 12 + length
    return found


@given(st.integers(1, 40), st.integers(1, 20), st.randoms(use_true_random=False))
def test_a_picture_has_the_points_that_were_put_into_it(width: int, height: int, chance: Random) -> None:
    octets = (width + 7) // 8
    rows = tuple(bytes(chance.randrange(256) for _ in range(octets)) for _ in range(height))
    parts = chunks(png(width, rows))
    assert list(parts) == [b"IHDR", b"IDAT", b"IEND"]
    assert struct.unpack(">IIBBBBB", parts[b"IHDR"]) == (width, height, 1, 0, 0, 0, 0)
    assert zlib.decompress(parts[b"IDAT"]) == b"".join(b"\0" + row for row in rows)


@given(st.integers(1, 5_000), st.sets(st.integers(0, 4_999), max_size=20))
def test_a_point_is_black_when_all_of_its_part_is_held(units: int, missing: set[int]) -> None:
    content = Content(units * UNIT, 1)
    memory = MarkedMemory(content)
    memory.store(0, units * UNIT)
    for unit in missing:
        if unit < units:
            memory.write(unit * UNIT, b"\0\3\0\0" + bytes(UNIT))
    assume(memory.marks())  # of nothing there is no picture
    album = Album(Clock(), [memory], units, lambda: None)
    album.take()
    (row,) = album.pictures[0].rows
    bits = f"{int.from_bytes(row, 'big'):0{len(row) * 8}b}"[: album.columns]
    each = -(-units // album.columns) if album.columns else 1
    white = {unit // album._each for unit in missing if unit < units}
    assert {column for column, bit in enumerate(bits) if bit == "1"} == white
    assert each == album._each or units % album._each


def test_pictures_come_at_twice_the_interval_once_there_are_too_many() -> None:
    clock, units = Clock(), 3 * MOST_PICTURES
    memory = MarkedMemory(Content(units * UNIT, 1))
    coming = iter(range(units))
    album = Album(clock, [memory], units, lambda: memory.store(next(coming) * UNIT, UNIT))
    while clock.step(1.5 * MOST_PICTURES * FIRST_INTERVAL):
        assert len(album.pictures) < MOST_PICTURES
    gaps = {after.when - before.when for before, after in pairwise(album.pictures)}
    assert gaps == {2 * FIRST_INTERVAL}


def simulate() -> tuple[Simulation, Album, Outcome]:
    simulation = Simulation(scene(30, 400_000, quality=Quality(loss=0.02), roms="spec=50%,edk1=50%"))
    memories = [machine.station.memory for machine in simulation.machines]
    album = Album(simulation.clock, memories, simulation.content.units, simulation.settle)
    return simulation, album, simulation.run()


def test_there_are_never_too_many_pictures_and_they_are_in_order() -> None:
    _, album, outcome = simulate()
    times = [picture.when for picture in album.pictures]
    assert times == sorted(times)
    assert 2 <= len(times) < MOST_PICTURES
    rows = [picture.rows for picture in album.pictures]
    assert all(before != after for before, after in pairwise(rows)), "nothing is shown twice"
    assert outcome.seconds >= times[-1]


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    _, album, outcome = simulate()
    album.take()
    page = html(outcome, "a <test> & more", album.pictures, album.columns)

    class Balance(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "img", "polyline"):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            if tag != "polyline":
                assert self.open.pop() == tag

    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert "a &lt;test&gt; &amp; more" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    images = [b64decode(text) for text in re.findall(r"base64,([^\"]+)", page)]
    assert len(images) == len(album.pictures)
    white = [int.from_bytes(zlib.decompress(chunks(image)[b"IDAT"]), "big").bit_count() for image in images]
    assert white == sorted(white, reverse=True), "memories only fill"
    assert white[0] > white[-1] == 0


def test_lines_for_people() -> None:
    _, _, outcome = simulate()
    table = dict(lines(outcome))
    assert table["booted"].startswith("30 of 30")
    assert "ideal 782" in table["DATA packets"]
    assert "WRONG IMAGE" not in table


def test_lines_name_the_reasons_and_leave_out_the_rare_ones() -> None:
    _, _, outcome = simulate()
    nodes = tuple(
        replace(node, booted=number > 20, right=False, reason=f"reason {min(number, 9)}", fallback="")
        for number, node in enumerate(outcome.nodes)
    )
    table = dict(lines(replace(outcome, nodes=nodes)))
    assert table["lost"].startswith("21: 12 x reason 9, 1 x reason 0")
    assert table["lost"].endswith("2 other reasons")
    assert table["WRONG IMAGE"] == "9"
    nobody = dict(lines(replace(outcome, nodes=tuple(replace(node, booted=False) for node in nodes))))
    assert nobody["first, median, last"] == "-"
    assert nobody["booted"] == "0 of 30"

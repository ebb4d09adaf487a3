"""Machines that exist only on the wire, beside a kernel on the other end of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio

from mtftpd.net.outside import Heard
from mtftpd.net.stations import Station, StationPort, Wire
from mtftpd.wire.datagram import Endpoint
from tests.patience import PATIENCE
from tools.lab.segment import SERVER_ADDRESS, Segment

pytestmark = pytest.mark.system


ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 7))
print("ready", flush=True)
while True:
    data, source = s.recvfrom(2048)
    s.sendto(data[::-1], source)
"""

TALK = """
import sys, trio
sys.path[:0] = sys.argv[2:]
from tests.net.test_stations import talk
trio.run(talk, sys.argv[1])
"""


async def talk(server: str) -> None:
    """Play two stations on eth0, and print what each of them hears."""
    wire = Wire("eth0")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.run)
        with trio.fail_after(PATIENCE):
            one, two = wire.station(b"\x02\0\0\0\0\x01"), wire.station(b"\x02\0\0\0\0\x02")
            one.address, two.address = "10.77.9.1", "10.77.9.2"
            for station, text in ((one, b"abc"), (two, b"xyz")):
                await _print(station, station.open(), text, Endpoint(server, 7))
            await _print(one, one.open(), b"nobody", Endpoint(server, 9))
        nursery.cancel_scope.cancel()
    wire.close()


async def _print(station: Station, port: StationPort, text: bytes, to: Endpoint) -> None:
    port.send(text, to)
    heard: Heard = await port.receive()
    is_own = heard.hardware[1] == station.hardware
    sys.stdout.write(f"{heard.problem or heard.data.decode()} {is_own} {heard.destination.address}\n")


def test_stations_answer_arp_and_hear_what_is_theirs() -> None:
    top = str(Path(__file__).parents[2])
    with Segment("stn", clients=1, addressed=False) as segment:
        echo = segment.start(segment.server, sys.executable, "-c", ECHO, stdout=subprocess.PIPE)
        assert echo.stdout is not None
        with echo.stdout as said:
            assert said.readline() == b"ready\n"
        lines = segment.run(segment.client(1), sys.executable, "-c", TALK, SERVER_ADDRESS, top).splitlines()
    assert lines == [
        "cba True 10.77.9.1",
        "zyx True 10.77.9.2",
        f"ICMP type 3 code 3 for what was sent to {SERVER_ADDRESS}:9 True 10.77.9.1",
    ]

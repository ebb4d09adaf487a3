"""The budget of a link over real sockets: what leaves late enough, how it is configured, and how it is told."""

from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from mtftpd.cli.status import _link
from mtftpd.core.groups import Groups
from mtftpd.core.link.wire_time import LINKS, block_octets
from mtftpd.core.service import BootService
from mtftpd.core.settings import Bandwidth, Catalogue, Link, Mode, Settings
from mtftpd.daemon.settings import bandwidth_for, rate_text, settings_for, warnings_for
from mtftpd.wire import tftp
from tests.daemon.conftest import MakeConfig
from tests.daemon.pump_harness import Bench, client

RATE = 10e6
BLOCK = 1428
BLOCKS = 200
LINK = Link("eth9", 9, IPv4Address("10.0.0.1"), IPv4Network("10.0.0.0/24"))
FAST = replace(LINK, speed=1e9)


async def test_a_transfer_with_windows_takes_the_time_that_its_rate_gives_it(bench: Bench, root: Path) -> None:
    content = bytes(range(256)) * (BLOCK * BLOCKS // 256)
    (root / "image").write_bytes(content)
    settings = Settings(bench.link, Mode.TFTP, bench.channels.ports, bandwidth=Bandwidth(RATE, LINKS["switch-100"]))
    service = BootService(settings, Catalogue())
    options = (("blksize", str(BLOCK)), ("windowsize", "16"))
    received = bytearray()
    async with bench.running(service) as pump, client() as asking:
        began = time.monotonic()
        await asking.sendto(tftp.build(tftp.Request(1, b"image", options=options)), bench.port(3))
        _, server = await asking.recvfrom(2048)
        await asking.sendto(tftp.build(tftp.Ack(0)), server)
        block = 0
        while block * BLOCK <= len(content):
            data, server = await asking.recvfrom(2048)
            number = int.from_bytes(data[2:4], "big")
            if number == block + 1:
                block = number
                received += data[4:]
                if block % 16 == 0 or len(data) < 4 + BLOCK:
                    await asking.sendto(tftp.build(tftp.Ack(block)), server)
        seconds = time.monotonic() - began
        budget = service.statistics().budget
        assert pump.counters().lost == 0
    assert bytes(received) == content
    # Whatever the machine is busy with can only make it slower.
    assert seconds >= (BLOCKS * block_octets(BLOCK) - service.budget.depth) * 8 / RATE
    assert budget.sent >= BLOCKS * block_octets(BLOCK)
    assert budget.waiting == 0


@pytest.mark.parametrize(
    ("link", "flags", "rate", "text"),
    [
        (LINK, {}, 0.0, "none: eth9 does not say how fast it is"),
        (FAST, {}, 800e6, "800 Mbit/s, 80% of full-duplex 1000 Mbit/s"),
        (replace(FAST, speed=1e8, half_duplex=True), {}, 60e6, "60 Mbit/s, 60% of half-duplex 100 Mbit/s"),
        (FAST, {"link": "hub-10"}, 6e6, "6 Mbit/s, 60% of hub-10 10 Mbit/s"),
        (FAST, {"link": "hub-10", "rate": "2M"}, 2e6, "2 Mbit/s"),
        (FAST, {"rate": "none"}, 0.0, "none"),
        (LINK, {"rate": "1.5G"}, 1.5e9, "1500 Mbit/s"),
    ],
)
def test_the_limit_is_what_was_said_or_follows_from_the_link(
    make_config: MakeConfig, link: Link, flags: dict[str, str], rate: float, text: str
) -> None:
    config = make_config(**flags)
    assert settings_for(config, link).bandwidth.rate == rate
    assert rate_text(config, link) == text


def test_bursts_are_those_of_the_link_that_was_named_or_reported(make_config: MakeConfig) -> None:
    assert bandwidth_for(make_config(link="hub-100"), FAST).link == LINKS["hub-100"]
    assert bandwidth_for(make_config(rate="5M"), FAST).link.speed == 1e9


def test_weights_reach_the_core_and_one_of_no_image_is_pointed_out(make_config: MakeConfig) -> None:
    config = make_config(image="node=nbp", weight=("node=3", "nodr=2"))
    settings = settings_for(config, LINK)
    assert settings.bandwidth.weights == {"node": 3.0, "nodr": 2.0}
    warnings = list(warnings_for(config, settings, Catalogue(), Groups(settings, Catalogue())))
    assert "--weight nodr=2: there is no --image nodr" in warnings


def test_people_are_told_in_one_line() -> None:
    budget = {"rate": 80e6, "link": "switch-100", "sending": 34_200_000, "waiting": 0, "queue": []}
    assert _link({**budget, "rate": 0.0}) == "link: no limit"
    assert _link(budget) == "link: 34.2 of 80 Mbit/s (switch-100)"
    busy = {**budget, "waiting": 12_300, "queue": ["10.0.0.9", "10.0.0.7"]}
    assert _link(busy).endswith(" (switch-100), 12 kB wait, 2 nodes wait for their first packet")

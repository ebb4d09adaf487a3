"""Whole transfers against the model client: every file arrives exactly, whatever the wire does to the packets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtftpd.core.effects import ReportKind
from mtftpd.core.images import Image
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.tftp import Pairs
from tests.core.tftp.tftp_world import Client, Conduct, World, server

PEER = Endpoint("10.0.3.7", 2070)
CLEAN = Conduct()
BAD = Conduct(loss=0.05, duplicate=0.05, delay=0.001, jitter=0.004)


def fetch(client: Client, conduct: Conduct = CLEAN, seed: int = 0) -> World:
    """Let this client fetch its file and return the world after both sides are done."""
    size = client.size
    world = World(server({"nbp": Image(1, "nbp", size)}, mtu=65_535), conduct, seed)
    world.start(client)
    world.run()
    assert client.done
    assert not client.errors
    assert client.received == size // client.block_size + 1
    assert world.open == set(), "a socket was left open"
    assert world.service.next_deadline() is None
    return world


@pytest.mark.parametrize("options", [(), (("blksize", "512"),), (("tsize", "0"), ("windowsize", "4"))])
@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024, 512 * 7, 512 * 8 - 1, 512 * 16, 512 * 40 + 3])
def test_small_files_and_exact_multiples(size: int, options: Pairs) -> None:
    """RFC 1350 section 6: the last block is short, empty if need be (quirk Q98)."""
    world = fetch(Client(PEER, "nbp", size, options))
    assert world.sent_blocks == size // 512 + 1
    assert [report.kind for report in world.reports] == [ReportKind.TFTP_STARTED, ReportKind.TFTP_DONE]


@pytest.mark.parametrize("rollover", [0, 1])
@pytest.mark.parametrize(
    ("blocks", "window"),
    [(65_534, 64), (65_535, 64), (65_536, 64), (65_537, 1), (65_538, 7), (65_600, 64), (131_072, 64), (131_080, 61)],
)
def test_numbers_roll_over(blocks: int, window: int, rollover: int) -> None:
    """Quirk Q95: after 65,535 comes 0, or 1 on request; the model client checks every block behind its number."""
    options = (("blksize", "8"), ("rollover", str(rollover)), ("windowsize", str(window)))
    world = fetch(Client(PEER, "nbp", 8 * (blocks - 1), options))
    assert world.sent_blocks == blocks


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(0, 60_000),
    block_size=st.sampled_from((None, 8, 512, 1024, 1408, 1468, 8192, 65_464)),
    window=st.sampled_from((None, 1, 2, 4, 16, 64)),
    rollover=st.sampled_from((None, 0, 1)),
    seed=st.integers(0, 2**32),
    loss=st.sampled_from((0.0, 0.01, 0.1)),
    answers_duplicates=st.booleans(),
)
def test_any_file_over_any_wire(
    size: int,
    block_size: int | None,
    window: int | None,
    rollover: int | None,
    seed: int,
    loss: float,
    answers_duplicates: bool,
) -> None:
    asked = {"blksize": block_size, "windowsize": window, "rollover": rollover}
    options = tuple((name, str(value)) for name, value in asked.items() if value is not None)
    conduct = Conduct(loss=loss, duplicate=0.05, delay=0.001, jitter=0.003)
    size = min(size, 600 * (block_size or 512))
    fetch(Client(PEER, "nbp", size, options, answers_duplicates=answers_duplicates), conduct, seed)


@pytest.mark.parametrize("rollover", ["0", "1"])
def test_roll_over_under_loss(rollover: str) -> None:
    options = (("blksize", "8"), ("windowsize", "16"), ("rollover", rollover))
    fetch(Client(PEER, "nbp", 8 * 65_700, options), Conduct(loss=0.002, duplicate=0.002), int(rollover))


def test_sorcerers_apprentice() -> None:
    """RFC 1123 4.2.3.1, quirk Q90: every packet arrives twice, every DATA is sent once."""
    everything_twice = Conduct(duplicate=1.0)
    world = fetch(Client(PEER, "nbp", 512 * 300, (("tsize", "0"),)), everything_twice)
    assert world.sent_blocks == 301


@pytest.mark.parametrize("window", [2, 4, 16, 64])
def test_sorcerers_apprentice_with_a_window(window: int) -> None:
    """RFC 7440: an ACK inside a window asks for the rest again; many of them do so once in a round trip."""
    options = (("blksize", "1024"), ("windowsize", str(window)))
    everything_twice = Conduct(duplicate=1.0)
    world = fetch(Client(PEER, "nbp", 1024 * 300, options), everything_twice)
    assert world.sent_blocks <= 2.2 * 301


def test_sorcerers_apprentice_with_some_duplicates() -> None:
    """Reliability row R10: 5 % duplicates and reordering cost no more than 2 % of blocks."""
    conduct = Conduct(duplicate=0.05, delay=0.002, jitter=0.002)
    world = fetch(Client(PEER, "nbp", 512 * 5000), conduct, 3)
    assert world.sent_blocks <= 1.02 * 5001


def test_one_per_cent_of_loss_costs_little() -> None:
    """Ruling 13: the timer is a few round trips, not seconds."""
    world = fetch(Client(PEER, "nbp", 512 * 5000), Conduct(loss=0.01), 11)
    assert world.sent_blocks <= 1.04 * 5001
    done = world.reports[-1]
    milliseconds = dict(done.detail)["milliseconds"]
    # 5,001 round trips of 2 ms, and 2 % of them a time-out of 20 ms more: 12 s in all; some are lost twice.
    assert isinstance(milliseconds, int)
    assert milliseconds < 14_000


def test_no_final_ack() -> None:
    """Quirk Q87: the transfer is done all the same, after at most 3 repetitions."""
    client = Client(PEER, "nbp", 512 * 3 + 5, (("tsize", "0"),), final_ack=False, answers_duplicates=False)
    world = fetch(client)
    assert world.sent_blocks == 4 + 3
    assert dict(world.reports[-1].detail)["end"] == "last block not acknowledged"
    assert world.reports[-1].kind is ReportKind.TFTP_DONE


@pytest.mark.parametrize("options", [(("tsize", "0"),), (("windowsize", "4"), ("blksize", "1024"))])
def test_a_client_without_timers(options: Pairs) -> None:
    """Quirk Q92: once the first reply has arrived, the server recovers everything alone."""
    for seed in range(20):
        world = World(server({"nbp": Image(1, "nbp", 50_000)}), Conduct(loss=0.05), seed)
        client = Client(PEER, "nbp", 50_000, options, repeats=0)
        world.start(client)
        world.run()
        assert client.done or client.received == 0, f"seed {seed}"


def test_every_single_packet_lost_in_turn() -> None:
    """Reliability row R9: no one packet strands a client; the recovery is short once the transfer has begun."""
    options = (("blksize", "1024"), ("tsize", "0"))
    for victim in range(1, 40):
        world = LosesOne(victim)
        client = Client(PEER, "nbp", 1024 * 15, options)
        world.start(client)
        world.run()
        assert client.done
        assert client.received == 16
        end = dict(world.reports[-1].detail)
        assert end["end"] in {"complete", "last block not acknowledged"}
        if end["end"] == "complete":
            assert isinstance(end["milliseconds"], int)
            assert end["milliseconds"] <= 2_000


class LosesOne(World):
    """A wire that loses one packet, counted from 1 in both directions."""

    def __init__(self, victim: int) -> None:
        super().__init__(server({"nbp": Image(1, "nbp", 1024 * 15)}))
        self.victim = victim

    def _carry(self, endpoint: Endpoint, socket: int, packet: object) -> None:
        self.victim -= 1
        if self.victim:
            super()._carry(endpoint, socket, packet)  # type: ignore[arg-type]


def test_many_clients_at_once() -> None:
    service = server({"nbp": Image(1, "nbp", 30_000)})
    world = World(service, BAD, 5)
    clients = [Client(Endpoint(f"10.0.4.{n}", 1024), "nbp", 30_000, (("blksize", "1408"),)) for n in range(1, 101)]
    for client in clients:
        world.start(client)
    world.run()
    assert all(client.done and client.received == 22 for client in clients)
    statistics = service.statistics()
    assert statistics.done >= 100
    assert statistics.transfers == ()
    assert statistics.lingering == statistics.half_open == 0

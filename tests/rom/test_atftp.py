"""The MTFTP client of atftp 0.8.0, as it was seen to answer a server that says one thing at a time."""

from __future__ import annotations

from dataclasses import replace

from mtftpd.rom.actions import NOTHING, Bind, Unbind
from mtftpd.rom.firmwares import FIRMWARES
from mtftpd.rom.mtftp import Mtftp, State
from mtftpd.wire.tftp import Ack, Opcode, Request
from tests.rom.wire_peer import GROUP, SPORT, Recorder, T, data, only, packets, sent, ticket, to_group, to_station

PORT = 41_437


def listening() -> Mtftp:
    profile = FIRMWARES["atftp-mtftp"].mtftp
    assert profile is not None
    client = Mtftp(replace(ticket(), port=PORT), profile, Recorder())
    assert only(Bind, client.start(0.0)) == [Bind(GROUP.port), Bind(PORT)]
    return client


def master() -> Mtftp:
    """Return one that has acknowledged block 1 at `T`."""
    client = listening()
    assert sent(client.tick(T)) == [(SPORT, Request(Opcode.RRQ, b"img"))]
    assert packets(client.receive(to_station(data(1), port=PORT), T)) == [Ack(1)]
    return client


def test_it_answers_no_copy_of_the_newest_block() -> None:
    client = master()
    assert client.receive(to_group(data(1)), T) == NOTHING
    assert packets(client.receive(to_group(data(2)), T)) == [Ack(2)]
    assert client.receive(to_group(data(2)), T) == NOTHING
    assert packets(client.receive(to_group(data(1)), T)) == [Ack(1)]


def test_a_master_that_nobody_answers_is_mute_and_dies() -> None:
    client = master()
    now = T
    for _ in range(3):
        now += T
        assert client.tick(now) == NOTHING
        assert not client.over
    assert only(Unbind, client.tick(now + T)) == [Unbind(PORT), Unbind(GROUP.port)]
    assert client.reason == "no block after 1"


def test_a_master_ends_with_the_last_block_and_does_not_look_for_holes() -> None:
    client = master()
    assert packets(client.receive(to_group(data(3)), T)) == [Ack(3)]
    assert packets(client.receive(to_group(data(4, b"end")), T)) == [Ack(4)]
    assert client.complete


def test_an_open_without_an_answer_is_its_last() -> None:
    client = listening()
    client.tick(T)
    assert packets(client.tick(2 * T)) == []
    assert client.reason == "no answer to the opens"


def test_every_silence_of_a_listener_opens() -> None:
    client = listening()
    client.receive(to_group(data(5)), 1.0)
    assert client.tick(1.0 + T - 0.1) == NOTHING
    assert packets(client.tick(1.0 + T)) == [Request(Opcode.RRQ, b"img")]
    client.receive(to_group(data(6)), 1.5 + T)
    assert client.state is State.LISTEN
    assert len(packets(client.tick(1.5 + 2 * T))) == 1, "it listens only as long as there is something to hear"

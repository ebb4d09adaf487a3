"""The unicast client: RFC 1350, 2347, 2348, 2349 and 7440 by table, and against a sender that loses packets."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.rom.actions import NOTHING, Actions, Bind, Enter, Phase, Unbind
from mtftpd.rom.profiles import EDK1, TftpProfile
from mtftpd.rom.tftp import TRANSITIONS, Event, Source, State, Tftp
from mtftpd.wire import tftp
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import Ack, Data, Error, OptionAck, Request
from tests.rom.wire_peer import SERVER, STATION, Recorder, blocks_of, packets, sent

SERVICE = Endpoint(SERVER, 69)
TID = Endpoint(SERVER, 40_000)
PORT = 2070
PLAIN = TftpProfile(block_size=0, probes_size=False)
SIZED = TftpProfile(probes_size=False)


def begun(
    profile: TftpProfile, memory: Recorder | None = None, *, limit: int = 1 << 30, only_probe: bool = False
) -> tuple[Tftp, Actions]:
    source = Source(SERVICE, b"img", STATION, PORT)
    client = Tftp(source, profile, memory or Recorder(), limit, only_probe=only_probe)
    return client, client.start(0.0)


def answer(client: Tftp, packet: tftp.Packet | bytes, now: float = 0.0, source: Endpoint = TID) -> Actions:
    octets = packet if isinstance(packet, bytes) else tftp.build(packet)
    return client.receive(Datagram(client.port, source, Endpoint(STATION, client.port), octets), now)


def request(*options: tuple[str, str]) -> Request:
    return Request(tftp.Opcode.RRQ, b"img", "octet", options)


def test_a_plain_transfer() -> None:
    memory = Recorder()
    client, actions = begun(PLAIN, memory)
    assert actions[:2] == (Bind(PORT), Enter(Phase.UNICAST, "10.0.0.1:69"))
    assert sent(actions) == [(SERVICE, request())]
    assert sent(answer(client, Data(1, b"a" * 512))) == [(TID, Ack(1))]
    last = answer(client, Data(2, b"b"))
    assert sent(last) == [(TID, Ack(2))]
    assert last[-1] == Unbind(PORT)
    assert client.complete
    assert (client.length, memory.image()) == (513, b"a" * 512 + b"b")


def test_the_size_is_asked_for_first_and_that_transfer_ended() -> None:
    client, actions = begun(TftpProfile())
    assert packets(actions) == [request(("blksize", "1456"), ("tsize", "0"))]
    actions = answer(client, OptionAck((("tsize", "1000"), ("blksize", "1456"))))
    assert sent(actions) == [(TID, Error(0)), (SERVICE, request(("blksize", "1000")))]
    assert actions[1:3] == (Unbind(PORT), Bind(PORT + 1))
    assert client.size == 1000
    assert packets(answer(client, OptionAck((("blksize", "1000"),)))) == [Ack(0)]
    assert packets(answer(client, Data(1, b"c" * 1000))) == [Ack(1)]
    assert packets(answer(client, Data(2, b""))) == [Ack(2)]
    assert client.complete


def test_only_the_size() -> None:
    client, actions = begun(EDK1.tftp, only_probe=True)
    assert actions[1] == Enter(Phase.PROBE, "10.0.0.1:69")
    assert packets(actions) == [request(("blksize", "8192"), ("tsize", "0"))]
    actions = answer(client, OptionAck((("tsize", "99"),)))
    assert packets(actions) == [Error(8)]
    assert (client.over, client.complete, client.size) == (True, False, 99)


@pytest.mark.parametrize("packet", [Error(1, "no"), Data(1, b"x")], ids=["refused", "a server without options"])
def test_a_size_that_cannot_be_had_is_no_failure(packet: tftp.Packet) -> None:
    memory = Recorder()
    client, _ = begun(EDK1.tftp, memory, only_probe=True)
    answer(client, packet)
    assert (client.state, client.size, memory.writes) == (State.DONE, None, [])


def test_a_server_without_options_answers_the_probe_with_the_file() -> None:
    client, _ = begun(TftpProfile())
    assert packets(answer(client, Data(1, b"x" * 512))) == [Ack(1)]
    assert packets(answer(client, Data(2, b"y"))) == [Ack(2)]
    assert client.complete


def test_an_error_answers_options_and_then_none_are_asked() -> None:
    client, _ = begun(TftpProfile())
    assert sent(answer(client, Error(8, "options?"))) == [(SERVICE, request())]
    answer(client, Data(1, b"x"))
    assert client.complete
    client, _ = begun(SIZED)
    assert packets(answer(client, Error(8))) == [request()]
    assert packets(answer(client, Error(1, "really"))) == []
    assert (client.state, client.reason) == (State.FAILED, "ERROR 1 really")


def test_an_error_is_final_for_who_does_not_ask_again_or_has_no_options() -> None:
    for profile in (replace(SIZED, plain_after_error=False), PLAIN):
        client, _ = begun(profile)
        assert answer(client, Error(1)) == (Unbind(PORT),)
        assert client.reason == "ERROR 1"


def test_an_error_in_the_middle_ends_the_transfer() -> None:
    client, _ = begun(PLAIN)
    answer(client, Data(1, b"x" * 512))
    assert answer(client, Error(3)) == (Unbind(PORT),)
    assert client.state is State.FAILED


@pytest.mark.parametrize(
    ("profile", "expected_ports"),
    [(PLAIN, [PORT] * 6), (replace(EDK1.tftp, probes_size=False), [PORT, PORT + 1, PORT + 2])],
    ids=["spec", "edk1: each from a new port"],
)
def test_requests_are_repeated_and_then_no_more(profile: TftpProfile, expected_ports: list[int]) -> None:
    client, actions = begun(profile)
    ports, now = [], 0.0
    while not client.over:
        if sent(actions):
            ports.append(client.port)
        deadline = client.next_deadline()
        assert deadline is not None
        assert deadline - now == profile.request_waits[len(ports) - 1]
        assert client.tick(deadline - 0.01) == NOTHING
        now = deadline
        actions = client.tick(now)
    assert ports == expected_ports
    assert client.reason == "no answer to the request"
    assert client.tick(now) == NOTHING


def test_acknowledgements_are_repeated_and_then_no_more() -> None:
    client, _ = begun(PLAIN)
    answer(client, Data(1, b"x" * 512), 0.0)
    for step in range(1, 6):
        assert packets(client.tick(4.0 * step)) == [Ack(1)]
    assert client.tick(24.0) == (Unbind(PORT),)
    assert client.reason == "no block after 1"


def test_a_duplicate_is_acknowledged_again_and_not_stored() -> None:
    memory = Recorder()
    client, _ = begun(PLAIN, memory)
    answer(client, Data(1, b"x" * 512))
    assert packets(answer(client, Data(1, b"x" * 512))) == [Ack(1)]
    assert (client.duplicates, len(memory.writes)) == (1, 1)


@pytest.mark.parametrize(
    "packet",
    [b"", b"\0\3", b"\0\4\0\1", b"\0\1a\0octet\0", b"\0\6a", tftp.build(Data(2, b"x"))],
    ids=["empty", "cut", "an ACK", "a request", "an OACK without an end", "block 2 first"],
)
def test_what_answers_no_request_is_ignored(packet: bytes) -> None:
    client, _ = begun(PLAIN)
    assert answer(client, packet) == NOTHING
    assert client.state is State.REQUEST


def test_strangers_are_ignored() -> None:
    client, _ = begun(PLAIN)
    packet = tftp.build(Data(1, b"x" * 512))
    assert answer(client, packet, source=Endpoint("10.0.0.2", 40_000)) == NOTHING
    assert client.receive(Datagram(PORT, TID, Endpoint(STATION, PORT + 9), packet), 0.0) == NOTHING
    answer(client, packet)
    assert answer(client, Data(2, b"x"), source=Endpoint(SERVER, 40_001)) == NOTHING
    assert not client.over
    answer(client, Data(2, b"x"))
    assert answer(client, Data(2, b"x")) == NOTHING


@pytest.mark.parametrize(
    "options",
    [(("blksize", "1457"),), (("blksize", "7"),), (("blksize", "x"),), (("windowsize", "9" * 11),)],
    ids=["larger than asked", "smaller than RFC 2348 allows", "no number", "no number that fits"],
)
def test_a_grant_that_was_not_asked_for_is_refused(options: tftp.Pairs) -> None:
    client, _ = begun(SIZED)
    (packet,) = packets(answer(client, OptionAck(options)))
    assert isinstance(packet, Error)
    assert packet.code == 8
    assert client.state is State.FAILED


def test_a_repeated_oack_is_acknowledged_again_until_data_came() -> None:
    client, _ = begun(SIZED)
    grant = OptionAck((("blksize", "1000"),))
    assert packets(answer(client, grant)) == [Ack(0)]
    assert packets(answer(client, grant)) == [Ack(0)]
    answer(client, Data(1, b"x" * 1000))
    assert answer(client, grant) == NOTHING


@pytest.mark.parametrize("limit", [600, 512])
def test_a_file_larger_than_the_memory(limit: int) -> None:
    client, _ = begun(PLAIN, limit=limit)
    answer(client, Data(1, b"x" * 512))
    (packet,) = packets(answer(client, Data(2, b"x" * 512)))
    assert packet == Error(3, "block 2 does not fit")


def test_a_block_larger_than_negotiated() -> None:
    client, _ = begun(PLAIN)
    assert packets(answer(client, Data(1, b"x" * 513))) == [Error(3, "block 1 does not fit")]


def test_a_window_is_acknowledged_at_its_end() -> None:
    client, actions = begun(replace(PLAIN, window=4))
    assert packets(actions) == [request(("windowsize", "4"))]
    assert packets(answer(client, OptionAck((("windowsize", "4"),)))) == [Ack(0)]
    for number in (1, 2, 3):
        assert answer(client, Data(number, b"x" * 512), 1.0) == NOTHING
    assert client.next_deadline() == 5.0
    assert packets(answer(client, Data(4, b"x" * 512))) == [Ack(4)]
    assert packets(answer(client, Data(6, b"x" * 512))) == [Ack(4)], "a gap is told"
    assert packets(answer(client, Data(7, b"x" * 512))) == [], "once"
    assert packets(answer(client, Data(5, b"end"))) == [Ack(5)]


def test_numbers_go_on_at_zero() -> None:
    memory = Recorder()
    client, _ = begun(PLAIN, memory)
    answer(client, Data(1, b"x" * 512))
    client._block = 65_534
    assert packets(answer(client, Data(65_535, b"x" * 512))) == [Ack(65_535)]
    assert packets(answer(client, Data(0, b"y" * 512))) == [Ack(0)]
    assert packets(answer(client, Data(1, b"z"))) == [Ack(1)]
    assert memory.writes[-1] == (65_536 * 512, b"z")
    assert client.length == 65_536 * 512 + 1


def test_stopping_gives_the_port_back() -> None:
    client, _ = begun(PLAIN)
    assert client.stop() == (Unbind(PORT),)
    assert answer(client, Data(1, b"x")) == NOTHING


def test_every_state_is_reached_and_every_event_used() -> None:
    assert {state for events in TRANSITIONS.values() for state in events.values()} == set(State) - {State.PROBE}
    assert {event for events in TRANSITIONS.values() for event in events} == set(Event)


@given(
    size=st.integers(0, 4000),
    window=st.sampled_from([1, 3]),
    lost=st.lists(st.booleans(), max_size=40),
)
def test_any_file_arrives_whole_however_many_packets_are_lost(size: int, window: int, lost: list[bool]) -> None:
    """A sender as simple as RFC 1350 has it: after every silence it goes on behind the last ACK."""
    image = bytes(number % 251 for number in range(size))
    memory = Recorder()
    client, actions = begun(replace(PLAIN, window=window, data_waits=(1.0,) * 99, request_waits=(1.0,) * 99), memory)
    fates = iter(lost)
    payloads = blocks_of(image)
    acknowledged, opened, now = 0, False, 0.0
    while not client.over:
        for packet in packets(actions):
            if next(fates, False):
                continue
            opened = True
            acknowledged = packet.number if isinstance(packet, Ack) else acknowledged
        actions = ()
        if not opened:
            outgoing: list[tftp.Packet] = []
        elif window > 1 and not acknowledged and client.state is State.REQUEST:
            outgoing = [OptionAck((("windowsize", str(window)),))]
        else:
            count = window
            outgoing = [Data(n + 1, payloads[n]) for n in range(acknowledged, len(payloads))[:count]]
        for packet in outgoing:
            if not next(fates, False):
                actions += answer(client, packet, now)
        if not packets(actions) and not client.over:
            deadline = client.next_deadline()
            assert deadline is not None
            now = deadline
            actions = client.tick(now)
    assert client.complete
    assert memory.image() == image
    assert client.length == size

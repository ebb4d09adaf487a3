"""The multicast client as properties: its table, whatever it hears, and what it has when it says that it is done."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mtftpd.rom.mtftp import TRANSITIONS, Event, Mtftp, State
from mtftpd.rom.profiles import MtftpProfile
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import Ack, Error, Request
from tests.rom.mtftp_client import BOTH, EDK, SPEC, opener
from tests.rom.wire_peer import (
    GROUP,
    SERVER,
    SPORT,
    STATION,
    Recorder,
    blocks_of,
    data,
    listener,
    sent,
    ticket,
    to_group,
    to_station,
)


def test_every_state_is_reached_from_listening() -> None:
    reached, frontier = {State.LISTEN}, [State.LISTEN]
    while frontier:
        for state in TRANSITIONS[frontier.pop()].values():
            if state not in reached:
                reached.add(state)
                frontier.append(state)
    assert reached == set(State) == set(TRANSITIONS)
    assert {event for events in TRANSITIONS.values() for event in events} == set(Event)


@st.composite
def datagrams(draw: st.DrawFn) -> Datagram:
    """Return DATA of one image of six blocks, and what else may come, from and to whom it should and should not."""
    number = draw(st.integers(1, 6))
    payload = bytes((number,)) * (512 if number < 6 else 30)
    packet = draw(st.one_of(st.just(data(number, payload)), st.binary(max_size=8)))
    source = draw(st.sampled_from([SPORT] * 6 + [Endpoint(SERVER, 1024), Endpoint("10.0.0.2", 1542)]))
    destination = draw(st.sampled_from([GROUP] * 4 + [Endpoint(STATION, 1799), Endpoint(STATION, 1800)]))
    return Datagram(1799, source, destination, packet)


IMAGE = b"".join(bytes((number,)) * (512 if number < 6 else 30) for number in range(1, 7))


@BOTH
@given(script=st.lists(st.one_of(datagrams(), st.floats(0.01, 5.0)), max_size=60))
def test_whatever_comes(profile: MtftpProfile, script: list[Datagram | float]) -> None:
    """Nothing is sent while listening; only the server hears anything; done means that the image is whole."""
    memory = Recorder()
    client = Mtftp(ticket(), profile, memory)
    client.start(0.0)
    now = 0.0
    for item in script:
        before, ignored = client.state, client.ignored
        if isinstance(item, float):
            now += item
            actions = client.tick(now)
            allowed = before is not State.LISTEN or client.state is State.OPEN
        else:
            actions = client.receive(item, now)
            allowed = before is not State.LISTEN
            stranger = item.source.address != SERVER or item.destination.port != 1799
            assert not (stranger and (actions or client.ignored == ignored))
        for destination, packet in sent(actions):
            assert allowed
            assert destination.address == SERVER
            assert isinstance(packet, Request if client.state is State.OPEN else Ack | Error)
        assert client.over == (client.next_deadline() is None) == (client.state in (State.DONE, State.FAILED))
    if client.complete:
        assert memory.image()[: client.blocks.length] == IMAGE
    assert client.complete == (client.state is State.DONE)


@BOTH
@given(
    heard=st.lists(st.sampled_from([True] * 12 + [False]), min_size=18, max_size=18),
    unicast=st.booleans(),
    opens_at=st.sampled_from([0, 0, 0, 1, 2, 5]),
)
def test_an_opener_that_says_done_has_the_image(
    profile: MtftpProfile, heard: list[bool], unicast: bool, opens_at: int
) -> None:
    """Three passes with losses come while a client opens, and it may have been chosen as the master."""
    memory = Recorder()
    client, now = opener(profile, memory)
    if unicast:
        client.receive(to_station(data(1, IMAGE[:512])), now)
    stream = list(enumerate(blocks_of(IMAGE), 1)) * 3
    for (number, payload), arrives in list(zip(stream, heard, strict=True))[opens_at:]:
        if arrives:
            client.receive(to_group(data(number, payload)), now)
    if client.complete:
        assert memory.image() == IMAGE


@given(lost=st.sets(st.integers(0, 11)), profile=st.sampled_from([SPEC, EDK, replace(SPEC, opens=1)]))
def test_two_whole_passes_always_do(lost: set[int], profile: MtftpProfile) -> None:
    """A listener that hears all of the second of two passes has the image, however much of the first it lost."""
    memory = Recorder()
    client = listener(profile, memory)
    for number, payload in enumerate(blocks_of(IMAGE), 1):
        if number not in lost:
            client.receive(to_group(data(number, payload)), 1.0)
    for number, payload in enumerate(blocks_of(IMAGE), 1):
        client.receive(to_group(data(number, payload)), 1.2)
    broken = profile is EDK and 6 in lost and any(number not in lost for number in range(2, 6))
    assert client.complete != broken
    assert broken or memory.image() == IMAGE

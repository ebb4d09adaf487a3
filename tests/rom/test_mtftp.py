"""The multicast client, row by row (CLI-01 to CLI-10 of the requirements) and as properties."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.rom.actions import NOTHING, Bind, Enter, Join, Leave, Phase, Transmit, Unbind
from mtftpd.rom.mtftp import TRANSITIONS, Event, Mtftp, State
from mtftpd.rom.profiles import EDK1, MtftpProfile
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import Ack, Error, Opcode, Request
from tests.rom.wire_peer import (
    GROUP,
    SERVER,
    SPORT,
    STATION,
    Recorder,
    T,
    blocks_of,
    data,
    listener,
    only,
    packets,
    sent,
    spec,
    ticket,
    to_group,
    to_station,
)

SPEC = spec()
assert EDK1.mtftp is not None
EDK = EDK1.mtftp
BOTH = pytest.mark.parametrize("profile", [SPEC, EDK], ids=["spec", "edk1"])

OPEN = (SPORT, Request(Opcode.RRQ, b"img"))


def opener(profile: MtftpProfile, memory: Recorder | None = None) -> tuple[Mtftp, float]:
    """Return a client that has just opened, and the time."""
    client = listener(profile, memory)
    now = T + profile.grace
    assert sent(client.tick(now)) == [OPEN]
    return client, now


def master(profile: MtftpProfile, memory: Recorder | None = None) -> tuple[Mtftp, float]:
    """Return a client that was chosen and acknowledged block 1, and the time."""
    client, now = opener(profile, memory)
    client.receive(to_station(data(1)), now)
    client.receive(to_group(data(1)), now)
    assert client.state is State.RECEIVE
    return client, now


# -- listen ---------------------------------------------------------------------------------------------------------


@BOTH
def test_cli_01_listens_before_it_opens(profile: MtftpProfile) -> None:
    client = Mtftp(ticket(), profile, Recorder())
    assert client.next_deadline() is None
    assert client.start(0.0) == (Bind(1799), Join(GROUP), Enter(Phase.LISTEN, "239.1.1.1:1799"))
    assert client.next_deadline() == pytest.approx(T + profile.grace)
    assert client.tick(T - 0.01) == NOTHING
    assert sent(client.tick(T + profile.grace)) == [OPEN]


@pytest.mark.parametrize(
    "datagram",
    [
        Datagram(1799, Endpoint("10.0.0.2", 1542), GROUP, data(1)),
        Datagram(1799, SPORT, Endpoint("239.1.1.2", 1799), data(1)),
        Datagram(1799, SPORT, Endpoint("239.1.1.1", 1800), data(1)),
        to_station(data(1)),
    ],
    ids=["another server", "another group", "another port", "unicast"],
)
@BOTH
def test_cli_02_hears_only_its_group_from_its_server(profile: MtftpProfile, datagram: Datagram) -> None:
    memory = Recorder()
    client = listener(profile, memory)
    deadline = client.next_deadline()
    assert client.receive(datagram, 1.0) == NOTHING
    assert (client.ignored, client.heard, memory.writes, client.next_deadline()) == (1, 0, [], deadline)


def test_the_source_port_counts_for_edk1_alone() -> None:
    other = to_group(data(1), Endpoint(SERVER, 40_000))
    for profile, heard in ((SPEC, 1), (EDK, 0)):
        client = listener(profile)
        client.receive(other, 1.0)
        assert client.heard == heard


@BOTH
def test_cli_03_never_acknowledges_as_a_listener(profile: MtftpProfile) -> None:
    image = bytes(range(256)) * 5
    memory = Recorder()
    client = listener(profile, memory)
    payloads = blocks_of(image)
    for number, payload in enumerate(payloads[:-1], 1):
        assert client.receive(to_group(data(number, payload)), 1.0) == NOTHING
    last = client.receive(to_group(data(len(payloads), payloads[-1])), 1.0)
    assert last == (Leave(GROUP), Unbind(1799)), "CLI-10: leaves without a word"
    assert client.complete
    assert client.over
    assert memory.image() == image
    assert client.blocks.length == len(image)


@BOTH
def test_every_block_restarts_the_wait_of_tag_5(profile: MtftpProfile) -> None:
    client = listener(profile)
    client.receive(to_group(data(9)), 1.5)
    assert client.next_deadline() == pytest.approx(1.5 + T + profile.grace)


@pytest.mark.parametrize(("heard", "wait"), [([5, 6], 2.0), ([5, 7], 1.0), ([13, 14, 17], 0.0), ([1, 9], 0.0)])
@BOTH
def test_cli_07_who_misses_more_asks_sooner(profile: MtftpProfile, heard: list[int], wait: float) -> None:
    client = listener(profile)
    for number in heard:
        client.receive(to_group(data(number)), 1.0)
    silent = 1.0 + T + profile.grace
    assert client.tick(silent) == NOTHING, "a pass has just been heard: no open yet"
    assert client.next_deadline() == pytest.approx(silent + wait + profile.grace)
    assert sent(client.tick(silent + wait + profile.grace)) == [OPEN]


def test_a_duplicate_is_counted_and_not_stored_again() -> None:
    memory = Recorder()
    client = listener(SPEC, memory)
    client.receive(to_group(data(3)), 1.0)
    client.receive(to_group(data(3)), 1.0)
    assert (client.duplicates, len(memory.writes)) == (1, 1)


def test_without_a_map_the_end_of_a_pass_starts_another_wait() -> None:
    client = listener(EDK)
    client.receive(to_group(data(7)), 1.0)
    assert client.receive(to_group(data(8, b"end")), 1.5) == NOTHING
    assert client.next_deadline() == pytest.approx(1.5 + T + EDK.grace)
    for number in range(1, 6):
        client.receive(to_group(data(number)), 2.0)
    assert client.receive(to_group(data(6)), 2.0) == (Leave(GROUP), Unbind(1799))
    assert client.complete


def test_without_a_map_a_lower_number_ends_multicast() -> None:
    client = listener(EDK)
    client.receive(to_group(data(7)), 1.0)
    assert client.receive(to_group(data(6)), 1.0) == (Leave(GROUP), Unbind(1799))
    assert client.state is State.FAILED
    assert client.reason == "block 6 cannot follow"


@pytest.mark.parametrize("packet", [data(0), data(1, b"x" * 513)], ids=["block 0", "more than 512 octets"])
@BOTH
def test_blocks_that_no_listener_can_take(profile: MtftpProfile, packet: bytes) -> None:
    client = listener(profile)
    assert client.receive(to_group(packet), 1.0) == (Leave(GROUP), Unbind(1799))
    assert client.state is State.FAILED


def test_an_image_larger_than_the_memory_ends_multicast() -> None:
    client = listener(SPEC, limit=1024)
    client.receive(to_group(data(2)), 1.0)
    client.receive(to_group(data(3, b"x")), 1.0)
    assert client.state is State.FAILED


def test_an_error_ends_multicast_and_other_packets_only_that_of_edk1() -> None:
    for profile in (SPEC, EDK):
        client = listener(profile)
        client.receive(to_group(b"\0\5\0\1gone\0"), 1.0)
        assert client.state is State.FAILED
        client = listener(profile)
        client.receive(to_group(b"\0\4\0\1"), 1.0)
        assert client.state is (State.FAILED if profile is EDK else State.LISTEN)
        assert client.ignored == (0 if profile is EDK else 1)


# -- open -----------------------------------------------------------------------------------------------------------


@BOTH
def test_cli_04_cli_08_three_opens_without_options_from_the_client_port(profile: MtftpProfile) -> None:
    client, now = opener(profile)
    wait = T + profile.grace
    for _ in range(2):
        assert client.next_deadline() == pytest.approx(now + wait)
        now += wait
        actions = client.tick(now)
        assert sent(actions) == [OPEN]
        assert [action.port for action in only(Transmit, actions)] == [GROUP.port]
    assert client.tick(now + wait) == (Leave(GROUP), Unbind(1799))
    assert (client.state, client.opens) == (State.FAILED, 3)
    assert client.reason == "no answer to the opens"


def test_cli_05_unicast_data_makes_the_master() -> None:
    memory = Recorder()
    client, now = opener(SPEC, memory)
    actions = client.receive(to_station(data(1)), now)
    assert actions[0] == Enter(Phase.MASTER)
    assert sent(actions) == [(SPORT, Ack(1))]
    assert memory.writes == [(0, b"x" * 512)]


def test_cli_06_data_from_the_group_makes_a_listener_again() -> None:
    client, now = opener(SPEC)
    assert client.receive(to_group(data(4)), now) == (Enter(Phase.LISTEN),)
    assert client.state is State.LISTEN
    assert client.blocks.heard


@pytest.mark.parametrize("first", [to_group, to_station], ids=["group first", "unicast first"])
def test_edk1_is_the_master_after_both_copies_in_any_order(first: object) -> None:
    second = to_station if first is to_group else to_group
    client, now = opener(EDK)
    assert client.receive(first(data(1)), now + 0.5) == NOTHING  # type: ignore[operator]
    assert client.next_deadline() == pytest.approx(now + 0.5 + T + EDK.grace)
    actions = client.receive(second(data(1)), now + 0.5)
    assert sent(actions) == [(SPORT, Ack(1))]
    assert client.state is State.RECEIVE


def test_edk1_forgets_half_an_answer_with_its_next_open() -> None:
    client, now = opener(EDK)
    client.receive(to_station(data(1)), now)
    assert sent(client.tick(now + T + EDK.grace + 0.01)) == [OPEN]
    assert client.receive(to_group(data(1)), now + 3) == NOTHING
    assert client.state is State.OPEN


def test_edk1_listens_on_behind_two_blocks_that_it_overheard() -> None:
    memory = Recorder()
    client, now = opener(EDK, memory)
    client.receive(to_group(data(1)), now)
    assert client.receive(to_group(data(2, b"y" * 512)), now) == (Enter(Phase.LISTEN),)
    assert client.receive(to_group(data(3, b"end")), now) == (Leave(GROUP), Unbind(1799))
    assert client.complete
    assert memory.image() == b"x" * 512 + b"y" * 512 + b"end"


@pytest.mark.parametrize("heard", [[2], [9]], ids=["without block 1", "from the middle"])
def test_edk1_listens_from_scratch_to_anything_else(heard: list[int]) -> None:
    memory = Recorder()
    client, now = opener(EDK, memory)
    for number in heard:
        assert client.receive(to_group(data(number)), now) == (Enter(Phase.LISTEN),)
    assert memory.writes == []
    assert not client.blocks.heard


# -- receive --------------------------------------------------------------------------------------------------------


@BOTH
def test_the_master_acknowledges_to_the_last_block_and_leaves(profile: MtftpProfile) -> None:
    memory = Recorder()
    client, now = master(profile, memory)
    assert packets(client.receive(to_group(data(2)), now)) == [Ack(2)]
    actions = client.receive(to_group(data(3, b"end")), now)
    assert actions[0] == Transmit(GROUP.port, SPORT, b"\0\4\0\3")
    assert actions[1:] == (Leave(GROUP), Unbind(1799))
    assert memory.image() == b"x" * 1024 + b"end"
    assert client.complete


def test_cli_05_everything_is_acknowledged_to_its_source_port_even_what_is_held() -> None:
    client, now = master(SPEC)
    other = Endpoint(SERVER, 40_001)
    assert sent(client.receive(to_group(data(1), other), now)) == [(other, Ack(1))]
    assert sent(client.receive(to_station(data(2), other), now)) == [(other, Ack(2))]


def test_the_master_that_holds_everything_goes_on_to_the_end_of_the_pass() -> None:
    client = listener(SPEC)
    for number in (2, 3):
        client.receive(to_group(data(number)), 1.0)
    client.receive(to_group(data(4, b"end")), 1.0)
    client.tick(3.0)
    now = 5.0
    assert sent(client.tick(now)) == [OPEN]
    assert packets(client.receive(to_station(data(1)), now)) == [Ack(1)]
    assert client.blocks.complete
    for number in (2, 3):
        assert packets(client.receive(to_group(data(number)), now)) == [Ack(number)]
        assert not client.over
    assert packets(client.receive(to_group(data(4, b"end")), now)) == [Ack(4)]
    assert client.complete


def test_a_server_that_falls_silent_costs_a_complete_master_nothing() -> None:
    client = listener(SPEC)
    client.receive(to_group(data(2, b"end")), 1.0)
    client.tick(3.0)
    client.tick(5.0)
    client.receive(to_station(data(1)), 5.0)
    now = 5.0
    for _ in range(SPEC.acknowledgements - 1):
        now += T
        assert packets(client.tick(now)) == [Ack(1)]
    assert client.tick(now + T) == (Leave(GROUP), Unbind(1799))
    assert client.complete


def test_the_master_of_a_pass_that_skipped_a_block_listens_again() -> None:
    client, now = master(SPEC)
    client.receive(to_group(data(2)), now)
    actions = client.receive(to_group(data(5, b"end")), now)
    assert packets(actions) == [Ack(5)]
    assert actions[-1] == Enter(Phase.LISTEN)
    assert client.next_deadline() == pytest.approx(now), "two blocks missed: no wait at all"


def test_cli_08_four_acknowledgements_then_an_open_again() -> None:
    client, now = master(SPEC)
    assert client.acknowledgements == 2, "both copies of block 1"
    for _ in range(3):
        now += T
        assert packets(client.tick(now)) == [Ack(1)]
    actions = client.tick(now + T)
    assert actions[0] == Enter(Phase.OPEN)
    assert sent(actions) == [OPEN]


def test_edk1_gives_up_after_three_acknowledgements() -> None:
    client, now = master(EDK)
    for _ in range(2):
        now += T + EDK.grace
        assert packets(client.tick(now)) == [Ack(1)]
    actions = client.tick(now + T + EDK.grace)
    assert packets(actions) == [Error(8)], "CLI-09: a master that fails says so"
    assert client.state is State.FAILED
    assert client.reason == "no block after 1"


def test_each_duplicate_costs_edk1_a_try() -> None:
    client, now = master(EDK)
    client.receive(to_group(data(2)), now)
    assert packets(client.receive(to_group(data(2)), now)) == [Ack(2)]
    assert packets(client.receive(to_group(data(2)), now)) == [Ack(2)]
    assert packets(client.receive(to_group(data(2)), now)) == [Error(8)]
    assert client.state is State.FAILED


def test_edk1_takes_nothing_but_the_group_after_block_1() -> None:
    client, now = master(EDK)
    assert client.receive(to_station(data(2)), now) == NOTHING
    assert client.ignored == 1


def test_edk1_wants_every_block_in_order() -> None:
    client, now = master(EDK)
    assert packets(client.receive(to_group(data(3)), now)) == [Error(8)]
    assert client.state is State.FAILED


def test_a_late_packet_after_the_end_gets_no_answer() -> None:
    client = listener(SPEC)
    client.receive(to_group(data(1, b"all")), 1.0)
    assert client.receive(to_group(data(1, b"all")), 1.0) == NOTHING
    assert client.tick(99.0) == NOTHING


def test_an_error_to_the_master_gets_no_answer() -> None:
    client, now = master(SPEC)
    assert sent(client.receive(to_station(b"\0\5\0\0\0"), now)) == []
    assert client.state is State.FAILED


# -- properties -----------------------------------------------------------------------------------------------------


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

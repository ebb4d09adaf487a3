"""The multicast client as a listener, row by row (CLI-01 to CLI-03, CLI-07, CLI-10)."""

from __future__ import annotations

import pytest

from mtftpd.rom.actions import NOTHING, Bind, Enter, Join, Leave, Phase, Unbind
from mtftpd.rom.mtftp import Mtftp, State
from mtftpd.rom.profiles import MtftpProfile
from mtftpd.wire.datagram import Datagram, Endpoint
from tests.rom.mtftp_client import BOTH, EDK, OPEN, SPEC
from tests.rom.wire_peer import (
    GROUP,
    SERVER,
    SPORT,
    Recorder,
    T,
    blocks_of,
    data,
    listener,
    sent,
    ticket,
    to_group,
    to_station,
)


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

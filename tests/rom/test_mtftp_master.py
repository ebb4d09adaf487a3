"""The multicast client that opens and may be the master, row by row (CLI-04 to CLI-06, CLI-08, CLI-09)."""

from __future__ import annotations

import pytest

from mtftpd.rom.actions import NOTHING, Enter, Leave, Phase, Transmit, Unbind
from mtftpd.rom.mtftp import State
from mtftpd.rom.profiles import MtftpProfile
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.tftp import Ack, Error
from tests.rom.mtftp_client import BOTH, EDK, OPEN, SPEC, master, opener
from tests.rom.wire_peer import (
    GROUP,
    SERVER,
    SPORT,
    Recorder,
    T,
    data,
    listener,
    only,
    packets,
    sent,
    to_group,
    to_station,
)

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

"""iPXE's client of ``mtftp://``, against a peer that is written out packet by packet."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mtftpd.quirks.vocabulary import Mutation
from mtftpd.rom.actions import NOTHING, Actions, Bind, Enter, ImageMemory, Join, Leave, Phase, TakeAddress, Unbind
from mtftpd.rom.dhcp import BootPlan
from mtftpd.rom.firmwares import FIRMWARES
from mtftpd.rom.ipxe import IPXE_PORT, OPEN_WAITS, SILENCE, PolledListener
from mtftpd.rom.mutations import mutated
from mtftpd.rom.node import Node
from mtftpd.rom.profiles import RomProfile
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.mtftp import IPXE_GROUP
from mtftpd.wire.tftp import Ack, Error, Opcode, Request, build
from tests.rom.wire_peer import (
    GROUP,
    IDENTITY,
    SERVER,
    STATION,
    Recorder,
    data,
    only,
    packets,
    sent,
    ticket,
    to_group,
    to_station,
)

IPXE = FIRMWARES["ipxe-mtftp"]
PORT = 2070
FROM = Endpoint(SERVER, IPXE_PORT)
OPEN = Request(Opcode.RRQ, b"img")


def client(rom: RomProfile = IPXE, limit: int = 1 << 30) -> tuple[PolledListener, Recorder]:
    """Return a client that has asked at time 0."""
    assert rom.mtftp is not None
    memory = Recorder()
    machine = PolledListener(replace(ticket(), server_port=IPXE_PORT, port=PORT), rom.mtftp, memory, limit)
    assert machine.next_deadline() is None
    assert packets(machine.start(0.0)) == [OPEN]
    return machine, memory


def hear(machine: PolledListener, number: int, now: float = 0.1, payload: bytes = b"x" * 512) -> Actions:
    return machine.receive(to_group(data(number, payload), FROM), now)


def ask(machine: PolledListener, number: int, now: float = 0.1, payload: bytes = b"x" * 512) -> Actions:
    return machine.receive(to_station(data(number, payload), FROM, PORT), now)


def told(name: bytes) -> Node:
    return Node(IDENTITY, IPXE, ImageMemory(), told=BootPlan(IPv4Address(STATION), IPv4Address(SERVER), name))


def test_it_asks_twice_and_leaves_when_nobody_answers() -> None:
    machine, _ = client()
    assert machine.tick(0.2) == NOTHING
    again = machine.tick(OPEN_WAITS[0])
    assert sent(again) == [(FROM, OPEN)]
    assert machine.tick(0.7) == NOTHING
    assert only(Unbind, machine.tick(sum(OPEN_WAITS))) == [Unbind(PORT), Unbind(GROUP.port)]
    assert (machine.over, machine.complete, machine.reason) == (True, False, "no answer to the opens")
    assert machine.tick(9.0) == hear(machine, 1, 9.0) == NOTHING


def test_it_says_nothing_until_it_is_asked_and_then_where_its_first_gap_is() -> None:
    machine, memory = client()
    assert hear(machine, 3) == hear(machine, 1) == hear(machine, 1) == NOTHING
    assert (machine.heard, machine.duplicates) == (3, 1)
    assert sent(ask(machine, 3)) == [(FROM, Ack(1))]
    assert packets(hear(machine, 2)) == [Ack(3)]
    ended = ask(machine, 4, 0.2, b"end")
    assert packets(ended) == [Ack(4)]
    assert only(Leave, ended) == [Leave(GROUP)]
    assert (machine.over, machine.complete, machine.blocks.length) == (True, True, 1539)
    assert memory.image() == b"x" * 1536 + b"end"
    assert machine.acknowledgements == 3


def test_it_ends_without_a_word_when_nobody_has_asked() -> None:
    machine, _ = client()
    hear(machine, 1)
    assert packets(hear(machine, 2, payload=b"")) == []
    assert machine.complete


def test_a_silence_sends_it_to_port_69_unless_it_knows_the_size() -> None:
    machine, _ = client()
    hear(machine, 1, 0.1)
    assert machine.tick(0.1 + SILENCE - 0.01) == NOTHING
    machine.tick(0.1 + SILENCE)
    assert (machine.over, machine.complete, machine.reason) == (True, False, "silence")
    careless, _ = client()
    hear(careless, 1)
    hear(careless, 3, payload=b"end")
    careless.tick(1.0)
    assert careless.complete, "it takes what it has for the image, with its hole"


def test_it_hears_one_source_alone() -> None:
    machine, _ = client()
    assert machine.receive(to_group(data(1), Endpoint("10.0.0.2", IPXE_PORT)), 0.1) == NOTHING
    hear(machine, 1)
    assert machine.receive(to_group(data(2), Endpoint(SERVER, 40_000)), 0.1) == NOTHING
    assert machine.receive(to_station(data(2), FROM, PORT + 1), 0.1) == NOTHING
    assert machine.receive(to_group(build(Error(0)), FROM), 0.1) == NOTHING
    assert machine.receive(to_group(b"\0\3", FROM), 0.1) == NOTHING
    assert (machine.heard, machine.ignored) == (1, 5)


def test_one_without_groups_is_deaf() -> None:
    machine, _ = client(mutated(IPXE, (Mutation.NO_IGMP,)))
    assert hear(machine, 1) == NOTHING
    assert machine.ignored == 1
    assert packets(ask(machine, 1)) == [Ack(1)]


@pytest.mark.parametrize("packet", [data(0), data(1, b"x" * 513), data(3)], ids=["zero", "long", "beyond"])
def test_what_cannot_be_taken_ends_it(packet: bytes) -> None:
    machine, _ = client(limit=1024)
    machine.receive(to_group(packet, FROM), 0.1)
    assert machine.over
    assert "cannot be taken" in machine.reason


def test_another_end_of_the_image_ends_it() -> None:
    machine, _ = client()
    hear(machine, 2, payload=b"end")
    hear(machine, 5)
    assert machine.reason == "block 5 cannot follow"


def test_runs_are_taken_until_it_has_been_asked() -> None:
    machine, _ = client()
    assert machine.quiet_until(0) == 0
    hear(machine, 1)
    assert machine.quiet_until(1) > 9
    stored: list[tuple[int, int]] = []
    machine.hear_run(1, 9, lambda offset, octets: stored.append((offset, octets)), 0.2)
    assert (machine.heard, machine.duplicates, stored) == (10, 1, [(0, 9 * 512)])
    assert machine.next_deadline() == 0.2 + SILENCE
    assert machine.hear_map(8, 0b1011, 3, lambda offset, held: stored.append((offset, held)), 0.3)
    assert (machine.heard, machine.duplicates, stored[1:]) == (13, 3, [(7 * 512, 0b1011)])
    assert machine.next_deadline() == 0.3 + SILENCE
    ask(machine, 10)
    assert machine.quiet_until(10) == 0


def test_a_uri_leads_to_its_group_and_then_to_port_69_with_the_path() -> None:
    node = told(b"mtftp://10.0.0.1:1800/boot/img")
    begun = node.power_on(0.0)
    assert only(TakeAddress, begun)
    assert only(Bind, begun) == [Bind(IPXE_GROUP.port), Bind(IDENTITY.port)]
    assert only(Join, begun) == [Join(IPXE_GROUP, reported=False)]
    assert sent(begun) == [(Endpoint(SERVER, 1800), Request(Opcode.RRQ, b"boot/img"))]
    assert (node.phase, node.plan is not None) == (Phase.LISTEN, True)
    node.tick(0.25)
    given_up = node.tick(0.75)
    ((server, request),) = sent(given_up)
    assert server == Endpoint(SERVER, 69)
    assert isinstance(request, Request)
    assert request.filename == b"boot/img"
    assert only(Enter, given_up)[-1].phase in (Phase.PROBE, Phase.UNICAST)


def test_a_uri_without_a_port_is_for_the_known_one_and_a_name_for_port_69() -> None:
    assert sent(told(b"mtftp://10.0.0.1/img").power_on(0.0)) == [(FROM, OPEN)]
    ((server, _),) = sent(told(b"img").power_on(0.0))
    assert server.port == 69

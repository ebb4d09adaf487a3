"""Option multicast on port 69 (RFC 2090): one master after the other, gaps alone again, and nobody done unasked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtftpd.core.effects import Drop, DropReason, Effects, Report, ReportKind, Send, SendRun, Service
from mtftpd.core.images import Image
from mtftpd.core.node_settings import Scope, Subnet
from mtftpd.core.nodes.states import NodeState
from mtftpd.core.service import BootService
from mtftpd.core.settings import Bandwidth, Catalogue, Link, Multicast, Settings
from mtftpd.core.tftp.multicast import FIRST_SECONDS, SILENT_SECONDS, TABLE, State
from mtftpd.core.tftp.multicast_service import MAX_OF_ADDRESS, MulticastService
from mtftpd.core.tftp.negotiation import Limits
from mtftpd.core.tftp.transfer import Asked
from mtftpd.wire import tftp
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import Ack, Error, OptionAck, Pairs, Request, build, parse_untrusted

SERVER = Endpoint("10.0.0.1", 69)
NETWORK = IPv4Network("10.0.0.0/16")
IMAGE = Image(1, "node", 5 * 512, "a1" * 32)
OTHER = Image(2, "other", 700, "b2" * 32)
BLOCKS = 6
MULTICAST: Pairs = (("multicast", ""),)
CATALOGUE = Catalogue((IMAGE, OTHER), {"node": IMAGE, "other": OTHER})


def configured(**changes: object) -> Settings:
    link = Link("lan0", 2, IPv4Address(SERVER.address), NETWORK)
    return replace(Settings(link, multicast=Multicast(IPv4Address("239.1.1.1"))), **changes)  # type: ignore[arg-type]


def client(number: int, port: int = 2_000) -> Endpoint:
    return Endpoint(f"10.0.1.{number}", port)


@dataclass
class Desk:
    """A server, and the time of day."""

    service: BootService = field(default_factory=lambda: BootService(configured(), CATALOGUE))
    now: float = 0.0

    def asks(self, peer: Endpoint, options: Pairs = MULTICAST, name: str = "node") -> Effects:
        return self.says(peer, build(Request(1, name.encode(), "octet", options)))

    def acks(self, peer: Endpoint, number: int) -> Effects:
        return self.says(peer, build(Ack(number)))

    def says(self, peer: Endpoint, data: bytes) -> Effects:
        self.now += 0.001
        return self.service.receive(Datagram(Service.TFTP, peer, SERVER, data), self.now)

    def waits(self, seconds: float) -> Effects:
        """Let time pass and return what the server does about it."""
        effects: Effects = ()
        end = self.now + seconds
        while (due := self.service.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            effects += self.service.tick(self.now)
        self.now = end
        return effects

    def master(self) -> str:
        (transfer,) = self.service.statistics().multicast.transfers
        return transfer.master.rpartition(":")[0]


def granted(effects: Effects) -> dict[str, str]:
    """Return the options of the one OACK among these effects."""
    (send,) = (effect for effect in effects if isinstance(effect, Send))
    packet = parse_untrusted(send.data)
    assert isinstance(packet, OptionAck)
    return dict(packet.options)


def calls(effects: Effects) -> list[str]:
    """Return the addresses that are told that they are master."""
    return [each.destination.address for each in effects if isinstance(each, Send) and each.data.endswith(b",1\0")]


def blocks(effects: Effects) -> list[int]:
    return [effect.first_block for effect in effects if isinstance(effect, SendRun)]


def ends(effects: Effects) -> list[tuple[str, str]]:
    """Return who ended, and how."""
    kinds = (ReportKind.TFTP_DONE, ReportKind.TFTP_FAILED)
    return [
        (effect.address, str(dict(effect.detail)["end"]))
        for effect in effects
        if isinstance(effect, Report) and effect.kind in kinds
    ]


def kinds_of(effects: Effects) -> list[ReportKind]:
    return [effect.kind for effect in effects if isinstance(effect, Report)]


def dropped(effects: Effects) -> list[DropReason]:
    return [effect.reason for effect in effects if isinstance(effect, Drop)]


def test_the_first_client_is_master_and_the_second_is_not() -> None:
    desk = Desk()
    first = granted(desk.asks(client(1)))["multicast"].split(",")
    second = granted(desk.asks(client(2)))["multicast"].split(",")
    assert IPv4Address(first[0]).is_multicast
    assert (first[1], first[2]) == ("1758", "1")
    assert second == [*first[:2], "0"]


def test_options_are_granted_in_the_order_asked_and_without_those_that_make_no_sense() -> None:
    asked = (("tsize", "0"), ("windowsize", "8"), ("multicast", ""), ("rollover", "0"), ("blksize", "9000"))
    options = granted(Desk().asks(client(1), asked))
    assert list(options) == ["tsize", "multicast", "blksize"]
    assert (options["tsize"], options["blksize"]) == (str(IMAGE.size), "1468")


def test_another_block_size_is_another_group() -> None:
    desk = Desk()
    desk.asks(client(1))
    other = granted(desk.asks(client(2), (*MULTICAST, ("blksize", "600"))))
    assert other["multicast"].endswith(",1")
    assert len(desk.service.statistics().multicast.transfers) == 2


def test_blocks_go_from_port_69_to_the_group() -> None:
    desk = Desk()
    address = granted(desk.asks(client(1)))["multicast"].split(",")[0]
    assert desk.acks(client(1), 0) == (SendRun(Service.TFTP, Endpoint(address, 1758), IMAGE, 1, 1, 512),)


def test_whoever_did_not_ask_for_it_gets_unicast() -> None:
    desk = Desk()
    assert "multicast" not in granted(desk.asks(client(1), (("blksize", "600"),)))


UNICAST = [
    pytest.param(configured(multicast=Multicast()), "node", id="no groups"),
    pytest.param(
        configured(multicast=Multicast(IPv4Address("239.1.1.1"), unicast=frozenset({"node"}))), "node", id="image"
    ),
    pytest.param(configured(subnets=(Subnet(NETWORK, scope=Scope(multicast=False)),)), "node", id="subnet"),
]


@pytest.mark.parametrize(("given_settings", "name"), UNICAST)
def test_where_multicast_is_off_the_option_is_left_out(given_settings: Settings, name: str) -> None:
    desk = Desk(BootService(given_settings, CATALOGUE))
    options = granted(desk.asks(client(1), (*MULTICAST, ("blksize", "600")), name))
    assert options == {"blksize": "600"}


def test_an_ack_asks_for_any_block() -> None:
    desk = Desk()
    desk.asks(client(1))
    assert [blocks(desk.acks(client(1), number)) for number in (0, 3, 1)] == [[1], [4], [2]]


def test_a_copy_of_an_ack_brings_nothing_and_one_that_comes_later_the_block_again() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.acks(client(1), 0)
    desk.acks(client(1), 1)
    assert dropped(desk.acks(client(1), 1)) == [DropReason.STALE_ACK]
    desk.now += 0.019
    assert blocks(desk.acks(client(1), 1)) == [2]


def test_an_ack_beyond_the_end_or_of_somebody_else_moves_nothing() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))
    assert dropped(desk.acks(client(1), BLOCKS + 1)) == [DropReason.STALE_ACK]
    assert dropped(desk.acks(client(2), 0)) == [DropReason.NOT_THE_MASTER]


def test_a_block_without_an_answer_is_repeated_more_and_more_slowly() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.acks(client(1), 0)
    desk.acks(client(1), 1)
    assert blocks(desk.waits(0.2)) == [2, 2, 2]
    assert blocks(desk.waits(2)) == [2, 2, 2]


def test_the_next_client_is_master_when_the_first_has_everything_and_only_gaps_are_sent_again() -> None:
    desk = Desk()
    for number in (1, 2, 3):
        desk.asks(client(number))
    for number in range(BLOCKS):
        desk.acks(client(1), number)
    effects = desk.acks(client(1), BLOCKS)
    assert ends(effects) == [("10.0.1.1", "complete")]
    assert calls(effects) == ["10.0.1.2"]
    assert blocks(desk.acks(client(2), 3)) == [4]
    effects = desk.acks(client(2), BLOCKS)
    assert calls(effects) == ["10.0.1.3"]
    assert ends(desk.acks(client(3), BLOCKS)) == [("10.0.1.3", "complete")]
    statistics = desk.service.statistics().multicast
    assert (statistics.done, statistics.failed, statistics.clients, statistics.transfers) == (3, 0, 0, ())
    assert (statistics.blocks, statistics.repeats) == (BLOCKS + 1, 1)


def test_a_listener_that_has_everything_is_never_made_master() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))
    assert ends(desk.acks(client(2), BLOCKS)) == [("10.0.1.2", "complete")]
    effects = desk.acks(client(1), BLOCKS)
    assert calls(effects) == []
    assert desk.service.statistics().multicast.clients == 0


def test_a_request_that_is_repeated_is_answered_the_same_way() -> None:
    desk = Desk()
    first = [effect for effect in desk.asks(client(1)) if isinstance(effect, Send)]
    assert list(desk.asks(client(1))) == first
    assert desk.service.statistics().multicast.clients == 1


def test_nothing_is_repeated_before_the_first_client_has_answered() -> None:
    desk = Desk()
    desk.asks(client(1))
    assert ends(desk.waits(29)) == []
    effects = desk.waits(2)
    assert ends(effects) == [("10.0.1.1", "first packet never answered")]
    assert not [effect for effect in effects if isinstance(effect, Send | SendRun)]
    assert desk.service.next_deadline() is None or desk.service.statistics().multicast.transfers == ()


def test_a_first_client_that_does_not_answer_does_not_hold_the_others_up() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))
    assert calls(desk.waits(FIRST_SECONDS)) == ["10.0.1.2"]
    assert blocks(desk.acks(client(2), 0)) == [1]


def test_a_silent_master_goes_behind_the_others_and_is_asked_again() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))
    desk.acks(client(1), 0)
    assert "10.0.1.2" in calls(desk.waits(SILENT_SECONDS + 1))
    assert dropped(desk.acks(client(1), 1)) == [DropReason.NOT_THE_MASTER]
    assert calls(desk.acks(client(2), BLOCKS)) == ["10.0.1.1"]
    assert blocks(desk.acks(client(1), 1)) == [2]


def test_a_master_that_gets_nowhere_is_passed_over_although_it_speaks() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))
    desk.acks(client(1), 0)
    effects: Effects = ()
    while desk.now < SILENT_SECONDS + 1 and desk.master() == "10.0.1.1":
        for number in (3, 2):
            if not calls(effects):
                effects = desk.acks(client(1), number)
    assert calls(effects) == ["10.0.1.2"]


def test_who_does_not_answer_as_the_next_master_is_gone_the_second_time() -> None:
    desk = Desk()
    for number in (1, 2, 3):
        desk.asks(client(number))
    desk.acks(client(1), BLOCKS)
    effects = desk.waits(30)
    assert calls(effects)[:4] == ["10.0.1.2", "10.0.1.3", "10.0.1.3", "10.0.1.2"]
    assert set(ends(effects)) == {(f"10.0.1.{n}", "does not answer as the next master") for n in (2, 3)}


def test_alone_a_client_that_was_heard_has_as_long_as_in_a_unicast_transfer() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))
    desk.acks(client(2), 0)
    desk.acks(client(1), BLOCKS)
    assert ends(desk.waits(50)) == []
    assert blocks(desk.acks(client(2), 2)) == [3]
    assert ends(desk.waits(50)) == []
    assert ends(desk.waits(20)) == [("10.0.1.2", "client is silent")]


def test_option_timeout_limits_the_wait() -> None:
    desk = Desk()
    desk.asks(client(1), (*MULTICAST, ("timeout", "1")))
    desk.acks(client(1), 0)
    desk.waits(10)
    assert len(blocks(desk.waits(10))) == 10


def test_an_error_ends_it_for_its_client_alone() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))
    effects = desk.says(client(1), build(Error(0, "no")))
    assert ends(effects) == [("10.0.1.1", "aborted by client: 0 no")]
    assert calls(effects) == ["10.0.1.2"]


def test_an_error_instead_of_an_answer_may_be_a_size_probe() -> None:
    desk = Desk()
    desk.asks(client(1), (*MULTICAST, ("tsize", "0")))
    assert ends(desk.says(client(1), build(Error(8, "done")))) == [("10.0.1.1", "size probe")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"\0", DropReason.MALFORMED), (build(tftp.Data(1, b"x")), DropReason.UNEXPECTED)],
)
def test_what_is_neither_ack_nor_error_is_dropped(data: bytes, reason: DropReason) -> None:
    desk = Desk()
    desk.asks(client(1))
    assert dropped(desk.says(client(1), data)) == [reason]


def test_a_client_that_asks_for_something_else_has_started_over() -> None:
    desk = Desk()
    desk.asks(client(1))
    effects = desk.asks(client(1), MULTICAST, "other")
    assert ends(effects) == [("10.0.1.1", "client started over")]
    effects = desk.asks(client(1), (("blksize", "600"),), "other")
    assert ends(effects) == [("10.0.1.1", "client started over")]
    assert granted(effects) == {"blksize": "600"}
    assert desk.service.statistics().multicast.clients == 0


def test_an_address_has_only_so_many_clients() -> None:
    desk = Desk()
    for port in range(MAX_OF_ADDRESS):
        desk.asks(client(1, 2_000 + port))
    effects = desk.asks(client(1, 3_000))
    assert ends(effects) == [("10.0.1.1", "client asked again from another port")]
    assert desk.service.statistics().multicast.clients == MAX_OF_ADDRESS


def test_who_makes_room_may_have_been_the_last_of_the_transfer_that_is_asked_for() -> None:
    desk = Desk()
    desk.asks(client(1, 2_000))
    for port in range(1, MAX_OF_ADDRESS):
        desk.asks(client(1, 2_000 + port), (*MULTICAST, ("blksize", "600")))
    assert calls(desk.asks(client(1, 3_000))) == ["10.0.1.1"]
    assert blocks(desk.acks(client(1, 3_000), 0)) == [1]
    assert len(desk.service.statistics().multicast.transfers) == 2


@pytest.mark.parametrize("limit", ["MAX_MEMBERS", "MAX_TRANSFERS"])
def test_beyond_the_limits_there_is_unicast(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"mtftpd.core.tftp.multicast_service.{limit}", 1)
    desk = Desk()
    desk.asks(client(1))
    assert "multicast" not in granted(desk.asks(client(2), (*MULTICAST, ("blksize", "600")), "other"))


def test_two_contents_never_share_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """One collision in a million: the later content is unicast."""
    monkeypatch.setattr("mtftpd.core.tftp.groups.SPAN", 1)
    desk = Desk()
    desk.asks(client(1), (*MULTICAST, ("blksize", "600")))
    assert granted(desk.asks(client(2), (*MULTICAST, ("blksize", "600")), "other")) == {"blksize": "600"}


def test_a_changed_file_ends_it_for_all_and_nothing_begins_before_a_reload() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))
    assert IMAGE.key in desk.service.images_in_use()
    effects = desk.service.image_changed(IMAGE, desk.now)
    assert [end for _, end in ends(effects)] == ["file changed on the server"] * 2
    assert [parse_untrusted(effect.data) for effect in effects if isinstance(effect, Send)] == [
        Error(0, "file changed on the server")
    ] * 2
    assert granted(desk.asks(client(3), (*MULTICAST, ("blksize", "600")))) == {"blksize": "600"}
    newer = replace(IMAGE, key=9)
    desk.service.reconfigure(configured(), Catalogue((newer,), {"node": newer}), desk.now)
    assert granted(desk.asks(client(4)))["multicast"].endswith(",1")


def test_an_operator_may_stop_one() -> None:
    desk = Desk()
    group = ":".join(granted(desk.asks(client(1)))["multicast"].split(",")[:2])
    assert desk.service.stop_pass("239.9.9.9:1758", desk.now) == ()
    assert ends(desk.service.stop_pass(group, desk.now)) == [("10.0.1.1", "stopped by the operator")]


def test_a_node_is_not_done_before_it_says_so() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))

    def states() -> dict[str, NodeState]:
        return {node.address: node.state for node in desk.service.nodes.nodes()}

    assert desk.service.nodes.find("10.0.1.2") is not None
    desk.acks(client(1), BLOCKS)
    assert states() == {"10.0.1.1": NodeState.DONE, "10.0.1.2": NodeState.UNICAST}
    desk.waits(30)
    assert states()["10.0.1.2"] is NodeState.STALLED


def test_blocks_pass_the_budget_of_the_link() -> None:
    desk = Desk(BootService(configured(bandwidth=Bandwidth(1_000.0)), CATALOGUE))
    desk.asks(client(1))
    desk.acks(client(1), 0)
    desk.waits(20)
    assert desk.service.budget.statistics().sent >= 512
    assert desk.service.statistics().multicast.transfers[0].sent > 1
    assert desk.service.budget.statistics().suppressed > 0


def test_a_client_is_fetching_until_it_has_left() -> None:
    """Its neighbour entry is kept that long (quirk Q63)."""
    table = MulticastService(configured(), CATALOGUE, lambda _address: True)
    request = Asked(client(1), "node", MULTICAST, 1)
    effects, is_taken = table.open(request, IMAGE, Limits(1468), 0.0)
    assert is_taken
    assert table.is_fetching("10.0.1.1")
    assert not table.is_fetching("10.0.1.2")
    assert kinds_of(table.open(request, OTHER, Limits(1468), 1.0)[0])[0] is ReportKind.TFTP_FAILED
    assert granted(effects)["multicast"].endswith(",1")


def test_a_deadline_that_has_moved_does_nothing() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.acks(client(1), 0)
    assert desk.service.tick(desk.now) == ()


def test_the_table_has_an_end_without_ways_out() -> None:
    assert TABLE[State.OVER] == {}
    assert set(TABLE) == set(State)


@dataclass
class Receiver:
    """A client of RFC 2090 that keeps what it hears and acknowledges up to its first gap when it is master."""

    peer: Endpoint
    has: set[int] = field(default_factory=set)
    master: bool = False
    joined: bool = False
    done: bool = False

    def position(self) -> int:
        return next(number for number in range(BLOCKS + 1) if number + 1 not in self.has)

    @property
    def listens(self) -> bool:
        return self.joined and not self.done


@dataclass
class Party:
    """A server and its clients on a wire that loses; a client asks again until it is done."""

    random: Random
    loss: float
    receivers: dict[str, Receiver]
    desk: Desk = field(default_factory=Desk)
    acks: list[tuple[Endpoint, int]] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return all(receiver.done for receiver in self.receivers.values())

    def turn(self) -> None:
        """Let everybody ask who is not done, and what follows come to rest."""
        for receiver in self.receivers.values():
            if not receiver.done:
                self.perform(self.desk.asks(receiver.peer))
        for _ in range(200):
            while self.acks:
                self.perform(self.desk.acks(*self.acks.pop(0)))
            due = self.desk.service.next_deadline()
            if due is None or due > self.desk.now + 5:
                return
            self.desk.now = max(self.desk.now, due)
            self.perform(self.desk.service.tick(self.desk.now))

    def perform(self, effects: Effects) -> None:
        for effect in effects:
            if isinstance(effect, Send) and not self.lost():
                self.told(self.receivers[effect.destination.address], effect.data)
            elif isinstance(effect, SendRun):
                self.heard(effect.first_block)

    def told(self, receiver: Receiver, data: bytes) -> None:
        receiver.joined = True
        receiver.master = data.endswith(b",1\0")
        if receiver.master and not receiver.done:
            self.acknowledge(receiver)

    def heard(self, block: int) -> None:
        for receiver in self.receivers.values():
            if receiver.listens and not self.lost():
                receiver.has.add(block)
                if receiver.master or receiver.position() == BLOCKS:
                    self.acknowledge(receiver)

    def acknowledge(self, receiver: Receiver) -> None:
        number = receiver.position()
        receiver.done = number == BLOCKS
        if not self.lost():
            self.acks.append((receiver.peer, number))

    def lost(self) -> bool:
        return self.random.random() < self.loss


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 6), loss=st.sampled_from((0.0, 0.01, 0.1, 0.3)))
def test_everybody_gets_everything_on_a_bad_wire(seed: int, count: int, loss: float) -> None:
    receivers = {client(number).address: Receiver(client(number)) for number in range(1, count + 1)}
    party = Party(Random(seed), loss, receivers)
    for _ in range(300):
        if party.is_over:
            break
        party.turn()
    assert party.is_over
    party.desk.waits(200)
    assert party.desk.service.statistics().multicast.clients == 0
    assert party.desk.service.statistics().multicast.transfers == ()

"""Option multicast on port 69 (RFC 2090) on a wire that loses: everybody gets everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from mtftpd.core.effects import Effects, Send, SendRun
from mtftpd.wire.datagram import Endpoint
from tests.core.tftp.tftp_multicast_lab import BLOCKS, Desk, client


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

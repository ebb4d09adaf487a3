"""What waits for a commit and what does not, with a store whose commits a test makes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.addresses.leases import ClientKey, LeaseState
from mtftpd.core.effects import Effect, Effects, Report, ReportKind, SaveLease, Send
from mtftpd.daemon.write_barrier import PATIENCE, WriteBarrier
from mtftpd.wire.datagram import Endpoint, HardwareAddress


@dataclass
class ManualStore:
    """A store that commits when it is told to."""

    saved: list[SaveLease] = field(default_factory=list)
    written: int = 0
    descriptor: int = -1

    def acknowledge(self) -> None:
        pass

    def save_lease(self, lease: SaveLease) -> None:
        self.saved.append(lease)

    def ticket(self) -> int:
        return len(self.saved)

    def durable(self) -> int:
        return self.written


class Stand:
    """A barrier before a list."""

    def __init__(self) -> None:
        self.store = ManualStore()
        self.done: list[Effect] = []
        self.written_down: list[tuple[int, int]] = []
        """How many effects were performed, and leases saved, whenever the rest was to be written down."""
        self.barrier = WriteBarrier(self.store, self.done.extend, self.write_down)

    def write_down(self) -> None:
        self.written_down.append((len(self.done), len(self.store.saved)))

    def commit(self, upto: int | None = None) -> None:
        self.store.written = self.store.ticket() if upto is None else upto
        self.barrier.settle()


def mac(number: int) -> HardwareAddress:
    return HardwareAddress(1, number.to_bytes(6, "big"))


def save(number: int, *, awaited: bool = True) -> SaveLease:
    key = ClientKey(1, number.to_bytes(6, "big"))
    state = LeaseState.BOUND if awaited else LeaseState.FREE
    return SaveLease(IPv4Address(number), key, state, 1.0, awaited)


def answer(number: int, text: str) -> Effects:
    return (
        Send(1, Endpoint("10.0.0.9", 68), f"{number} {text}".encode()),
        Report(ReportKind.DHCP_ACKED, hardware=mac(number)),
    )


BLOCK = (Send(1000, Endpoint("10.0.0.8", 2070), b"block"),)


def test_what_came_before_a_lease_is_written_before_it() -> None:
    stand = Stand()
    stand.barrier.perform(BLOCK)
    assert stand.written_down == []
    stand.barrier.perform((save(1), *answer(1, "ack")))
    stand.barrier.perform(BLOCK)
    stand.barrier.perform((save(2), *answer(2, "ack")))
    assert stand.written_down == [(1, 0), (2, 1)]


def test_an_ack_waits_and_nothing_else_does() -> None:
    stand = Stand()
    stand.barrier.perform((save(1), *answer(1, "ack")))
    assert (stand.done, len(stand.barrier)) == ([], 1)
    stand.barrier.perform(BLOCK)
    stand.barrier.perform(answer(2, "offer"))
    stand.barrier.perform((save(3, awaited=False), *answer(3, "release")))
    stand.barrier.perform(())
    assert stand.done == [*BLOCK, *answer(2, "offer"), *answer(3, "release")]
    stand.done.clear()
    stand.commit()
    assert stand.done == [*answer(1, "ack")]
    assert (len(stand.barrier), [each.address for each in stand.store.saved]) == (0, [IPv4Address(1), IPv4Address(3)])


def test_the_answers_of_one_node_stay_in_order() -> None:
    stand = Stand()
    stand.barrier.perform((save(1), *answer(1, "first")))
    stand.barrier.perform((save(2), *answer(2, "other")))
    stand.barrier.perform(answer(1, "second"))
    stand.barrier.perform((save(1), *answer(1, "third")))
    stand.commit(1)
    assert stand.done == [*answer(1, "first")]
    stand.commit()
    assert stand.done == [*answer(1, "first"), *answer(2, "other"), *answer(1, "second"), *answer(1, "third")]
    stand.barrier.perform(answer(1, "fourth"))
    assert stand.done[-2:] == [*answer(1, "fourth")]


def test_a_store_that_writes_at_once_holds_nobody_up() -> None:
    stand = Stand()
    stand.store.written = 1000  # As it says of itself while the disk is full.
    stand.barrier.perform((save(1), *answer(1, "ack")))
    assert stand.done == [*answer(1, "ack")]


def test_a_disk_that_does_not_answer_is_waited_for_once(caplog: pytest.LogCaptureFixture) -> None:
    stand = Stand()
    stand.barrier.look(time.monotonic() + 2 * PATIENCE)
    stand.barrier.perform((save(1), *answer(1, "ack")))
    stand.barrier.look(time.monotonic())
    assert stand.done == []
    stand.barrier.look(time.monotonic() + PATIENCE)
    assert stand.done == [*answer(1, "ack")]
    assert "the disk of the state folder does not answer" in caplog.text
    assert stand.barrier.is_slow()
    stand.barrier.perform((save(2), *answer(2, "ack")))
    assert stand.done[-2:] == [*answer(2, "ack")]
    stand.commit(1)
    assert not stand.barrier.is_slow()
    stand.barrier.perform((save(3), *answer(3, "ack")))
    assert stand.done[-2:] == [*answer(2, "ack")], "it answers again, so it is waited for again"


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[int, str]]:
    kinds = st.sampled_from(["ack", "offer", "free", "commit one", "commit"])
    return draw(st.lists(st.tuples(st.integers(1, 4), kinds), max_size=40))


@given(arrivals())
def test_nothing_is_lost_or_early_and_each_node_sees_its_order(script: list[tuple[int, str]]) -> None:
    stand = Stand()
    sent: dict[int, list[bytes]] = {}
    needs: dict[bytes, int] = {}
    for step, (node, kind) in enumerate(script):
        if kind.startswith("commit"):
            stand.commit(min(stand.store.written + 1, stand.store.ticket()) if kind == "commit one" else None)
        else:
            saves = () if kind == "offer" else (save(node, awaited=kind == "ack"),)
            effects = answer(node, f"{kind} {step}")
            stand.barrier.perform((*saves, *effects))
            sent.setdefault(node, []).append(effects[0].data)  # type: ignore[union-attr]
            if kind == "ack":
                needs[effects[0].data] = stand.store.ticket()  # type: ignore[union-attr]
        left = [each.data for each in stand.done if isinstance(each, Send)]
        assert all(needs.get(data, 0) <= stand.store.written for data in left)
    stand.commit()
    left = [each.data for each in stand.done if isinstance(each, Send)]
    for node, expected in sent.items():
        assert [data for data in left if data.startswith(b"%d " % node)] == expected
    assert len(stand.barrier) == 0

"""What is held against a node: one sign is enough; a day, another firmware or two boots by multicast clear it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.learning.fallback import CLEARED_BY, MAX_MARKS, RETRY_SECONDS, FallbackMemory, Mark, NodeStage, Trigger
from mtftpd.quirks.evidence import Fingerprint
from mtftpd.wire.datagram import HardwareAddress

FIRMWARE = Fingerprint(b"PXEClient", b"", b"", b"", b"\0\0", b"\1\2\1", 17, 6)
UPDATED = FIRMWARE._replace(interface=b"\1\3\0")
NOW = 5000.0


def node(number: int = 1, stage: str = "intel-bios") -> NodeStage:
    return NodeStage(HardwareAddress(1, number.to_bytes(6, "big")), stage)


def test_one_sign_is_enough_and_is_named() -> None:
    memory = FallbackMemory()
    assert memory.against(node(), FIRMWARE, NOW) is None
    assert memory.failed(node(), FIRMWARE, Trigger.F5, NOW) is None
    assert memory.against(node(), FIRMWARE, NOW + 1) is Trigger.F5


def test_it_counts_for_one_stage_of_one_node() -> None:
    memory = FallbackMemory()
    memory.failed(node(), FIRMWARE, Trigger.F5, NOW)
    assert memory.against(node(2), FIRMWARE, NOW) is None
    assert memory.against(node(1, "ipxe"), FIRMWARE, NOW) is None


@pytest.mark.parametrize(
    ("later", "fingerprint", "expected"),
    [(RETRY_SECONDS - 1, FIRMWARE, Trigger.F4), (RETRY_SECONDS, FIRMWARE, None), (1.0, UPDATED, None)],
)
def test_a_day_later_or_with_another_firmware_it_is_tried_again(
    later: float, fingerprint: Fingerprint, expected: Trigger | None
) -> None:
    memory = FallbackMemory()
    memory.failed(node(), FIRMWARE, Trigger.F4, NOW)
    assert memory.against(node(), fingerprint, NOW + later) is expected


def test_two_successes_clear_and_one_is_a_second_chance() -> None:
    memory = FallbackMemory()
    memory.succeeded(node())
    memory.failed(node(), FIRMWARE, Trigger.F7, NOW)
    for expected in range(1, CLEARED_BY):
        memory.succeeded(node())
        (mark,) = memory.snapshot()
        assert mark.successes == expected
        assert memory.against(node(), FIRMWARE, NOW + 1) is None
    memory.succeeded(node())
    assert memory.snapshot() == ()


def test_another_sign_starts_it_anew() -> None:
    memory = FallbackMemory()
    memory.failed(node(), FIRMWARE, Trigger.F5, NOW)
    memory.succeeded(node())
    memory.failed(node(), FIRMWARE, Trigger.F11, NOW + 10)
    (mark,) = memory.snapshot()
    assert (mark.trigger, mark.at, mark.failures, mark.successes) == (Trigger.F11, NOW + 10, 2, 0)
    memory.failed(node(), UPDATED, Trigger.F5, NOW + 20)
    assert memory.snapshot()[0].failures == 1


def test_what_was_not_its_fault_is_forgiven() -> None:
    memory = FallbackMemory()
    memory.forgive(node(), memory.failed(node(), FIRMWARE, Trigger.F5, NOW))
    assert memory.snapshot() == ()
    memory.failed(node(), FIRMWARE, Trigger.F5, NOW)
    before = memory.snapshot()
    memory.forgive(node(), memory.failed(node(), FIRMWARE, Trigger.F11, NOW + 1))
    assert memory.snapshot() == before


def test_the_oldest_is_forgotten_first() -> None:
    memory = FallbackMemory()
    for number in range(MAX_MARKS + 1):
        memory.failed(node(number), FIRMWARE, Trigger.F5, NOW + number)
    assert len(memory.snapshot()) == MAX_MARKS
    assert memory.against(node(0), FIRMWARE, NOW) is None
    assert memory.against(node(1), FIRMWARE, NOW) is Trigger.F5


marks = st.lists(
    st.builds(
        Mark,
        st.builds(node, st.integers(0, 20), st.sampled_from(("intel-bios", "ipxe"))),
        st.sampled_from((FIRMWARE, UPDATED)),
        st.sampled_from(Trigger),
        st.floats(0, 1e6),
        st.integers(1, 5),
        st.integers(0, 1),
    ),
    unique_by=(lambda mark: mark.node, lambda mark: mark.at),
)


@given(marks, st.floats(0, 2e6))
def test_a_snapshot_is_the_whole_memory(some: list[Mark], now: float) -> None:
    memory = FallbackMemory(some)
    assert set(memory.snapshot()) == set(some)
    again = FallbackMemory(memory.snapshot())
    assert again.snapshot() == memory.snapshot()
    for mark in some:
        assert again.against(mark.node, FIRMWARE, now) == memory.against(mark.node, FIRMWARE, now)


NODES = st.builds(node, st.integers(0, 6), st.sampled_from(("intel-bios", "ipxe")))
STEPS = st.lists(
    st.tuples(st.sampled_from(("failed", "succeeded", "forgiven", "forgotten", "written")), NODES), max_size=40
)


@given(STEPS)
def test_what_has_changed_adds_up_to_the_whole_memory(steps: list[tuple[str, NodeStage]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mtftpd.core.learning.fallback.MAX_MARKS", 5)
        memory, before = FallbackMemory(), dict[NodeStage, Mark | None]()
        written: dict[NodeStage, Mark] = {}
        touched: set[NodeStage] = set()

        def write() -> None:
            for mark, held in memory.take_changed():
                if held:
                    written[mark.node] = mark
                else:
                    written.pop(mark.node, None)

        for now, (step, who) in enumerate(steps):
            if len(touched) > 3:  # One step changes two at the most, and no more than the last five changes are kept.
                write()
                touched.clear()
            touched |= {who, *(node for node in written if node.hardware == who.hardware)}
            if step == "failed":
                before[who] = memory.failed(who, FIRMWARE, Trigger.F5, float(now))
            elif step == "succeeded":
                memory.succeeded(who)
            elif step == "forgiven":
                memory.forgive(who, before.pop(who, None))
            elif step == "forgotten":
                memory.forget(who.hardware)
            if step == "written" or len(memory.snapshot()) == 5:  # As a shell does, after every report.
                write()
        write()
        assert written == {mark.node: mark for mark in memory.snapshot()}


def test_what_nobody_asks_for_does_not_pile_up() -> None:
    memory = FallbackMemory()
    for number in range(2 * MAX_MARKS):
        memory.failed(node(number), FIRMWARE, Trigger.F5, NOW)
    assert len(memory.take_changed()) == MAX_MARKS
    assert FallbackMemory(memory.snapshot()).take_changed() == ()

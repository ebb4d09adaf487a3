"""Blocks taken as runs leave a client in the state that the same blocks leave it in one by one."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mtftpd.rom.actions import NOTHING
from mtftpd.rom.blocks import BLOCK_SIZE, MAX_BLOCKS, BlockMap, LastGap, Step
from mtftpd.rom.mtftp import Mtftp, Ticket
from mtftpd.rom.profiles import EDK1, SPEC, RomProfile
from mtftpd.wire.datagram import Datagram, Endpoint

GROUP = Endpoint("239.1.1.1", 1799)
SERVER = Endpoint("10.0.0.1", 1542)
TICKET = Ticket("10.0.0.9", SERVER.address, SERVER.port, GROUP, b"image", 2.0, 2.0)


class Offsets:
    """A memory that remembers which octets were stored."""

    def __init__(self) -> None:
        self.stored: set[int] = set()

    def write(self, offset: int, packet: bytes) -> None:
        self.store(offset, len(packet) - 4)

    def store(self, offset: int, octets: int) -> None:
        self.stored.update(range(offset, offset + octets, BLOCK_SIZE))

    def store_map(self, offset: int, held: int) -> None:
        self.stored.update(offset + bit * BLOCK_SIZE for bit in range(held.bit_length()) if held >> bit & 1)


def client(profile: RomProfile) -> tuple[Mtftp, Offsets]:
    memory = Offsets()
    assert profile.mtftp is not None
    machine = Mtftp(TICKET, replace(profile.mtftp), memory)
    machine.start(0.0)
    return machine, memory


def hear(machine: Mtftp, block: int, total: int, now: float) -> None:
    octets = bytes(BLOCK_SIZE if block < total else 9)
    machine.receive(Datagram(1799, SERVER, GROUP, b"\0\3" + block.to_bytes(2, "big") + octets), now)


def visible(machine: Mtftp, memory: Offsets) -> tuple[object, ...]:
    blocks = machine.blocks
    inside = {name: value for name, value in vars(blocks).items() if name != "_bits"}
    return (
        machine.state, machine.next_deadline(), machine.heard, machine.duplicates, machine.over,
        blocks.missed, inside, memory.stored,
    )  # fmt: skip


def runs_of(blocks: list[int]) -> list[list[int]]:
    """Split ascending numbers into runs without a gap."""
    runs: list[list[int]] = []
    for block in blocks:
        if runs and runs[-1][-1] == block - 1:
            runs[-1].append(block)
        else:
            runs.append([block])
    return runs


def hear_map(machine: Mtftp, blocks: list[int], memory: Offsets, now: float) -> bool:
    held = sum(1 << block - blocks[0] for block in blocks)
    taken = machine.hear_map(blocks[0], held, len(blocks), memory.store_map, now)
    assert taken == isinstance(machine.blocks, BlockMap)
    return taken


@given(
    profile=st.sampled_from([SPEC, EDK1]),
    total=st.integers(2, 60),
    passes=st.lists(st.sets(st.integers(1, 60), max_size=12), min_size=1, max_size=5),
    as_map=st.booleans(),
)
def test_a_run_equals_its_blocks(profile: RomProfile, total: int, passes: list[set[int]], as_map: bool) -> None:
    """One client takes every block by itself; the other takes what is quiet as runs, or as a map."""
    single, single_memory = client(profile)
    ridden, ridden_memory = client(profile)
    now = 0.0
    for lost in passes:
        heard = [block for block in range(1, total + 1) if block not in lost]
        while heard:
            now += 0.001
            block = heard.pop(0)
            hear(single, block, total, now)
            hear(ridden, block, total, now)
            until = min(ridden.quiet_until(block), total - 1) if not ridden.over else 0
            quiet = [each for each in heard if each <= until]
            heard = heard[len(quiet) :]
            for each in quiet:
                now += 0.001
                hear(single, each, total, now)
            if not (as_map and quiet and hear_map(ridden, quiet, ridden_memory, now)):
                for run in runs_of(quiet):
                    ridden.hear_run(run[0], run[-1], ridden_memory.store, now)
            assert visible(single, single_memory) == visible(ridden, ridden_memory)
        if single.state.value != "listen":
            break
        if single.blocks.heard:
            now = single.next_deadline() or now
            assert single.tick(now) == ridden.tick(now) == NOTHING


def test_only_a_listener_that_has_heard_something_is_quiet() -> None:
    machine, _ = client(SPEC)
    assert machine.quiet_until(0) == 0
    hear(machine, 1, 50, 0.1)
    assert machine.quiet_until(1) == MAX_BLOCKS
    deadline = machine.next_deadline()
    machine.tick(deadline or 0.0)
    machine.tick(machine.next_deadline() or 0.0)
    assert machine.opens == 1
    assert machine.quiet_until(1) == 0


def test_a_map_is_quiet_up_to_its_last_hole() -> None:
    blocks = BlockMap()
    for block in (1, 2, 4, 5, 6):
        blocks.add(block, BLOCK_SIZE if block < 6 else 0)
    assert blocks.quiet_until(1) == 2
    assert blocks.quiet_until(3) == 5
    assert blocks.add_run(4, 5) == 0


def test_the_last_gap_is_quiet_up_to_the_block_before_it() -> None:
    blocks = LastGap()
    for block in (1, 2, 4, 5):
        blocks.add(block, BLOCK_SIZE if block < 5 else 0)
    blocks.begin()
    assert blocks.add(1, BLOCK_SIZE) is Step.NEW
    assert blocks.quiet_until(1) == 2
    assert blocks.add_run(1, 2) == 1
    assert blocks.add(3, BLOCK_SIZE) is Step.COMPLETE

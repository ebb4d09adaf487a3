"""What a socket reads, handed over in runs: a node is left in the state that every datagram by itself leaves it in."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mtftpd.net.rom_runs import RunReader
from mtftpd.rom.actions import Actions, ImageMemory, Phase
from mtftpd.rom.mtftp import Mtftp, Ticket
from mtftpd.rom.node import Node
from mtftpd.rom.profiles import SPEC, Identity, MtftpProfile, RomProfile
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress

GROUP = Endpoint("239.1.1.1", 1799)
STATION = Endpoint("10.0.0.9", 1799)
SERVER = Endpoint("10.0.0.1", 1542)
OTHER_PORT = Endpoint("10.0.0.1", 1543)
STRANGER = Endpoint("10.0.0.2", 1542)
TICKET = Ticket(STATION.address, SERVER.address, SERVER.port, GROUP, b"image", 2.0, 2.0)
BLOCKS = 20
STRICT = replace(SPEC, mtftp=MtftpProfile(only_server_port=True))

PACKETS = st.tuples(
    st.sampled_from([SERVER] * 6 + [OTHER_PORT, STRANGER]),
    st.integers(1, BLOCKS),
    st.sampled_from([3] * 9 + [4]),
    st.booleans(),
)
"""Source, block, opcode, and whether the reader is at its end behind it."""


def data(block: int, opcode: int = 3) -> bytes:
    octets = bytes((block,)) * 512 if block < BLOCKS else b"end"
    return bytes((0, opcode)) + block.to_bytes(2, "big") + octets


def listening(profile: RomProfile) -> tuple[Node, ImageMemory]:
    """Return a node that DHCP has just sent to the group."""
    memory = ImageMemory()
    node = Node(Identity(HardwareAddress(1, bytes(6)), bytes(16), xid=7), profile, memory)
    assert profile.mtftp is not None
    node.mtftp = node._machine = Mtftp(TICKET, profile.mtftp, memory)
    node.phase = Phase.LISTEN
    node.mtftp.start(0.0)
    return node, memory


def visible(node: Node, memory: ImageMemory) -> tuple[object, ...]:
    listener = node.mtftp
    assert isinstance(listener, Mtftp)
    blocks = {name: value for name, value in vars(listener.blocks).items() if name != "_bits"}
    counts = (listener.heard, listener.duplicates, listener.ignored, listener.opens)
    return node.phase, node.next_deadline(), listener.state, listener.reason, counts, blocks, memory.image(1 << 20)


@given(
    profile=st.sampled_from([SPEC, STRICT]),
    passes=st.lists(st.sets(st.integers(1, BLOCKS), max_size=6), min_size=1, max_size=4),
    strays=st.lists(PACKETS, max_size=12),
)
def test_a_reader_changes_nothing(
    profile: RomProfile, passes: list[set[int]], strays: list[tuple[Endpoint, int, int, bool]]
) -> None:
    heard = [
        (SERVER, block, 3, block % 7 == 0) for lost in passes for block in range(1, BLOCKS + 1) if block not in lost
    ]
    for number, stray in enumerate(strays):
        heard.insert(number * 5, stray)
    (single, memory), (read, read_memory) = listening(profile), listening(profile)
    reader, now = RunReader(read, GROUP), 0.0
    for source, block, opcode, ends in heard:
        now += 0.001
        packet = data(block, opcode)
        expected = single.receive(Datagram(GROUP.port, source, GROUP, packet), now)
        actions: Actions = reader.take(packet, source, now)
        assert actions == expected
        if ends:
            reader.flush(now)
            reader = RunReader(read, GROUP)
        if single.mtftp is None or single.mtftp.over:
            break
    reader.flush(now)
    assert visible(read, read_memory) == visible(single, memory)


def test_blocks_in_a_row_wait_for_the_end_of_their_run() -> None:
    node, memory = listening(SPEC)
    reader = RunReader(node, GROUP)
    listener = node.mtftp
    assert listener is not None
    for block in (1, 2, 3, 5, 6):
        assert reader.take(data(block), SERVER, 0.1) == ()
    assert listener.heard == 3, "the first by itself, and the run of two that ended"
    reader.flush(0.1)
    assert listener.heard == 5
    assert memory.image(1024)[512:] == bytes((2,)) * 512


def test_blocks_for_the_station_are_no_run() -> None:
    node, _ = listening(SPEC)
    reader = RunReader(node, STATION)
    for block in (1, 2, 3):
        assert reader.take(data(block), SERVER, 0.1) == ()
    assert node.mtftp is not None
    assert (node.mtftp.heard, node.mtftp.ignored) == (0, 3)

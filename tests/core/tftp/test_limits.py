"""How many transfers, how much memory, and what any datagram at all may do."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Sequence

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mtftpd.core.effects import (
    FIRST_TRANSFER,
    CloseTransfer,
    DropReason,
    Effects,
    Lookup,
    OpenTransfer,
    Release,
    Send,
    SendRun,
    Service,
)
from mtftpd.core.images import Image
from mtftpd.core.tftp.habits import MAX_ADDRESSES, REMEMBERED_SECONDS
from mtftpd.core.tftp.register import MAX_HALF_OPEN, MAX_LINGERING, MAX_OF_ADDRESS, MAX_TRANSFERS
from mtftpd.core.tftp.service import TftpService
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import Ack, Error, OptionAck, Pairs, Request, build, parse_untrusted
from tests.core.tftp.tftp_bench import (
    BLKSIZE,
    CATALOGUE,
    OTHER,
    PEER,
    address,
    ask,
    ends,
    reasons,
    tell,
)
from tests.core.tftp.tftp_world import SERVER, server


def test_unanswered_requests_make_room_for_new_ones() -> None:
    """Reliability row R12: a flood of forged requests cannot lock out an honest client."""
    service = server(CATALOGUE)
    for number in range(MAX_HALF_OPEN):
        assert len(ask(service, peer=Endpoint(address(number), 1000))) == 3
    effects = ask(service)
    assert ends(effects) == ["first packet not answered, room needed"]
    assert effects[1:3] == (CloseTransfer(1000), OpenTransfer(1000 + MAX_HALF_OPEN, PEER))
    assert service.statistics().half_open == MAX_HALF_OPEN
    assert tell(service, Ack(1), 1000 + MAX_HALF_OPEN)


def test_one_address_cannot_have_everything() -> None:
    service = server(CATALOGUE)
    for port in range(1, MAX_OF_ADDRESS + 1):
        ask(service, peer=Endpoint(PEER.address, port))
        tell(service, Ack(1), 999 + port, Endpoint(PEER.address, port))
    assert reasons(ask(service)) == [DropReason.TOO_MANY_TRANSFERS]
    assert len(ask(service, peer=OTHER)) == 3
    tell(service, Error(0, "enough"), 1000, Endpoint(PEER.address, 1))
    assert len(ask(service)) == 3
    effects = ask(service, b"boot/small", peer=Endpoint(PEER.address, 9999))
    assert ends(effects) == ["first packet not answered, room needed"]


def test_so_many_transfers_and_no_more() -> None:
    service = server(CATALOGUE)
    for number in range(MAX_TRANSFERS):
        peer = Endpoint(address(number), 1000)
        ask(service, peer=peer)
        tell(service, Ack(1), 1000 + number, peer)
    assert reasons(ask(service, b"looked/up")) == [DropReason.TOO_MANY_TRANSFERS]
    assert len(service.statistics().transfers) == MAX_TRANSFERS


def test_lingering_sockets_are_few() -> None:
    service = server(CATALOGUE)
    closed = []
    for number in range(MAX_LINGERING + 10):
        peer = Endpoint(address(number), 1000)
        ask(service, b"boot/small", peer=peer)
        closed += [each for each in tell(service, Ack(1), 1000 + number, peer) if isinstance(each, CloseTransfer)]
    assert closed == [CloseTransfer(1000 + number) for number in range(10)]
    assert service.statistics().lingering == MAX_LINGERING


def test_a_socket_closed_early_is_closed_once() -> None:
    """Several time-outs in one tick: the first to end pushes out one that was due to be closed in the same tick."""
    service = server(CATALOGUE)
    ask(service, b"boot/small", BLKSIZE)
    tell(service, Ack(0))
    for _ in range(3):
        service.tick(service.next_deadline() or 0.0)
    end = service.next_deadline() or 0.0
    for number in range(1, MAX_LINGERING + 1):
        peer = Endpoint(address(number), 1000)
        ask(service, b"boot/small", peer=peer, now=end - 4.9)
        tell(service, Ack(1), 1000 + number, peer, now=end - 4.9)
    effects = service.tick(end + 0.2)
    assert ends(effects) == ["last block not acknowledged"]
    closed = [effect for effect in effects if isinstance(effect, CloseTransfer)]
    assert closed == [CloseTransfer(1000 + number) for number in range(1, MAX_LINGERING + 1)]


def half_open(datagrams: Sequence[Datagram]) -> TftpService:
    """A server with as many half-open transfers as there are `datagrams`."""
    service = server(CATALOGUE)
    for number, datagram in enumerate(datagrams):
        service.receive(datagram, number / 1000)
    return service


def test_half_open_transfer_takes_a_kilobyte() -> None:
    """Reliability section 6, without the address of the client, which comes with the datagram.

    Not counted is what the first server leaves behind (memos, the notes of a coverage tool), nor the free lists of
    the interpreter, which a full collection empties.
    """
    options: Pairs = (("tsize", "0"), ("blksize", "1408"), ("windowsize", "4"), ("timeout", "5"), ("rollover", "0"))
    data = build(Request(1, b"nbp", "octet", options))
    datagrams = [Datagram(Service.TFTP, Endpoint(address(n), 2000 + n), SERVER, data) for n in range(1000)]
    half_open(datagrams)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    service = half_open(datagrams)
    gc.collect()
    each = (tracemalloc.get_traced_memory()[0] - before) / len(datagrams)
    tracemalloc.stop()
    assert service.statistics().half_open == len(datagrams)
    assert each <= 1024


def lossy_transfer(service: TftpService, peer: Endpoint, now: float) -> None:
    """Fetch with windows, of which every one must be repeated, and give up."""
    service.tick(now)
    opened = ask(service, options=(("windowsize", "4"),), peer=peer, now=now)
    [socket] = [effect.socket for effect in opened if isinstance(effect, OpenTransfer)]
    tell(service, Ack(0), socket, peer, now)
    for window in range(1, 5):
        now = (service.next_deadline() or now) + 0.001
        service.tick(now)
        tell(service, Ack(4 * window), socket, peer, now)
    tell(service, Error(0, "too bad"), socket, peer, now)


def test_clients_that_lose_windows_get_none_for_a_while() -> None:
    """Quirk Q96."""
    service = server(CATALOGUE)
    options: Pairs = (("windowsize", "4"), ("blksize", "1024"))
    lossy_transfer(service, PEER, 0.0)
    lossy_transfer(service, PEER, 1000.0)

    def granted(peer: Endpoint, now: float) -> Pairs:
        [sent] = [effect for effect in ask(service, options=options, peer=peer, now=now) if isinstance(effect, Send)]
        packet = parse_untrusted(sent.data)
        assert isinstance(packet, OptionAck)
        return packet.options

    assert granted(Endpoint(PEER.address, 1), 1010.0) == (("blksize", "1024"),)
    assert granted(OTHER, 1010.0) == options
    assert granted(Endpoint(PEER.address, 2), 1010.0 + REMEMBERED_SECONDS) == options


def test_memory_of_lossy_clients_is_bounded() -> None:
    service = server(CATALOGUE)
    now = 0.0
    for number in range(MAX_ADDRESSES + 1):
        now += 10.0
        lossy_transfer(service, Endpoint(address(number), 1), now)
    service.tick(now + 9.0)
    options: Pairs = (("windowsize", "4"),)
    first, last = Endpoint(address(0), 2), Endpoint(address(MAX_ADDRESSES), 2)
    assert isinstance(ask(service, options=options, peer=first, now=now + 9.0)[1], Send)
    assert isinstance(ask(service, options=options, peer=last, now=now + 9.0)[1], SendRun)


def test_statistics() -> None:
    service = server(CATALOGUE)
    ask(service, b"boot/small")
    tell(service, Ack(1))
    ask(service, options=BLKSIZE, peer=OTHER)
    tell(service, Ack(0), 1001, OTHER, now=0.1)
    tell(service, Ack(1), 1001, OTHER, now=0.2)
    tell(service, Request(2, b"x"), Service.TFTP)
    statistics = service.statistics()
    assert (statistics.requests, statistics.done, statistics.refused, statistics.blocks) == (3, 1, 1, 1)
    [running] = statistics.transfers
    assert (running.peer, running.file, running.size) == (OTHER, "nbp", 10_000)
    assert (running.block, running.blocks, running.block_size, running.window) == (1, 10, 1024, 1)


PEERS = st.sampled_from((PEER, OTHER, Endpoint(PEER.address, 0), Endpoint("192.0.2.1", 5)))
OPTION_NAMES = st.sampled_from(("blksize", "tsize", "timeout", "windowsize", "rollover", "x"))
PACKETS = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda code, name, mode, options: build(Request(code, name, mode, tuple(options))),
        st.sampled_from((1, 1, 1, 2)),
        st.sampled_from((b"nbp", b"boot/small", b"missing", b"found", b"", b"..")),
        st.sampled_from(("octet", "netascii", "mail")),
        st.lists(st.tuples(OPTION_NAMES, st.integers(-1, 70_000).map(str)), max_size=4),
    ),
    st.integers(0, 30).map(lambda number: build(Ack(number))),
    st.integers(0, 65_535).map(lambda number: build(Ack(number))),
    st.builds(lambda code, text: build(Error(code, text)), st.integers(0, 9), st.text(max_size=5)),
)
STEPS = st.lists(st.tuples(st.integers(0, 6), PEERS, PACKETS, st.floats(0.0, 40.0)), max_size=60)


class Shell:
    """Performs nothing, but checks that it could."""

    def __init__(self, service: TftpService) -> None:
        self.service = service
        self.open: set[int] = set()
        self.borrowed: set[Image] = set()

    def perform(self, effects: Effects, now: float) -> None:
        for effect in effects:
            match effect:
                case OpenTransfer(socket, _):
                    assert socket not in self.open
                    self.open.add(socket)
                case CloseTransfer(socket):
                    self.open.remove(socket)
                case Send(socket, _, data, _):
                    assert socket in {*self.open, Service.TFTP}
                    parse_untrusted(data)
                case SendRun(socket, _, image, first, count, block_size, rollover):
                    assert socket in self.open
                    assert 1 <= first <= first + count - 1 <= image.blocks(block_size)
                    assert rollover in {0, 1}
                case Lookup(request, name):
                    self.look_up(request, name, now)
                case Release(image):
                    self.borrowed.remove(image)

    def look_up(self, request: int, name: str, now: float) -> None:
        found = Image(9, "found", 3000) if name == "found" else None
        if found is not None:
            self.borrowed.add(found)
        self.perform(self.service.looked_up(request, found, now), now)


@hypothesis_settings(deadline=None, max_examples=200)
@given(STEPS)
def test_any_datagrams_give_effects_and_leave_nothing_open(
    steps: list[tuple[int, Endpoint, bytes, float]],
) -> None:
    """Whatever comes, in whatever order: sockets are opened and closed once, and runs stay inside their image."""
    service = server(CATALOGUE)
    shell = Shell(service)
    now = 0.0
    for socket, source, data, seconds in steps:
        target = Service.TFTP if socket > 3 else FIRST_TRANSFER + socket
        shell.perform(service.receive(Datagram(target, source, SERVER, data), now), now)
        if seconds < 10.0:
            now += seconds
            shell.perform(service.tick(now), now)
    while (when := service.next_deadline()) is not None:
        now = max(now, when)
        shell.perform(service.tick(now), now)
    assert not shell.open
    assert not shell.borrowed
    assert service.statistics().transfers == ()

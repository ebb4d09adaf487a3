"""The first reply comes again unasked to a client that holds an address of ours, and to nobody else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mtftpd.core.effects import Send, SendRun, Service
from mtftpd.core.images import Image
from mtftpd.core.settings import Catalogue
from mtftpd.core.tftp.service import TftpService
from mtftpd.core.tftp.transfer import HALF_OPEN_SECONDS, REMINDERS
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import Pairs, Request, build
from tests.core.tftp.tftp_world import SERVER, Block, Client, World, server, settings

OURS, STRANGER = Endpoint("10.0.0.7", 2070), Endpoint("10.0.0.8", 2070)
SIZE = 5_000
OPTIONS = (("blksize", "1024"), ("tsize", "0"))


def reminding_server() -> TftpService:
    service = server({"nbp": Image(1, "nbp", SIZE)})
    service.remind(lambda address, _now: address == OURS.address)
    return service


class LosesFirst(World):
    """A wire that loses the first copies of what matches: how many are lost is ``losses``."""

    def __init__(self, service: TftpService, place: int, losses: int = 1) -> None:
        super().__init__(service)
        self.place = place
        self.losses = losses
        self.seen: list[Block | bytes] = []

    def _carry(self, endpoint: Endpoint, socket: int, packet: Block | bytes) -> None:
        if packet not in self.seen:
            self.seen.append(packet)
        if self.losses and self.seen.index(packet) == self.place:
            self.losses -= 1
            return
        super()._carry(endpoint, socket, packet)


@pytest.mark.parametrize("options", [(), OPTIONS, (*OPTIONS, ("windowsize", "4"))])
@pytest.mark.parametrize("place", range(1, 12))
def test_tftp_40_a_client_without_timers_gets_its_file_whatever_is_lost(options: Pairs, place: int) -> None:
    """Quirk Q92.  All but its request may be lost once; packet 0 is that request."""
    world = LosesFirst(reminding_server(), place)
    client = Client(OURS, "nbp", SIZE, options, repeats=0)
    world.start(client)
    world.run()
    assert client.done


@pytest.mark.parametrize(("losses", "arrives"), [(len(REMINDERS), True), (len(REMINDERS) + 1, False)])
def test_a_first_reply_comes_five_times(losses: int, arrives: bool) -> None:
    world = LosesFirst(reminding_server(), 1, losses)
    client = Client(OURS, "nbp", SIZE, OPTIONS, repeats=0)
    world.start(client)
    world.run()
    assert client.done is arrives
    assert not world.open


def when_sent(peer: Endpoint, options: Pairs, *asks_at: float) -> list[float]:
    """Return when something leaves for ``peer``, which asks at these times and never answers."""
    service, times = reminding_server(), []
    request = Datagram(Service.TFTP, peer, SERVER, build(Request(1, b"nbp", "octet", options)))
    events = dict.fromkeys(asks_at, service.receive)
    while (now := min([*events, *deadlines(service)], default=None)) is not None:
        asked = events.pop(now, None)
        effects = service.tick(now) if asked is None else asked(request, now)
        times += [now for effect in effects if isinstance(effect, Send | SendRun)]
    return times


def deadlines(service: TftpService) -> list[float]:
    due = service.next_deadline()
    return [] if due is None else [due]


@pytest.mark.parametrize("options", [(), OPTIONS])
def test_reminders_end_long_before_a_rom_gives_up(options: Pairs) -> None:
    assert when_sent(OURS, options, 0.0) == [0.0, *REMINDERS]
    assert REMINDERS[-1] < 20 < HALF_OPEN_SECONDS


@pytest.mark.parametrize("options", [(), OPTIONS])
def test_a_stranger_draws_one_packet(options: Pairs) -> None:
    """Ruling R14: its request may be forged."""
    assert when_sent(STRANGER, options, 0.0) == [0.0]


def test_who_asks_again_is_not_reminded() -> None:
    assert when_sent(OURS, OPTIONS, 0.0, 2.0) == [0.0, REMINDERS[0], 2.0]


def test_reminders_are_left_out_with_all_repetitions() -> None:
    without = replace(settings(), without=frozenset({ServerAction.RETRANSMIT}))
    image = Image(1, "nbp", SIZE)
    service = TftpService(without, Catalogue((image,), {"nbp": image}), lambda _address: None)
    service.remind(lambda *_: True)
    service.receive(Datagram(Service.TFTP, OURS, SERVER, build(Request(1, b"nbp", "octet", ()))), 0.0)
    assert service.next_deadline() == HALF_OPEN_SECONDS

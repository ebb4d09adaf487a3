"""The sockets of transfers: who may say what, when, and which file stays open, with explicit times."""

from __future__ import annotations

import pytest

from mtftpd.core.effects import (
    CloseTransfer,
    DropReason,
    Release,
    Report,
    ReportKind,
    Send,
    SendRun,
)
from mtftpd.core.images import Image
from mtftpd.core.settings import Catalogue
from mtftpd.core.tftp.service import TftpService
from mtftpd.core.tftp.transfer import GIVE_UP_SECONDS, HALF_OPEN_SECONDS, LINGER_SECONDS
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import Ack, Data, Error, OptionAck, Packet, Request, build
from tests.core.tftp.tftp_bench import (
    BLKSIZE,
    CATALOGUE,
    NBP,
    OTHER,
    PEER,
    SMALL,
    ask,
    ends,
    lookup,
    reasons,
    tell,
)
from tests.core.tftp.tftp_world import SERVER, server, settings


def test_size_probe_is_a_normal_end_and_the_socket_stays() -> None:
    """mtftp.md FBK-02, quirk Q82."""
    service = server(CATALOGUE)
    ask(service, options=(("tsize", "0"),))
    effects = tell(service, Error(8, ""))
    [report] = effects
    assert isinstance(report, Report)
    assert report.kind is ReportKind.TFTP_DONE
    assert ends(effects) == ["size probe"]
    assert service.statistics().probes == 1
    for late in (Ack(0), Error(8, ""), Data(1, b"")):
        assert reasons(tell(service, late, now=1.0)) == [DropReason.STALE_ACK]
    assert service.tick(0.01 + LINGER_SECONDS) == (CloseTransfer(1000),)
    assert service.next_deadline() is None
    assert reasons(tell(service, Ack(0), now=9.0)) == [DropReason.UNEXPECTED]


def test_error_ends_it_and_is_not_answered() -> None:
    service = server(CATALOGUE)
    ask(service)
    effects = tell(service, Error(3, "Disk full"))
    assert ends(effects) == ["aborted by client: 3 Disk full"]
    assert not any(isinstance(effect, Send | SendRun) for effect in effects)
    assert service.statistics().failed == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (build(Ack(7)), DropReason.STALE_ACK),
        (build(Data(1, b"x")), DropReason.UNEXPECTED),
        (build(OptionAck(())), DropReason.UNEXPECTED),
        (build(Request(1, b"nbp")), DropReason.UNEXPECTED),
        (b"\0\4\0", DropReason.MALFORMED),
    ],
)
def test_nonsense_of_the_client_is_ignored(data: bytes, reason: DropReason) -> None:
    service = server(CATALOGUE)
    ask(service)
    assert reasons(service.receive(Datagram(1000, PEER, SERVER, data), 0.01)) == [reason]
    assert tell(service, Ack(1)) == (SendRun(1000, PEER, NBP, 2, 1, 512, 0),)


@pytest.mark.parametrize("stranger", [OTHER, Endpoint(PEER.address, 9)])
@pytest.mark.parametrize("packet", [Ack(1), Data(1, b""), Request(1, b"nbp"), OptionAck(())])
def test_wrong_port_gets_error_5_and_the_transfer_lives_on(stranger: Endpoint, packet: Packet) -> None:
    """RFC 1350 section 4."""
    service = server(CATALOGUE)
    ask(service)
    effects = tell(service, packet, peer=stranger)
    assert effects == (Send(1000, stranger, build(Error(5, "unknown transfer id"))),)
    assert tell(service, Ack(1)) == (SendRun(1000, PEER, NBP, 2, 1, 512, 0),)


@pytest.mark.parametrize(
    ("stranger", "data", "reason"),
    [
        (OTHER, build(Error(0, "stop")), DropReason.UNEXPECTED),
        (OTHER, b"\0", DropReason.MALFORMED),
        (Endpoint("192.0.2.1", 69), build(Ack(1)), DropReason.OFF_LINK),
        (Endpoint(PEER.address, 0), build(Ack(1)), DropReason.OFF_LINK),
    ],
)
def test_strangers_that_get_no_answer(stranger: Endpoint, data: bytes, reason: DropReason) -> None:
    """Reliability row R11: forged packets have no effect; an ERROR never answers an ERROR."""
    service = server(CATALOGUE)
    ask(service)
    tell(service, Ack(1))
    assert reasons(service.receive(Datagram(1000, stranger, SERVER, data), 0.01)) == [reason]
    assert tell(service, Ack(2)) == (SendRun(1000, PEER, NBP, 3, 1, 512, 0),)


def test_transfers_of_one_file_are_independent() -> None:
    service = server(CATALOGUE)
    ask(service)
    ask(service, peer=OTHER)
    tell(service, Ack(1), 1000)
    assert tell(service, Ack(1), 1001, OTHER) == (SendRun(1001, OTHER, NBP, 2, 1, 512, 0),)
    assert tell(service, Ack(2), 1000) == (SendRun(1000, PEER, NBP, 3, 1, 512, 0),)


# Time


def test_repetition_after_a_round_trip() -> None:
    service = server(CATALOGUE)
    ask(service)
    tell(service, Ack(1), now=0.01)
    assert service.next_deadline() == pytest.approx(0.04)
    assert service.tick(0.03) == ()
    assert service.tick(0.05) == (SendRun(1000, PEER, NBP, 2, 1, 512, 0),)
    assert tell(service, Ack(2), now=0.06) == (SendRun(1000, PEER, NBP, 3, 1, 512, 0),)


def test_deadline_is_corrected_when_it_comes_up() -> None:
    """An ACK on the fast way moves nothing in the heap."""
    service = server({"nbp": Image(1, "nbp", 100_000)})
    ask(service)
    for block in range(1, 21):
        tell(service, Ack(block), now=0.01 * block)
    early = service.next_deadline()
    assert early is not None
    assert service.tick(early) == ()
    late = service.next_deadline()
    assert late is not None
    assert late > 0.2
    [effect] = service.tick(late)
    assert isinstance(effect, SendRun)


def test_silent_client_fails_in_the_end() -> None:
    service = server(CATALOGUE)
    ask(service)
    tell(service, Ack(1))
    seen: list[str | int] = []
    while (when := service.next_deadline()) is not None:
        seen += ends(service.tick(when))
    assert seen == ["client fell silent"]
    assert GIVE_UP_SECONDS < when_closed(service) < GIVE_UP_SECONDS + 20


def when_closed(service: TftpService) -> float:
    """Return when the service would have nothing left to do, replaying a silent client."""
    fresh = server(CATALOGUE)
    ask(fresh)
    tell(fresh, Ack(1))
    last = 0.0
    while (when := fresh.next_deadline()) is not None:
        last = when
        fresh.tick(when)
    assert fresh.statistics().failed == service.statistics().failed == 1
    return last


def test_first_reply_that_nobody_answers() -> None:
    service = server(CATALOGUE)
    ask(service, options=BLKSIZE)
    effects = service.tick(HALF_OPEN_SECONDS)
    assert ends(effects) == ["first packet never answered"]
    assert effects[1:] == (CloseTransfer(1000),)
    assert service.next_deadline() is None


# Images


def test_one_open_file_for_many_clients() -> None:
    """The shell may answer several lookups with one image; it is released after the last."""
    service = server(CATALOGUE)
    image = Image(9, "default", 100)
    for peer in (PEER, OTHER):
        service.looked_up(lookup(ask(service, b"default", peer=peer)).request, image, 0.0)
    tell(service, Ack(1), 1000, PEER)
    tell(service, Ack(1), 1001, OTHER, now=0.02)
    assert service.tick(0.011 + LINGER_SECONDS) == (CloseTransfer(1000),)
    assert service.tick(0.02 + LINGER_SECONDS) == (CloseTransfer(1001), Release(image))


def test_images_of_the_catalogue_are_not_released() -> None:
    service = server(CATALOGUE)
    ask(service, b"boot/small")
    found = lookup(ask(service, b"by/another/path", peer=OTHER))
    service.looked_up(found.request, SMALL, 0.0)
    tell(service, Ack(1), 1000)
    tell(service, Ack(1), 1001, OTHER)
    assert service.tick(9.0) == (CloseTransfer(1000), CloseTransfer(1001))


def test_new_configuration_keeps_running_transfers() -> None:
    service = server(CATALOGUE)
    ask(service)
    other = Image(9, "other", 100)
    service.looked_up(lookup(ask(service, b"other", peer=OTHER)).request, other, 0.0)
    assert service.reconfigure(settings(mtu=600), Catalogue((other,), {"other": other}), 0.0) == ()
    assert tell(service, Ack(1)) == (SendRun(1000, PEER, NBP, 2, 1, 512, 0),)
    assert lookup(ask(service, b"nbp", peer=Endpoint("10.0.0.9", 1))).name == "nbp"
    tell(service, Ack(1), 1001, OTHER)
    assert CloseTransfer(1001) in service.tick(9.0)
    effects = ask(service, b"other", BLKSIZE, Endpoint("10.0.0.10", 1))
    assert effects[1] == Send(1002, Endpoint("10.0.0.10", 1), build(OptionAck((("blksize", "568"),))))


def test_changed_file_ends_its_transfers_with_an_error() -> None:
    """Ruling 11: no mixed image, ever."""
    service = server(CATALOGUE)
    ask(service)
    tell(service, Ack(1))
    ask(service, peer=OTHER)
    ask(service, b"boot/small", peer=Endpoint("10.0.0.9", 1))
    effects = service.image_changed(NBP, 0.5)
    sent = [effect for effect in effects if isinstance(effect, Send)]
    assert [(each.socket, each.destination) for each in sent] == [(1000, PEER), (1001, OTHER)]
    assert ends(effects) == ["file changed on the server"] * 2
    assert reasons(tell(service, Ack(2), now=0.6)) == [DropReason.STALE_ACK]
    assert service.image_changed(NBP, 0.7) == ()
    assert len(service.statistics().transfers) == 1

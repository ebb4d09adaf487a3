"""Port 69 and the sockets of transfers: who gets what answer, by clause and quirk, with explicit times."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mtftpd.core.effects import (
    FIRST_TRANSFER,
    CloseTransfer,
    Drop,
    DropReason,
    Effects,
    Lookup,
    OpenTransfer,
    Release,
    Report,
    ReportKind,
    Send,
    SendRun,
    Service,
)
from mtftpd.core.images import Image
from mtftpd.core.settings import Catalogue
from mtftpd.core.tftp import GIVE_UP_SECONDS, HALF_OPEN_SECONDS, LINGER_SECONDS
from mtftpd.core.tftp_register import MAX_HALF_OPEN, MAX_LINGERING, MAX_OF_ADDRESS, MAX_TRANSFERS
from mtftpd.core.tftp_service import MAX_WINDOWLESS, WINDOWLESS_SECONDS, TftpService
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import Ack, Data, Error, OptionAck, Packet, Pairs, Request, build, parse_untrusted
from tests.core.tftp_world import SERVER, server, settings

PEER = Endpoint("10.0.0.7", 2070)
OTHER = Endpoint("10.0.0.8", 2070)
NBP = Image(1, "nbp", 10_000)
SMALL = Image(2, "small", 5)
CATALOGUE = {"nbp": NBP, "boot/small": SMALL}
BLKSIZE: Pairs = (("blksize", "1024"),)


def ask(
    service: TftpService,
    filename: bytes = b"nbp",
    options: Pairs = (),
    peer: Endpoint = PEER,
    now: float = 0.0,
    mode: str = "octet",
) -> Effects:
    data = build(Request(1, filename, mode, options))
    return service.receive(Datagram(Service.TFTP, peer, SERVER, data), now)


def tell(
    service: TftpService, packet: Packet, socket: int = FIRST_TRANSFER, peer: Endpoint = PEER, now: float = 0.01
) -> Effects:
    return service.receive(Datagram(socket, peer, SERVER, build(packet)), now)


def error(effects: Effects) -> tuple[int, Error]:
    """Return the socket and the content of the one ERROR among these effects."""
    [sent] = [effect for effect in effects if isinstance(effect, Send)]
    packet = parse_untrusted(sent.data)
    assert isinstance(packet, Error)
    return sent.socket, packet


def reasons(effects: Effects) -> list[DropReason]:
    return [effect.reason for effect in effects if isinstance(effect, Drop)]


def ends(effects: Effects) -> list[str | int]:
    return [dict(effect.detail)["end"] for effect in effects if isinstance(effect, Report) and len(effect.detail) > 4]


def lookup(effects: Effects) -> Lookup:
    [found] = [effect for effect in effects if isinstance(effect, Lookup)]
    return found


# Requests


def test_request_opens_a_socket_and_sends_the_oack() -> None:
    service = server(CATALOGUE)
    options: Pairs = (("tsize", "0"), ("blksize", "1024"), ("windowsize", "4"), ("multicast", ""))
    answer: Pairs = (("tsize", "10000"), ("blksize", "1024"), ("windowsize", "4"))
    detail = (("file", "nbp"), ("size", 10_000), ("block_size", 1024), ("window", 4))
    assert ask(service, options=options) == (
        OpenTransfer(1000),
        Send(1000, PEER, build(OptionAck(answer))),
        Report(ReportKind.TFTP_STARTED, PEER.address, None, detail),
    )
    assert tell(service, Ack(0)) == (SendRun(1000, PEER, NBP, 1, 4, 1024, 0),)
    assert tell(service, Ack(4)) == (SendRun(1000, PEER, NBP, 5, 4, 1024, 0),)


def test_plain_request_gets_data() -> None:
    """mtftp.md FBK-01: no options at all."""
    effects = ask(server(CATALOGUE))
    assert effects[:2] == (OpenTransfer(1000), SendRun(1000, PEER, NBP, 1, 1, 512, 0))


def test_unknown_options_are_no_options() -> None:
    """RFC 2347: no OACK when nothing is granted."""
    effects = ask(server(CATALOGUE), options=(("multicast", ""), ("blksize", "5")))
    assert effects[1] == SendRun(1000, PEER, NBP, 1, 1, 512, 0)


@pytest.mark.parametrize("mode", ["OCTET", "netascii", "NetASCII"])
def test_modes(mode: str) -> None:
    """Quirk Q101: what is served is an image, whatever it is called."""
    assert isinstance(ask(server(CATALOGUE), mode=mode)[0], OpenTransfer)


@pytest.mark.parametrize("filename", [b"/nbp", b"\\nbp", b"nbp\xff", b"./nbp", b"//nbp\xff\xff"])
def test_names_of_the_catalogue(filename: bytes) -> None:
    assert isinstance(ask(server(CATALOGUE), filename)[0], OpenTransfer)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (Request(2, b"nbp"), 2),
        (Request(2, b""), 2),
        (Request(1, b"nbp", "mail"), 4),
        (Request(1, b"nbp", ""), 4),
        (Request(1, b"../etc/passwd"), 2),
        (Request(1, b"\xe9"), 2),
        (Request(1, b""), 1),
    ],
)
def test_refused_from_port_69_without_a_socket(request_: Request, code: int) -> None:
    service = server(CATALOGUE)
    effects = tell(service, request_, Service.TFTP)
    socket, packet = error(effects)
    assert (socket, packet.code) == (Service.TFTP, code)
    assert len(build(packet)) <= 500
    [report] = [effect for effect in effects if isinstance(effect, Report)]
    assert report.kind is ReportKind.TFTP_REFUSED
    assert report.detail[1:] == (("code", code), ("end", packet.text))
    assert len(effects) == 2
    assert service.statistics().refused == 1


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        ("nbp", True),
        ("/boot\\small", True),
        ("mtftp://10.0.0.1:1759/boot/small", True),
        ("tftp://10.0.0.1", False),
        ("../nbp", False),
        ("", False),
        (None, False),
    ],
)
def test_empty_name_means_the_file_that_was_offered(offered: str | None, answered: bool) -> None:
    """Quirk Q02."""
    asked: list[str] = []

    def boot_file(address: str) -> str | None:
        asked.append(address)
        return offered

    service = TftpService(settings(), Catalogue(tuple(CATALOGUE.values()), CATALOGUE), boot_file)
    effects = ask(service, b"")
    assert isinstance(effects[0], OpenTransfer) is answered
    assert asked == [PEER.address]
    if not answered:
        assert error(effects)[1].code == 1


def test_other_files_are_looked_up() -> None:
    service = server(CATALOGUE)
    found = lookup(ask(service, b"/pxelinux.cfg/default", BLKSIZE))
    assert found.name == "pxelinux.cfg/default"
    image = Image(9, "default", 1024)
    assert service.looked_up(found.request, image, 0.0)[:2] == (
        OpenTransfer(1000),
        Send(1000, PEER, build(OptionAck(BLKSIZE))),
    )


def test_missing_file_is_error_1_before_any_oack() -> None:
    """Quirks Q85, Q99: at once, and from port 69."""
    service = server(CATALOGUE)
    effects = service.looked_up(lookup(ask(service, b"nothing", BLKSIZE)).request, None, 0.0)
    assert error(effects) == (Service.TFTP, Error(1, "file not found"))
    assert service.statistics().transfers == ()


def test_lookup_nobody_waits_for() -> None:
    service = server(CATALOGUE)
    image = Image(9, "late", 1)
    first = lookup(ask(service, b"first"))
    second = lookup(ask(service, b"second", peer=OTHER))
    assert service.looked_up(first.request, image, 0.0) == (Release(image),)
    assert service.looked_up(first.request, None, 0.0) == ()
    assert isinstance(service.looked_up(second.request, image, 0.0)[0], OpenTransfer)
    assert service.looked_up(second.request, image, 0.0) == ()


@pytest.mark.parametrize(
    ("source", "destination", "data", "reason"),
    [
        (PEER, SERVER, b"", DropReason.MALFORMED),
        (PEER, SERVER, b"\0", DropReason.MALFORMED),
        (PEER, SERVER, b"\0\1nbp", DropReason.MALFORMED),
        (PEER, SERVER, build(Ack(1)), DropReason.NOT_A_REQUEST),
        (PEER, SERVER, build(Data(1, b"x")), DropReason.NOT_A_REQUEST),
        (PEER, SERVER, build(Error(0)), DropReason.NOT_A_REQUEST),
        (Endpoint("192.0.2.1", 1024), SERVER, build(Request(1, b"nbp")), DropReason.OFF_LINK),
        (Endpoint("10.0.0.7", 0), SERVER, build(Request(1, b"nbp")), DropReason.NOT_FOR_US),
        (PEER, Endpoint("255.255.255.255", 69), build(Request(1, b"nbp")), DropReason.NOT_FOR_US),
        (PEER, Endpoint("10.0.255.255", 69), build(Request(1, b"nbp")), DropReason.NOT_FOR_US),
    ],
)
def test_no_answer(source: Endpoint, destination: Endpoint, data: bytes, reason: DropReason) -> None:
    service = server(CATALOGUE)
    assert reasons(service.receive(Datagram(Service.TFTP, source, destination, data), 0.0)) == [reason]
    assert service.next_deadline() is None


# Repeated requests


def test_repeated_request_repeats_the_first_reply() -> None:
    """Quirk Q88: one transfer, and the ROM's repetition is what repeats the OACK (ruling 14)."""
    service = server(CATALOGUE)
    first = ask(service, options=BLKSIZE)
    assert ask(service, options=BLKSIZE, now=0.1) == (first[1],)
    assert ask(service, options=BLKSIZE, now=2.0) == (first[1],)
    assert tell(service, Ack(0), now=2.1) == (SendRun(1000, PEER, NBP, 1, 1, 1024, 0),)
    assert service.statistics().half_open == 0


def test_third_unanswered_oack_is_left_out() -> None:
    """Quirk Q81: a ROM that asks for blksize and cannot do it.  The late ACK 0 of another is still good."""
    service = server(CATALOGUE)
    for now in (0.0, 4.0, 8.0):
        ask(service, options=BLKSIZE, now=now)
    effects = ask(service, options=BLKSIZE, now=12.0)
    assert effects[:2] == (OpenTransfer(1001), SendRun(1001, PEER, NBP, 1, 1, 512, 0))
    assert ask(service, options=BLKSIZE, now=16.0) == (SendRun(1001, PEER, NBP, 1, 1, 512, 0),)
    assert tell(service, Ack(0), 1000, now=16.1) == (SendRun(1000, PEER, NBP, 1, 1, 1024, 0),)
    assert tell(service, Ack(1), 1001, now=16.1) == (SendRun(1001, PEER, NBP, 2, 1, 512, 0),)


def test_third_unanswered_oack_of_a_looked_up_file() -> None:
    service = server(CATALOGUE)
    image = Image(9, "other", 100)
    service.looked_up(lookup(ask(service, b"other", BLKSIZE)).request, image, 0.0)
    for now in (1.0, 2.0, 3.0):
        ask(service, b"other", BLKSIZE, now=now)
    service.tick(2.0 + HALF_OPEN_SECONDS)
    assert Release(image) not in tell(service, Ack(1), 1001, now=32.5)
    assert service.tick(40.0) == (CloseTransfer(1001), Release(image))


def test_late_copy_of_a_request_does_nothing() -> None:
    service = server(CATALOGUE)
    ask(service)
    tell(service, Ack(1), now=0.1)
    assert reasons(ask(service, now=0.2)) == [DropReason.DUPLICATE_REQUEST]
    assert tell(service, Ack(2), now=0.3) == (SendRun(1000, PEER, NBP, 3, 1, 512, 0),)


def test_client_that_starts_over_is_served() -> None:
    service = server(CATALOGUE)
    ask(service)
    tell(service, Ack(1), now=0.1)
    service.tick(0.7)
    effects = ask(service, now=1.5)
    assert ends(effects) == ["client started over"]
    assert OpenTransfer(1001) in effects
    assert SendRun(1001, PEER, NBP, 1, 1, 512, 0) in effects


def test_next_file_from_the_same_port_ends_the_first() -> None:
    """Quirk Q89; the ACK of the last block was lost."""
    service = server(CATALOGUE)
    ask(service, b"boot/small", BLKSIZE)
    tell(service, Ack(0))
    effects = ask(service, now=0.02)
    assert ends(effects) == ["last block not acknowledged"]
    assert effects[1:3] == (OpenTransfer(1001), SendRun(1001, PEER, NBP, 1, 1, 512, 0))


def test_same_file_again_after_the_end() -> None:
    service = server(CATALOGUE)
    ask(service, b"boot/small")
    assert ends(tell(service, Ack(1))) == ["complete"]
    assert ask(service, b"boot/small", now=0.02)[0] == OpenTransfer(1001)
    assert service.tick(10.0) == (CloseTransfer(1000),)
    assert ask(service, b"boot/small", now=11.0) == (SendRun(1001, PEER, SMALL, 1, 1, 512, 0),)


def test_request_from_a_new_port_ends_the_unanswered_one() -> None:
    """Quirk Q88; but several clients behind one address are not mistaken for that."""
    service = server(CATALOGUE)
    ask(service)
    again = Endpoint(PEER.address, 2071)
    assert len(ask(service, peer=again, now=0.5)) == 3
    effects = ask(service, peer=Endpoint(PEER.address, 2072), now=1.6)
    assert ends(effects) == ["client asked again from another port"]
    assert CloseTransfer(1001) in effects
    assert len(ask(service, b"boot/small", peer=Endpoint(PEER.address, 2073), now=9.0)) == 3


# Packets of a transfer


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


# Limits


def address(number: int) -> str:
    return f"10.0.{1 + number // 250}.{number % 250}"


def test_unanswered_requests_make_room_for_new_ones() -> None:
    """Reliability row R12: a flood of forged requests cannot lock out an honest client."""
    service = server(CATALOGUE)
    for number in range(MAX_HALF_OPEN):
        assert len(ask(service, peer=Endpoint(address(number), 1000))) == 3
    effects = ask(service)
    assert ends(effects) == ["first packet not answered, room needed"]
    assert effects[1:3] == (CloseTransfer(1000), OpenTransfer(1000 + MAX_HALF_OPEN))
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


def test_half_open_transfer_takes_a_kilobyte() -> None:
    """Reliability section 6, without the address of the client, which comes with the datagram."""
    service = server(CATALOGUE)
    options: Pairs = (("tsize", "0"), ("blksize", "1408"), ("windowsize", "4"), ("timeout", "5"), ("rollover", "0"))
    data = build(Request(1, b"nbp", "octet", options))
    datagrams = [Datagram(Service.TFTP, Endpoint(address(n), 2000 + n), SERVER, data) for n in range(1000)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number, datagram in enumerate(datagrams):
        service.receive(datagram, number / 1000)
    each = (tracemalloc.get_traced_memory()[0] - before) / len(datagrams)
    tracemalloc.stop()
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
    assert granted(Endpoint(PEER.address, 2), 1010.0 + WINDOWLESS_SECONDS) == options


def test_memory_of_lossy_clients_is_bounded() -> None:
    service = server(CATALOGUE)
    now = 0.0
    for number in range(MAX_WINDOWLESS + 1):
        now += 10.0
        lossy_transfer(service, Endpoint(address(number), 1), now)
    service.tick(now + 9.0)
    options: Pairs = (("windowsize", "4"),)
    first, last = Endpoint(address(0), 2), Endpoint(address(MAX_WINDOWLESS), 2)
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


# Anything at all

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
                case OpenTransfer(socket):
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

"""Port 69: which request gets what answer, by clause and quirk, with explicit times."""

from __future__ import annotations

import pytest

from mtftpd.core.effects import (
    CloseTransfer,
    DropReason,
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
from mtftpd.core.tftp.refusals import BURST, PER_SECOND
from mtftpd.core.tftp.service import TftpService
from mtftpd.core.tftp.transfer import HALF_OPEN_SECONDS
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import Ack, Data, Error, OptionAck, Pairs, Request, build
from tests.core.tftp.tftp_bench import (
    BLKSIZE,
    CATALOGUE,
    NBP,
    OTHER,
    PEER,
    SMALL,
    ask,
    ends,
    error,
    lookup,
    reasons,
    tell,
)
from tests.core.tftp.tftp_world import SERVER, server, settings


def test_request_opens_a_socket_and_sends_the_oack() -> None:
    service = server(CATALOGUE)
    options: Pairs = (("tsize", "0"), ("blksize", "1024"), ("windowsize", "4"), ("multicast", ""))
    answer: Pairs = (("tsize", "10000"), ("blksize", "1024"), ("windowsize", "4"))
    detail = (("file", "nbp"), ("size", 10_000), ("block_size", 1024), ("window", 4))
    assert ask(service, options=options) == (
        OpenTransfer(1000, PEER),
        Send(1000, PEER, build(OptionAck(answer))),
        Report(ReportKind.TFTP_STARTED, PEER.address, None, detail),
    )
    assert tell(service, Ack(0)) == (SendRun(1000, PEER, NBP, 1, 4, 1024, 0),)
    assert tell(service, Ack(4)) == (SendRun(1000, PEER, NBP, 5, 4, 1024, 0),)


def test_plain_request_gets_data() -> None:
    """mtftp.md FBK-01: no options at all."""
    effects = ask(server(CATALOGUE))
    assert effects[:2] == (OpenTransfer(1000, PEER), SendRun(1000, PEER, NBP, 1, 1, 512, 0))


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


def test_quirk_q103_a_client_that_does_not_notice_errors_gets_few_of_them() -> None:
    service = server(CATALOGUE)
    answers = [tell(service, Request(2, b"nbp"), Service.TFTP, now=second / 10) for second in range(1000)]
    told = [each for each in answers if isinstance(each[0], Send)]
    assert BURST <= len(told) <= BURST + 100 * PER_SECOND
    assert reasons(answers[-1]) in ([], [DropReason.TOO_MANY_ERRORS])
    assert service.statistics().refused == 1000
    assert error(tell(service, Request(2, b"nbp"), Service.TFTP, peer=OTHER, now=100.0))[1].code == 2


def test_the_searches_of_three_loaders_are_answered_at_once() -> None:
    service = server(CATALOGUE)
    for number in range(3 * (11 + 6)):
        asked = lookup(ask(service, f"pxelinux.cfg/{number}".encode()))
        assert error(service.looked_up(asked.request, None, 0.0))[1].code == 1


def test_other_files_are_looked_up() -> None:
    service = server(CATALOGUE)
    found = lookup(ask(service, b"/pxelinux.cfg/default", BLKSIZE))
    assert found.name == "pxelinux.cfg/default"
    image = Image(9, "default", 1024)
    assert service.looked_up(found.request, image, 0.0)[:2] == (
        OpenTransfer(1000, PEER),
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
    assert effects[:2] == (OpenTransfer(1001, PEER), SendRun(1001, PEER, NBP, 1, 1, 512, 0))
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
    assert OpenTransfer(1001, PEER) in effects
    assert SendRun(1001, PEER, NBP, 1, 1, 512, 0) in effects


def test_next_file_from_the_same_port_ends_the_first() -> None:
    """Quirk Q89; the ACK of the last block was lost."""
    service = server(CATALOGUE)
    ask(service, b"boot/small", BLKSIZE)
    tell(service, Ack(0))
    effects = ask(service, now=0.02)
    assert ends(effects) == ["last block not acknowledged"]
    assert effects[1:3] == (OpenTransfer(1001, PEER), SendRun(1001, PEER, NBP, 1, 1, 512, 0))


def test_same_file_again_after_the_end() -> None:
    service = server(CATALOGUE)
    ask(service, b"boot/small")
    assert ends(tell(service, Ack(1))) == ["complete"]
    assert ask(service, b"boot/small", now=0.02)[0] == OpenTransfer(1001, PEER)
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

"""Talk to a TFTP service and look at its effects: what the tests of the service share."""

from __future__ import annotations

from mtftpd.core.effects import (
    FIRST_TRANSFER,
    Drop,
    DropReason,
    Effects,
    Lookup,
    Report,
    Send,
    Service,
)
from mtftpd.core.images import Image
from mtftpd.core.tftp.service import TftpService
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import Error, Packet, Pairs, Request, build, parse_untrusted
from tests.core.tftp.tftp_world import SERVER

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


def address(number: int) -> str:
    return f"10.0.{1 + number // 250}.{number % 250}"

"""A server that grants option multicast, its time of day, and short ways to say what left."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from mtftpd.core.effects import Drop, DropReason, Effects, Report, ReportKind, Send, SendRun, Service
from mtftpd.core.images import Image
from mtftpd.core.service import BootService
from mtftpd.core.settings import Catalogue, Link, Multicast, Settings
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import Ack, OptionAck, Pairs, Request, build, parse_untrusted

SERVER = Endpoint("10.0.0.1", 69)
NETWORK = IPv4Network("10.0.0.0/16")
IMAGE = Image(1, "node", 5 * 512, "a1" * 32)
OTHER = Image(2, "other", 700, "b2" * 32)
BLOCKS = 6
MULTICAST: Pairs = (("multicast", ""),)
CATALOGUE = Catalogue((IMAGE, OTHER), {"node": IMAGE, "other": OTHER})


def configured(**changes: object) -> Settings:
    link = Link("lan0", 2, IPv4Address(SERVER.address), NETWORK)
    return replace(Settings(link, multicast=Multicast(IPv4Address("239.1.1.1"))), **changes)  # type: ignore[arg-type]


def client(number: int, port: int = 2_000) -> Endpoint:
    return Endpoint(f"10.0.1.{number}", port)


@dataclass
class Desk:
    """A server, and the time of day."""

    service: BootService = field(default_factory=lambda: BootService(configured(), CATALOGUE))
    now: float = 0.0

    def asks(self, peer: Endpoint, options: Pairs = MULTICAST, name: str = "node") -> Effects:
        return self.says(peer, build(Request(1, name.encode(), "octet", options)))

    def acks(self, peer: Endpoint, number: int) -> Effects:
        return self.says(peer, build(Ack(number)))

    def says(self, peer: Endpoint, data: bytes) -> Effects:
        self.now += 0.001
        return self.service.receive(Datagram(Service.TFTP, peer, SERVER, data), self.now)

    def waits(self, seconds: float) -> Effects:
        """Let time pass and return what the server does about it."""
        effects: Effects = ()
        end = self.now + seconds
        while (due := self.service.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            effects += self.service.tick(self.now)
        self.now = end
        return effects

    def master(self) -> str:
        (transfer,) = self.service.statistics().multicast.transfers
        return transfer.master.rpartition(":")[0]


def granted(effects: Effects) -> dict[str, str]:
    """Return the options of the one OACK among these effects."""
    (send,) = (effect for effect in effects if isinstance(effect, Send))
    packet = parse_untrusted(send.data)
    assert isinstance(packet, OptionAck)
    return dict(packet.options)


def calls(effects: Effects) -> list[str]:
    """Return the addresses that are told that they are master."""
    return [each.destination.address for each in effects if isinstance(each, Send) and each.data.endswith(b",1\0")]


def blocks(effects: Effects) -> list[int]:
    return [effect.first_block for effect in effects if isinstance(effect, SendRun)]


def ends(effects: Effects) -> list[tuple[str, str]]:
    """Return who ended, and how."""
    kinds = (ReportKind.TFTP_DONE, ReportKind.TFTP_FAILED)
    return [
        (effect.address, str(dict(effect.detail)["end"]))
        for effect in effects
        if isinstance(effect, Report) and effect.kind in kinds
    ]


def kinds_of(effects: Effects) -> list[ReportKind]:
    return [effect.kind for effect in effects if isinstance(effect, Report)]


def dropped(effects: Effects) -> list[DropReason]:
    return [effect.reason for effect in effects if isinstance(effect, Drop)]

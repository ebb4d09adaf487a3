"""A DHCP service with the requests of real clients: shared by the DHCP and PXE tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from mtftpd.core.dhcp.service import DhcpService
from mtftpd.core.effects import Drop, DropReason, Effects, Report, ReportKind, SaveLease, Send, Service
from mtftpd.core.groups import Groups
from mtftpd.core.images import Image
from mtftpd.core.node_settings import Boot
from mtftpd.core.settings import Addressing, Catalogue, Link, Mode, Multicast, Settings
from mtftpd.wire import bootp
from mtftpd.wire.bootp import BOOTREQUEST, DhcpMessage, MessageType
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.options import Options

SERVER = IPv4Address("10.0.0.1")
LINK = Link("eth1", 2, SERVER, IPv4Network("10.0.0.0/24"))
FAR = IPv4Network("172.16.5.0/24")
"""A network behind a relay, allowed by configuration."""

NBP = Image(1, "nbp", 94_377, "11" * 32)
EFI = Image(2, "boot.efi", 1024, "22" * 32)
ONE_IMAGE = Catalogue((NBP,), {"nbp": NBP, "bios/nbp.0": NBP})
TWO_IMAGES = Catalogue((NBP, EFI), {"nbp": NBP, "boot.efi": EFI})

UNSET = IPv4Address(0)
MAC = bytes.fromhex("5254000a0b0c")
UUID = b"\0" + bytes(range(16))
ANYBODY = Endpoint("255.255.255.255", 67)
NOBODY = Endpoint("0.0.0.0", 68)

DHCP = Settings(
    LINK,
    mode=Mode.DHCP,
    addressing=Addressing(IPv4Address("10.0.0.100"), IPv4Address("10.0.0.149")),
    multicast=Multicast(IPv4Address("239.1.1.1")),
    allowed=(FAR,),
)
PROXY = replace(DHCP, mode=Mode.PROXY, addressing=Addressing())

BIOS_ROM: dict[int, bytes] = {
    55: bytes((1, 3, 43, 54, 60, 66, 67, *range(128, 136))),
    57: (1472).to_bytes(2, "big"),
    60: b"PXEClient:Arch:00000:UNDI:002001",
    93: b"\0\0",
    94: b"\1\2\1",
    97: UUID,
}
OVMF: dict[int, bytes] = {
    **BIOS_ROM,
    55: bytes((1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67, 97))
    + bytes(range(128, 136)),
    60: b"PXEClient:Arch:00007:UNDI:003000",
    93: b"\0\7",
    94: b"\1\3\0",
}
IPXE: dict[int, bytes] = {**BIOS_ROM, 77: b"iPXE", 175: bytes.fromhex("b105011af41000eb03010000")}
HTTP: dict[int, bytes] = {55: OVMF[55], 57: b"\5\xc0", 60: b"HTTPClient:Arch:00016:UNDI:003000", 93: b"\0\x10"}
SYSTEM: dict[int, bytes] = {55: bytes((1, 3, 6, 12, 15, 28)), 61: b"\xff" + bytes(18), 12: b"node17"}


def option(value: IPv4Address | str) -> bytes:
    return IPv4Address(value).packed


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply, read back: where it went and what it says."""

    send: Send
    message: DhcpMessage
    report: Report

    def __getitem__(self, code: int) -> bytes | None:
        return self.message.options.get(code)

    @property
    def type(self) -> int | None:
        return self.message.message_type


@dataclass
class Node:
    """One client: its requests carry ``options`` and what it has learnt."""

    lab: Lab
    options: Mapping[int, bytes] = field(default_factory=lambda: dict(BIOS_ROM))
    mac: bytes = MAC
    flags: int = 0
    htype: int = 1
    giaddr: IPv4Address = UNSET
    extra: Mapping[int, bytes] = field(default_factory=dict)

    def message(self, kind: int | None, options: Mapping[int, bytes] | None = None, **fields: object) -> DhcpMessage:
        values = {} if kind is None else {53: bytes((kind,))}
        message = DhcpMessage(
            op=BOOTREQUEST,
            xid=0x1234ABCD,
            chaddr=self.mac.ljust(16, b"\0"),
            htype=self.htype,
            hlen=len(self.mac),
            flags=self.flags,
            giaddr=self.giaddr,
            options=Options({**values, **self.options, **self.extra, **(options or {})}),
        )
        return replace(message, **fields)  # type: ignore[arg-type]

    def effects(self, kind: int | None, options: Mapping[int, bytes] | None = None, **fields: object) -> Effects:
        source = Endpoint(str(self.giaddr), 67) if int(self.giaddr) else NOBODY
        return self.lab.receive(self.message(kind, options, **fields), source=source)

    def ask(self, kind: int | None, options: Mapping[int, bytes] | None = None, **fields: object) -> Answer:
        return answer(self.effects(kind, options, **fields))

    def discover(self) -> Answer:
        return self.ask(MessageType.DISCOVER)

    def select(self, offer: Answer) -> Answer:
        """The REQUEST of SELECTING (RFC 2131 table 4)."""
        taken = {50: offer.message.yiaddr.packed, 54: offer.message.options[54]}
        return self.ask(MessageType.REQUEST, taken)

    def boot(self) -> Answer:
        return self.select(self.discover())


class Lab:
    """A service with a clock that tests move by hand."""

    def __init__(self, settings: Settings = DHCP, catalogue: Catalogue = ONE_IMAGE) -> None:
        self.settings = settings
        self.service = DhcpService(settings, catalogue, Groups(settings, catalogue))
        self.now = 1000.0
        self.saved: list[SaveLease] = []

    def node(self, options: Mapping[int, bytes] = BIOS_ROM, mac: bytes = MAC) -> Node:
        return Node(self, options, mac)

    def receive(
        self,
        message: DhcpMessage | bytes,
        source: Endpoint = NOBODY,
        destination: Endpoint = ANYBODY,
        socket: int = Service.DHCP,
    ) -> Effects:
        data = message if isinstance(message, bytes) else bootp.build(message, max_size=9000)
        return self.keep(self.service.receive(Datagram(socket, source, destination, data), self.now))

    def keep(self, effects: Effects) -> Effects:
        """Put the leases that are to be saved, which come first, into `saved`; return the rest."""
        saves = [each for each in effects if isinstance(each, SaveLease)]
        self.saved += saves
        assert effects[: len(saves)] == tuple(saves)
        return effects[len(saves) :]

    def reconfigure(self, settings: Settings, catalogue: Catalogue = ONE_IMAGE) -> None:
        self.keep(self.service.reconfigure(settings, catalogue, Groups(settings, catalogue), self.now))


def answer(effects: Effects) -> Answer:
    send, report = effects
    assert isinstance(send, Send), effects
    assert isinstance(report, Report), effects
    return Answer(send, bootp.parse_untrusted(send.data), report)


def reason(effects: Effects) -> DropReason:
    (drop,) = effects
    assert isinstance(drop, Drop), effects
    return drop.reason


def told(effects: Effects) -> ReportKind:
    (report,) = effects
    assert isinstance(report, Report), effects
    return report.kind


def with_boot(settings: Settings, boot: Boot) -> Settings:
    return replace(settings, boot=boot)


def with_addressing(settings: Settings, **changes: object) -> Settings:
    return replace(settings, addressing=replace(settings.addressing, **changes))  # type: ignore[arg-type]

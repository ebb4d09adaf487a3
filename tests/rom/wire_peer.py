"""The other end of a client machine under test: builds what a server sends, and reads what the client sent."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any, TypeVar

from mtftpd.rom.actions import Actions, Transmit
from mtftpd.rom.mtftp import Mtftp, Ticket
from mtftpd.rom.profiles import SPEC, DhcpProfile, Identity, MtftpProfile
from mtftpd.wire import bootp, pxe, tftp
from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress
from mtftpd.wire.options import Options

SERVER = "10.0.0.1"
STATION = "10.0.0.7"
GROUP = Endpoint("239.1.1.1", 1799)
SERVER_PORT = 1542
SPORT = Endpoint(SERVER, SERVER_PORT)
HARDWARE = HardwareAddress(1, bytes.fromhex("020000000007"))
IDENTITY = Identity(HARDWARE, bytes(range(16)), xid=0x1000)
T = 2.0

_Action = TypeVar("_Action")


class Recorder:
    """A memory that keeps every write, so that a test sees what was stored where."""

    def __init__(self) -> None:
        self.writes: list[tuple[int, bytes]] = []

    def write(self, offset: int, packet: bytes) -> None:
        self.writes.append((offset, packet[4:]))

    def image(self) -> bytes:
        octets = bytearray()
        for offset, payload in self.writes:
            octets.extend(bytes(max(0, offset + len(payload) - len(octets))))
            octets[offset : offset + len(payload)] = payload
        return bytes(octets)


def blocks_of(image: bytes, size: int = 512) -> list[bytes]:
    """Return the payloads of all DATA packets of an image, the short one included."""
    return [image[at : at + size] for at in range(0, len(image) + 1, size)]


def ticket(boot_file: bytes = b"img") -> Ticket:
    return Ticket(STATION, SERVER, SERVER_PORT, GROUP, boot_file, T, T)


def listener(profile: MtftpProfile, memory: Recorder | None = None, limit: int = 1 << 30) -> Mtftp:
    """Return a client that listens since time 0."""
    client = Mtftp(ticket(), profile, memory or Recorder(), limit)
    client.start(0.0)
    return client


def spec() -> MtftpProfile:
    assert SPEC.mtftp is not None
    return SPEC.mtftp


def data(number: int, payload: bytes = b"x" * 512) -> bytes:
    return tftp.build(tftp.Data(number, payload))


def to_group(packet: bytes, source: Endpoint = SPORT) -> Datagram:
    return Datagram(GROUP.port, source, GROUP, packet)


def to_station(packet: bytes, source: Endpoint = SPORT, port: int = GROUP.port) -> Datagram:
    return Datagram(port, source, Endpoint(STATION, port), packet)


def sent(actions: Actions) -> list[tuple[Endpoint, tftp.Packet]]:
    """Return what was transmitted, read as TFTP."""
    return [(a.destination, tftp.parse_untrusted(a.data)) for a in actions if isinstance(a, Transmit)]


def packets(actions: Actions) -> list[tftp.Packet]:
    return [packet for _, packet in sent(actions)]


def dhcp_sent(actions: Actions) -> list[tuple[int, Endpoint, DhcpMessage]]:
    """Return what was transmitted, read as DHCP: local port, destination, message."""
    return [(a.port, a.destination, bootp.parse_untrusted(a.data)) for a in actions if isinstance(a, Transmit)]


def only(kind: type[_Action], actions: Actions) -> list[_Action]:
    return [action for action in actions if isinstance(action, kind)]


TAGS = pxe.MtftpTags(IPv4Address(GROUP.address), GROUP.port, SERVER_PORT, 2, 2)
DIRECT = pxe.PxeOptions(discovery_control=0x0A, mtftp=TAGS)


def reply(
    kind: int, options: dict[int, bytes] | None = None, *, pxe_options: pxe.PxeOptions | None = None, **header: Any
) -> DhcpMessage:
    """Return a reply of `SERVER` to `IDENTITY`; without ``pxe_options`` it has no option 43."""
    values: dict[int, bytes] = {53: bytes((kind,)), 54: IPv4Address(SERVER).packed}
    if pxe_options is not None:
        values |= {60: b"PXEClient", 43: pxe.build(pxe_options)}
    fields: dict[str, Any] = {
        "op": bootp.BOOTREPLY,
        "xid": IDENTITY.xid,
        "chaddr": HARDWARE.octets.ljust(16, b"\0"),
        "yiaddr": IPv4Address(STATION),
        "siaddr": IPv4Address(SERVER),
        "file": b"img",
    }
    return DhcpMessage(**(fields | header), options=Options(values | (options or {})))


def from_server(message: DhcpMessage, source: Endpoint | None = None) -> Datagram:
    return Datagram(68, source or Endpoint(SERVER, 67), Endpoint("255.255.255.255", 68), bootp.build(message))


PLAIN_DHCP = DhcpProfile()

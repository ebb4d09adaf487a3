"""A DHCP client that sends what a case tells it to, without an address until it has got one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from random import Random
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from mtftpd.conformance.mailbox import Mailbox, Reply
from mtftpd.conformance.network import Machine
from mtftpd.conformance.packets import Packet
from mtftpd.conformance.verdicts import fail, given
from mtftpd.errors import Malformed
from mtftpd.net.outside import Heard
from mtftpd.wire import bootp
from mtftpd.wire.bootp import BOOTREPLY, BOOTREQUEST, BROADCAST_FLAG, DhcpMessage, MessageType
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.options import MESSAGE_TYPE, SERVER_IDENTIFIER, Options

SERVER_PORT: Final = 67
CLIENT_PORT: Final = 68
PXE_PORT: Final = 4011
EVERYBODY: Final = "255.255.255.255"
NOBODY: Final = IPv4Address("192.0.2.1")
"""An address of TEST-NET-1 (RFC 5737): the server that a client chooses when it gives an offer back."""

REQUESTED_ADDRESS: Final = 50
PARAMETER_LIST: Final = 55
MAXIMUM_SIZE: Final = 57
VENDOR_CLASS: Final = 60
CLIENT_IDENTIFIER: Final = 61
ARCHITECTURE: Final = 93
INTERFACE: Final = 94
MACHINE: Final = 97

_ASKED: Final = bytes((1, 3, 6, 12, 13, 15, 17, 18, 43, 54, 60, 66, 67, 128, 129, 130, 131, 132, 133, 134, 135))
"""What PXE 2.1 table 2-2 has a ROM ask for, and the usual rest."""

TRIES: Final = 3


class Rom(NamedTuple):
    """Which program a client plays: its architecture (option 93) and UNDI version, or none for a plain client."""

    architecture: int | None
    undi: tuple[int, int] = (2, 1)

    def options(self, machine: bytes) -> Options:
        """Return the options of every message; ``machine`` is a UUID of 16 octets."""
        if self.architecture is None:
            return Options({PARAMETER_LIST: bytes((1, 3, 6, 12, 15, 51, 54, 58, 59))})
        major, minor = self.undi
        name = f"PXEClient:Arch:{self.architecture:05}:UNDI:{major:03}{minor:03}"
        return Options(
            {
                PARAMETER_LIST: _ASKED,
                MAXIMUM_SIZE: (1472).to_bytes(2, "big"),
                VENDOR_CLASS: name.encode(),
                ARCHITECTURE: self.architecture.to_bytes(2, "big"),
                INTERFACE: bytes((1, major, minor)),
                MACHINE: b"\0" + machine,
            }
        )


BIOS: Final = Rom(0)
UEFI: Final = Rom(7, (3, 0))
PLAIN: Final = Rom(None)


class Way(NamedTuple):
    """Where a client's messages go: the ``target``, its DHCP port, and how many seconds it is waited for."""

    target: str
    port: int
    patience: float

    @property
    def everybody(self) -> Endpoint:
        """The broadcast address, at the port of DHCP servers."""
        return Endpoint(EVERYBODY, self.port)

    @property
    def server(self) -> Endpoint:
        """The target, at its DHCP port."""
        return Endpoint(self.target, self.port)


class DhcpClient:
    """One hardware address; use it in ``async with``, which gives back what it got."""

    def __init__(self, machine: Machine, mailbox: Mailbox, way: Way, rom: Rom, random: Random) -> None:
        self.machine = machine
        self.mailbox = mailbox
        self.way = way
        self.options = rom.options(random.randbytes(16))
        self._random = random
        self._offered: DhcpMessage | None = None
        self._is_bound = False
        self.xid = random.getrandbits(32)
        mailbox.is_noise = self._is_for_others

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        self.mailbox.close()
        self.machine.close()

    @property
    def address(self) -> IPv4Address:
        """The address that the client has, or 0.0.0.0."""
        return IPv4Address(self.machine.address)

    def message(self, kind: MessageType | None, more: dict[int, bytes] | None = None, **fields: Any) -> DhcpMessage:
        """Return a message of ``kind`` (None for BOOTP) with ``more`` options and header ``fields`` as they are given.

        The broadcast flag is set, so that a client without an address hears the answer whatever the target can do.
        """
        options = {} if kind is None else {MESSAGE_TYPE: bytes((kind,)), **self.options}
        usual: dict[str, Any] = {
            "op": BOOTREQUEST,
            "xid": self.xid,
            "chaddr": self.machine.hardware.ljust(16, b"\0"),
            "flags": BROADCAST_FLAG,
            "options": Options({**options, **(more or {})}),
        }
        return DhcpMessage(**{**usual, **fields})

    @contextmanager
    def hearing(self, mailbox: Mailbox) -> Iterator[None]:
        """Send from and listen to another port of the client in the body."""
        usual, self.mailbox = self.mailbox, mailbox
        mailbox.is_noise = self._is_for_others
        try:
            yield
        finally:
            self.mailbox = usual

    def new_exchange(self) -> None:
        """Take another transaction number."""
        self.xid = self._random.getrandbits(32)

    def send(self, message: DhcpMessage | bytes, to: Endpoint | None = None) -> Packet:
        """Send a message, or any octets, to everybody or to ``to``."""
        data = message if isinstance(message, bytes) else bootp.build(message, max_size=1472)
        return self.mailbox.send(data, to or self.way.everybody)

    async def expect(self, *kinds: MessageType | None, seconds: float | None = None) -> Reply[DhcpMessage]:
        """Return the next message of the target to this client, which must be of one of ``kinds``.

        Raises `Failed` when it is of another kind or malformed, or when none comes within ``seconds``.
        """
        wanted = " or ".join("BOOTREPLY" if kind is None else kind.name for kind in kinds)
        wait = self.way.patience if seconds is None else seconds
        packet = await self.mailbox.until(lambda packet: packet if self._is_for_me(packet) else None, wait)
        if packet is None:
            raise fail("answer", wanted, f"nothing within {wait:g} s")
        try:
            value = bootp.parse_untrusted(packet.data)
        except Malformed as problem:
            raise fail("answer", wanted, f"malformed: {problem}", packet) from problem
        if value.message_type not in kinds:
            raise fail("answer", wanted, packet.summary, packet)
        return Reply(packet, value)

    async def hear(self, seconds: float) -> Reply[DhcpMessage] | None:
        """Return the next message of the target to this client, None when none comes; what is malformed fails."""
        packet = await self.mailbox.until(lambda packet: packet if self._is_for_me(packet) else None, seconds)
        if packet is None:
            return None
        value = _parsed(packet.data)
        if value is None:
            raise fail("answer", "a DHCP message", packet.summary, packet)
        return Reply(packet, value)

    async def silence(self, seconds: float, why: str) -> None:
        """Fail when the target sends this client anything within ``seconds``."""
        await self.mailbox.silence(seconds, why, lambda packet: not self._is_for_me(packet))

    async def ask(
        self, message: DhcpMessage, *kinds: MessageType | None, to: Endpoint | None = None
    ) -> Reply[DhcpMessage]:
        """Send ``message`` until an answer of one of ``kinds`` comes, `TRIES` times."""
        for _ in range(TRIES - 1):
            self.send(message, to)
            packet = await self.mailbox.until(self._answer, self.way.patience / TRIES)
            if packet is not None:
                value = bootp.parse_untrusted(packet.data)
                if value.message_type not in kinds:
                    wanted = " or ".join("BOOTREPLY" if kind is None else kind.name for kind in kinds)
                    raise fail("answer", wanted, packet.summary, packet)
                return Reply(packet, value)
        self.send(message, to)
        return await self.expect(*kinds)

    async def offer(self, more: dict[int, bytes] | None = None, **fields: Any) -> Reply[DhcpMessage]:
        """Send a DISCOVER and return the OFFER of the target; without one the case is inconclusive."""
        with given("OFFER"):
            reply = await self.ask(self.message(MessageType.DISCOVER, more, **fields), MessageType.OFFER)
        self.note(reply.value)
        return reply

    def note(self, offer: DhcpMessage) -> None:
        """Remember an offer, so that it is given back in the end."""
        if int(offer.yiaddr):
            self._offered = offer

    def selecting(self, offer: DhcpMessage, more: dict[int, bytes] | None = None, **fields: Any) -> DhcpMessage:
        """Return the REQUEST that accepts ``offer``."""
        chosen = {
            REQUESTED_ADDRESS: offer.yiaddr.packed,
            SERVER_IDENTIFIER: offer.options.get(SERVER_IDENTIFIER, b""),
        }
        return self.message(MessageType.REQUEST, {**chosen, **(more or {})}, **fields)

    async def accept(self, offer: DhcpMessage, more: dict[int, bytes] | None = None) -> Reply[DhcpMessage]:
        """Accept ``offer``, return the ACK and take the address; without an ACK the case is inconclusive."""
        with given("ACK"):
            reply = await self.ask(self.selecting(offer, more), MessageType.ACK)
        self.take(reply.value.yiaddr)
        return reply

    def take(self, address: IPv4Address) -> None:
        """Have ``address`` from now on, and give it back in the end."""
        self.machine.address = str(address)
        self._is_bound = True

    async def lease(self) -> Reply[DhcpMessage]:
        """Get an address, as `offer` and `accept` do, and return the ACK."""
        offer = await self.offer()
        return await self.accept(offer.value)

    def leave(self) -> None:
        """Give back the lease or the offer that is left, if any."""
        if self._is_bound:
            self.release()
        elif self._offered is not None:
            # RFC 2131 3.1 item 3: whoever chooses another server gives the offers of the others back.
            refusal = self.selecting(self._offered, {SERVER_IDENTIFIER: NOBODY.packed})
            self.send(refusal)
        self._is_bound = False
        self._offered = None

    def release(self) -> None:
        """Give the lease back, from its address."""
        own = {SERVER_IDENTIFIER: IPv4Address(self.way.target).packed}
        message = self.message(MessageType.RELEASE, own, flags=0, ciaddr=self.address)
        self.send(replace(message, options=_few(message.options)), self.way.server)
        self.lost()

    def decline(self) -> None:
        """Say that the address of the lease is in use by somebody else: without using it (RFC 2131 table 5)."""
        own = {REQUESTED_ADDRESS: self.address.packed, SERVER_IDENTIFIER: IPv4Address(self.way.target).packed}
        message = self.message(MessageType.DECLINE, own, flags=0)
        self.lost()
        self.send(replace(message, options=_few(message.options)))

    def lost(self) -> None:
        """Forget the lease without giving it back: the client was switched off, or has given it back itself."""
        self._is_bound = False
        self._offered = None
        self.machine.address = "0.0.0.0"

    def _answer(self, packet: Packet) -> Packet | None:
        return packet if self._is_for_me(packet) and _parsed(packet.data) is not None else None

    def _is_for_others(self, heard: Heard) -> bool:
        """Return whether this is a broadcast to another client: neither its transaction nor its chaddr are ours."""
        data = heard.data
        is_ours = data[4:8] == self.xid.to_bytes(4, "big") or data[28:34] == self.machine.hardware
        return heard.destination.address == EVERYBODY and not is_ours

    def _is_for_me(self, packet: Packet) -> bool:
        """Return whether the target sent this to us: it may be malformed, or name itself in option 54 alone."""
        message = _parsed(packet.data)
        if packet.problem or message is None:
            return packet.source.address == self.way.target and packet.data[4:8] == self.xid.to_bytes(4, "big")
        from_target = packet.source.address == self.way.target or (
            message.options.address(SERVER_IDENTIFIER) == IPv4Address(self.way.target)
        )
        is_ours = message.xid == self.xid or message.chaddr[:6] == self.machine.hardware
        return message.op == BOOTREPLY and from_target and is_ours


def _parsed(data: bytes) -> DhcpMessage | None:
    try:
        return bootp.parse_untrusted(data)
    except Malformed:
        return None


def _few(options: Options) -> Options:
    """Return what RFC 2131 table 5 allows in a DECLINE or RELEASE."""
    allowed = (MESSAGE_TYPE, SERVER_IDENTIFIER, CLIENT_IDENTIFIER, REQUESTED_ADDRESS)
    return Options({code: options[code] for code in allowed if code in options})

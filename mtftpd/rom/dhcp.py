"""The DHCP and PXE side of a ROM: an address, a boot file, and perhaps a multicast group (PXE 2.1 figures 2-1, 2-2).

Rules
1. DISCOVER is repeated until a sufficient offer came; an offer without PXE is sufficient only after some repetitions.
2. The boot file and option 43 are those of the ACK, or of the proxy that was chosen.
3. An offer that speaks PXE but does not say what to boot sends the client to port 4011 of who made it.
4. A menu sends the client to a boot server of the first type in it: multicast, broadcast, then unicast.
5. An address that somebody else uses is declined, and everything starts again ten seconds later (RFC 2131 3.1.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from ipaddress import IPv4Address
from typing import Final

from mtftpd.errors import Malformed
from mtftpd.quirks.vocabulary import Mutation
from mtftpd.rom import careless
from mtftpd.rom.actions import (
    BROADCAST,
    NOTHING,
    Actions,
    Bind,
    Enter,
    Phase,
    TakeAddress,
    Transmit,
    Unbind,
)
from mtftpd.rom.dhcp_request import request
from mtftpd.rom.offers import MAX_OFFERS, Choice, Kind, Offer, Refusal, boot_servers, judge, select
from mtftpd.rom.profiles import DhcpProfile, Identity, RomPorts
from mtftpd.rom.reception import Reception
from mtftpd.wire import bootp, pxe
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.datagram import Datagram, Endpoint

_LEFT_OVER: Final = IPv4Address("192.0.2.1")
"""What some ROMs leave in ciaddr of a DISCOVER (quirk Q47): an address of yesterday."""

AFTER_DECLINE: Final = 10.0
"""RFC 2131 3.1.5: the least wait in seconds before a client that declined an address asks again."""

_XID: Final = slice(4, 8)
"""Where the transaction id stands in a BOOTP message (RFC 951 3)."""


class State(Enum):
    """Where the client is."""

    SELECT = "select"
    REQUEST = "request"
    ASK = "ask-the-boot-server"
    BOUND = "bound"
    FAILED = "failed"


class Event(Enum):
    """What moves it."""

    CHOSEN = "an offer was chosen"
    REFUSED = "NAK"
    NOT_ENOUGH = "the boot server must be asked"
    ENOUGH = "address and boot file are known"
    SILENCE = "all tries used up"
    UNUSABLE = "nothing to boot"
    CONFLICT = "the address is in use"


TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = {
    State.SELECT: {Event.CHOSEN: State.REQUEST, Event.SILENCE: State.FAILED},
    State.REQUEST: {
        Event.REFUSED: State.SELECT,
        Event.NOT_ENOUGH: State.ASK,
        Event.ENOUGH: State.BOUND,
        Event.SILENCE: State.FAILED,
        Event.UNUSABLE: State.FAILED,
    },
    State.ASK: {
        Event.ENOUGH: State.BOUND,
        Event.SILENCE: State.FAILED,
        Event.UNUSABLE: State.FAILED,
        Event.CONFLICT: State.SELECT,
    },
    State.BOUND: {Event.CONFLICT: State.SELECT},
    State.FAILED: {},
}


@dataclass(frozen=True, slots=True)
class BootPlan:
    """What DHCP and PXE said; ``blocks`` is option 13 (of 512 octets) or None."""

    address: IPv4Address
    server: IPv4Address
    boot_file: bytes
    mtftp: pxe.MtftpTags | None = None
    blocks: int | None = None


class Dhcp:
    """The client of one node, from power-on to a `BootPlan`."""

    def __init__(self, identity: Identity, profile: DhcpProfile, ports: RomPorts) -> None:
        self.state = State.SELECT
        self.over = False
        self.reason = ""
        self.plan: BootPlan | None = None
        self.refusals: list[Refusal] = []
        self._identity = identity
        self._profile = profile
        self._ports = ports
        self._reception = Reception(profile.faults)
        self._xid = identity.xid
        self._started = 0.0
        self._tries = 0
        self._deadline: float | None = None
        self._settled: float | None = None
        self._offers: list[Offer] = []
        self._choice: Choice | None = None
        self._item: pxe.BootItem | None = None
        self._targets: tuple[Endpoint, ...] = ()

    # -- the interface of every machine ---------------------------------------------------------------------------

    def start(self, now: float) -> Actions:
        """Send the first DISCOVER."""
        self._started = now
        return Bind(self._ports.dhcp_client), Enter(Phase.DISCOVER), self._discover(now)

    def next_deadline(self) -> float | None:
        """Return when the present wait ends, or None."""
        if self._settled is not None and self._deadline is not None:
            return min(self._settled, self._deadline)
        return self._deadline

    def tick(self, now: float) -> Actions:
        """Choose, repeat or give up, whatever is due."""
        if self._settled is not None and now >= self._settled:
            return self._choose(now)
        if self._deadline is None or now < self._deadline:
            return NOTHING
        if self.state is State.SELECT:
            return self._choose(now) or self._repeat_discover(now)
        waits = self._profile.request_waits if self.state is State.REQUEST else self._profile.proxy_waits
        if self._tries >= len(waits):
            return self._fail(Event.SILENCE, f"no answer in state {self.state.value}")
        return (self._request(now) if self.state is State.REQUEST else self._ask(now),)

    def receive(self, datagram: Datagram, now: float) -> Actions:
        """Take a reply; whatever is not for this client or not of this exchange gets no answer."""
        heard = self._reception.hear(datagram, now)
        # A ROM compares before it reads: where everybody broadcasts, nearly everything is for somebody else.
        if heard is None or heard.data[_XID] != self._xid.to_bytes(4, "big"):
            return NOTHING
        datagram = heard
        try:
            message = careless.read(datagram.data, self._profile.faults)
        except Malformed:
            return NOTHING
        if message.op != bootp.BOOTREPLY or not self._is_mine(message, datagram):
            return NOTHING
        kind = message.message_type
        if self.state is State.SELECT and kind == MessageType.OFFER:
            return self._collect(message, now)
        if self.state is State.REQUEST and kind in (MessageType.ACK, MessageType.NAK):
            return self._acknowledged(message, now)
        if self.state is State.ASK and kind == MessageType.ACK:
            return self._told(message, datagram)
        return NOTHING

    def _is_mine(self, message: DhcpMessage, datagram: Datagram) -> bool:
        faults = self._profile.faults
        deaf = Mutation.BROADCAST_ONLY in faults and self.state is not State.ASK
        if deaf and datagram.destination.address != BROADCAST:
            return False
        if Mutation.ACCEPT_FOREIGN_OFFER in faults:
            return True
        hardware = self._identity.hardware
        return message.chaddr[: message.hlen] == hardware.octets and message.htype == hardware.htype

    def conflict(self, now: float) -> Actions:
        """Take notice that another host answered an ARP probe for the address: decline it and start again."""
        if Event.CONFLICT not in TRANSITIONS[self.state] or self._choice is None:
            return NOTHING
        address = self._choice.address
        options = {50: address.message.yiaddr.packed, 54: address.server.packed}
        decline = self._broadcast(MessageType.DECLINE, options, now)
        closed = self.stop()
        self._move(Event.CONFLICT)
        self._forget()
        self.plan = None
        self.over = False
        self._deadline = now + AFTER_DECLINE
        return *closed, Bind(self._ports.dhcp_client), decline, Enter(Phase.DISCOVER, "address in use")

    # -- discover -------------------------------------------------------------------------------------------------

    def _discover(self, now: float) -> Transmit:
        waits = self._profile.discover_waits
        self._deadline = now + max(0.0, waits[self._tries] + self._identity.jitter)
        self._tries += 1
        self._reception.asked(now)
        return self._broadcast(MessageType.DISCOVER, {}, now)

    def _repeat_discover(self, now: float) -> Actions:
        if self._tries >= len(self._profile.discover_waits):
            return self._fail(Event.SILENCE, "no offer")
        if self._profile.new_xid:
            self._xid = (self._xid + 1) & 0xFFFFFFFF
            self._offers.clear()
        return (self._discover(now),)

    def _collect(self, message: DhcpMessage, now: float) -> Actions:
        offer = judge(message, self._profile)
        if isinstance(offer, Refusal):
            self.refusals.append(offer)
            return NOTHING
        if len(self._offers) < MAX_OFFERS:
            self._offers.append(offer)
        profile = self._profile
        if select(self._offers, patient=profile.plain_patience > 0, loads=profile.loads) is None:
            return NOTHING
        if self._settled is None:
            self._settled = now + self._profile.settle
        return self._choose(now) if now >= self._settled else NOTHING

    def _choose(self, now: float) -> Actions:
        patient = self._tries < self._profile.plain_patience
        choice = select(self._offers, patient=patient, loads=self._profile.loads)
        if choice is None:
            return NOTHING
        self._choice = choice
        self._move(Event.CHOSEN)
        self._settled = None
        self._tries = 0
        if Mutation.NEVER_REQUEST in self._profile.faults:
            return self._take(choice, now)
        return Enter(Phase.REQUEST, str(choice.address.server)), self._request(now)

    # -- request --------------------------------------------------------------------------------------------------

    def _request(self, now: float) -> Transmit:
        address = self._chosen().address
        self._deadline = now + self._profile.request_waits[self._tries]
        self._tries += 1
        options = {50: address.message.yiaddr.packed, 54: address.server.packed}
        return self._broadcast(MessageType.REQUEST, options, now)

    def _acknowledged(self, message: DhcpMessage, now: float) -> Actions:
        choice = self._chosen()
        is_nak = message.message_type == MessageType.NAK
        trusts_any = is_nak and Mutation.RESTART_ON_ANY_NAK in self._profile.faults
        if message.options.address(54) != choice.address.server and not trusts_any:
            return NOTHING
        if is_nak:
            self._move(Event.REFUSED)
            self._forget()
            return Enter(Phase.DISCOVER, "NAK"), self._discover(now)
        offer = judge(message, self._profile)
        if isinstance(offer, Refusal) or offer.message.yiaddr != choice.address.message.yiaddr:
            return NOTHING
        self._choice = Choice(offer, choice.proxy)
        return self._take(self._choice, now)

    def _take(self, choice: Choice, now: float) -> Actions:
        message = choice.address.message
        mask = message.options.address(1) or IPv4Address("255.255.255.255")
        router = next(iter(message.options.addresses(3)), None)
        taken = TakeAddress(str(message.yiaddr), int(mask).bit_count(), str(router) if router else None)
        return (taken, *self._decide(choice.proxy or choice.address, now))

    def _decide(self, offer: Offer, now: float) -> Actions:
        """Go on with what the chosen offer says: boot, ask on 4011, or ask the boot server of a menu."""
        self._tries = 0
        if not self._profile.loads:
            return self._bound(offer)
        if offer.kind is Kind.MENU:
            return self._discover_boot_server(offer, now)
        if offer.kind is Kind.INCOMPLETE:
            self._targets = (Endpoint(str(offer.server), self._ports.pxe),)
            return self._begin_to_ask(None, now)
        if not offer.boot_file:
            return self._fail(Event.UNUSABLE, "no boot file")
        return self._bound(offer)

    # -- ask the boot server --------------------------------------------------------------------------------------

    def _discover_boot_server(self, offer: Offer, now: float) -> Actions:
        tags = offer.pxe or pxe.PxeOptions()
        boot_type = tags.menu[0].type
        if not boot_type:
            return self._fail(Event.UNUSABLE, "the menu says local boot")
        self._targets = boot_servers(tags, boot_type, self._ports)
        if not self._targets:
            return self._fail(Event.UNUSABLE, "no boot server of the type in the menu")
        return self._begin_to_ask(pxe.BootItem(boot_type, 0), now)

    def _begin_to_ask(self, item: pxe.BootItem | None, now: float) -> Actions:
        self._item = item
        self._move(Event.NOT_ENOUGH)
        port = self._profile.proxy_port
        bind: Actions = () if port == self._ports.dhcp_client else (Bind(port),)
        return (*bind, Enter(Phase.PROXY, str(self._targets[0])), self._ask(now))

    def _ask(self, now: float) -> Transmit:
        target = self._targets[self._tries % len(self._targets)]
        self._deadline = now + self._profile.proxy_waits[self._tries]
        self._tries += 1
        options: dict[int, bytes] = {}
        if self._item is None:
            options[54] = IPv4Address(target.address).packed
        else:
            options[43] = pxe.build(pxe.PxeOptions(boot_item=self._item))
        message = replace(
            self._message(MessageType.REQUEST, options, now), ciaddr=self._chosen().address.message.yiaddr
        )
        port = self._ports.dhcp_client if target.address == BROADCAST else self._profile.proxy_port
        return Transmit(port, target, bootp.build(message))

    def _told(self, message: DhcpMessage, datagram: Datagram) -> Actions:
        offer = judge(message, self._profile)
        if isinstance(offer, Refusal) or not offer.boot_file:
            return NOTHING
        if self._item is None:
            asked = self._targets[0]
            if not offer.is_proxy or datagram.source != asked or str(offer.server) != asked.address:
                return NOTHING
        elif offer.pxe is None or offer.pxe.boot_item is None or offer.pxe.boot_item.type != self._item.type:
            return NOTHING
        return self._bound(offer)

    # -- the end --------------------------------------------------------------------------------------------------

    def _bound(self, offer: Offer) -> Actions:
        routers = self._chosen().address.message.options.get(3, b"")
        if Mutation.NEED_ONE_ROUTER in self._profile.faults and len(routers) != 4:
            return self._fail(Event.UNUSABLE, "no gateway")
        tags = offer.pxe.mtftp if offer.pxe else None
        if tags and not (int(tags.group) and tags.client_port and tags.server_port and tags.timeout and tags.delay):
            if self._profile.zero_tag_is_fatal:
                return self._fail(Event.UNUSABLE, "one of tags 1 to 5 is zero")
            tags = None
        faults, siaddr = self._profile.faults, offer.message.siaddr
        server = siaddr if self._profile.server_from_siaddr and int(siaddr) else offer.server
        if Mutation.ONLY_SIADDR in faults:
            server = siaddr
        if tags is not None and Mutation.BE_PORTS in faults:
            tags = careless.swapped(tags)
        address = self._chosen().address.message.yiaddr
        self.plan = BootPlan(address, server, offer.boot_file, tags, offer.message.options.integer(13))
        self._move(Event.ENOUGH)
        return self.stop()

    def _fail(self, event: Event, reason: str) -> Actions:
        self.reason = reason
        self._move(event)
        return self.stop()

    def stop(self) -> Actions:
        """Give back what is open, without a word to anybody."""
        self.over = True
        self._deadline = self._settled = None
        ports = {self._ports.dhcp_client}
        if self._targets:
            ports.add(self._profile.proxy_port)
        return tuple(Unbind(port) for port in sorted(ports))

    def _forget(self) -> None:
        self._offers.clear()
        self._choice = None
        self._item = None
        self._targets = ()
        self._tries = 0
        self._xid = (self._xid + 1) & 0xFFFFFFFF

    def _chosen(self) -> Choice:
        assert self._choice is not None, "only states behind SELECT ask for the choice"
        return self._choice

    def _move(self, event: Event) -> None:
        self.state = TRANSITIONS[self.state][event]

    def _broadcast(self, kind: MessageType, options: dict[int, bytes], now: float) -> Transmit:
        destination = Endpoint(BROADCAST, self._ports.dhcp_server)
        return Transmit(self._ports.dhcp_client, destination, bootp.build(self._message(kind, options, now)))

    def _message(self, kind: MessageType, options: dict[int, bytes], now: float) -> DhcpMessage:
        message = request(kind, self._identity, self._profile, options)
        if kind is MessageType.DISCOVER and Mutation.CIADDR_IN_DISCOVER in self._profile.faults:
            message = replace(message, ciaddr=_LEFT_OVER)
        return replace(message, xid=self._xid, secs=min(int(now - self._started), 0xFFFF))

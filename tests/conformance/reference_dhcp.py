"""A DHCP server for boot ROMs as small as it can be: RFC 2131, 2132, 3046 and PXE 2.1 as the cases read them.

Every decision is an attribute or a method of a line or a few, so that a mutant of the server is one of them changed.
Nearly all that a reply says passes `edited` (as a message) and `octets` (as it lies on the wire) at last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import trio

from mtftpd.errors import Malformed
from mtftpd.net.outside import Heard
from mtftpd.wire import bootp, pxe
from mtftpd.wire.bootp import BOOTREPLY, BOOTREQUEST, BROADCAST_FLAG, DhcpMessage, MessageType
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.options import Options
from mtftpd.wire.pxe import BootItem, MtftpTags, PxeOptions
from tests.conformance.memory_network import EVERYBODY, MemoryNetwork
from tests.conformance.reference_tftp import TftpServer

ADDRESS = IPv4Address("10.0.0.1")
NETWORK = IPv4Network("10.0.0.0/24")
POOL = [IPv4Address("10.0.0.100") + number for number in range(100)]
FILE = "boot.img"
CONTENT = bytes(range(250)) * 6
GROUP = MtftpTags(IPv4Address("239.1.1.1"), 1799, 1542, 2, 2)
BOOT_TYPE = 0
NOBODY = IPv4Address(0)
MASK, ROUTER, REQUESTED, LEASE, SERVER, MAXIMUM, T1, T2 = 1, 3, 50, 51, 54, 57, 58, 59
VENDOR, CLASS, CLIENT_ID, FILE_NAME, AGENT, ARCHITECTURE, MACHINE, SIZE = 43, 60, 61, 67, 82, 93, 97, 13
CREDENTIALS = 0x8000


class DhcpServer:
    """Gives addresses of `POOL`, and tells boot ROMs of `FILE` and its group."""

    gives_addresses = True

    def __init__(self, network: MemoryNetwork, nursery: trio.Nursery) -> None:
        self.network = network
        self.unicast = TftpServer(network, nursery, {FILE: CONTENT})
        self.leases: dict[bytes, IPv4Address] = {}
        self.offers: dict[bytes, IPv4Address] = {}
        self.former: dict[bytes, IPv4Address] = {}
        self.declined: set[IPv4Address] = set()

    def receive(self, heard: Heard) -> None:
        if heard.destination.port not in (67, 4011):
            self.unicast.receive(heard)
            return
        try:
            message = self.understood(heard.data)
        except Malformed:
            return
        if not self.is_request(message):
            return
        if heard.destination.port == 4011 or self.item(message) is not None:
            self.boot_server(heard, message)
        else:
            self.dhcp(message)

    def understood(self, data: bytes) -> DhcpMessage:
        return bootp.parse_untrusted(data)

    def is_request(self, message: DhcpMessage) -> bool:
        return message.op == BOOTREQUEST and message.is_dhcp and self.is_possible(message.giaddr)

    def is_possible(self, agent: IPv4Address) -> bool:
        return agent == NOBODY or (agent in NETWORK and agent != NETWORK.broadcast_address)

    def dhcp(self, message: DhcpMessage) -> None:
        match message.message_type:
            case MessageType.DISCOVER:
                self.discover(message)
            case MessageType.REQUEST:
                self.request(message)
            case MessageType.INFORM:
                self.inform(message)
            case MessageType.DECLINE:
                self.decline(message)
            case MessageType.RELEASE:
                self.release(message)
            case kind:
                self.other(message, kind)

    def other(self, message: DhcpMessage, kind: int | None) -> None:
        """Say nothing to what only servers send, to what is not defined, and to BOOTP."""

    def discover(self, message: DhcpMessage) -> None:
        if self.gives_addresses:
            address = self.choice(message)
            self.offers[self.key(message)] = address
            self.answer(message, MessageType.OFFER, address)
        elif self.is_rom(message):
            self.answer(message, MessageType.OFFER, NOBODY)

    def request(self, message: DhcpMessage) -> None:
        key, named = self.key(message), message.options.address(SERVER)
        wanted = message.options.address(REQUESTED) or message.ciaddr
        if named is not None and named != ADDRESS:
            self.chosen_another(message)
        elif not self.gives_addresses:
            self.other(message, MessageType.REQUEST)
        elif self.may_have(key, wanted, named):
            self.leases[key] = wanted
            self.offers.pop(key, None)
            self.answer(message, MessageType.ACK, wanted)
        elif named is not None or wanted not in NETWORK or key in self.leases:
            self.refuse(message)
        else:
            self.unknown(message, wanted)

    def may_have(self, key: bytes, wanted: IPv4Address, named: IPv4Address | None) -> bool:
        return wanted in (self.leases.get(key), self.offers.get(key) if named else None)

    def chosen_another(self, message: DhcpMessage) -> None:
        self.offers.pop(self.key(message), None)

    def unknown(self, message: DhcpMessage, wanted: IPv4Address) -> None:
        """Say nothing to a client that is not known: its server may be another."""

    def inform(self, message: DhcpMessage) -> None:
        if self.gives_addresses:
            self.answer(message, MessageType.ACK, NOBODY)

    def decline(self, message: DhcpMessage) -> None:
        address = message.options.address(REQUESTED)
        if address is not None and self.holds(message, address):
            self.leases.pop(self.key(message), None)
            self.declined.add(address)

    def release(self, message: DhcpMessage) -> None:
        if self.holds(message, message.ciaddr):
            self.former[self.key(message)] = self.leases.pop(self.key(message))

    def holds(self, message: DhcpMessage, address: IPv4Address) -> bool:
        return self.leases.get(self.key(message)) == address

    def key(self, message: DhcpMessage) -> bytes:
        return message.chaddr[: message.hlen] or message.options.get(CLIENT_ID, b"")

    def choice(self, message: DhcpMessage) -> IPv4Address:
        return next(address for address in self.candidates(message) if self.is_free(address, self.key(message)))

    def candidates(self, message: DhcpMessage) -> Iterator[IPv4Address]:
        key = self.key(message)
        for table in (self.leases, self.offers):
            if key in table:
                yield table[key]
        wanted = message.options.address(REQUESTED) or self.former.get(key)
        if wanted in POOL:
            yield wanted
        yield from POOL

    def is_free(self, address: IPv4Address, key: bytes) -> bool:
        others = [each for table in (self.leases, self.offers) for owner, each in table.items() if owner != key]
        return address not in others and address not in self.declined

    def is_rom(self, message: DhcpMessage) -> bool:
        return message.options.get(CLASS, b"").startswith(b"PXEClient")

    def is_efi(self, message: DhcpMessage) -> bool:
        return message.options.get(ARCHITECTURE, b"\0\0")[:2] != b"\0\0"

    def item(self, message: DhcpMessage) -> BootItem | None:
        return pxe.parse_untrusted(message.options.get(VENDOR, b"")).boot_item

    def boot_server(self, heard: Heard, message: DhcpMessage) -> None:
        """Answer a question to port 4011, or one for a boot server of a type."""
        try:
            item = self.item(message)
        except Malformed:
            return
        if not self.is_rom(message) or (item is not None and not self.serves(item)):
            return
        reply = self.reply(message, MessageType.ACK, NOBODY)
        if item is not None:
            tags = replace(self.tags(message), boot_item=BootItem(item.type, 0))
            reply = replace(reply, options=reply.options.with_(VENDOR, pxe.build(tags)))
        port = heard.destination.port
        self.put(Endpoint(str(ADDRESS), port), self.questioner(heard), self.edited_ack(message, reply), message)

    def serves(self, item: BootItem) -> bool:
        return item.type == BOOT_TYPE and not item.layer & CREDENTIALS

    def questioner(self, heard: Heard) -> Endpoint:
        return heard.source

    def tags(self, message: DhcpMessage) -> PxeOptions:
        if self.is_efi(message) or message.giaddr != NOBODY:
            return PxeOptions(discovery_control=8)
        return PxeOptions(discovery_control=10, mtftp=GROUP)

    def answer(self, message: DhcpMessage, kind: MessageType, address: IPv4Address) -> None:
        reply = self.edited(message, self.reply(message, kind, address))
        self.put(Endpoint(str(ADDRESS), 67), self.destination(message, reply), reply, message)

    def refuse(self, message: DhcpMessage) -> None:
        """Send a NAK."""
        flags = BROADCAST_FLAG if message.giaddr != NOBODY else message.flags
        options = Options({53: bytes((MessageType.NAK,)), SERVER: ADDRESS.packed})
        reply = replace(message, op=BOOTREPLY, hops=0, secs=0, ciaddr=NOBODY, flags=flags, options=options, file=b"")
        reply = self.edited_nak(message, reply)
        where = Endpoint(EVERYBODY, 68) if message.giaddr == NOBODY else Endpoint(str(message.giaddr), 67)
        self.put(Endpoint(str(ADDRESS), 67), self.destination_of_nak(message, where), reply, message)

    def destination_of_nak(self, message: DhcpMessage, usual: Endpoint) -> Endpoint:
        return usual

    def destination(self, message: DhcpMessage, reply: DhcpMessage) -> Endpoint:
        if message.giaddr != NOBODY:
            return Endpoint(str(message.giaddr), 67)
        if message.ciaddr != NOBODY:
            return Endpoint(str(message.ciaddr), 68)
        is_broadcast = message.broadcast or message.hlen == 0 or reply.yiaddr == NOBODY
        return Endpoint(EVERYBODY if is_broadcast else str(reply.yiaddr), 68)

    def reply(self, message: DhcpMessage, kind: MessageType, address: IPv4Address) -> DhcpMessage:
        options = {53: bytes((kind,)), SERVER: ADDRESS.packed}
        if address != NOBODY:
            options |= {MASK: NETWORK.netmask.packed, ROUTER: ADDRESS.packed}
            options |= {code: time.to_bytes(4, "big") for code, time in ((LEASE, 3600), (T1, 1800), (T2, 3150))}
        file = b""
        if self.is_rom(message):
            file, tags = FILE.encode(), self.tags(message)
            options |= {CLASS: b"PXEClient", VENDOR: pxe.build(tags), FILE_NAME: file}
            if tags.mtftp is not None:
                options[SIZE] = (-(-len(CONTENT) // 512)).to_bytes(2, "big")
        options |= {code: message.options[code] for code in (CLIENT_ID, MACHINE, AGENT) if code in message.options}
        ciaddr = message.ciaddr if kind == MessageType.ACK else NOBODY
        return replace(message, op=BOOTREPLY, hops=0, secs=0, ciaddr=ciaddr, yiaddr=address, siaddr=ADDRESS,
                       sname=b"", file=file, options=Options(options))  # fmt: skip

    def edited(self, message: DhcpMessage, reply: DhcpMessage) -> DhcpMessage:
        return reply

    def edited_nak(self, message: DhcpMessage, reply: DhcpMessage) -> DhcpMessage:
        return reply

    def edited_ack(self, message: DhcpMessage, reply: DhcpMessage) -> DhcpMessage:
        return reply

    def most(self, message: DhcpMessage) -> int:
        return min(max(576, message.options.integer(MAXIMUM) or 576), 1500) - 28

    def put(self, source: Endpoint, destination: Endpoint, reply: DhcpMessage, message: DhcpMessage) -> None:
        data = self.octets(message, bootp.build(reply, max_size=self.most(message)))
        self.network.put(source, destination, data, self.frame(message, destination))

    def octets(self, message: DhcpMessage, data: bytes) -> bytes:
        return data

    def frame(self, message: DhcpMessage, destination: Endpoint) -> bytes:
        return message.chaddr[:6] if destination.address != EVERYBODY else b"\xff" * 6

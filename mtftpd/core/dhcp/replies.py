"""The messages that the server sends: RFC 2131 table 3, RFC 951, PXE 2.1 tables 2-3 and 2-5.

One address everywhere (option 54, siaddr, option 66, the IP source), the boot file both in the header and in option
67, options 60 and 97 as the client needs to see them, nothing overloaded: each of these is the habit of some ROM
(quirks Q05, Q19, Q22, Q24).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from mtftpd.core import option_codes as code
from mtftpd.core.dhcp.boot_plan import BootPlan, octets
from mtftpd.core.nodes.clients import Client, ClientKind
from mtftpd.core.settings import Settings
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire import bootp
from mtftpd.wire.bootp import BOOTREPLY, BROADCAST_FLAG, DhcpMessage, MessageType
from mtftpd.wire.options import CAREFUL, Layout, Options

IP_AND_UDP_OCTETS = 28
LARGEST_MESSAGE = 1472
"""What an Ethernet frame of 1500 octets holds; EDK2 has no larger buffer, and ROMs do not reassemble (quirk Q65)."""

MAX_SECONDS = 0xFFFF_FFFF

BOOTP_SIZE = bootp.MINIMUM_SIZE
"""A BOOTP client has room for a vendor area of 64 octets (RFC 951 3, quirk Q09)."""

IPXE_NO_PROXY_WAIT = bytes((176, 1, 1))
"""Option 175 with no-pxedhcp: iPXE need not wait 2 s for the offer of a proxy (quirk Q58)."""

EXPENDABLE = (
    code.IPXE, code.NTP_SERVERS, code.DOMAIN_NAME, code.HOST_NAME, code.TFTP_SERVER_NAME, code.CLIENT_IDENTIFIER,
    code.MACHINE_IDENTIFIER, code.DNS_SERVERS, code.ROUTER,
)  # fmt: skip
"""What a reply that is too large does without, in this order; the header says the same as 66."""

_NOWHERE = IPv4Address(0)
_HAVE_CLASSES = (ClientKind.PXE, ClientKind.HTTP)
_STRINGS_OF_SERVER = (code.DOMAIN_NAME, code.TFTP_SERVER_NAME, code.BOOT_FILE)


@dataclass(frozen=True, slots=True)
class Grant:
    """An address for a client, and the seconds that it may use it."""

    address: IPv4Address
    seconds: int


def largest(request: DhcpMessage, mtu: int) -> int:
    """Return how many octets of DHCP the sender of ``request`` takes: option 57, or 548 (RFC 2131 2).

    Option 57 counts the IP datagram for some and its payload for others; the smaller reading satisfies both.  BOOTP
    has its 300, and the relay agent takes its own option out again.
    """
    if request.message_type is None:
        return BOOTP_SIZE + (2 + len(request.options[code.RELAY_AGENT]) if code.RELAY_AGENT in request.options else 0)
    asked = request.options.integer(code.MAX_MESSAGE_SIZE)
    if asked is None:
        return bootp.DEFAULT_MAXIMUM
    return max(bootp.DEFAULT_MAXIMUM, min(asked - IP_AND_UDP_OCTETS, LARGEST_MESSAGE, mtu - IP_AND_UDP_OCTETS))


def encode(reply: DhcpMessage, max_size: int, layout: Layout = CAREFUL) -> bytes | None:
    """Return ``reply`` on the wire without what must go to make it fit; None when it does not fit even so."""
    for given_up in (None, *EXPENDABLE):
        if given_up is not None:
            reply = replace(reply, options=reply.options.without(given_up))
        try:
            return bootp.build(reply, max_size=max_size, layout=layout)
        except ValueError:
            continue
    return None


class Replies:
    """Makes the replies of one configuration; ``network`` is that of the addresses it gives, if it gives any."""

    def __init__(self, settings: Settings, network: IPv4Network | None) -> None:
        self._server = settings.link.address
        self._server_text = str(self._server).encode("ascii")
        self._network = network

    def answer(
        self, kind: MessageType, request: DhcpMessage, client: Client, plan: BootPlan | None, grant: Grant | None = None
    ) -> DhcpMessage:
        """Return an OFFER or an ACK: with ``grant`` it gives an address, with ``plan`` it boots the client."""
        options: dict[int, bytes] = {code.MESSAGE_TYPE: bytes((kind,)), code.SERVER_IDENTIFIER: self._server.packed}
        if grant is not None:
            seconds = min(grant.seconds, MAX_SECONDS)
            # HP JetDirect and EDK2 want the renewal times in the OFFER as well (quirk Q10).
            options[code.LEASE_TIME] = seconds.to_bytes(4, "big")
            options[code.RENEWAL_TIME] = (seconds // 2).to_bytes(4, "big")
            options[code.REBINDING_TIME] = (seconds * 7 // 8).to_bytes(4, "big")
        if grant is not None or request.message_type == MessageType.INFORM:
            options.update(self._subnet(request, client))
            options.update(_services(request, client))
        if plan is not None:
            options.update(self._boot_options(client, plan))
        if client.settings.does(ServerAction.MIRROR_NUL) and ends_strings(request):
            # Who ends its own strings with a NUL reads ours up to one, too (quirk Q04).
            options.update({each: options[each] + b"\0" for each in _STRINGS_OF_SERVER if each in options})
        if code.MACHINE_IDENTIFIER in request.options:
            options[code.MACHINE_IDENTIFIER] = request.options[code.MACHINE_IDENTIFIER]
        if client.is_ipxe and grant is not None:
            options[code.IPXE] = IPXE_NO_PROXY_WAIT
        is_ack = kind is MessageType.ACK
        return replace(
            self._header(request, options),
            ciaddr=request.ciaddr if is_ack else _NOWHERE,
            yiaddr=grant.address if grant is not None else _NOWHERE,
            siaddr=self._server if plan is not None else _NOWHERE,
            file=octets(plan.file) if plan is not None else b"",
        )

    def proxy_offer(self, request: DhcpMessage, client: Client, plan: BootPlan) -> DhcpMessage:
        """Return the offer of boot options beside another server: no address, and broadcast (PXE 2.1 2.5.1.1)."""
        offer = self.answer(MessageType.OFFER, request, client, plan)
        return replace(offer, flags=offer.flags | BROADCAST_FLAG) if int(request.giaddr) else offer

    def nak(self, request: DhcpMessage, why: str) -> DhcpMessage:
        """Return a NAK; a relay agent must broadcast it, because the client may have no address (RFC 2131 4.3.2)."""
        options = {
            code.MESSAGE_TYPE: bytes((MessageType.NAK,)),
            code.SERVER_IDENTIFIER: self._server.packed,
            code.MESSAGE: why.encode("ascii"),
        }
        header = self._header(request, options)
        return replace(header, flags=header.flags | BROADCAST_FLAG) if int(request.giaddr) else header

    def bootp(self, request: DhcpMessage, client: Client, plan: BootPlan, address: IPv4Address) -> DhcpMessage:
        """Return a BOOTREPLY; it has a vendor area when the request had one (RFC 1542 3.1.4)."""
        header = replace(
            self._header(request, self._subnet(request, client)),
            ciaddr=request.ciaddr,
            yiaddr=address,
            siaddr=self._server,
            file=octets(plan.file),
        )
        return header if request.is_dhcp else replace(header, options=Options(), is_dhcp=False)

    def _header(self, request: DhcpMessage, options: dict[int, bytes]) -> DhcpMessage:
        # RFC 6842: option 61 goes back to whoever sent it.  RFC 3046 2.2: so does option 82, unread.
        for each in (code.CLIENT_IDENTIFIER, code.RELAY_AGENT):
            if each in request.options:
                options[each] = request.options[each]
        return DhcpMessage(
            op=BOOTREPLY,
            xid=request.xid,
            chaddr=request.chaddr,
            htype=request.htype,
            hlen=request.hlen,
            flags=request.flags,
            giaddr=request.giaddr,
            options=Options(options),
        )

    def _subnet(self, request: DhcpMessage, client: Client) -> dict[int, bytes]:
        """Return mask and gateway: one router always, since PXE stacks with broken routing use it (quirk Q27)."""
        if self._network is None:
            return {}
        if request.message_type == MessageType.INFORM and int(request.ciaddr) and request.ciaddr not in self._network:
            return {}  # It comes by way of a router and is in another network than the one that was asked about.
        options = {code.SUBNET_MASK: self._network.netmask.packed}
        router = client.settings.terms.router or (request.giaddr if int(request.giaddr) else self._server)
        if router in self._network:
            options[code.ROUTER] = router.packed
        return options

    def _boot_options(self, client: Client, plan: BootPlan) -> dict[int, bytes]:
        options: dict[int, bytes] = {}
        if client.kind in _HAVE_CLASSES:
            options[code.VENDOR_CLASS] = client.vendor_class
        if plan.file:
            options[code.BOOT_FILE] = octets(plan.file)
            options[code.TFTP_SERVER_NAME] = self._server_text
        if plan.option_43:
            options[code.VENDOR_SPECIFIC] = plan.option_43
        if plan.blocks is not None:
            options[code.BOOT_FILE_SIZE] = plan.blocks.to_bytes(2, "big")
        return options


def _services(request: DhcpMessage, client: Client) -> dict[int, bytes]:
    """Return what is configured of options 6, 12, 15 and 42, in so far as the client asks for it in option 55."""
    terms = client.settings.terms
    configured = {
        code.DNS_SERVERS: b"".join(each.packed for each in terms.dns),
        code.HOST_NAME: client.settings.entry.host_name.encode("ascii"),
        code.DOMAIN_NAME: terms.domain.encode("ascii"),
        code.NTP_SERVERS: b"".join(each.packed for each in terms.ntp),
    }
    asked = request.options.get(code.PARAMETER_LIST, bytes(configured))
    return {number: value for number, value in configured.items() if value and number in asked}


def ends_strings(request: DhcpMessage) -> bool:
    """Return whether the sender ends its own strings with a NUL."""
    options = request.options
    return options.get(code.HOST_NAME, b"").endswith(b"\0") or options.get(code.VENDOR_CLASS, b"").endswith(b"\0")

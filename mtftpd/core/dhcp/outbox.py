"""One question and its answer: the last step of every reply, where it is encoded, aimed and reported."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from mtftpd.core import option_codes as code
from mtftpd.core.addresses.arp import ArpEntries
from mtftpd.core.addresses.offered_files import OfferedFiles
from mtftpd.core.dhcp.boot_plan import BootPlan
from mtftpd.core.dhcp.delivery import Delivery, Reach, Route
from mtftpd.core.dhcp.left_out import LeftOut
from mtftpd.core.dhcp.replies import Grant, encode, largest
from mtftpd.core.dhcp.reply_templates import ReplyTemplates
from mtftpd.core.effects import Drop, DropReason, Effects, Report, ReportKind, Send, Sender
from mtftpd.core.nodes.clients import Client, ClientKind
from mtftpd.core.settings import Settings
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.datagram import Datagram, dotted

_IDENTIFIER_OCTETS = 17
"""Option 97 is a type and a UUID (RFC 4578 section 2.3); what is longer is cut, since it is remembered."""
_FINAL = frozenset((ReportKind.DHCP_ACKED, ReportKind.BOOTP_ANSWERED, ReportKind.PXE_ANSWERED))
"""Replies after which the client begins to fetch."""


@dataclass(slots=True, eq=False)
class Call:
    """A request that has been read: where it came in, what it says, who sent it and when (monotonic seconds)."""

    datagram: Datagram
    request: DhcpMessage
    client: Client
    now: float
    _sender: Sender | None = None

    def drop(self, reason: DropReason, detail: str = "") -> Effects:
        """Return the one effect of not answering; the detail begins with the hardware address."""
        who = str(self.client.hardware)
        return (Drop(reason, self.datagram.source, f"{who}: {detail}" if detail else who, self.sender),)

    @property
    def sender(self) -> Sender:
        """What the record of the node needs to know of this message."""
        if self._sender is None:
            self._sender = self._describe()
        return self._sender

    def _describe(self) -> Sender:
        request, client, options = self.request, self.client, self.request.options
        address = options.address(code.REQUESTED_ADDRESS) or request.ciaddr
        server = options.address(code.SERVER_IDENTIFIER)
        return Sender(
            client.hardware,
            request.message_type,
            request.xid,
            client.kind.value,
            client.is_ipxe,
            options.get(code.MACHINE_IDENTIFIER, b"")[:_IDENTIFIER_OCTETS],
            dotted(address) if int(address) else "",
            dotted(server) if server is not None else "",
            request.secs,
        )


class Outbox:
    """Turns replies into effects, and remembers which boot file went to which address, and who has it."""

    def __init__(self, settings: Settings, reach: Reach, files: OfferedFiles, arp: ArpEntries) -> None:
        self._settings = settings
        self._reach = reach
        self._files = files
        self._arp = arp

    def send(
        self, call: Call, reply: DhcpMessage, route: Route, kind: ReportKind, plan: BootPlan | None = None
    ) -> Effects:
        """Return the effects of answering ``call`` with ``reply``: a `Send` and a `Report`, or why not."""
        if not self._reaches(route):
            return call.drop(DropReason.OFF_LINK, f"no reply to {route.destination.address}")
        left_out = LeftOut(call.client.settings, self._settings.link)
        reply = left_out.message(reply, call.datagram.socket)
        data = encode(reply, largest(call.request, self._settings.link.mtu), left_out.layout)
        if data is None:
            return call.drop(DropReason.TOO_LARGE)
        return self._sent(call, data, reply.yiaddr, left_out.route(route), kind, plan)

    def give(
        self, call: Call, replies: ReplyTemplates, grant: Grant, route: Route, kind: ReportKind, plan: BootPlan | None
    ) -> Effects:
        """Return the effects of answering ``call`` with an address: by an OFFER, or an ACK where ``kind`` says so."""
        message = MessageType.ACK if kind is ReportKind.DHCP_ACKED else MessageType.OFFER
        data = replies.reply(message, call.request, call.client, plan, grant)
        if data is None or not self._reaches(route):
            return self.send(call, replies.built(message, call.request, call.client, plan, grant), route, kind, plan)
        return self._sent(call, data, grant.address, route, kind, plan)

    def _reaches(self, route: Route) -> bool:
        is_aimed = route.delivery in (Delivery.CIADDR, Delivery.SOURCE, Delivery.RELAY)
        return not is_aimed or self._reach.covers(route.destination.address)

    def _sent(
        self, call: Call, data: bytes, yiaddr: IPv4Address, route: Route, kind: ReportKind, plan: BootPlan | None
    ) -> Effects:
        address = dotted(yiaddr) if int(yiaddr) else route.address
        if plan is not None and plan.name and address:
            self._files.tell(address, plan.name)
        if kind in _FINAL and address:
            self._note(call, address, yiaddr)
        detail = _detail(call.client, route, plan, groups=self._settings.multicast.base is not None)
        send = Send(call.datagram.socket, route.destination, data, route.hardware)
        return send, Report(kind, address, call.client.hardware, detail, call.sender)

    def _note(self, call: Call, address: str, yiaddr: IPv4Address) -> None:
        """Tell who must be reached without ARP from now on, and who answers it."""
        client, is_given = call.client, bool(int(yiaddr))
        if not client.boots:
            self._arp.booted(address, call.now)
        elif (
            client.is_ethernet
            and not client.is_relayed
            and (yiaddr if is_given else IPv4Address(address)) in self._settings.link.network
            and (is_given or address == str(call.request.ciaddr) == call.datagram.source.address)
        ):
            self._arp.granted(address, client.hardware, is_given, call.now)


def _detail(client: Client, route: Route, plan: BootPlan | None, *, groups: bool) -> tuple[tuple[str, str | int], ...]:
    detail: list[tuple[str, str | int]] = [
        ("client", "ipxe" if client.is_ipxe else client.kind.value),
        ("architecture", client.architecture),
        ("rom", client.rom.profile.id),
        ("delivery", route.delivery.value),
    ]
    if plan is not None:
        detail.append(("file", plan.file or "menu"))
        if plan.group:
            detail.append(("group", plan.group))
        elif groups and client.kind is ClientKind.PXE and (why := client.why_unicast or plan.unicast) is not None:
            detail.append(("unicast", why.name))
    return tuple(detail)

"""PXE on port 4011 and boot server discovery: PXE 2.1 2.2.3, 2.2.5 and tables 2-4 and 2-5.

Two questions come in, both as REQUEST or INFORM and both answered with an ACK that has no address (quirk Q33):
without tag 71 in option 43 a client that had no option 43 in its offer asks what to boot; with tag 71 it looks for a
boot server of a type.  The second one is broadcast to port 67 or sent to 4011, unicast or to `DISCOVERY_GROUP`.  The
answer leaves from the port that was asked (quirk Q34) for where the question came from.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from mtftpd.core import option_codes as code
from mtftpd.core.dhcp.boot_plan import BootPlan, Planner
from mtftpd.core.dhcp.delivery import UNSPECIFIED, Route, route, route_to_source
from mtftpd.core.dhcp.outbox import Call, Outbox
from mtftpd.core.dhcp.replies import Replies
from mtftpd.core.effects import DropReason, Effects, ReportKind, Service
from mtftpd.core.nodes.clients import ClientKind
from mtftpd.core.settings import Settings
from mtftpd.errors import Malformed
from mtftpd.wire import pxe
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.pxe import CREDENTIALS_LAYER, BootItem

DISCOVERY_GROUP = "224.0.1.2"
"""Where clients look for boot servers by multicast when nobody tells them otherwise: the group of Intel's PDK."""

_QUESTIONS = (MessageType.REQUEST, MessageType.INFORM)
_BOOT_KINDS = (ClientKind.PXE, ClientKind.HTTP)


def boot_item(call: Call) -> BootItem | None:
    """Return the boot server type that the client looks for, None when it does not; raises `Malformed`."""
    asks = call.client.kind is ClientKind.PXE and call.request.message_type in _QUESTIONS
    value = call.request.options.get(code.VENDOR_SPECIFIC) if asks else None
    return None if value is None else pxe.parse_untrusted(value).boot_item


class PxeServer:
    """Answers everything on port 4011, and boot server discovery on port 67."""

    def __init__(self, settings: Settings, planner: Planner, replies: Replies, outbox: Outbox) -> None:
        self._settings = settings
        self._planner = planner
        self._replies = replies
        self._outbox = outbox

    def handle(self, call: Call) -> Effects:
        """Return the effects of one request on port 4011."""
        if call.client.kind not in _BOOT_KINDS:
            return call.drop(DropReason.NOT_PXE)
        if call.request.message_type not in _QUESTIONS:
            return call.drop(DropReason.UNEXPECTED, f"DHCP message type {call.request.message_type} on the PXE port")
        try:
            item = boot_item(call)
        except Malformed as error:
            return call.drop(DropReason.MALFORMED, f"option 43: {error}")
        if item is not None:
            return self.discover(call, item)
        plan = self._planner.plan(call.client)
        if plan is None:
            return call.drop(DropReason.NO_BOOT_FILE)
        return self._answer(call, plan)

    def discover(self, call: Call, item: BootItem) -> Effects:
        """Return the effects of looking for ``item``: only layer 0 of a type that is served has an answer."""
        if item.layer & CREDENTIALS_LAYER:
            return call.drop(DropReason.CREDENTIALS_WANTED, f"boot server type {item.type}")
        if item.layer or not self._planner.serves_type(call.client, item.type):
            return call.drop(DropReason.NOT_OUR_TYPE, f"boot server type {item.type}, layer {item.layer}")
        plan = self._planner.plan_item(call.client, item)
        if plan is None:
            return call.drop(DropReason.NO_BOOT_FILE, f"boot server type {item.type}")
        return self._answer(call, plan)

    def _answer(self, call: Call, plan: BootPlan) -> Effects:
        ack = self._replies.answer(MessageType.ACK, call.request, call.client, plan)
        return self._outbox.send(call, ack, self._route(call), ReportKind.PXE_ANSWERED, plan)

    def _route(self, call: Call) -> Route:
        source = call.datagram.source
        is_relayed = int(call.request.giaddr) and call.datagram.socket == Service.DHCP
        if is_relayed or source.address == UNSPECIFIED:
            return route(call.request, IPv4Address(0), ciaddr_counts=True, ports=self._settings.ports)
        return route_to_source(source)

"""The server beside another DHCP server: it offers what to boot, and no address (PXE 2.1 2.2.3, `Mode.PROXY`).

What clients ask on port 4011 is in `mtftpd.core.dhcp.pxe_discovery`.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from mtftpd.core import option_codes as code
from mtftpd.core.addresses.offered_files import OfferedFiles
from mtftpd.core.dhcp.boot_plan import Planner
from mtftpd.core.dhcp.delivery import route, route_to_all
from mtftpd.core.dhcp.outbox import Call, Outbox
from mtftpd.core.dhcp.replies import Replies
from mtftpd.core.effects import DropReason, Effects, ReportKind
from mtftpd.core.settings import Settings
from mtftpd.wire.bootp import MessageType


class ProxyServer:
    """Answers the DISCOVER and INFORM of boot clients on port 67, and watches which addresses they get."""

    def __init__(
        self, settings: Settings, planner: Planner, replies: Replies, outbox: Outbox, files: OfferedFiles
    ) -> None:
        self._settings = settings
        self._planner = planner
        self._replies = replies
        self._outbox = outbox
        self._files = files

    def handle(self, call: Call) -> Effects:
        """Return the effects of one request; a relayed one comes from an agent that is served."""
        kind = call.request.message_type
        if kind is None:
            return call.drop(DropReason.MODE, "BOOTP wants an address")
        if not call.client.boots:
            return call.drop(DropReason.NOT_PXE)
        if kind == MessageType.DISCOVER:
            return self._discover(call)
        if kind == MessageType.INFORM:
            return self._inform(call)
        if kind == MessageType.REQUEST:
            return self._request(call)
        if kind in (MessageType.DECLINE, MessageType.RELEASE):
            return call.drop(DropReason.OTHER_SERVER, MessageType(kind).name)
        return call.drop(DropReason.NOT_A_REQUEST, f"DHCP message type {kind}")

    def _discover(self, call: Call) -> Effects:
        plan = self._planner.plan(call.client)
        if plan is None:
            return call.drop(DropReason.NO_BOOT_FILE)
        if plan.name:
            self._files.promise(call.client.key, plan.name)
        offer = self._replies.proxy_offer(call.request, call.client, plan)
        way = route_to_all(call.request, self._settings.ports)
        return self._outbox.send(call, offer, way, ReportKind.DHCP_OFFERED, plan)

    def _request(self, call: Call) -> Effects:
        request = call.request
        # The client tells everybody which address it takes: this is how a proxy learns who is who.
        address = request.options.address(code.REQUESTED_ADDRESS) or request.ciaddr
        self._files.locate(call.client.key, address)
        if request.options.address(code.SERVER_IDENTIFIER) == self._settings.link.address:
            return call.drop(DropReason.UNEXPECTED, "our offer has no address; what it boots is asked on port 4011")
        return call.drop(DropReason.OTHER_SERVER, f"it takes {address}")

    def _inform(self, call: Call) -> Effects:
        plan = self._planner.plan(call.client)
        if plan is None:
            return call.drop(DropReason.NO_BOOT_FILE)
        if not int(call.request.ciaddr):
            return call.drop(DropReason.NO_CIADDR, "an INFORM")
        ack = self._replies.answer(MessageType.ACK, call.request, call.client, plan)
        way = route(call.request, IPv4Address(0), ciaddr_counts=True, ports=self._settings.ports)
        return self._outbox.send(call, ack, way, ReportKind.PXE_ANSWERED, plan)

"""The server that gives out addresses: RFC 2131 4.3 and RFC 951 for `Mode.DHCP`.

Who is answered: network boot clients (option 60), BOOTP clients, and whoever has a lease of ours, so that the system
that a node has booted keeps the address of its ROM (quirk Q61); everybody with ``serve_all``.  A REQUEST is one of

==========  =================  =======================================================
SELECTING   has option 54      the client has chosen an offer
INIT-REBOOT 54 no, 50 yes      the client remembers an address
RENEWING    54 no, ciaddr      sent to us: the client wants to keep what we gave it
REBINDING   54 no, ciaddr      sent to everybody: whoever gave it the address may answer
==========  =================  =======================================================

A NAK makes a client start again, so it goes only to clients that ask us, or for an address that is certainly wrong
(quirk Q50).
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from math import inf

from mtftpd.core import option_codes as code
from mtftpd.core.addresses.address_book import Place
from mtftpd.core.addresses.holds import HOLD_SECONDS
from mtftpd.core.addresses.leases import LeaseState
from mtftpd.core.dhcp.boot_plan import BootPlan, Planner
from mtftpd.core.dhcp.delivery import Delivery, Route, route, route_to_all
from mtftpd.core.dhcp.outbox import Call, Outbox
from mtftpd.core.dhcp.replies import Grant, Replies
from mtftpd.core.dhcp.reply_templates import ReplyTemplates
from mtftpd.core.dhcp.unicast_deaf import UnicastDeaf
from mtftpd.core.effects import DropReason, Effects, Report, ReportKind
from mtftpd.core.nodes.clients import Client
from mtftpd.core.settings import Settings
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.bootp import MessageType

_NOWHERE = IPv4Address(0)


class AddressServer:
    """Answers what comes in on port 67 from one network, whose leases are in ``place``."""

    def __init__(self, settings: Settings, place: Place, planner: Planner, replies: Replies, outbox: Outbox) -> None:
        self._settings = settings
        self._network = place.network
        self._leases = place.leases
        self._planner = planner
        self._replies = replies
        self._templates = ReplyTemplates(replies, settings.link.mtu)
        self._outbox = outbox
        self._deaf = UnicastDeaf()
        self._handlers: dict[int | None, Callable[[Call], Effects]] = {
            None: self._bootp,
            MessageType.DISCOVER: self._discover,
            MessageType.REQUEST: self._request,
            MessageType.DECLINE: self._decline,
            MessageType.RELEASE: self._release,
            MessageType.INFORM: self._inform,
        }

    def handle(self, call: Call) -> Effects:
        """Return the effects of one request; a relayed one comes from an agent that is served."""
        kind = call.request.message_type
        handler = self._handlers.get(kind)
        if handler is None:
            return call.drop(DropReason.NOT_A_REQUEST, f"DHCP message type {kind}")
        return handler(call)

    def _discover(self, call: Call) -> Effects:
        if not self._is_served(call):
            return call.drop(DropReason.NOT_PXE)
        plan = self._plan(call.client)
        if plan is None and call.client.boots:
            return call.drop(DropReason.NO_BOOT_FILE)
        wanted = call.request.options.address(code.REQUESTED_ADDRESS)
        lease = self._leases.reserve(call.client.key, wanted, call.now, self._own(call))
        if lease is None:
            return call.drop(DropReason.NO_ADDRESS, f"all {len(self._leases)} are taken")
        grant = Grant(lease.address, self._seconds(call.client))
        believes_ciaddr = not call.client.settings.does(ServerAction.IGNORE_CIADDR)
        way = route(call.request, lease.address, ciaddr_counts=believes_ciaddr, ports=self._settings.ports)
        way = self._audible(call, way)
        self._deaf.offered(call.client.key)
        return self._outbox.give(call, self._templates, grant, way, ReportKind.DHCP_OFFERED, plan)

    def _request(self, call: Call) -> Effects:
        options = call.request.options
        wanted = options.address(code.REQUESTED_ADDRESS)
        if code.SERVER_IDENTIFIER in options:
            return self._selecting(call, wanted)
        if wanted is not None:
            return self._init_reboot(call, wanted)
        if int(call.request.ciaddr):
            return self._renewing(call, call.request.ciaddr)
        return call.drop(DropReason.NO_CIADDR, "a REQUEST for no address")

    def _selecting(self, call: Call, wanted: IPv4Address | None) -> Effects:
        key = call.client.key
        if not self._is_ours(call):
            self._leases.cancel(key, call.now)
            if not call.client.settings.does(ServerAction.NEVER_NAK):
                return self._refuse(call, wanted or _NOWHERE, "not our offer")
            return call.drop(DropReason.OTHER_SERVER, "it took the offer of another server")
        lease = self._leases.known(key, call.now)
        if lease is None and not self._is_served(call):
            return call.drop(DropReason.NOT_PXE)
        if wanted is None and int(call.request.ciaddr):
            return self._renewing(call, call.request.ciaddr)
        address = wanted or (lease.address if lease is not None else None)
        if address is None:
            return call.drop(DropReason.UNKNOWN_LEASE, "a REQUEST without option 50, and no offer")
        return self._bind(call, address) or self._refuse(call, address, "address not available")

    def _init_reboot(self, call: Call, wanted: IPv4Address) -> Effects:
        lease = self._leases.known(call.client.key, call.now)
        if lease is not None and lease.address == wanted:
            return self._bind(call, wanted) or self._refuse(call, wanted, "address not available")
        if lease is not None and lease.state is LeaseState.BOUND:
            return self._refuse(call, wanted, "another address is yours")
        if not self._is_served(call):
            return call.drop(DropReason.NOT_PXE)
        if wanted not in self._network:
            return self._refuse(call, wanted, "wrong network")
        # RFC 2131 4.3.2: whoever has no record of the client stays silent, so that servers can share a segment.
        return call.drop(DropReason.UNKNOWN_LEASE, f"it remembers {wanted}")

    def _renewing(self, call: Call, address: IPv4Address) -> Effects:
        lease = self._leases.known(call.client.key, call.now)
        asks_us = call.datagram.destination.address == str(self._settings.link.address)
        if lease is None and not asks_us:
            return call.drop(DropReason.UNKNOWN_LEASE, f"it has {address}")
        # A renewal that was sent to us is of a lease that we gave, even if a restart has lost it.
        bound = self._bind(call, address)
        if bound is not None:
            return bound
        if lease is None or lease.state is LeaseState.FREE:
            return call.drop(DropReason.UNKNOWN_LEASE, f"it has {address}")
        return self._refuse(call, address, "another address is yours")

    def _bind(self, call: Call, address: IPv4Address) -> Effects | None:
        """Return the ACK that gives ``address`` to the client, or None when it cannot have it."""
        plan = self._plan(call.client)
        if plan is None and call.client.boots:
            return call.drop(DropReason.NO_BOOT_FILE)
        seconds = call.client.settings.terms.lease_seconds
        if self._leases.bind(call.client.key, address, call.now + seconds, call.now, self._own(call)) is None:
            return None
        grant = Grant(address, self._seconds(call.client))
        is_renewal = code.REQUESTED_ADDRESS not in call.request.options
        way = self._audible(call, route(call.request, address, ciaddr_counts=is_renewal, ports=self._settings.ports))
        self._deaf.requested(call.client.key)
        return self._outbox.give(call, self._templates, grant, way, ReportKind.DHCP_ACKED, plan)

    def _refuse(self, call: Call, address: IPv4Address, why: str) -> Effects:
        nak = self._replies.nak(call.request, why)
        sent = self._outbox.send(call, nak, route_to_all(call.request, self._settings.ports), ReportKind.DHCP_REFUSED)
        return tuple(
            each._replace(address=str(address), detail=(*each.detail, ("why", why)))
            if isinstance(each, Report)
            else each
            for each in sent
        )

    def _decline(self, call: Call) -> Effects:
        address = call.request.options.address(code.REQUESTED_ADDRESS) or _NOWHERE
        if not self._is_ours(call):
            return call.drop(DropReason.OTHER_SERVER, f"it declines {address}")
        if not self._leases.decline(call.client.key, address, call.now):
            return call.drop(DropReason.UNKNOWN_LEASE, f"it declines {address}")
        return (Report(ReportKind.DHCP_DECLINED, str(address), call.client.hardware),)

    def _release(self, call: Call) -> Effects:
        address = call.request.ciaddr
        if not self._is_ours(call):
            return call.drop(DropReason.OTHER_SERVER, f"it releases {address}")
        if not self._leases.release(call.client.key, address, call.now):
            return call.drop(DropReason.UNKNOWN_LEASE, f"it releases {address}")
        return (Report(ReportKind.DHCP_RELEASED, str(address), call.client.hardware),)

    def _inform(self, call: Call) -> Effects:
        if not self._is_served(call):
            return call.drop(DropReason.NOT_PXE)
        plan = self._plan(call.client)
        if plan is None and call.client.boots:
            return call.drop(DropReason.NO_BOOT_FILE)
        if not int(call.request.ciaddr):
            return call.drop(DropReason.NO_CIADDR, "an INFORM")
        ack = self._replies.answer(MessageType.ACK, call.request, call.client, plan)
        way = route(call.request, _NOWHERE, ciaddr_counts=True, ports=self._settings.ports)
        return self._outbox.send(call, ack, way, ReportKind.DHCP_ACKED, plan)

    def _bootp(self, call: Call) -> Effects:
        plan = self._plan(call.client)
        if plan is None:
            return call.drop(DropReason.NO_BOOT_FILE)
        address = _NOWHERE
        # A client that knows its address (RFC 951 3: ciaddr) only wants to know its server and its boot file.
        if not int(call.request.ciaddr):
            key, own = call.client.key, self._own(call)
            lease = self._leases.reserve(key, None, call.now, own)
            if lease is None or self._leases.bind(key, lease.address, inf, call.now, own) is None:
                self._leases.cancel(key, call.now)
                return call.drop(DropReason.NO_ADDRESS, "for ever, as BOOTP wants it")
            address = lease.address
        reply = self._replies.bootp(call.request, call.client, plan, address)
        way = route(call.request, address, ciaddr_counts=True, ports=self._settings.ports)
        return self._outbox.send(call, reply, way, ReportKind.BOOTP_ANSWERED, plan)

    def _seconds(self, client: Client) -> int:
        """Return how long a lease is, as the client is told."""
        seconds = client.settings.terms.lease_seconds
        return min(seconds, int(HOLD_SECONDS)) if client.is_held and client.boots else seconds

    def _audible(self, call: Call, way: Route) -> Route:
        """Return ``way``, or a broadcast to a client that has not heard what was sent to it alone."""
        settings, action = call.client.settings, ServerAction.FORCE_BROADCAST
        is_deaf = action in settings.demanded or (settings.does(action) and self._deaf.is_deaf(call.client.key))
        return route_to_all(call.request, self._settings.ports) if is_deaf and way.delivery is Delivery.UNICAST else way

    def _is_served(self, call: Call) -> bool:
        """Return whether the sender is answered at all."""
        client, now = call.client, call.now
        if client.boots or self._settings.addressing.serve_all:
            return True
        if client.settings.does(ServerAction.SERVE_LEASEHOLDERS) and self._leases.live(client.key, now) is not None:
            return True
        # A listener says nothing, so what its ROM had may have been let go when the system asks.
        return client.is_held and self._leases.known(client.key, now) is not None

    def _plan(self, client: Client) -> BootPlan | None:
        """Return what ``client`` boots; a system gets no boot file unless everybody is served and it asks for one."""
        if client.boots or (self._settings.addressing.serve_all and client.wants_boot_file):
            return self._planner.plan(client)
        return None

    def _is_ours(self, call: Call) -> bool:
        return call.request.options.address(code.SERVER_IDENTIFIER) == self._settings.link.address

    def _own(self, call: Call) -> IPv4Address | None:
        """Return the address that is this client's alone, None when it has none here."""
        address = call.client.settings.entry.address_of(call.client.hardware)
        return address if address is not None and address in self._network else None

"""DHCP, BOOTP and PXE as one machine: reads what comes in on ports 67 and 4011 and hands it to whom it concerns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from mtftpd.core import option_codes as code
from mtftpd.core.addresses.address_book import AddressBook, links_of
from mtftpd.core.addresses.arp import ArpEntries
from mtftpd.core.addresses.leases import Lease, LeaseState
from mtftpd.core.addresses.offered_files import OfferedFiles
from mtftpd.core.addresses.whereabouts import Identity, Whereabouts
from mtftpd.core.dhcp.address_servers import AddressServers
from mtftpd.core.dhcp.boot_plan import Planner
from mtftpd.core.dhcp.delivery import Reach
from mtftpd.core.dhcp.nic_policy import NicPolicy
from mtftpd.core.dhcp.outbox import Call, Outbox
from mtftpd.core.dhcp.proxy import ProxyServer
from mtftpd.core.dhcp.pxe_discovery import PxeServer, boot_item
from mtftpd.core.dhcp.replies import Replies
from mtftpd.core.dhcp.unheeded import Unheeded
from mtftpd.core.effects import Drop, DropReason, Effects, Report, ReportKind, SaveLease, Service
from mtftpd.core.groups import Groups
from mtftpd.core.learning.experience import Watches
from mtftpd.core.learning.trials import Told
from mtftpd.core.node_settings import NodeSettings
from mtftpd.core.nodes.clients import Client, recognise
from mtftpd.core.nodes.nics import Nics
from mtftpd.core.settings import Catalogue, Mode, Settings
from mtftpd.errors import Malformed
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire import bootp
from mtftpd.wire.bootp import BOOTREQUEST, DhcpMessage, MessageType
from mtftpd.wire.datagram import Datagram, HardwareAddress, dotted

_NO_ADDRESS = "0.0.0.0"
_GIVEN_BACK = frozenset((ReportKind.DHCP_RELEASED, ReportKind.DHCP_DECLINED))


@dataclass(frozen=True, slots=True)
class DhcpStatistics:
    """A snapshot: packets received, what was reported and what was dropped since the start, and leases by state."""

    received: int
    reports: dict[ReportKind, int]
    drops: dict[DropReason, int]
    leases: dict[LeaseState, int]


@dataclass(frozen=True, slots=True)
class _Servers:
    """What one configuration needs; swapped as a whole."""

    settings: Settings
    book: AddressBook
    planner: Planner
    pxe: PxeServer
    reach: Reach
    answer: Callable[[Call], Effects]


class DhcpService:
    """DHCP and PXE of one server; ``watches`` know for whom multicast does not work and what else is known of nodes.

    ``arp`` knows who has which address.

    Raises `BadConfig` when the configuration cannot be put on the wire.  ``leases`` are those of an earlier run, their
    times on the clock of this one.
    """

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        groups: Groups,
        leases: tuple[Lease, ...] = (),
        watches: Watches | None = None,
    ) -> None:
        watches = watches or Watches(settings.multicast.seconds)
        self._fallback = watches.fallback
        self._learning = watches.learning
        self._unheeded = Unheeded(watches.learning)
        self.arp = ArpEntries()
        self.nics = Nics(settings.inventory)
        self._nic_policy = NicPolicy(settings, self.nics, self._fallback.is_sending)
        self._files = OfferedFiles()
        self._whereabouts = Whereabouts()
        self._servers = self._configure(settings, catalogue, groups, leases)
        self._received = 0
        self._reports: Counter[ReportKind] = Counter()
        self._drops: Counter[DropReason] = Counter()

    def receive(self, datagram: Datagram, now: float) -> Effects:
        """Take a datagram from `Service.DHCP` or `Service.PXE` and return what must be done; never raises."""
        effects = self._handle(datagram, now)
        self._received += 1
        for effect in effects:
            if type(effect) is Report:
                self._reports[effect.kind] += 1
                if effect.kind in _GIVEN_BACK:
                    self.arp.gone(effect.address)
            elif type(effect) is Drop:
                self._drops[effect.reason] += 1
        return (*self._saves(), *effects)

    def tick(self, now: float) -> Effects:
        """Let go of the addresses whose time is over, and send the replies that have waited for theirs."""
        self._servers.book.expire(now)
        over = self._nic_policy.tick(self._servers.book, now)
        for report in over:
            self.arp.gone(report.address)
        return (*self._saves(), *over, *self._unheeded.tick(now))

    def next_deadline(self) -> float | None:
        """Return when `tick` is due, or None."""
        times = (
            self._servers.book.next_deadline(),
            self._nic_policy.next_deadline(),
            self._unheeded.next_deadline(),
        )
        return min((when for when in times if when is not None), default=None)

    def loads(self, address: str, now: float) -> None:
        """Take note that a file was asked for from ``address``: its interface is the one of its machine that boots."""
        self._nic_policy.loads(address, now)

    def offered(self, address: str) -> str | None:
        """Return the TFTP name of the boot file that the node at ``address`` was offered."""
        return self._files.at(address)

    def left_out_at(self, address: str) -> frozenset[ServerAction]:
        """Return the work-arounds that are left out for the node at ``address``."""
        settings, who = self._servers.settings, self._whereabouts.at(address)
        if who is None:
            return settings.without
        return settings.node(who.hardware, who.uuid, settings.subnet_of(IPv4Address(address))).without

    def is_leased(self, address: str, now: float) -> bool:
        """Return whether a client holds ``address``, which we have given it."""
        lease = self._servers.book.at(IPv4Address(address), now)
        return lease is not None and lease.state is LeaseState.BOUND

    def allows_multicast(self, address: str) -> bool:
        """Return whether the node at ``address`` may have option multicast.

        A section may say ``multicast = false``; and iPXE asks for it (``tftm``) but never hears the group, since the
        address that it opens for it is not initialised: without the option it takes the file by unicast.
        """
        settings, who = self._servers.settings, self._whereabouts.at(address)
        subnet = settings.subnet_of(IPv4Address(address))
        if who is None:
            return subnet is None or subnet.scope.multicast is not False
        return not who.is_ipxe and settings.node(who.hardware, who.uuid, subnet).multicast

    def leases(self) -> tuple[Lease, ...]:
        """Return copies of all lease records, to be kept for the next run."""
        return self._servers.book.snapshot()

    def release(self, address: IPv4Address, now: float) -> Effects:
        """Let go of a lease on an operator's word, as if its client had released it; () when there is none."""
        book = self._servers.book
        lease = book.at(address, now)
        if lease is None or lease.key is None or not book.release(lease.key, address, now):
            return ()
        hardware = None if lease.key.is_identifier else HardwareAddress(lease.key.htype, lease.key.octets)
        return (*self._saves(), Report(ReportKind.DHCP_RELEASED, str(address), hardware))

    def reconfigure(self, settings: Settings, catalogue: Catalogue, groups: Groups, now: float) -> Effects:
        """Swap the configuration; leases whose address is still in the range stay.  On `BadConfig` nothing changes."""
        former = self._servers.book
        former.expire(now)
        self._servers = self._configure(settings, catalogue, groups, former.snapshot())
        self.nics.reconfigure(settings.inventory)
        self._nic_policy.reconfigure(settings)
        return _saves(former.changes())

    def statistics(self) -> DhcpStatistics:
        """Return a snapshot that shares nothing with the running service."""
        states = Counter(lease.state for lease in self._servers.book.snapshot())
        return DhcpStatistics(self._received, dict(self._reports), dict(self._drops), dict(states))

    def _configure(
        self, settings: Settings, catalogue: Catalogue, groups: Groups, leases: tuple[Lease, ...]
    ) -> _Servers:
        book = AddressBook(settings, leases)
        planner = Planner(settings, catalogue, groups)
        home = book.place(settings.link.address)
        replies = Replies(settings, home.network if home is not None else None)
        reach = Reach(settings)
        outbox = Outbox(settings, reach, self._files, self.arp)
        if settings.mode is Mode.DHCP:
            answer = AddressServers(settings, book, planner, outbox).handle
        else:
            answer = ProxyServer(settings, planner, replies, outbox, self._files).handle
        return _Servers(settings, book, planner, PxeServer(settings, planner, replies, outbox), reach, answer)

    def _saves(self) -> Effects:
        return _saves(self._servers.book.changes())

    def _handle(self, datagram: Datagram, now: float) -> Effects:
        servers = self._servers
        if servers.settings.mode is Mode.TFTP:
            return (Drop(DropReason.MODE, datagram.source, "DHCP is off"),)
        try:
            request = bootp.parse_untrusted(datagram.data)
        except Malformed as error:
            return (Drop(DropReason.MALFORMED, datagram.source, str(error)),)
        if request.op != BOOTREQUEST:
            return (Drop(DropReason.NOT_A_REQUEST, datagram.source),)
        in_force = self._in_force(request)
        client = recognise(request, in_force, by_chaddr=servers.settings.does(ServerAction.KEY_BY_CHADDR))
        if client is None:
            return (Drop(DropReason.MALFORMED, datagram.source, "neither hardware address nor client identifier"),)
        client = self._unheeded.treated(client)
        signs: Effects = ()
        if request.message_type == MessageType.DISCOVER:
            signs = self._fallback.discovered(client.node, now)
        elif request.message_type == MessageType.REQUEST:
            signs = self._unheeded.requested(client, now)
        call = Call(datagram, request, self._restrained(client, now), now)
        if client.settings.does(ServerAction.ONE_NIC):
            effects = self._nic_policy.answer(call, self._answer, servers.book)
        else:
            effects = self._answer(call)
        addresses = _addresses(call, effects)
        self._told(call, effects, addresses)
        for address in addresses:
            self._whereabouts.tell(address, Identity(client.hardware, _uuid(request), client.is_ipxe))
        if request.message_type == MessageType.DISCOVER:
            effects = self._unheeded.offered(client, effects, now)
        return effects + signs

    def _in_force(self, request: DhcpMessage) -> NodeSettings:
        """Return what is in force for the sender of ``request``, which is on our link or behind a relay agent."""
        settings = self._servers.settings
        subnets = map(settings.subnet_of, links_of(request, settings.link.address))
        return settings.node(request.hardware, _uuid(request), next(filter(None, subnets), None))

    def _answer(self, call: Call) -> Effects:
        servers, request, client = self._servers, call.request, call.client
        if call.datagram.socket == Service.PXE:
            return servers.pxe.handle(call)
        if client.is_relayed and not servers.reach.covers(dotted(request.giaddr)):
            return call.drop(DropReason.RELAY_NOT_SERVED, f"relay {request.giaddr}")
        try:
            item = boot_item(call)
        except Malformed:
            # On port 67 it is an ordinary REQUEST whose option 43 is of no interest.
            item = None
        return servers.answer(call) if item is None else servers.pxe.discover(call, item)

    def _restrained(self, client: Client, now: float) -> Client:
        """Return ``client`` with the reason not to tell it of a group, if there is one."""
        learns = client.settings.does(ServerAction.MCAST_DEAF)
        plan = self._servers.planner.plan(client) if learns and client.may_do_mtftp else None
        if plan is None or plan.binding is None:
            return client
        why = self._fallback.against(client.node, client.fingerprint, plan.group, now)
        return client if why is None else client._replace(restraint=why)

    def _told(self, call: Call, effects: Effects, addresses: Iterable[str]) -> None:
        """Let the watches know whose habits those of ``addresses`` are, and of a group that was told or is taken."""
        client, request = call.client, call.request
        for address in addresses if client.boots else ():
            self._learning.met(address, client.firmware, client.actions)
        if not client.may_do_mtftp:
            return
        for effect in effects:
            if isinstance(effect, Report) and effect.kind is ReportKind.DHCP_OFFERED:
                plan = self._servers.planner.plan(client)
                if plan is not None and plan.binding is not None:
                    told = Told(plan.group, plan.name.lstrip("/"))
                    self._fallback.offered(client.node, client.fingerprint, told, call.now)
        if request.message_type == MessageType.REQUEST:
            self._fallback.took(client.node, call.sender.address or _NO_ADDRESS, call.now)


def _addresses(call: Call, effects: Effects) -> Iterable[str]:
    """Return which addresses the sender has or gets: from us, or on its way to it from another server."""
    found = {each.address: None for each in effects if type(each) is Report and each.hardware is not None}
    if call.request.message_type == MessageType.REQUEST:
        found[call.sender.address] = None
    found.pop("", None)
    return found


def _uuid(request: DhcpMessage) -> bytes:
    return request.options.get(code.MACHINE_IDENTIFIER, b"")[1:17]


def _saves(changed: list[Lease]) -> Effects:
    """Return the effects that save ``changed``: whoever gets a lease waits for it, whoever gives one back does not."""
    awaited = any(lease.state is LeaseState.BOUND for lease in changed)
    return tuple(SaveLease(lease.address, lease.key, lease.state, lease.expires, awaited) for lease in changed)

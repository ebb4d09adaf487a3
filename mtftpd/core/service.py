"""The whole server as one object without I/O: DHCP, MTFTP and TFTP around one picture of images and groups.

The shell and the simulator drive it with the same five calls: `BootService.receive`, `BootService.looked_up`,
`BootService.tick`, `BootService.next_deadline` and `BootService.statistics`.

What each machine does is shown to the records of the nodes, except for blocks that simply follow an ACK; then it
passes the budget of the link, where blocks may have to wait.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from mtftpd.core.addresses.arp import ArpStatistics
from mtftpd.core.addresses.leases import Lease
from mtftpd.core.dhcp.service import DhcpService, DhcpStatistics
from mtftpd.core.effects import Effects, Lookup, Report, ReportKind, SendRun, Service
from mtftpd.core.groups import Groups
from mtftpd.core.images import Image
from mtftpd.core.learning.experience import NO_EXPERIENCE, Experience, Watches
from mtftpd.core.link.admission import Admission, AdmissionStatistics
from mtftpd.core.link.budget import BudgetStatistics, LinkBudget
from mtftpd.core.mtftp.pass_rates import PassRates
from mtftpd.core.mtftp.service import MtftpService, MtftpStatistics
from mtftpd.core.nodes.attempts import Attempt
from mtftpd.core.nodes.watch import NodesStatistics, NodeWatch
from mtftpd.core.settings import Catalogue, Settings
from mtftpd.core.tftp.multicast_service import MulticastService, MulticastStatistics
from mtftpd.core.tftp.reports import TftpStatistics
from mtftpd.core.tftp.service import TftpService
from mtftpd.core.tftp.single_port import SinglePort
from mtftpd.wire.datagram import Datagram, HardwareAddress

_OF_DHCP = (int(Service.DHCP), int(Service.PXE))


@dataclass(frozen=True, slots=True)
class Statistics:
    """A snapshot of the whole server."""

    dhcp: DhcpStatistics
    mtftp: MtftpStatistics
    tftp: TftpStatistics
    multicast: MulticastStatistics
    nodes: NodesStatistics
    arp: ArpStatistics
    budget: BudgetStatistics
    admission: AdmissionStatistics


class BootService:
    """One boot server.

    ``known`` maps SHA-256 digests to the groups that a former run gave them; ``leases`` are those of a former run and
    ``experience`` what it found out about nodes, their times on the clock of this one.

    ``rates`` is what it learns of the speed of ROMs, to be kept for the next run too (`PassRates.snapshot`, `restore`).
    """

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        known: Mapping[str, IPv4Address] | None = None,
        leases: tuple[Lease, ...] = (),
        experience: Experience = NO_EXPERIENCE,
    ) -> None:
        self.settings = settings
        self.catalogue = catalogue
        self.groups = Groups(settings, catalogue, known or {})
        self._watches = Watches(settings.multicast.seconds, experience)
        self.fallback = self._watches.fallback
        self.learning = self._watches.learning
        self._dhcp = DhcpService(settings, catalogue, self.groups, leases, self._watches)
        self.nics = self._dhcp.nics
        self._arp = self._dhcp.arp
        self.budget = LinkBudget(settings.bandwidth, settings.link.mtu)
        self.rates = PassRates()
        self._mtftp = MtftpService(settings, self.groups, self._dhcp.offered, self.budget, self.rates)
        self._mtftp.slow_down(self.fallback.rate_factor)
        self._mtftp.tell_opens(self._dhcp.loads)  # an open says which interface of a machine boots
        self._tftp = TftpService(settings, catalogue, self._dhcp.offered, self.learning.actions, self._dhcp.left_out_at)
        self._multicast = MulticastService(settings, catalogue, self._dhcp.allows_multicast)
        self._tftp.divert(self._multicast.open)
        self._tftp.remind(self._dhcp.is_leased)
        self._single_port = SinglePort(self._tftp.stays_on_69)
        self.nodes = NodeWatch(settings, catalogue, self.nics)
        self._admission = Admission(settings.bandwidth, self.nodes.has_tried)
        self._receivers: dict[int, Callable[[Datagram, float], Effects]] = {
            Service.DHCP: self._receive_dhcp,
            Service.PXE: self._receive_dhcp,
            Service.TFTP: self._receive_request,
            Service.MTFTP: self._mtftp.receive,
            Service.MTFTP_IPXE: self._mtftp.receive,
            Service.MTFTP_SWAPPED: self._mtftp.receive,
        }

    def receive(self, datagram: Datagram, now: float) -> Effects:
        """Take one datagram that arrived at ``now`` (seconds, monotonic) and return what must be done, in order."""
        receiver = self._receivers.get(datagram[0])
        effects = self._tftp.receive(datagram, now) if receiver is None else receiver(datagram, now)
        if effects and type(effects[-1]) is SendRun:  # the next block, which is no news
            if self.budget.limited:
                effects = self.budget.pass_on(effects, now)
            return self._single_port.outward(effects, now) if self._single_port.peers else effects
        self._mtftp.learn(effects, now)
        effects = self._learn(datagram, effects, now)
        if datagram[0] in _OF_DHCP:
            # Blocks that have waited must not leave with these: an ACK waits for its lease.
            return self.budget.charge(effects, now)
        return self._pass_on(effects, now)

    def _pass_on(self, effects: Effects, now: float) -> Effects:
        """Return what may leave now, by the port that it must leave from."""
        return self._single_port.outward(self.budget.pass_on(effects, now), now)

    def _learn(self, datagram: Datagram | None, effects: Effects, now: float) -> Effects:
        """Show what was done to all who find out about nodes; returns it with what they say."""
        effects = self.learning.learn(self.fallback.learn(effects, now), now)
        is_left = any(type(effect) is Report and effect.kind is ReportKind.GROUP_LEFT for effect in effects)
        self._admission.learn(effects, now)
        return self.nodes.learn(datagram, effects, now) + (self._stand(now) if is_left else ())

    def _stand(self, now: float) -> Effects:
        return self.nodes.stand(self.groups, self._mtftp.groups_in_use(), now)

    def started(self, now: float) -> Effects:
        """Return what is to be told of the configuration; to be called once, before the first packet."""
        return self._stand(now)

    def go_on(self, attempts: Iterable[Attempt], interrupted: Collection[str], now: float) -> None:
        """Go on after a former run; to be called before the first packet.

        ``attempts`` are the boots that it wrote down, and ``interrupted`` the groups (ADDRESS:PORT) in the middle of
        whose pass it ended: the next one must not begin while somebody listens, who would hear block 1 again.
        """
        self.nodes.restore(attempts, now)
        self._mtftp.rest(interrupted, now)

    def looked_up(self, request: int, image: Image | None, now: float) -> Effects:
        """Take the answer to a `Lookup`: the opened image, or None when there is no such regular file."""
        effects = self._requested(self._tftp.looked_up(request, image, now), now)
        return self._pass_on(self._learn(None, effects, now), now)

    def _receive_dhcp(self, datagram: Datagram, now: float) -> Effects:
        # Lease and ACK first, for the shell lets them wait for the disk together with what comes behind them.
        return self._dhcp.receive(datagram, now) + self._arp.take()

    def _is_busy(self, address: str) -> bool:
        machines = (self._tftp, self._multicast, self._mtftp)
        return any(machine.is_fetching(address) for machine in machines)

    def _receive_request(self, datagram: Datagram, now: float) -> Effects:
        if self._multicast.expects(datagram):
            return self._multicast.receive(datagram, now)
        self._dhcp.loads(datagram.source.address, now)
        held = self._admission.hold(datagram, now)
        return held if held is not None else self._begin(datagram, now)

    def _begin(self, datagram: Datagram, now: float) -> Effects:
        return self._requested(self._tftp.receive(self._single_port.inward(datagram), now), now)

    def _requested(self, effects: Effects, now: float) -> Effects:
        """Tell the others who has begun to fetch from port 69, where clients turn to that gave up their group."""
        for effect in effects:
            if isinstance(effect, Report) and effect.kind is ReportKind.TFTP_STARTED:
                self._arp.asked(effect.address, now)
                detail = dict(effect.detail)
                if "group" not in detail:
                    effects += self._mtftp.fetched_by_unicast(effect.address, str(detail["file"]), now)
        return self._arp.take() + effects

    def next_deadline(self) -> float | None:
        """Return when `tick` must be called next, or None while nothing is waited for."""
        deadlines = (
            self._mtftp.next_deadline(),
            self._tftp.next_deadline(),
            self._multicast.next_deadline(),
            self._dhcp.next_deadline(),
            self.nodes.next_deadline(),
            self.fallback.next_deadline(),
            self._arp.next_deadline(),
            self.budget.next_deadline(),
            self._admission.next_deadline(),
        )
        return min((when for when in deadlines if when is not None), default=None)

    def tick(self, now: float) -> Effects:
        """Do what is due at ``now``; calling it early does nothing."""
        effects = (*self._dhcp.tick(now), *self._mtftp.tick(now), *self._tftp.tick(now), *self._multicast.tick(now))
        effects += self.fallback.tick(now) + self._arp.tick(now, self._is_busy)
        is_news = any(type(effect) is not SendRun for effect in effects)
        effects = (*(self._learn(None, effects, now) if is_news else effects), *self.nodes.tick(now))
        left = self._pass_on(effects, now) if effects else self._single_port.outward(self.budget.tick(now), now)
        return left + self._admit(now)

    def _admit(self, now: float) -> Effects:
        """Answer the requests for which there is room now; one at a time if the shell has to look for its file."""
        effects: Effects = ()
        while (request := self._admission.admitted(now)) is not None:
            begun = self._begin(request, now)
            effects += self._pass_on(self._learn(request, begun, now), now)
            if any(type(effect) is Lookup for effect in begun):
                break
        return effects

    def congested(self, is_congested: bool, now: float) -> None:
        """Take note that a socket of groups has no room for what was to leave it, or has room again."""
        self.budget.congested = is_congested
        if not is_congested:
            self._mtftp.relieved(now)

    def image_changed(self, image: Image, now: float) -> Effects:
        """End everything that still serves ``image``, whose file is no longer what was opened: no mixed image, ever."""
        self.budget.forget_image(image.key)
        machines = (self._mtftp, self._tftp, self._multicast)
        effects = tuple(effect for machine in machines for effect in machine.image_changed(image, now))
        return self._pass_on(self._learn(None, effects, now), now)

    def stop_pass(self, group: str, now: float) -> Effects:
        """End the pass or transfer that ``group`` ("ADDRESS:PORT") is in the middle of; () when there is none."""
        effects = self._mtftp.stop(group, now) or self._multicast.stop(group, now)
        return self._learn(None, effects, now) if effects else ()

    def pause_group(self, group: str, now: float) -> Effects:
        """Begin no more passes on ``group``, and tell nobody of it: who opens it is met with silence.

        () when it is paused already, or when there is no such group.
        """
        effects = self._mtftp.pause(group, now)
        if effects:
            self.fallback.hold(group)
        return self._learn(None, effects, now) if effects else ()

    def start_group(self, group: str, now: float) -> Effects:
        """End the pause or the rest of ``group``, and begin a pass where it may do without a master; () for neither."""
        was_paused, was_resting = self._mtftp.resume(group), self.fallback.wake(group, now)
        effects = self._mtftp.start(group, now)
        if was_paused or was_resting:
            effects = (Report(ReportKind.GROUP_RESUMED, detail=(("group", group),)), *effects)
        return self._pass_on(self._learn(None, effects, now), now) if effects else ()

    def experience(self) -> Experience:
        """Return what was found out about nodes, to be kept for the next run."""
        return self._watches.snapshot()

    def leases(self) -> tuple[Lease, ...]:
        """Return copies of all lease records."""
        return self._dhcp.leases()

    def release(self, address: IPv4Address, now: float) -> Effects:
        """Let go of the lease of ``address``; () when nobody has it."""
        effects = self._dhcp.release(address, now)
        if not effects:
            return ()
        self._arp.gone(str(address))
        return self.nodes.learn(None, effects + self._arp.take(), now)

    def forget(self, who: HardwareAddress | str) -> Effects:
        """Forget a node (by hardware or IPv4 address) and what is held against it; () when nobody knows it."""
        node = self.nodes.find(who)
        if node is None:
            return ()
        self.nodes.forget(who)
        if node.hardware is not None:
            self.fallback.memory.forget(node.hardware)
            self.learning.forget(node.hardware)
            self.nics.forget(node.hardware)
        return (Report(ReportKind.NODE_FORGOTTEN, node.address, node.hardware),)

    def images_in_use(self) -> frozenset[int]:
        """Return the keys of the images that may still be read: those of the catalogue, and what runs on with others.

        What a `Lookup` opened is in it while a transfer has it, and is given back with `Release` all the same.
        """
        catalogued = (image.key for image in self.catalogue.images)
        running = self._mtftp.images_in_use() | self._tftp.images_in_use() | self._multicast.images_in_use()
        return frozenset(catalogued) | running

    def reconfigure(self, settings: Settings, catalogue: Catalogue, now: float) -> Effects:
        """Swap the configuration: running transfers and passes go on with what they started with.

        Raises `mtftpd.errors.BadConfig`, and then nothing has changed.
        """
        groups = self.groups.reconfigured(settings, catalogue)
        # DHCP is the one that may refuse, so it goes first
        effects = self._dhcp.reconfigure(settings, catalogue, groups, now)
        self.settings, self.catalogue, self.groups = settings, catalogue, groups
        self.nodes.reconfigure(settings, catalogue)
        self.budget.reconfigure(settings.bandwidth, settings.link.mtu)
        self._admission.reconfigure(settings.bandwidth)
        self._multicast.reconfigure(settings, catalogue)
        effects = (
            *effects,
            *self._mtftp.reconfigure(settings, groups, now),
            *self._tftp.reconfigure(settings, catalogue, now),
        )
        self.fallback.reconfigure(settings.multicast.seconds, self._mtftp.groups_in_use())
        return self.nodes.learn(None, effects, now) + self._stand(now)

    def statistics(self) -> Statistics:
        """Return a snapshot that shares nothing with the running server."""
        return Statistics(
            self._dhcp.statistics(),
            self._mtftp.statistics(),
            self._tftp.statistics(),
            self._multicast.statistics(),
            self.nodes.statistics(),
            self._arp.statistics(),
            self.budget.statistics(),
            self._admission.statistics(),
        )

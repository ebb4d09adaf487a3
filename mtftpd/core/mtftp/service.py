"""The MTFTP sockets: opens, ACKs and ERRORs find their session, timers their time.

Nothing here ever answers with ERROR: on these ports it ends the boot of an iPXE, where silence moves every known
client to unicast (requirements RRQ-09, ACK-07, FBK-05).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial

from mtftpd.core.deadlines import Deadlines
from mtftpd.core.effects import Drop, DropReason, Effects, Report, ReportKind, Send, Service
from mtftpd.core.filenames import normalise, shown
from mtftpd.core.groups import Binding, Groups, path_of
from mtftpd.core.images import MTFTP_BLOCK_SIZE, Image
from mtftpd.core.link.budget import UNLIMITED, LinkBudget
from mtftpd.core.mtftp.carousel import Carousel
from mtftpd.core.mtftp.pass_rates import PassRates
from mtftpd.core.mtftp.passes import GroupStatistics
from mtftpd.core.mtftp.session import Session
from mtftpd.core.mtftp.timing import serves_ipxe_only
from mtftpd.core.nodes.clients import ClientKind
from mtftpd.core.settings import Settings
from mtftpd.errors import Malformed
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import OCTET, Error, Opcode, OptionAck, Pairs, Request, build, parse_ack, parse_untrusted

MAX_SWAPPED = 1_024
"""Addresses whose swapped port was reported; then all may be reported again: 1,024 * ~100 bytes is 100 KiB."""

Machine = Session | Carousel
"""What a group has; the one that is compiled into iPXE has a carousel, unless only the faithful gear is wanted."""

_SYSTEM = ClientKind.OTHER.value
_TICKETS = frozenset({ReportKind.DHCP_ACKED, ReportKind.BOOTP_ANSWERED, ReportKind.PXE_ANSWERED})
"""Answers after which a ROM listens; an offer is not one of them, since it may take another."""

MAX_BLKSIZE_DIGITS = 5
"""RFC 2348 ends at 65464: a longer number is not worth the time to read it."""


@dataclass(frozen=True, slots=True)
class MtftpStatistics:
    """One entry per group, those of a former configuration that are still busy last; ``probes`` were answered."""

    groups: tuple[GroupStatistics, ...] = ()
    probes: int = 0
    swapped: int = 0


@dataclass(slots=True)
class _Counts:
    probes: int = 0
    swapped: int = 0
    swapped_sources: set[str] = field(default_factory=set)


class MtftpService:
    """All groups.  ``offered(address)`` is the boot file that DHCP told the node at that address of, or None.

    Passes without a master ask ``budget`` how fast they may go, and ``rates`` how fast ROMs are.
    """

    def __init__(
        self,
        settings: Settings,
        groups: Groups,
        offered: Callable[[str], str | None],
        budget: LinkBudget = UNLIMITED,
        rates: PassRates | None = None,
    ) -> None:
        self.rates = rates or PassRates()
        self._settings = settings
        self._groups = groups
        self._offered = offered
        self._budget = budget
        self._opened: Callable[[str, float], None] | None = None
        self._factor: Callable[[str, float], float] | None = None
        self._sessions = {binding.group: self._session(binding) for binding in groups.bindings}
        self._retiring: list[Machine] = []
        self._masters: dict[int, dict[Endpoint, Session]] = {Service.MTFTP: {}, Service.MTFTP_IPXE: {}}
        self._registered: dict[Machine, tuple[int, Endpoint]] = {}
        self._deadlines: Deadlines[Machine] = Deadlines()
        self._changed: set[int] = set()
        self._counts = _Counts()

    def receive(self, datagram: Datagram, now: float) -> Effects:
        """Take a datagram of one of the MTFTP sockets."""
        socket, source, _, data = datagram
        masters = self._masters.get(socket)
        if masters is None:
            return self._swapped(source)
        number = parse_ack(data)
        if number < 0:
            return self._other_packet(datagram, now)
        session = masters.get(source)
        if session is None:
            return self._acked_by_listener(socket, source, number, now)
        effects = session.acked(number, now)
        if session.awaited is None:
            return effects + self._settle(session, now)
        self._deadlines.set(session, session.deadline)
        return effects

    def tick(self, now: float) -> Effects:
        """Do what is due.  The shell drains its sockets first: a late ACK must not meet a needless repetition."""
        effects: Effects = ()
        for session in self._deadlines.due(now):
            effects += session.tick(now) + self._settle(session, now)
        return effects

    def next_deadline(self) -> float | None:
        """Return when `tick` is due, or None."""
        return self._deadlines.next()

    def image_changed(self, image: Image, now: float) -> Effects:
        """Abort every pass of ``image``, and serve it no longer until the configuration names its new content."""
        self._changed.add(image.key)
        effects: Effects = ()
        for session in self._all():
            if session.sends(image):
                effects += session.abort("image changed", now) + self._settle(session, now)
        return effects

    def relieved(self, now: float) -> None:
        """Go on with what waits for room in a socket."""
        for session in self._all():
            if isinstance(session, Session):
                session.relieved(now)
                self._settle(session, now)

    def images_in_use(self) -> frozenset[int]:
        """Return the keys of the images that a pass sends or that the next one would."""
        return frozenset().union(*(session.images() for session in self._all()))

    def stop(self, group: str, now: float) -> Effects:
        """End the pass of ``group`` (its address and port) on an operator's word; () when none is running."""
        effects: Effects = ()
        for session in self._all():
            if str(session.binding.group) == group:
                effects += session.abort("stopped by the operator", now) + self._settle(session, now)
        return effects

    def pause(self, group: str, now: float) -> Effects:
        """Begin no more passes on ``group``; () when it is paused already, or when there is no such group.

        The pass that runs ends at once: what listeners have of it is lost with the first second of silence, so there
        is nothing to go on with.  That of iPXE's own group is completed, because iPXE boots what it has.
        """
        sessions = [session for session in self._all() if str(session.binding.group) == group]
        if not sessions or sessions[0].paused:
            return ()
        effects: Effects = (Report(ReportKind.GROUP_PAUSED, detail=(("group", group),)),)
        for session in sessions:
            session.paused = True
            if not serves_ipxe_only(session.binding):
                effects += session.abort("paused by the operator", now) + self._settle(session, now)
        return effects

    def resume(self, group: str) -> bool:
        """Let passes begin on ``group`` again; False when it was not paused."""
        paused = [session for session in self._all() if str(session.binding.group) == group and session.paused]
        for session in paused:
            session.paused = False
        return bool(paused)

    def start(self, group: str, now: float) -> Effects:
        """Begin a pass without a master; () when one runs, or where nothing is known of how fast ROMs are."""
        effects: Effects = ()
        for session in self._sessions.values():
            if str(session.binding.group) == group:
                effects += session.start(now) + self._settle(session, now)
        return effects

    def tell_opens(self, opened: Callable[[str, float], None]) -> None:
        """Tell ``opened`` from now on which address asks for a file, and when."""
        self._opened = opened

    def slow_down(self, factor: Callable[[str, float], float]) -> None:
        """Ask ``factor`` from now on which part of its rate a group is sent with where there is no master."""
        self._factor = factor
        for session in self._all():
            session.factor = partial(factor, str(session.binding.group))

    def rest(self, groups: Collection[str], now: float) -> None:
        """Let ``groups`` rest until whoever listened to the server before this one has given up; at the start only."""
        for session in self._all():
            if str(session.binding.group) in groups:
                session.rest(now)
                self._settle(session, now)

    def is_fetching(self, address: str) -> bool:
        """Return whether this address is master of a pass, or opened a group and was not served yet."""
        return any(session.is_wanted_by(address) for session in self._all())

    def learn(self, effects: Effects, now: float) -> None:
        """Take note of who was told of a group and who goes on to something else, from what other machines report."""
        for effect in effects:
            if type(effect) is Report:
                if effect.kind in _TICKETS:
                    detail = dict(effect.detail)
                    self._told(effect.address, str(detail.get("group", "")), str(detail.get("rom", "")), now)
                elif effect.kind is ReportKind.TFTP_STARTED:
                    self._gone(effect.address, str(dict(effect.detail)["file"]), now)
            elif type(effect) is not Drop:
                continue
            sender = effect.sender
            if sender is not None and sender.client == _SYSTEM:
                self._gone(sender.address, "", now)

    def fetched_by_unicast(self, address: str, name: str, now: float) -> Effects:
        """Take note that a client has begun to fetch ``name`` (normalised) from port 69: perhaps it gave up here."""
        effects: Effects = ()
        for session in self._all():
            binding = session.binding
            if name in binding.names and session.fell_back(address, now):
                detail = (("image", binding.image.name), ("group", str(binding.group)))
                effects += (Report(ReportKind.FALLBACK, address, None, detail), *self._settle(session, now))
        return effects

    def reconfigure(self, settings: Settings, groups: Groups, now: float) -> Effects:
        """Take another configuration; passes that run are completed with what they started with."""
        self._settings = settings
        self._groups = groups
        self._changed &= {binding.image.key for binding in groups.bindings}
        former = {session.binding.group: session for session in self._all()}
        self._sessions = {}
        effects: Effects = ()
        for binding in groups.bindings:
            session = former.pop(binding.group, None) or self._session(binding)
            session.rebind(binding, now)
            self._sessions[binding.group] = session
        self._retiring = [session for session in former.values() if not session.is_idle]
        for session in self._all():
            effects += self._settle(session, now)
        return effects

    def groups_in_use(self) -> frozenset[str]:
        """Return the groups that may be sent to, "ADDRESS:PORT": those of the configuration and what runs on."""
        return frozenset(str(session.binding.group) for session in self._all())

    def statistics(self) -> MtftpStatistics:
        """Return a snapshot."""
        groups = tuple(session.statistics() for session in self._all())
        return MtftpStatistics(groups, self._counts.probes, self._counts.swapped)

    def _told(self, address: str, group: str, profile: str, now: float) -> None:
        for session in self._sessions.values():
            if address and str(session.binding.group) == group:
                session.told(address, profile, now)

    def _gone(self, address: str, asks_for: str, now: float) -> None:
        """Take note that a node asks for another file than that of its group, or (with "") runs its system."""
        for session in self._all():
            if asks_for not in session.binding.names:
                session.gone(address, now)
                self._settle(session, now)

    def _acked_by_listener(self, socket: int, source: Endpoint, number: int, now: float) -> Effects:
        """Take an acknowledgement that is not a master's: those who listen to a carousel are asked for theirs."""
        for session in self._all() if socket == Service.MTFTP_IPXE else ():
            if isinstance(session, Carousel) and session.knows(source):
                return session.acked(source, number, now) + self._settle(session, now)
        return (Drop(DropReason.NOT_THE_MASTER, source, f"ACK {number}"),)

    def _session(self, binding: Binding) -> Machine:
        if binding.socket == Service.MTFTP_IPXE and not self._settings.faithful:
            return Carousel(binding, self._budget, self.rates)
        session = Session(binding, self._budget, rates=None if self._settings.faithful else self.rates)
        if self._factor is not None:
            session.factor = partial(self._factor, str(binding.group))
        return session

    def _all(self) -> tuple[Machine, ...]:
        return (*self._sessions.values(), *self._retiring)

    def _swapped(self, source: Endpoint) -> Effects:
        """Take whatever arrives at the byte-swapped port: a client that read tags 2 and 3 big-endian (quirk Q15)."""
        counts = self._counts
        counts.swapped += 1
        drop = Drop(DropReason.SWAPPED_PORT, source)
        if source.address in counts.swapped_sources:
            return (drop,)
        if len(counts.swapped_sources) == MAX_SWAPPED:
            counts.swapped_sources.clear()
        counts.swapped_sources.add(source.address)
        port = self._settings.ports.mtftp_server
        return (drop, Report(ReportKind.SWAPPED_PORT, source.address, None, (("server-port", port),)))

    def _other_packet(self, datagram: Datagram, now: float) -> Effects:
        socket, source, _, data = datagram
        if not self._settings.serves(source.address):
            return (Drop(DropReason.OFF_LINK, source),)
        if source.port == 0:
            return (Drop(DropReason.MALFORMED, source, "source port 0 cannot be answered"),)
        try:
            packet = parse_untrusted(data)
        except Malformed as error:
            return (Drop(DropReason.MALFORMED, source, error.reason),)
        match packet:
            case Request():
                return self._request(socket, source, packet, now)
            case Error():
                return self._error(socket, source, packet, now)
        return (Drop(DropReason.NOT_A_REQUEST, source),)

    def _error(self, socket: int, source: Endpoint, packet: Error, now: float) -> Effects:
        for session in self._all():
            if session.binding.socket == socket and session.counts_on(source):
                return session.error(source, now) + self._settle(session, now)
        return (Drop(DropReason.NOT_THE_MASTER, source, f"ERROR {packet.code}"),)

    def _request(self, socket: int, source: Endpoint, request: Request, now: float) -> Effects:
        if request.opcode != Opcode.RRQ:
            return (Drop(DropReason.WRITE_REQUEST, source),)
        if self._opened is not None:
            self._opened(source.address, now)
        if request.mode != OCTET:
            return (Drop(DropReason.BAD_MODE, source, shown(request.mode)),)
        name = normalise(request.filename)
        if name == "":
            name = path_of(self._offered(source.address) or "")
        session = self._session_for(socket, source.address, name) if name else None
        if session is None:
            return (Drop(DropReason.UNKNOWN_FILE, source, shown(request.filename)),)
        binding = session.binding
        if binding.image.key in self._changed:
            return (Drop(DropReason.IMAGE_CHANGED, source, binding.image.name),)
        if request.options and source.port != binding.group.port:
            return self._probe(binding, source, request.options)
        if session.paused and not session.is_running:
            return (Drop(DropReason.PAUSED, source, str(binding.group)),)
        return session.open(source, now) + self._settle(session, now)

    def _session_for(self, socket: int, address: str, name: str) -> Machine | None:
        """Return the session that an open is about: for a master whose group is being retired, still that one."""
        for session in self._retiring:
            binding = session.binding
            is_master = session.master is not None and session.master.address == address
            if is_master and binding.socket == socket and name in binding.names:
                return session
        found = self._groups.for_request(socket, name)
        return None if found is None else self._sessions[found.group]

    def _probe(self, binding: Binding, source: Endpoint, options: Pairs) -> Effects:
        """Answer Intel's EFI client, which asks for the size before it listens; that is no open (RRQ-10)."""
        granted: dict[str, str] = {}
        for name, value in options:
            if name == "tsize":
                granted.setdefault(name, str(binding.image.size))
            elif name == "blksize" and _at_least_one_block(value):
                granted.setdefault(name, str(MTFTP_BLOCK_SIZE))
        if not granted:
            return (Drop(DropReason.HAS_OPTIONS, source),)
        self._counts.probes += 1
        return (Send(binding.socket, source, build(OptionAck(tuple(granted.items())))),)

    def _settle(self, session: Machine, now: float) -> Effects:
        """Bring routes and timers up to date with a session that may have changed its master or its deadline."""
        effects: Effects = ()
        old = self._registered.pop(session, None)
        if old is not None:
            del self._masters[old[0]][old[1]]
        if isinstance(session, Session) and session.awaited is not None:
            socket, master = session.binding.socket, session.awaited
            other = self._masters[socket].get(master)
            if other is not None:
                effects = other.desert(now) + self._settle(other, now)
            self._masters[socket][master] = session
            self._registered[session] = (socket, master)
        if session.is_idle:
            self._deadlines.clear(session)
            if session in self._retiring:
                self._retiring.remove(session)
                effects += (Report(ReportKind.GROUP_LEFT, detail=(("group", str(session.binding.group)),)),)
        else:
            self._deadlines.set(session, session.deadline)
        return effects


def _at_least_one_block(value: str) -> bool:
    return value.isdecimal() and len(value) <= MAX_BLKSIZE_DIGITS and int(value) >= MTFTP_BLOCK_SIZE

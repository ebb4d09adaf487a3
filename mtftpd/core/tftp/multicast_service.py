"""All transfers with option multicast (RFC 2090), which are sent from port 69.

One socket serves every client of a transfer, so it cannot be connected to one of them; and clients take DATA only
from the port that their OACK came from.  Port 69 is open already and answers nobody by ICMP.

It is for those images that have a base for groups, and for nodes whose section does not say ``multicast = false``.
Whoever asks for anything else gets ordinary unicast: the option is then left out of the OACK (RFC 2347).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from mtftpd.core.deadlines import Deadlines
from mtftpd.core.effects import Drop, DropReason, Effect, Effects, Report, ReportKind, SendRun, Service
from mtftpd.core.filenames import shown
from mtftpd.core.images import Image
from mtftpd.core.mtftp.passes import GroupStatistics
from mtftpd.core.settings import Catalogue, Settings
from mtftpd.core.tftp.groups import OptionGroups
from mtftpd.core.tftp.multicast import Member, MulticastTransfer, wants_multicast
from mtftpd.core.tftp.negotiation import Limits, negotiate
from mtftpd.core.tftp.transfer import PROBE_ERRORS, Asked, Outcome
from mtftpd.errors import Malformed
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import Error, Opcode, parse_ack, parse_untrusted

MAX_MEMBERS = 4_000
"""Of all transfers: 4,000 * ~1 KB are 4 MB; each may hold the others up for 5 s, so no address has many."""
MAX_OF_ADDRESS = 4
"""A ROM has one; whoever asks from a fifth port has left the first."""
MAX_TRANSFERS = 64
"""Each is sent as fast as its master asks; more images at a time would share the link with nothing left of it."""

_STARTED_OVER = Outcome(ReportKind.TFTP_FAILED, "client started over")
_ANOTHER_PORT = Outcome(ReportKind.TFTP_FAILED, "client asked again from another port")
_STOPPED = "stopped by the operator"
_REQUESTS = (Opcode.RRQ, Opcode.WRQ)


@dataclass(frozen=True, slots=True)
class MulticastStatistics:
    """A snapshot: clients that have ended, DATA packets of transfers that have ended, and the transfers that run."""

    done: int
    failed: int
    blocks: int
    repeats: int
    clients: int
    transfers: tuple[GroupStatistics, ...]


class MulticastService:
    """The transfers; ``allows`` tells whether the section of an address lets it have multicast."""

    def __init__(self, settings: Settings, catalogue: Catalogue, allows: Callable[[str], bool]) -> None:
        self._groups = OptionGroups(settings, catalogue)
        self._allows = allows
        self._transfers: dict[Endpoint, MulticastTransfer] = {}
        self._by_peer: dict[Endpoint, MulticastTransfer] = {}
        self._of_address: dict[str, list[Endpoint]] = {}
        self._deadlines: Deadlines[Endpoint] = Deadlines()
        self._changed: set[int] = set()
        self._ended = dict.fromkeys((ReportKind.TFTP_DONE, ReportKind.TFTP_FAILED), 0)
        self._blocks = 0
        self._repeats = 0

    def expects(self, datagram: Datagram) -> bool:
        """Return whether a datagram is from one of the clients, and no new request."""
        if datagram.socket != Service.TFTP or datagram.source not in self._by_peer:
            return False
        return int.from_bytes(datagram.data[:2], "big") not in _REQUESTS

    def receive(self, datagram: Datagram, now: float) -> Effects:
        """Take a datagram that is expected."""
        source, data = datagram.source, datagram.data
        transfer = self._by_peer[source]
        number = parse_ack(data)
        if number >= 0:
            return self._settle(transfer, transfer.acknowledge(source, number, now))
        try:
            packet = parse_untrusted(data)
        except Malformed as error:
            return (Drop(DropReason.MALFORMED, source, str(error)),)
        if not isinstance(packet, Error):
            return (Drop(DropReason.UNEXPECTED, source, type(packet).__name__),)
        member = transfer.members[source]
        return self._settle(transfer, transfer.leave(member, _aborted(member, packet), now))

    def open(self, asked: Asked, image: Image, limits: Limits, now: float) -> tuple[Effects, bool]:
        """Take a read request that port 69 has accepted; the flag says whether it is answered, else it is unicast's."""
        before = self._by_peer.get(asked.peer)
        ended: Effects = ()
        if before is not None:
            known = before.members[asked.peer]
            if known.asked.fingerprint == asked.fingerprint and before.image.digest == image.digest:
                return self._settle(before, before.join(known, now)), True
            ended = self._settle(before, before.leave(known, _STARTED_OVER, now))
        if not wants_multicast(asked.options) or not self._allows(asked.peer.address):
            return ended, False
        granted = negotiate(asked.options, image.size, replace(limits, window=1, rollover=0))
        if self._transfer(image, granted.block_size) is None:
            return ended, False
        ended += self._make_room(asked.peer.address, now)
        transfer = self._transfer(image, granted.block_size)  # that of the client that had to go may be over
        assert transfer is not None
        options = tuple(pair for pair in granted.options if pair[0] != "rollover")
        member = Member(asked, replace(granted, options=options), now)
        self._transfers[transfer.group] = transfer
        self._by_peer[asked.peer] = transfer
        self._of_address.setdefault(asked.peer.address, []).append(asked.peer)
        return ended + self._settle(transfer, transfer.join(member, now)), True

    def next_deadline(self) -> float | None:
        """Return when `tick` is wanted next."""
        return self._deadlines.next()

    def tick(self, now: float) -> Effects:
        """Repeat what was not answered in time, and pass over who is silent."""
        effects: list[Effect] = []
        for group in self._deadlines.due(now):
            transfer = self._transfers[group]
            # It may have moved since: the deadline of who is still heard of comes later.
            effects += self._settle(transfer, transfer.timeout(now) if transfer.deadline <= now else ())
        return tuple(effects)

    def image_changed(self, image: Image, now: float) -> Effects:
        """End the transfers of an image whose file is no longer what was opened, and begin none."""
        self._changed.add(image.key)
        return self._end("file changed on the server", now, lambda transfer: transfer.image.key == image.key)

    def stop(self, group: str, now: float) -> Effects:
        """End the transfer to ``group`` ("ADDRESS:PORT"); () when there is none."""
        return self._end(_STOPPED, now, lambda transfer: str(transfer.group) == group)

    def images_in_use(self) -> frozenset[int]:
        """Return the keys of the images of all transfers."""
        return frozenset(transfer.image.key for transfer in self._transfers.values())

    def is_fetching(self, address: str) -> bool:
        """Return whether a client of this address is in a transfer."""
        return address in self._of_address

    def reconfigure(self, settings: Settings, catalogue: Catalogue) -> None:
        """Take another configuration; transfers go on with the image and group that they have."""
        self._groups = OptionGroups(settings, catalogue)
        self._changed &= {image.key for image in catalogue.images}

    def statistics(self) -> MulticastStatistics:
        """Return a snapshot."""
        done, failed = self._ended[ReportKind.TFTP_DONE], self._ended[ReportKind.TFTP_FAILED]
        transfers = tuple(_view(transfer) for transfer in self._transfers.values())
        return MulticastStatistics(done, failed, self._blocks, self._repeats, len(self._by_peer), transfers)

    def _transfer(self, image: Image, block_size: int) -> MulticastTransfer | None:
        """Return the transfer that a new client takes part in; None when it cannot be one of multicast."""
        group = self._groups.of(image, block_size)
        if group is None or image.key in self._changed or len(self._by_peer) >= MAX_MEMBERS:
            return None
        running = self._transfers.get(group)
        if running is None:
            full = len(self._transfers) >= MAX_TRANSFERS
            return None if full else MulticastTransfer(image, block_size, group)
        is_same = (running.image.digest, running.block_size) == (image.digest, block_size)
        return running if is_same else None

    def _make_room(self, address: str, now: float) -> Effects:
        """Let the oldest client of an address go that has too many."""
        peers = self._of_address.get(address, [])
        if len(peers) < MAX_OF_ADDRESS:
            return ()
        transfer = self._by_peer[peers[0]]
        return self._settle(transfer, transfer.leave(transfer.members[peers[0]], _ANOTHER_PORT, now))

    def _end(self, text: str, now: float, chosen: Callable[[MulticastTransfer], bool]) -> Effects:
        effects: Effects = ()
        for transfer in [each for each in self._transfers.values() if chosen(each)]:
            effects += self._settle(transfer, transfer.end(text, now))
        return effects

    def _settle(self, transfer: MulticastTransfer, effects: Effects) -> Effects:
        """Bring tables and timers up to date with a transfer that has done ``effects``."""
        if len(effects) == 1 and type(effects[0]) is SendRun:
            self._deadlines.set(transfer.group, transfer.deadline)  # the next block, which is no news
            return effects
        for peer in transfer.take_gone():
            del self._by_peer[peer]
            peers = self._of_address[peer.address]
            peers.remove(peer)
            if not peers:
                del self._of_address[peer.address]
        for effect in effects:
            if isinstance(effect, Report) and effect.kind in self._ended:
                self._ended[effect.kind] += 1
        if not transfer.is_over:
            self._deadlines.set(transfer.group, transfer.deadline)
        else:
            del self._transfers[transfer.group]
            self._deadlines.clear(transfer.group)
            self._blocks += transfer.sent
            self._repeats += transfer.sent - transfer.furthest
        return effects


def _aborted(member: Member, error: Error) -> Outcome:
    """Say what an ERROR means: clients that only want the size send one instead of ACK 0 (quirk Q82)."""
    asked_size = any(name == "tsize" for name, _ in member.granted.options)
    if asked_size and not member.heard and error.code in PROBE_ERRORS:
        return Outcome(ReportKind.TFTP_DONE, "size probe", probe=True)
    return Outcome(ReportKind.TFTP_FAILED, f"aborted by client: {error.code} {shown(error.text)}".rstrip())


def _view(transfer: MulticastTransfer) -> GroupStatistics:
    master = transfer.master
    return GroupStatistics(
        image=transfer.image.name,
        group=str(transfer.group),
        state="option",
        block=transfer.block,
        blocks=transfer.last,
        master=str(master.asked.peer) if master is not None else "",
        passes=0,
        sent=transfer.sent,
        repeats=transfer.sent - transfer.furthest,
        stalls=transfer.repeats,
        ignored=0,
        masters_lost=transfer.masters_lost,
        fallbacks=0,
        waiting=len(transfer.members) - 1,
        started=transfer.started,
        block_size=transfer.block_size,
    )

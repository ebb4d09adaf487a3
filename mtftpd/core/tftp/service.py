"""Port 69 and the sockets of all transfers: who is served what, and which packet belongs to whom.

An ERROR that refuses a request leaves from port 69: a socket of its own would cost an attacker's flood 2 system calls
and a descriptor a packet, and no client minds, because until the first reply it does not know the server's port.
"""

from __future__ import annotations

from collections.abc import Callable

from mtftpd.core.deadlines import Deadlines
from mtftpd.core.effects import (
    CloseTransfer,
    Drop,
    DropReason,
    Effect,
    Effects,
    Lookup,
    OpenTransfer,
    Release,
    ReportKind,
    Send,
    Service,
)
from mtftpd.core.filenames import normalise, shown, taken_literally
from mtftpd.core.images import Image
from mtftpd.core.learning.lessons import ACTIONS
from mtftpd.core.settings import Catalogue, Settings
from mtftpd.core.tftp.habits import Habits
from mtftpd.core.tftp.negotiation import Granted, Limits, negotiate
from mtftpd.core.tftp.refusals import Refusals
from mtftpd.core.tftp.register import Register
from mtftpd.core.tftp.reports import Tally, TftpStatistics, end_report, refusal_report, start_report
from mtftpd.core.tftp.states import State
from mtftpd.core.tftp.transfer import Asked, Outcome, Transfer
from mtftpd.core.tftp.treatment import Actions, Treatment
from mtftpd.errors import Malformed
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import NETASCII, OCTET, Ack, Error, ErrorCode, Opcode, Request, build, parse_ack, parse_untrusted

RESTART_SECONDS = 1.0
"""A request that is repeated while ACKs still come is a late copy; after this silence the client has started over."""

Diversion = Callable[[Asked, Image, Limits, float], tuple[Effects, bool]]

_NO_TID = "unknown transfer id"
_STARTED_OVER = Outcome(ReportKind.TFTP_FAILED, "client started over")
_UNACKNOWLEDGED = Outcome(ReportKind.TFTP_DONE, "last block not acknowledged")
_SUPERSEDED = Outcome(ReportKind.TFTP_FAILED, "client asked again from another port", linger=False)
_EVICTED = Outcome(ReportKind.TFTP_FAILED, "first packet not answered, room needed", linger=False)
_NO_ACTIONS: frozenset[ServerAction] = frozenset()


class TftpService:
    """The TFTP server.

    ``offered`` tells which boot file DHCP offered to an address, ``learnt`` what is done about whoever has it, and
    ``left_out`` what is not.
    """

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        offered: Callable[[str], str | None],
        learnt: Actions = lambda _address: _NO_ACTIONS,
        left_out: Actions | None = None,
    ) -> None:
        self._habits = Habits()
        self._treatment = Treatment(settings, self._habits, learnt, left_out)
        self._configure(settings, catalogue)
        self._offered = offered
        self._is_leased: Callable[[str, float], bool] = lambda *_: False
        self._register = Register()
        self._transfers = self._register.transfers
        self._deadlines: Deadlines[int] = Deadlines()
        # At most one: the shell answers before it reads on, and whoever does not forgets the request.
        self._looking_up: Asked | None = None
        self._lookup = 0
        self._refusals = Refusals()
        self._tally = Tally()
        self._divert: Diversion = lambda *_: ((), False)

    def divert(self, takes: Diversion) -> None:
        """Let ``takes`` answer requests that it returns True for, with what is to be done in any case."""
        self._divert = takes

    def remind(self, is_leased: Callable[[str, float], bool]) -> None:
        """Repeat first replies unasked to addresses that ``is_leased`` knows to be those of our own clients."""
        self._is_leased = is_leased

    def receive(self, datagram: Datagram, now: float) -> Effects:
        """Take one datagram of port 69 or of a transfer's socket."""
        socket, source, _, data = datagram
        transfer = self._transfers.get(socket)
        if transfer is not None and transfer.awaited == parse_ack(data) and transfer.peer == source:
            return (transfer.advance(now),)
        if socket == Service.TFTP:
            return self._on_service_port(datagram, now)
        if transfer is None:
            return (Drop(DropReason.UNEXPECTED, source, "no such transfer"),)
        if transfer.peer != source:
            return self._from_stranger(socket, source, data)
        return self._on_transfer(transfer, data, now)

    def looked_up(self, request: int, image: Image | None, now: float) -> Effects:
        """Take the answer to a `Lookup`; several transfers may be given the same image."""
        asked = self._looking_up if request == self._lookup else None
        if image is not None:
            self._borrow(image)
        if asked is None:
            return () if image is None else self._give_back(image)
        self._looking_up = None
        if image is None:
            return self._refuse(asked.peer, asked.name, ErrorCode.FILE_NOT_FOUND, "file not found", now)
        return self._open(asked, image, now)

    def stays_on_69(self, address: str, now: float) -> bool:
        """Return whether the transfers of ``address`` must not leave port 69 (quirk Q69)."""
        return self._treatment.does(ServerAction.SINGLE_PORT, address, now)

    def next_deadline(self) -> float | None:
        """Return when `tick` is wanted next."""
        earliest = self._deadlines.next()
        unanswered = self._register.oldest_half_open()
        if unanswered is None:
            return earliest
        return unanswered.deadline if earliest is None else min(earliest, unanswered.deadline)

    def tick(self, now: float) -> Effects:
        """Repeat what was not answered in time, close what has lingered."""
        effects: list[Effect] = []
        while (transfer := self._register.oldest_half_open()) is not None and transfer.deadline <= now:
            effects += self._went_on(transfer, transfer.timeout(now), now)
        for socket in self._deadlines.due(now):
            transfer = self._transfers.get(socket)
            if transfer is None:
                continue  # closed just now, because too many linger
            if transfer.half_open:
                effects += self._await_answer(transfer, now)
            elif transfer.deadline > now:
                self._deadlines.set(socket, transfer.deadline)
            elif transfer.state is State.LINGER:
                effects += self._close(transfer)
            else:
                effects += self._went_on(transfer, transfer.timeout(now), now)
        return tuple(effects)

    def image_changed(self, image: Image, now: float) -> Effects:
        """End every transfer of an image whose file is no longer what was opened."""
        effects: list[Effect] = []
        for transfer in [each for each in self._register.running() if each.image.key == image.key]:
            effects.append(transfer.give_up("file changed on the server", now))
            effects += self._ended(transfer, now)
        return tuple(effects)

    def images_in_use(self) -> frozenset[int]:
        """Return the keys of the images of all transfers that have not ended."""
        return frozenset(transfer.image.key for transfer in self._register.running())

    def is_fetching(self, address: str) -> bool:
        """Return whether a transfer of this address has not ended."""
        return self._register.newest_of_address(address) is not None

    def reconfigure(self, settings: Settings, catalogue: Catalogue, now: float) -> Effects:
        """Serve new requests from ``catalogue``; transfers go on with the image that they started with."""
        self._configure(settings, catalogue)
        return ()

    def statistics(self) -> TftpStatistics:
        """Return a snapshot."""
        register = self._register
        return self._tally.statistics(register.running(), len(register.half_open), len(register.lingering))

    def _configure(self, settings: Settings, catalogue: Catalogue) -> None:
        link = settings.link
        self._settings = settings
        self._treatment.reconfigure(settings)
        self._broadcasts = {"255.255.255.255", str(link.network.broadcast_address)} - {str(link.address)}
        self._catalogue = catalogue
        self._catalogued = frozenset(image.key for image in catalogue.images)

    # Requests

    def _on_service_port(self, datagram: Datagram, now: float) -> Effects:
        source = datagram.source
        reason = self._unserved(datagram)
        if reason is not None:
            return (Drop(reason, source),)
        try:
            packet = parse_untrusted(datagram.data)
        except Malformed as error:
            return (Drop(DropReason.MALFORMED, source, str(error)),)
        if not isinstance(packet, Request):
            return (Drop(DropReason.NOT_A_REQUEST, source),)
        self._tally.requests += 1
        if packet.opcode != Opcode.RRQ:
            return self._refuse(source, packet.filename, ErrorCode.ACCESS_VIOLATION, "this server is read-only", now)
        # An image has no lines to translate: netascii is octet (quirk Q101).
        modes = {OCTET, NETASCII} if self._treatment.may(ServerAction.NETASCII_IS_OCTET, source.address) else {OCTET}
        if packet.mode not in modes:
            return self._refuse(source, packet.filename, ErrorCode.ILLEGAL_OPERATION, "only octet mode is served", now)
        return self._on_read_request(packet, source, hash(datagram.data), now)

    def _unserved(self, datagram: Datagram) -> DropReason | None:
        """Say why nothing may be sent in answer to this datagram, if so."""
        source, destination = datagram.source, datagram.destination
        if not self._settings.serves(source.address):
            return DropReason.OFF_LINK
        # A reply to port 0 cannot be sent; one to a broadcast request would come from an address not asked (Q68).
        return DropReason.NOT_FOR_US if source.port == 0 or destination.address in self._broadcasts else None

    def _on_read_request(self, request: Request, peer: Endpoint, fingerprint: int, now: float) -> Effects:
        before = self._register.of_peer(peer)
        dedupes = self._treatment.may(ServerAction.DEDUPE_RRQ, peer.address)
        if dedupes and before is not None and before.fingerprint == fingerprint and before.state is not State.LINGER:
            answer = self._answer_again(before, now)
            if answer is not None:
                return answer
            if before.half_open:
                # It lives on: an OACK that is only late may still be accepted, and goes with that transfer alone.
                return self._open_plain(before, now)
        ended = self._retire(before, now) if dedupes else ()
        reads = normalise if self._treatment.may(ServerAction.FIX_NAME, peer.address) else taken_literally
        name = reads(request.filename)
        if name == "" and self._treatment.may(ServerAction.EMPTY_NAME_TO_OFFERED, peer.address):
            name = self._offered_name(peer.address)
            if not name:
                text = "no file name, and none was offered"
                return ended + self._refuse(peer, "", ErrorCode.FILE_NOT_FOUND, text, now)
        if name is None:
            text = "file name not allowed"
            return ended + self._refuse(peer, request.filename, ErrorCode.ACCESS_VIOLATION, text, now)
        asked = Asked(peer, name, request.options, fingerprint)
        ended += (self._supersede(asked, now) if dedupes else ()) + self._evict(peer.address, now)
        if not self._register.has_room(peer.address):
            return (*ended, Drop(DropReason.TOO_MANY_TRANSFERS, peer, name))
        image = self._catalogue.paths.get(name)
        if image is not None:
            return ended + self._open(asked, image, now)
        self._lookup += 1
        self._looking_up = asked
        return (*ended, Lookup(self._lookup, name))

    def _offered_name(self, address: str) -> str | None:
        """Return the name of the boot file that DHCP gave this address: a ROM may ask with none (quirk Q02)."""
        offered = self._offered(address) or ""
        _, is_uri, rest = offered.partition("://")
        return normalise((rest.partition("/")[2] if is_uri else offered).encode())

    def _answer_again(self, transfer: Transfer, now: float) -> Effects | None:
        """Answer a repeated request from the transfer that it has, or None if that one is not meant."""
        if transfer.half_open:
            sign = self._habits.asked_in_vain(transfer, now)
            if sign is not None and self._treatment.may(ACTIONS[sign], transfer.peer.address):
                self._habits.suspect(transfer.peer.address, sign)
                return None
            self._register.asked_again(transfer)
            return (transfer.repeat_first_reply(now),)
        if now - transfer.progress_at < RESTART_SECONDS:
            return (Drop(DropReason.DUPLICATE_REQUEST, transfer.peer, transfer.name),)
        return None

    def _retire(self, transfer: Transfer | None, now: float) -> Effects:
        """End the transfer that this client port had: one port receives one file (RFC 1350 section 4)."""
        if transfer is None or transfer.state is State.LINGER:
            return ()
        transfer.end(_UNACKNOWLEDGED if transfer.state is State.LAST else _STARTED_OVER, now)
        return self._ended(transfer, now)

    def _supersede(self, asked: Asked, now: float) -> Effects:
        """End a transfer whose client repeats its request from a new port: it left the old one (quirk Q88)."""
        newest = self._register.newest_of_address(asked.peer.address)
        if newest is None or not newest.half_open or newest.name != asked.name:
            return ()
        if now - newest.sent_at < RESTART_SECONDS:
            return ()
        newest.end(_SUPERSEDED, now)
        return self._ended(newest, now)

    def _evict(self, address: str, now: float) -> Effects:
        """End the half-open transfer that is in the way of a new one of ``address``, if one is."""
        evicted = self._register.to_evict(address)
        if evicted is None:
            return ()
        evicted.end(_EVICTED, now)
        return self._ended(evicted, now)

    def _refuse(self, peer: Endpoint, filename: bytes | str, code: ErrorCode, text: str, now: float) -> Effects:
        self._tally.refused += 1
        if not self._refusals.may_tell(peer.address, now):
            return (Drop(DropReason.TOO_MANY_ERRORS, peer, f"{shown(filename)}: {text}"),)
        return (Send(Service.TFTP, peer, build(Error(code, text))), refusal_report(peer, filename, code, text))

    # Transfers

    def _open(self, asked: Asked, image: Image, now: float) -> Effects:
        address = asked.peer.address
        options = () if self._treatment.does(ServerAction.REFUSE_OPTIONS, address, now) else asked.options
        limits = self._treatment.limits(address, now)
        effects, is_taken = self._divert(asked._replace(options=options), image, limits, now)
        return effects if is_taken else effects + self._begin(asked, image, negotiate(options, image.size, limits), now)

    def _open_plain(self, before: Transfer, now: float) -> Effects:
        """Answer the request of ``before`` without any option, from a new socket."""
        asked = Asked(before.peer, before.name, (), before.fingerprint)
        self._register.borrow_again(before.image)
        room = self._evict(asked.peer.address, now)
        granted = Granted(rollover=self._settings.rollover, without=self._treatment.without(asked.peer.address))
        return room + self._begin(asked, before.image, granted, now)

    def _begin(self, asked: Asked, image: Image, granted: Granted, now: float) -> Effects:
        transfer = Transfer(self._register.take_socket(), asked, image, granted, now)
        self._register.add(transfer)
        opened = (OpenTransfer(transfer.socket, transfer.peer), transfer.first_reply(), start_report(transfer))
        return opened + self._await_answer(transfer, now) if self._is_leased(asked.peer.address, now) else opened

    def _await_answer(self, transfer: Transfer, now: float) -> Effects:
        """Remind a client of ours of the first reply when it is time to, and set the time of the next reminder."""
        due = transfer.reminder_at
        reminder = (transfer.remind(),) if due is not None and due <= now else ()
        due = transfer.reminder_at
        if due is not None:
            self._deadlines.set(transfer.socket, due)
        return reminder

    def _from_stranger(self, socket: int, source: Endpoint, data: bytes) -> Effects:
        """Tell a wrong port so and go on (RFC 1350 section 4); an ERROR never answers an ERROR."""
        if source.port == 0 or not self._settings.serves(source.address):
            return (Drop(DropReason.OFF_LINK, source),)
        try:
            packet = parse_untrusted(data)
        except Malformed as error:
            return (Drop(DropReason.MALFORMED, source, str(error)),)
        if isinstance(packet, Error):
            return (Drop(DropReason.UNEXPECTED, source, "ERROR from a stranger"),)
        return (Send(socket, source, build(Error(ErrorCode.UNKNOWN_TID, _NO_TID))),)

    def _on_transfer(self, transfer: Transfer, data: bytes, now: float) -> Effects:
        try:
            packet = parse_untrusted(data)
        except Malformed as error:
            return (Drop(DropReason.MALFORMED, transfer.peer, str(error)),)
        if transfer.state is State.LINGER:
            return (Drop(DropReason.STALE_ACK, transfer.peer, "the transfer is over"),)
        if isinstance(packet, Ack):
            effect = transfer.acknowledge(packet.number, now)
            if effect is None and transfer.outcome is None:
                return (Drop(DropReason.STALE_ACK, transfer.peer, str(packet.number)),)
            return self._went_on(transfer, effect, now)
        if isinstance(packet, Error):
            transfer.abort(packet, now)
            ended = self._ended(transfer, now)
            if self._treatment.may(ServerAction.NO_ERROR_REPLY, transfer.peer.address):
                return ended
            return (Send(transfer.socket, transfer.peer, build(Error(ErrorCode.NOT_DEFINED, "aborted"))), *ended)
        return (Drop(DropReason.UNEXPECTED, transfer.peer, type(packet).__name__),)

    def _went_on(self, transfer: Transfer, effect: Effect | None, now: float) -> Effects:
        """Do what follows every answer of a transfer: ``effect``, a new deadline, or its end."""
        if transfer.outcome is not None:
            return self._ended(transfer, now)
        self._register.answered(transfer)
        self._deadlines.set(transfer.socket, transfer.deadline)
        return () if effect is None else (effect,)

    def _ended(self, transfer: Transfer, now: float) -> Effects:
        outcome = transfer.outcome
        assert outcome is not None
        self._register.ended(transfer)
        self._tally.ended(transfer, outcome)
        reports = (end_report(transfer, outcome, now), *self._habits.ended(transfer, outcome, now))
        if not outcome.linger:
            return (*reports, *self._close(transfer))
        self._deadlines.set(transfer.socket, transfer.deadline)
        surplus = self._register.surplus()
        return reports if surplus is None else (*reports, *self._close(surplus))

    def _close(self, transfer: Transfer) -> Effects:
        self._register.closed(transfer)
        self._deadlines.clear(transfer.socket)
        return (CloseTransfer(transfer.socket), *self._give_back(transfer.image))

    # Images that were looked up: those of the catalogue are not ours to close

    def _borrow(self, image: Image) -> None:
        if image.key not in self._catalogued:
            self._register.borrow(image)

    def _give_back(self, image: Image) -> Effects:
        if self._register.give_back(image) and image.key not in self._catalogued:
            return (Release(image),)
        return ()

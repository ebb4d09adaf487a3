"""What DHCP does about machines with several interfaces: `mtftpd.core.nodes.nics` put into force (quirk Q54)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mtftpd.core import option_codes as code
from mtftpd.core.addresses.address_book import AddressBook
from mtftpd.core.addresses.holds import Hold, Holds
from mtftpd.core.dhcp.outbox import Call
from mtftpd.core.effects import Drop, DropReason, Effects, Report, ReportKind
from mtftpd.core.nodes.nics import Answer, Nics
from mtftpd.core.settings import Settings
from mtftpd.wire.bootp import MessageType

SILENT_SECONDS = 5.0
"""Beyond one listening and three opens (4 * T), in which a ROM would have asked for something after its ACK."""

_ASKING = frozenset({MessageType.DISCOVER, MessageType.REQUEST, MessageType.INFORM, None})
_GIVEN = frozenset({ReportKind.DHCP_OFFERED, ReportKind.DHCP_ACKED, ReportKind.BOOTP_ANSWERED})


class NicPolicy:
    """Lets the interfaces that boot have what they need before all others."""

    def __init__(self, settings: Settings, nics: Nics, is_sending: Callable[[str], bool]) -> None:
        self.nics = nics
        self._holds = Holds(is_sending)
        self.reconfigure(settings)

    def reconfigure(self, settings: Settings) -> None:
        """Go on with other settings."""
        self._patience = 4 * settings.multicast.seconds + SILENT_SECONDS
        self._own = settings.link.address

    def answer(self, call: Call, answer: Callable[[Call], Effects], book: AddressBook) -> Effects:
        """Return what ``answer`` does about ``call``, as far as its interface is to be answered."""
        client = call.client
        if not client.boots:
            return self._answer_system(call, answer, book)
        machine = self.nics.seen(client.hardware, call.request.options.get(code.MACHINE_IDENTIFIER, b"")[1:])
        how = self.nics.answer(client.hardware)
        if how is Answer.SILENT and call.request.message_type in _ASKING:
            assert machine is not None, "who is alone is answered"
            return call.drop(DropReason.WRONG_NIC, f"{machine.bootable} boots")
        if how is Answer.HOLD:
            call = replace(call, client=client._replace(is_held=True))
        effects = self._with_room(call, answer, book)
        self._note(call, effects)
        return effects

    def loads(self, address: str, now: float) -> None:
        """Take note that a file was asked for from ``address``."""
        self._holds.confirm(address)
        hardware = self.nics.loads(address)
        machine = self.nics.machine(hardware) if hardware is not None else None
        for other in machine.nics if machine is not None else ():
            self._holds.shorten(other, now)

    def tick(self, book: AddressBook, now: float) -> tuple[Report, ...]:
        """Let go of what was held in vain."""
        return tuple(_over(hold) for hold in self._holds.expire(now) if book.release(hold.key, hold.ipv4, now))

    def next_deadline(self) -> float | None:
        """Return when `tick` is due, or None."""
        return self._holds.next_deadline()

    def _answer_system(self, call: Call, answer: Callable[[Call], Effects], book: AddressBook) -> Effects:
        """Answer a system, on whatever interface; what it has is no hold."""
        if self.nics.answer(call.client.hardware) is not Answer.FULL:
            call = replace(call, client=call.client._replace(is_held=True))
        effects = self._with_room(call, answer, book)
        for effect in effects:
            if isinstance(effect, Report) and effect.kind is ReportKind.DHCP_ACKED:
                self._holds.confirm(effect.address)
        return effects

    def _with_room(self, call: Call, answer: Callable[[Call], Effects], book: AddressBook) -> Effects:
        """Return what ``answer`` does about ``call``, again when no address was free and one could be taken back."""
        effects = answer(call)
        if not _is_out_of_addresses(effects) or self.nics.is_wrong(call.client.hardware):
            return effects
        place = book.place_of(call.request, self._own)
        if place is None:
            return effects
        hold = self._holds.make_room(place.network, self.nics.is_wrong, call.now - self._patience)
        if hold is None or not book.release(hold.key, hold.ipv4, call.now):
            return effects
        return (*answer(call), _over(hold))

    def _note(self, call: Call, effects: Effects) -> None:
        """Remember who was given what."""
        client = call.client
        for effect in effects:
            if type(effect) is not Report or effect.kind not in _GIVEN or not effect.address:
                continue
            group = next((str(value) for name, value in effect.detail if name == "group"), "")
            self.nics.locate(client.hardware, effect.address)
            hold = Hold(client.key, client.hardware, effect.address, group, call.now)
            self._holds.note(hold, is_short=client.is_held)
        if call.request.message_type == MessageType.REQUEST:
            wanted = call.sender.address
            if wanted:
                # Another server's ACK is not for us to see.
                self.nics.locate(client.hardware, wanted)


def _is_out_of_addresses(effects: Effects) -> bool:
    return bool(effects) and type(effects[0]) is Drop and effects[0].reason is DropReason.NO_ADDRESS


def _over(hold: Hold) -> Report:
    return Report(ReportKind.HOLD_OVER, hold.address, hold.hardware)

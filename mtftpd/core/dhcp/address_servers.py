"""The server that gives out addresses in several networks: one `AddressServer` for each, and which one is asked."""

from __future__ import annotations

from mtftpd.core.addresses.address_book import AddressBook
from mtftpd.core.dhcp.boot_plan import Planner
from mtftpd.core.dhcp.outbox import Call, Outbox
from mtftpd.core.dhcp.replies import Replies
from mtftpd.core.dhcp.server import AddressServer
from mtftpd.core.effects import DropReason, Effects
from mtftpd.core.settings import Settings


class AddressServers:
    """Answers what comes in on port 67 in `Mode.DHCP`, our own network's as well as that of relay agents."""

    def __init__(self, settings: Settings, book: AddressBook, planner: Planner, outbox: Outbox) -> None:
        self._own = settings.link.address
        self._book = book
        self._servers = {
            place: AddressServer(settings, place, planner, Replies(settings, place.network), outbox)
            for place in book.places
        }

    def handle(self, call: Call) -> Effects:
        """Return the effects of one request; a relayed one comes from an agent that is served."""
        place = self._book.place_of(call.request, self._own)
        if place is None and int(call.request.giaddr):
            return call.drop(DropReason.RELAY_NOT_SERVED, f"no addresses for relay {call.request.giaddr}")
        if place is None:
            why = "the ranges are for relayed clients" if self._servers else "no range is configured"
            return call.drop(DropReason.NO_ADDRESS, why)
        effects = self._servers[place].handle(call)
        self._book.settle(call.client.key, place, call.now)
        return effects

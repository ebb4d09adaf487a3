"""Addresses that are given to interfaces of which it is not known that they boot: for a short time (quirk Q54).

A hold ends well when a file is asked for from the address, and is let go otherwise; not while the group that the
interface was told of is sending, for a listener says nothing.  Where no address is free, holds go early: those of
interfaces that are known not to boot, then those that were silent for longer than any ROM is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from mtftpd.core.addresses.leases import ClientKey
from mtftpd.core.deadlines import Deadlines
from mtftpd.wire.datagram import HardwareAddress

HOLD_SECONDS = 60.0
"""How long such an address is good for, as the client is told: no ROM takes so long to ask for its file."""
MAX_HOLDS = 16_384
"""Holds at once, beyond which the oldest become ordinary leases: 16,384 * ~400 octets are 6 MB."""


class Hold(NamedTuple):
    """One address that may be for nothing; ``group`` is what its interface was told of, "" for none."""

    key: ClientKey
    hardware: HardwareAddress
    address: str
    group: str
    since: float

    @property
    def ipv4(self) -> IPv4Address:
        """The address as a number."""
        return IPv4Address(self.address)


class Holds:
    """All holds; ``is_sending`` says of a group whether somebody may be listening to it now.

    What was given for longer to an interface that has not asked for a file is noted here too, without a deadline:
    as soon as another interface of its machine is known to be the one that boots, it becomes a hold.
    """

    def __init__(self, is_sending: Callable[[str], bool]) -> None:
        self._is_sending = is_sending
        self._by_address: OrderedDict[str, Hold] = OrderedDict()
        self._by_hardware: dict[HardwareAddress, str] = {}
        self._short: dict[str, Hold] = {}
        self._deadlines: Deadlines[str] = Deadlines()

    def __len__(self) -> int:
        return len(self._by_address)

    def note(self, hold: Hold, *, is_short: bool) -> None:
        """Remember what an interface was given; ``is_short`` begins its time."""
        address = hold.address
        self.confirm(self._by_hardware.get(hold.hardware, ""))
        self.confirm(address)
        self._by_address[address] = hold
        self._by_hardware[hold.hardware] = address
        if is_short:
            self._begin(address, hold.since)
        if len(self._by_address) > MAX_HOLDS:
            self.confirm(next(iter(self._by_address)))

    def shorten(self, hardware: HardwareAddress, now: float) -> None:
        """Begin the time of what ``hardware`` was given, unless it has begun or a file was asked for."""
        address = self._by_hardware.get(hardware)
        if address is not None and address not in self._short:
            self._begin(address, now)

    def confirm(self, address: str) -> None:
        """Let the lease of ``address`` be like any other one: a file was asked for from there."""
        hold = self._by_address.pop(address, None)
        if hold is not None:
            del self._by_hardware[hold.hardware]
            self._short.pop(address, None)
            self._deadlines.clear(address)

    def expire(self, now: float) -> list[Hold]:
        """Return what was held in vain, and forget it."""
        over: list[Hold] = []
        for address in self._deadlines.due(now):
            hold = self._by_address[address]
            if self._is_sending(hold.group):
                self._deadlines.set(address, now + HOLD_SECONDS)
            else:
                self.confirm(address)
                over.append(hold)
        return over

    def make_room(
        self, network: IPv4Network, is_wrong: Callable[[HardwareAddress], bool], silent_since: float
    ) -> Hold | None:
        """Return one hold in ``network`` for somebody who needs an address, and forget it; None when all are needed.

        Who was silent from ``silent_since`` on has gone.
        """
        # Only those whose time runs are looked at: a flood of strangers costs nothing here.
        holds = [hold for hold in self._short.values() if hold.ipv4 in network]
        found = next((hold for hold in holds if is_wrong(hold.hardware)), None)
        found = found or next((hold for hold in holds if self._may_go(hold, silent_since)), None)
        if found is not None:
            self.confirm(found.address)
        return found

    def next_deadline(self) -> float | None:
        """Return when `expire` is due, or None."""
        return self._deadlines.next()

    def _begin(self, address: str, now: float) -> None:
        self._short[address] = self._by_address[address]
        self._deadlines.set(address, now + HOLD_SECONDS)

    def _may_go(self, hold: Hold, silent_since: float) -> bool:
        return hold.since <= silent_since and not self._is_sending(hold.group)

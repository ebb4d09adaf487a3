"""The neighbour entries that this server has set: set, put right, removed, and swept after a crash.

Every entry is listed in the store, durably, before it is set, so that the next start can remove what a server that was
killed has left.  That takes milliseconds, so a thread does it, for all entries that came meanwhile at once; the client
that an entry is for has just been sent its ACK, and is not in such a hurry.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address

import trio

from mtftpd.core.effects import DropArp, StuffArp
from mtftpd.daemon.journal import say
from mtftpd.daemon.store import OwnedEntry, Store
from mtftpd.net.neighbours import NeighbourTable, uses_arp


class Neighbours:
    """Sets what `StuffArp` asks for and removes what `DropArp` names, apart from the loop that moves packets."""

    def __init__(self, table: NeighbourTable, interface: str, store: Store) -> None:
        self._table = table
        self._interface = interface
        self._store = store
        self._owned: dict[IPv4Address, bytes] = {}
        self._wanted: dict[str, StuffArp | DropArp] = {}
        self._news = trio.Event()

    def __len__(self) -> int:
        """Return how many entries of ours are set."""
        return len(self._owned)

    def want(self, effect: StuffArp | DropArp) -> None:
        """Have this done soon; of several about one address the last one counts."""
        self._wanted[effect.address] = effect
        self._news.set()

    def covers(self, address: str) -> bool:
        """Return whether ``address`` has an entry of ours now."""
        return IPv4Address(address) in self._owned

    async def run(self) -> None:
        """Do what is wanted until cancelled."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            wanted, self._wanted = self._wanted, {}
            await trio.to_thread.run_sync(self.apply, wanted.values())

    def apply(self, wanted: Iterable[StuffArp | DropArp]) -> None:
        """Bring the table and the list up to date; what cannot be done is logged and left."""
        stuff = [effect for effect in wanted if isinstance(effect, StuffArp)]
        self._set(self._new(stuff))
        self._let_go(IPv4Address(effect.address) for effect in wanted if isinstance(effect, DropArp))

    def close(self) -> None:
        """Remove every entry of ours."""
        self._let_go(list(self._owned))
        self._table.close()

    def _new(self, stuff: Iterable[StuffArp]) -> dict[IPv4Address, bytes]:
        """Return what has to be set; an entry of ours whose address has another client now is removed first."""
        new: dict[IPv4Address, bytes] = {}
        for effect in stuff:
            address, hardware = IPv4Address(effect.address), effect.hardware.octets
            try:
                if self._owned.get(address) == hardware and self._table.holds(address, hardware):
                    continue
                self._let_go([address])
                obstacle = self._table.obstacle(address, hardware, over=effect.given)
            except OSError as error:
                obstacle = error.strerror or str(error)
            if obstacle:
                _say_failed(address, hardware, obstacle)
            else:
                new[address] = hardware
        return new

    def _set(self, new: dict[IPv4Address, bytes]) -> None:
        if not new:
            return
        entries = [self._entry(address, hardware) for address, hardware in new.items()]
        if not self._store.list_neighbours(entries):
            self._store.unlist_neighbours(entries)
            text = "the state folder cannot be written; no neighbour entries are set meanwhile"
            say(logging.ERROR, "neighbours-not-listed", (("entries", len(new)),), text=text)
            return
        for address, hardware in new.items():
            try:
                self._table.put(address, hardware)
            except OSError as error:
                self._store.unlist_neighbours([self._entry(address, hardware)])
                _say_failed(address, hardware, error.strerror or str(error))
            else:
                self._owned[address] = hardware

    def _let_go(self, addresses: Iterable[IPv4Address]) -> None:
        """Remove entries of ours; what is none is left alone."""
        for address in addresses:
            hardware = self._owned.pop(address, None)
            if hardware is None:
                continue
            try:
                self._table.remove(address, hardware)
            except OSError as error:
                _say_failed(address, hardware, error.strerror or str(error))
            self._store.unlist_neighbours([self._entry(address, hardware)])

    def _entry(self, address: IPv4Address, hardware: bytes) -> OwnedEntry:
        return OwnedEntry(self._interface, address, hardware)


def open_neighbours(store: Store | None, interface: str) -> Neighbours | str:
    """Return the entries of ``interface`` after those that a killed server has left are removed, or why there are none.

    Without a store there are none: nobody would remove them after a crash.
    """
    if store is None:
        return "there is no --state folder to list them in"
    if not uses_arp(interface):
        return f"{interface} does not use ARP"
    try:
        table = NeighbourTable(socket.if_nametoindex(interface))
    except OSError as error:  # A sandbox without AF_NETLINK.
        return f"netlink: {error.strerror}"
    if not table.available:
        table.close()
        return table.reason
    _sweep(store)
    return Neighbours(table, interface, store)


def _sweep(store: Store) -> None:
    """Remove the entries that an earlier run has left, as far as they are still what it set."""
    left = store.neighbours()
    for interface in {entry.interface for entry in left}:
        try:
            table = NeighbourTable(socket.if_nametoindex(interface))
        except OSError:
            continue  # The interface is gone, and its entries with it.
        removed = 0
        for _, address, hardware in (entry for entry in left if entry.interface == interface):
            try:
                removed += table.remove(address, hardware)
            except OSError as error:
                _say_failed(address, hardware, error.strerror or str(error))
        table.close()
        if removed:
            say(logging.INFO, "neighbours-swept", (("interface", interface), ("entries", removed)))
    store.unlist_neighbours(left)


def _say_failed(address: IPv4Address, hardware: bytes, why: str) -> None:
    say(
        logging.WARNING,
        "neighbour-not-set",
        (("address", str(address)), ("hardware", hardware.hex(":")), ("reason", why)),
    )

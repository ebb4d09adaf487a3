"""The neighbour entries that this server has set: set, put right, removed, and swept after a crash.

Every entry is listed in ``neighbours.json`` of the state folder, on the disk, before it is set, so that the next start
can remove what a server that was killed has left.  That takes milliseconds, so a thread does it, for all entries that
came meanwhile at once; the client that an entry is for has just been sent its ACK, and is not in such a hurry.
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

import msgspec
import trio

from mtftpd.core.effects import DropArp, StuffArp
from mtftpd.daemon.journal import say
from mtftpd.daemon.state_file import StateFile
from mtftpd.errors import Unavailable
from mtftpd.net.neighbours import NeighbourTable, uses_arp

VERSION: Final = 1
FILE: Final = "neighbours.json"

Entries = dict[IPv4Address, bytes]
"""Addresses with the hardware addresses of their entries."""


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    interface: str
    entries: dict[str, str]


class EntryList:
    """The file that lists the entries of ours on ``interface``."""

    def __init__(self, folder: Path, interface: str) -> None:
        self._file = StateFile(folder, FILE)
        self._interface = interface

    def load(self) -> tuple[str, Entries]:
        """Return the interface that the file is about and its entries; a file that is not ours is set aside."""
        content = self._file.read()
        if content is None:
            return self._interface, {}
        try:
            stored = msgspec.json.decode(content, type=_Stored)
            if stored.version != VERSION:
                raise ValueError(f"version {stored.version} is not {VERSION}")
            entries = {
                IPv4Address(address): bytes.fromhex(text.replace(":", "")) for address, text in stored.entries.items()
            }
        except ValueError as error:
            self._file.set_aside(
                str(error), "neighbour entries of an earlier run may be left; see: ip neighbour show nud permanent"
            )
            return self._interface, {}
        return stored.interface, entries

    def save(self, entries: Mapping[IPv4Address, bytes]) -> None:
        """Put the list on the disk.  Raises `Unavailable`."""
        listed = {str(address): hardware.hex(":") for address, hardware in entries.items()}
        content = {"version": VERSION, "interface": self._interface, "entries": listed}
        self._file.replace(json.dumps(content, separators=(",", ":")).encode())


class Neighbours:
    """Sets what `StuffArp` asks for and removes what `DropArp` names, apart from the loop that moves packets."""

    def __init__(self, table: NeighbourTable, listed: EntryList) -> None:
        self._table = table
        self._list = listed
        self._owned: Entries = {}
        self._wanted: dict[str, StuffArp | DropArp] = {}
        self._news = trio.Event()

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
        drop = [effect for effect in wanted if isinstance(effect, DropArp)]
        try:
            self._set(self._new(stuff))
            removed = [self._remove(IPv4Address(effect.address)) for effect in drop]
            if any(removed):
                self._list.save(self._owned)
        except Unavailable as error:
            say(logging.ERROR, "neighbours-not-listed", text=f"{error} (no neighbour entries are set meanwhile)")

    def close(self) -> None:
        """Remove every entry of ours."""
        removed = [self._remove(address) for address in list(self._owned)]
        if removed:
            try:
                self._list.save(self._owned)
            except Unavailable as error:
                say(logging.ERROR, "neighbours-not-listed", text=str(error))
        self._table.close()

    def _new(self, stuff: Iterable[StuffArp]) -> Entries:
        """Return what has to be set; an entry of ours whose address has another client now is removed first."""
        new: Entries = {}
        for effect in stuff:
            address, hardware = IPv4Address(effect.address), effect.hardware.octets
            try:
                if self._owned.get(address) == hardware and self._table.holds(address, hardware):
                    continue
                self._remove(address)
                obstacle = self._table.obstacle(address, hardware, over=effect.given)
            except OSError as error:
                obstacle = error.strerror or str(error)
            if obstacle:
                _say_failed(address, hardware, obstacle)
            else:
                new[address] = hardware
        return new

    def _set(self, new: Entries) -> None:
        if not new:
            return
        self._list.save({**self._owned, **new})
        for address, hardware in new.items():
            try:
                self._table.put(address, hardware)
            except OSError as error:
                _say_failed(address, hardware, error.strerror or str(error))
            else:
                self._owned[address] = hardware

    def _remove(self, address: IPv4Address) -> bool:
        """Remove one entry of ours; False when there is none."""
        hardware = self._owned.pop(address, None)
        if hardware is None:
            return False
        try:
            self._table.remove(address, hardware)
        except OSError as error:
            _say_failed(address, hardware, error.strerror or str(error))
        return True


def open_neighbours(folder: Path | None, interface: str) -> Neighbours | str:
    """Return the entries of ``interface`` after those that a killed server has left are removed, or why there are none.

    Without a state folder there are none: nobody would remove them after a crash.
    """
    if folder is None:
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
    listed = EntryList(folder, interface)
    former, left = listed.load()
    removed = _sweep(former, left)
    listed.save({})
    if removed:
        say(logging.INFO, "neighbours-swept", (("interface", former), ("entries", removed)))
    return Neighbours(table, listed)


def _sweep(interface: str, left: Entries) -> int:
    """Remove the entries that an earlier run has left, as far as they are still what it set; return how many."""
    try:
        table = NeighbourTable(socket.if_nametoindex(interface))
    except OSError:
        return 0  # The interface is gone, and its entries with it.
    removed = 0
    for address, hardware in left.items():
        try:
            removed += table.remove(address, hardware)
        except OSError as error:
            _say_failed(address, hardware, error.strerror or str(error))
    table.close()
    return removed


def _say_failed(address: IPv4Address, hardware: bytes, why: str) -> None:
    say(
        logging.WARNING,
        "neighbour-not-set",
        (("address", str(address)), ("hardware", hardware.hex(":")), ("reason", why)),
    )

"""What the server knows of its former life, behind one protocol: leases, and the groups of file contents.

SQLite in the state folder is the one implementation (`mtftpd.daemon.store.sqlite`); another database takes its place
by having these methods.  None of them waits for a disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol

from mtftpd.core.effects import SaveLease
from mtftpd.core.leases import Lease


@dataclass(frozen=True, slots=True)
class Health:
    """How the store is; ``degraded`` says why nothing can be written, "" when all is well.

    ``unwritten`` counts records that exist in memory only, ``commits`` the transactions of this run.
    """

    path: str
    degraded: str
    unwritten: int
    commits: int
    leases: int
    """Lease records that were written in this run."""


class Store(Protocol):
    """Durable state.  What is saved is written in the order of the calls, or not at all."""

    @property
    def descriptor(self) -> int:
        """A descriptor that becomes readable when `durable` has grown; `acknowledge` makes it unreadable again."""

    def acknowledge(self) -> None:
        """Take note that `durable` has grown."""

    def leases(self) -> tuple[Lease, ...]:
        """Return the leases of the former run, their times on this machine's monotonic clock."""

    def groups(self) -> dict[str, IPv4Address]:
        """Return SHA-256 digests with the multicast groups that the former run gave them."""

    def save_lease(self, lease: SaveLease) -> None:
        """Write the new state of one record soon."""

    def save_groups(self, groups: Mapping[str, IPv4Address]) -> None:
        """Make these the groups that are remembered."""

    def ticket(self) -> int:
        """Return the number that `durable` reaches once everything that was saved so far is durable."""

    def durable(self) -> int:
        """Return the ticket that has been reached; while nothing can be written, every ticket has been."""

    def look(self) -> None:
        """Follow the wall clock; called about once a second."""

    def health(self) -> Health:
        """Return how the store is."""

    def close(self) -> None:
        """Write what is left and let go of everything."""

"""What the server knows of its former life, behind one protocol.

That is leases, the groups and digests of file contents, the neighbour entries that it owns, and what it has found out
about nodes: why multicast does not work for them, and how their last boots went.

SQLite in the state folder is the one implementation (`mtftpd.daemon.store.sqlite`); another database takes its place
by having these methods.  None of them waits for a disk, but `Store.list_neighbours`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import NamedTuple, Protocol

from mtftpd.core.addresses.leases import Lease
from mtftpd.core.effects import SaveLease
from mtftpd.core.learning.experience import NO_EXPERIENCE, Experience
from mtftpd.core.learning.fallback import Mark
from mtftpd.core.learning.lessons import Learnt
from mtftpd.core.mtftp.pass_rates import PassRate
from mtftpd.core.nodes.attempts import Attempt
from mtftpd.core.nodes.nics import KnownMachine
from mtftpd.net.candidates import FileIdentity


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


class OwnedEntry(NamedTuple):
    """A neighbour entry that this server has set, or is about to."""

    interface: str
    address: IPv4Address
    hardware: bytes


class RunningPass(NamedTuple):
    """A pass on ``group`` (ADDRESS:PORT) that has begun and not ended."""

    group: str


Memory = Mark | Learnt | KnownMachine | PassRate | Attempt | RunningPass
"""What is kept in place of what had the same key: node and stage, firmware, first interface, profile, node and number,
group."""


@dataclass(frozen=True, slots=True)
class Former:
    """What was found out in the run before this one; attempts are in the order in which they moved last."""

    experience: Experience = NO_EXPERIENCE
    machines: tuple[KnownMachine, ...] = ()
    rates: tuple[PassRate, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    passes: tuple[RunningPass, ...] = ()


class Durability(Protocol):
    """What is durable.  Whatever is saved is written in the order of the calls, or not at all."""

    @property
    def descriptor(self) -> int:
        """A descriptor that becomes readable when `durable` has grown; `acknowledge` makes it unreadable again."""

    def acknowledge(self) -> None:
        """Take note that `durable` has grown."""

    def save_lease(self, lease: SaveLease) -> None:
        """Write the new state of one record soon."""

    def ticket(self) -> int:
        """Return the number that `durable` reaches once everything that was saved so far is durable."""

    def durable(self) -> int:
        """Return the ticket that has been reached; while nothing can be written, every ticket has been."""


class Store(Durability, Protocol):
    """All durable state."""

    def leases(self) -> tuple[Lease, ...]:
        """Return the leases of the former run, their times on this machine's monotonic clock."""

    def groups(self) -> dict[str, IPv4Address]:
        """Return SHA-256 digests with the multicast groups that the former run gave them."""

    def neighbours(self) -> tuple[OwnedEntry, ...]:
        """Return the neighbour entries that the former run has not removed."""

    def digests(self) -> dict[FileIdentity, str]:
        """Return the SHA-256 digests of the files that the former run has read."""

    def former(self) -> Former:
        """Return what was kept in the former run, its times on this machine's monotonic clock."""

    def save_groups(self, groups: Mapping[str, IPv4Address]) -> None:
        """Make these the groups that are remembered."""

    def save_digests(self, digests: Mapping[FileIdentity, str]) -> None:
        """Make these the digests that are remembered."""

    def list_neighbours(self, entries: Iterable[OwnedEntry]) -> bool:
        """Note that these are about to be set; waits, in any thread.  False when that is not durable."""

    def unlist_neighbours(self, entries: Iterable[OwnedEntry]) -> None:
        """Note that these are removed; in any thread."""

    def keep(self, memory: Memory) -> None:
        """Keep this in place of what has the same key."""

    def forget(self, memory: Memory) -> None:
        """Keep what has this key no longer."""

    def look(self) -> None:
        """Follow the wall clock; called about once a second."""

    def health(self) -> Health:
        """Return how the store is."""

    def close(self) -> None:
        """Write what is left and let go of everything."""

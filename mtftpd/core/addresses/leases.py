"""Who has which address: a table of leases in memory.

Rules.  A record belongs to one client, known by its hardware address and by nothing that changes from one boot stage
to the next (quirks Q46, Q53, Q55).  An offered address is busy for `OFFER_HOLD_SECONDS`.  A client keeps its address
as long as nobody else needs it, so the rounds of ROM, loader and system all get the same one (quirk Q61).  The states
and what moves them::

    FREE     -reserve-> OFFERED   -bind-> BOUND
    OFFERED  -hold over, cancel-> FREE
    BOUND    -expired, release->  FREE
    OFFERED, BOUND -decline->     (no client; the address rests for `DECLINE_SECONDS`)

An address that is `Fixed` is one node's: nobody else is given it, whether it is in the range or not.  Who had it
before keeps the record until it ends, and is refused when it wants to go on; meanwhile the node gets another one.

A free address costs O(1): addresses that nobody ever had come from a counter, which moves on over what it hands out
and never back; when it has reached the end, the address that was freed longest ago is taken.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address
from math import inf
from typing import NamedTuple

from mtftpd.core.addresses.pool import Pool
from mtftpd.core.deadlines import Deadlines

OFFER_HOLD_SECONDS = 70.0
"""Longer than the last wait of any ROM for its REQUEST: EDK2 gives up 4 + 8 + 16 + 32 = 60 s after its DISCOVER."""

DECLINE_SECONDS = 600.0
"""How long an address rests that a client found in use."""

MAX_LEASES = 32_768
"""Records, free ones included: 32,768 * about 600 bytes is 20 MB."""

RESTRICTED_SHARE = 4
"""One address in four at most may be declined, and one in four bound for ever: nobody can use up a range for good."""

MAX_IDENTIFIER = 255
"""Octets of a client identifier that are looked at: one unsplit option (RFC 3396)."""


class ClientKey(NamedTuple):
    """What a client is known by: htype and chaddr; the client identifier only where there is no chaddr (RFC 4390)."""

    htype: int
    octets: bytes
    is_identifier: bool = False


Fixed = Mapping[IPv4Address, frozenset[ClientKey]]
"""Addresses that are one node's -> its keys, none where only its UUID is known."""

NOTHING_FIXED: Fixed = {}


class LeaseState(Enum):
    """The state of one record."""

    FREE = "free"
    OFFERED = "offered"
    BOUND = "bound"
    DECLINED = "declined"


@dataclass(slots=True)
class Lease:
    """One record; ``expires`` is on the monotonic clock of the table's user, ``inf`` for BOOTP, 0 when free.

    ``key`` is None while the address is declined.
    """

    key: ClientKey | None
    address: IPv4Address
    state: LeaseState = LeaseState.FREE
    expires: float = 0.0


class LeaseTable:
    """The records of one pool.  Every method that takes ``now`` (monotonic seconds) first lets go what has expired."""

    def __init__(
        self,
        pool: Pool | None,
        leases: tuple[Lease, ...] = (),
        fixed: Fixed = NOTHING_FIXED,
        limit: int = MAX_LEASES,
    ) -> None:
        """Take up those of ``leases`` (a `snapshot`) that are still in ``pool`` or ``fixed``.

        Without a pool only fixed addresses are given; ``limit`` is how many records of others there may be.
        """
        self.pool = pool
        self._fixed = fixed
        self._limit = limit
        self._fresh, self._last_fresh = pool.bounds if pool is not None else (1, 0)
        self._by_key: dict[ClientKey, Lease] = {}
        self._by_address: dict[IPv4Address, Lease] = {}
        self._free: OrderedDict[IPv4Address, None] = OrderedDict()
        self._declined: OrderedDict[IPv4Address, None] = OrderedDict()
        self._eternal = 0
        self._changed: dict[IPv4Address, None] = {}
        self._deadlines: Deadlines[IPv4Address] = Deadlines()
        for lease in leases:
            if lease.address in fixed or (pool is not None and lease.address in pool and self._has_room()):
                self._adopt(lease)
        self._changed.clear()

    def __len__(self) -> int:
        return len(self._by_address)

    def live(self, key: ClientKey, now: float) -> Lease | None:
        """Return the bound lease of ``key``, or None."""
        lease = self.known(key, now)
        return lease if lease is not None and lease.state is LeaseState.BOUND else None

    def known(self, key: ClientKey, now: float) -> Lease | None:
        """Return the record of ``key`` in whatever state, or None."""
        self.expire(now)
        return self._by_key.get(key)

    def at(self, address: IPv4Address, now: float) -> Lease | None:
        """Return the record of ``address`` in whatever state, or None."""
        self.expire(now)
        return self._by_address.get(address)

    def reserve(
        self, key: ClientKey, wanted: IPv4Address | None, now: float, fixed: IPv4Address | None = None
    ) -> Lease | None:
        """Hold an address for ``key`` until it asks for it; None when there is none (RFC 2131 4.3.1).

        In this order: ``fixed``, its own, unless somebody still holds it; what it has or had, ``wanted`` when nobody
        holds it, an address that nobody ever had, the one that was freed longest ago.
        """
        self.expire(now)
        lease = self._by_key.get(key)
        if lease is not None and not self._may_have(key, lease.address, fixed):
            self.forget(key)
            lease = None
        if fixed is not None and (lease is None or lease.address != fixed):
            lease = self._take(key, fixed, fixed) or lease
        lease = lease or self._assign(key, wanted)
        if lease is not None and lease.state is not LeaseState.BOUND:
            self._hold(lease, LeaseState.OFFERED, now + OFFER_HOLD_SECONDS)
        return lease

    def bind(
        self, key: ClientKey, address: IPv4Address, expires: float, now: float, fixed: IPv4Address | None = None
    ) -> Lease | None:
        """Give ``address`` to ``key`` until ``expires``; None when it is not its own and not free, or not ours.

        A free address of the pool is given even when nothing was offered: the offer may have been made before a
        restart.  ``expires`` may be ``inf``, for `RESTRICTED_SHARE` of the range at most.
        """
        self.expire(now)
        lease = self._by_key.get(key)
        if not self._may_have(key, address, fixed):
            return None
        if lease is None or lease.address != address:
            if lease is not None and lease.state is not LeaseState.FREE:
                return None
            lease = self._take(key, address, fixed)
        if lease is None or (expires == inf and lease.expires != inf and not self._may_keep(lease, fixed)):
            return None
        self._hold(lease, LeaseState.BOUND, expires)
        return lease

    def forget(self, key: ClientKey) -> bool:
        """Take from ``key`` whatever it has or had; return whether that was something."""
        lease = self._by_key.pop(key, None)
        if lease is None:
            return False
        self._let_go(lease)
        lease.key = None
        return True

    def cancel(self, key: ClientKey, now: float) -> None:
        """Let an offer go that the client did not take."""
        lease = self.known(key, now)
        if lease is not None and lease.state is LeaseState.OFFERED:
            self._let_go(lease)

    def release(self, key: ClientKey, address: IPv4Address, now: float) -> bool:
        """End the hold of ``key`` on ``address``; it gets the same address again while nobody needs it."""
        lease = self.known(key, now)
        if lease is None or lease.address != address or lease.state is LeaseState.FREE:
            return False
        self._let_go(lease)
        return True

    def decline(self, key: ClientKey, address: IPv4Address, now: float) -> bool:
        """Let ``address``, which ``key`` was given and found in use, rest; the oldest returns when too many rest."""
        lease = self.known(key, now)
        if lease is None or lease.address != address or lease.state is LeaseState.FREE:
            return False
        if len(self._declined) >= self._share():
            self._let_go(self._by_address[next(iter(self._declined))])
        del self._by_key[key]
        lease.key = None
        self._hold(lease, LeaseState.DECLINED, now + DECLINE_SECONDS)
        self._declined[address] = None
        return True

    def expire(self, now: float) -> None:
        """Free what has come to its end at ``now``."""
        for address in self._deadlines.due(now):
            self._let_go(self._by_address[address])

    def next_deadline(self) -> float | None:
        """Return when the next hold ends, or None."""
        return self._deadlines.next()

    def changes(self) -> list[Lease]:
        """Return copies of the records that have changed since the last call, the latest change last.

        Offers are left out, for they end with the process: an offered address is what it was before.
        """
        if not self._changed:
            return []
        changed = [self._by_address[address] for address in self._changed]
        self._changed.clear()
        return [
            Lease(each.key, each.address, each.state, each.expires)
            for each in changed
            if each.state is not LeaseState.OFFERED
        ]

    def snapshot(self) -> tuple[Lease, ...]:
        """Return copies of all records, those that were freed longest ago first."""
        free = [self._by_address[address] for address in self._free]
        held = [lease for lease in self._by_address.values() if lease.state is not LeaseState.FREE]
        return tuple(Lease(each.key, each.address, each.state, each.expires) for each in [*free, *held])

    def _adopt(self, lease: Lease) -> None:
        copy = Lease(lease.key, lease.address)
        self._by_address[copy.address] = copy
        if copy.key is not None:
            self._by_key[copy.key] = copy
        if lease.state is LeaseState.FREE:
            self._put_back(copy.address)
            return
        self._hold(copy, lease.state, lease.expires)
        if lease.state is LeaseState.DECLINED:
            self._declined[copy.address] = None

    def _share(self) -> int:
        return max(1, self.pool.span // RESTRICTED_SHARE) if self.pool is not None else 0

    def _hold(self, lease: Lease, state: LeaseState, expires: float) -> None:
        self._eternal += (expires == inf) - (lease.expires == inf)
        self._free.pop(lease.address, None)
        self._note(lease)
        lease.state = state
        lease.expires = expires
        if expires == inf:
            self._deadlines.clear(lease.address)
        else:
            self._deadlines.set(lease.address, expires)

    def _let_go(self, lease: Lease) -> None:
        self._eternal -= lease.expires == inf
        self._declined.pop(lease.address, None)
        self._deadlines.clear(lease.address)
        self._note(lease)
        lease.state = LeaseState.FREE
        lease.expires = 0.0
        self._put_back(lease.address)

    def _put_back(self, address: IPv4Address) -> None:
        if address not in self._fixed:
            self._free[address] = None

    def _has_room(self) -> bool:
        return len(self._by_address) < self._limit + len(self._fixed)

    def _may_have(self, key: ClientKey, address: IPv4Address, fixed: IPv4Address | None) -> bool:
        """Return whether ``address`` is not fixed for somebody else; of a UUID's node the one who has it may go on."""
        owners = self._fixed.get(address)
        if owners is None or address == fixed or key in owners:
            return True
        record = self._by_address.get(address)
        return not owners and record is not None and record.key == key and record.state is LeaseState.BOUND

    def _may_keep(self, lease: Lease, fixed: IPv4Address | None) -> bool:
        """Return whether this lease may be for ever."""
        return lease.address == fixed or self._eternal < self._share()

    def _assign(self, key: ClientKey, wanted: IPv4Address | None) -> Lease | None:
        lease = self._take(key, wanted) if wanted is not None and wanted not in self._fixed else None
        if lease is None and self._has_room() and (fresh := self._next_fresh()) is not None:
            lease = self._take(key, fresh)
        if lease is None and self._free:
            lease = self._take(key, next(iter(self._free)))
        return lease

    def _next_fresh(self) -> IPv4Address | None:
        while self.pool is not None and self._fresh <= self._last_fresh:
            address = IPv4Address(self._fresh)
            if address in self.pool and address not in self._by_address and address not in self._fixed:
                return address
            self._fresh += 1
        return None

    def _take(self, key: ClientKey, address: IPv4Address, fixed: IPv4Address | None = None) -> Lease | None:
        """Make ``address`` the one of ``key``, unless somebody holds it; forget both of their earlier records."""
        lease = self._by_address.get(address)
        if lease is None:
            is_ours = self.pool is not None and address in self.pool and self._has_room()
            if address != fixed and not is_ours:
                return None
            lease = self._by_address[address] = Lease(None, address)
            self._put_back(address)
        elif lease.state is not LeaseState.FREE:
            return None
        if lease.key is not None:
            del self._by_key[lease.key]
        former = self._by_key.pop(key, None)
        if former is not None:
            self._let_go(former)
            former.key = None
        lease.key = key
        self._by_key[key] = lease
        return lease

    def _note(self, lease: Lease) -> None:
        self._changed.pop(lease.address, None)
        self._changed[lease.address] = None

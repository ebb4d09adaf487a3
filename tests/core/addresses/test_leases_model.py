"""The lease table against a model: no address is ever given twice, whatever many clients do."""

from __future__ import annotations

from ipaddress import IPv4Address
from math import inf
from typing import ClassVar

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mtftpd.core.addresses.leases import DECLINE_SECONDS, ClientKey, Fixed, Lease, LeaseState, LeaseTable
from tests.core.addresses.lease_lab import address, key, pool


def by_address(lease: Lease) -> IPv4Address:
    return lease.address


class Leases(RuleBasedStateMachine):
    """Many clients against one small pool; the model is who was promised which address until when."""

    POOL = pool(100, 111, frozenset({address(105)}))
    CLIENTS = st.integers(0, 19).map(key)
    ADDRESSES = st.integers(98, 120).map(address)
    FIXED: ClassVar = {
        address(104): frozenset({key(3)}), address(120): frozenset({key(4)}), address(110): frozenset()
    }  # fmt: skip
    """In the range, outside of it, and the one of a node that is known by its UUID, which has two interfaces."""
    OWN: ClassVar = {key(3): address(104), key(4): address(120), key(5): address(110), key(6): address(110)}

    def __init__(self) -> None:
        super().__init__()
        self.fixed: Fixed = self.FIXED
        self.table = LeaseTable(self.POOL, (), self.fixed)
        self.now = 0.0
        self.promised: dict[IPv4Address, tuple[ClientKey, float]] = {}
        self.rests: dict[IPv4Address, float] = {}
        self.saved: dict[IPv4Address, Lease] = {}

    def holds(self, who: ClientKey, where: IPv4Address) -> bool:
        holder, until = self.promised.get(where, (None, -1.0))
        return holder == who and until > self.now

    def own(self, who: ClientKey) -> IPv4Address | None:
        found = self.OWN.get(who)
        return found if found in self.fixed else None

    def note(self, who: ClientKey, lease: Lease | None) -> None:
        if lease is None:
            return
        goes_on = self.holds(who, lease.address) and not self.fixed.get(lease.address, True)
        assert lease.address not in self.fixed or lease.address == self.own(who) or goes_on
        holder, until = self.promised.get(lease.address, (who, 0.0))
        assert holder == who or until <= self.now, f"{lease.address} was promised to {holder} until {until}"
        assert lease.address in self.POOL or lease.address in self.fixed
        self.left(who)
        self.promised[lease.address] = (who, lease.expires)

    def left(self, who: ClientKey) -> None:
        for left in [each for each in self.promised if self.holds(who, each)]:
            del self.promised[left]

    @rule(who=CLIENTS, wanted=st.none() | ADDRESSES)
    def reserve(self, who: ClientKey, wanted: IPv4Address | None) -> None:
        own = self.own(who)
        is_free = own is not None and not any(self.holds(key(n), own) for n in range(20))
        lease = self.table.reserve(who, wanted, self.now, own)
        if lease is None:
            # What it had has become the address of a node, and there is no other one.
            self.left(who)
        self.note(who, lease)
        rests = own is not None and self.now < self.rests.get(own, 0.0)
        assert not is_free or rests or (lease is not None and lease.address == own), "a node gets its own address"

    @rule(who=CLIENTS, where=ADDRESSES, seconds=st.sampled_from([5.0, 600.0, inf]))
    def bind(self, who: ClientKey, where: IPv4Address, seconds: float) -> None:
        held = self.holds(who, where)
        lease = self.table.bind(who, where, self.now + seconds, self.now, self.own(who))
        may = where not in self.fixed or where == self.own(who)
        assert lease is not None or not held or seconds == inf or not may, "whoever holds an address can bind it"
        self.note(who, lease)

    @rule(who=CLIENTS, where=ADDRESSES)
    def release(self, who: ClientKey, where: IPv4Address) -> None:
        assert self.table.release(who, where, self.now) == self.holds(who, where)
        if self.holds(who, where):
            del self.promised[where]

    @rule(who=CLIENTS, where=ADDRESSES)
    def decline(self, who: ClientKey, where: IPv4Address) -> None:
        assert self.table.decline(who, where, self.now) == self.holds(who, where)
        if self.holds(who, where):
            self.rests[where] = self.now + DECLINE_SECONDS
            del self.promised[where]

    @rule(seconds=st.floats(0.0, 700.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: len(self.table) > 0)
    @rule()
    def restart(self) -> None:
        self.table = LeaseTable(self.POOL, self.table.snapshot(), self.fixed)

    @rule()
    def reload(self) -> None:
        """Give the nodes their own addresses, or none; what is outside the range is not ours without them."""
        self.fixed = {} if self.fixed else self.FIXED
        self.table = LeaseTable(self.POOL, self.table.snapshot(), self.fixed)
        if not self.fixed:
            self.promised.pop(address(120), None)
            self.saved.pop(address(120), None)

    @invariant()
    def save(self) -> None:
        """Write the changes down, as a table in which every address and every client stands once."""
        for lease in self.table.changes():
            former = [each for each in self.saved.values() if lease.key is not None and each.key == lease.key]
            for each in former:
                del self.saved[each.address]
            self.saved.pop(lease.address, None)
            self.saved[lease.address] = lease
        assert self.table.changes() == []

    @precondition(lambda self: len(self.table) > 0)
    @rule()
    def crash(self) -> None:
        """Start again from what was written down: only offers are forgotten."""
        self.table.expire(self.now)
        self.save()
        before = self.table.snapshot()
        self.table = LeaseTable(self.POOL, tuple(self.saved.values()), self.fixed)
        self.table.expire(self.now)
        kept = (LeaseState.BOUND, LeaseState.DECLINED)
        assert sorted((each for each in before if each.state in kept), key=by_address) == sorted(
            (each for each in self.table.snapshot() if each.state in kept), key=by_address
        )
        for offered in (each.address for each in before if each.state is LeaseState.OFFERED):
            self.promised.pop(offered, None)

    @invariant()
    def every_address_has_one_record_and_every_client_at_most_one(self) -> None:
        records = self.table.snapshot()
        addresses = [each.address for each in records]
        keys = [each.key for each in records if each.key is not None]
        assert len(set(addresses)) == len(addresses) <= 12
        assert len(set(keys)) == len(keys)

    @invariant()
    def caps_hold(self) -> None:
        records = self.table.snapshot()
        assert sum(each.state is LeaseState.DECLINED for each in records) <= 3
        assert sum(each.expires == inf for each in records) <= 3 + len(self.FIXED)


Leases.TestCase.settings = hypothesis_settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLeases = Leases.TestCase

"""The addresses of all networks that are served: one table of leases for each, and which one a request is for.

A request that came through a relay agent is for the network that the agent's address is in, or the one that it names
in its link selection (RFC 3527).  Any other request is for the network of the address that the client has, or else for
that of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from mtftpd.core import option_codes as code
from mtftpd.core.addresses.leases import MAX_LEASES, ClientKey, Fixed, Lease, LeaseTable
from mtftpd.core.addresses.pool import Pool
from mtftpd.core.deadlines import Deadlines
from mtftpd.core.networks import NetworkMap
from mtftpd.core.settings import Mode, Settings
from mtftpd.errors import BadConfig
from mtftpd.wire import relay
from mtftpd.wire.bootp import DhcpMessage, MessageType

LINK_SELECTION: Final = 5
"""The sub-option of option 82 in which a relay agent names the link of the client (RFC 3527 section 3)."""

_FROM_AN_ADDRESS = (MessageType.REQUEST, MessageType.RELEASE, MessageType.INFORM)


def links_of(request: DhcpMessage, own: IPv4Address) -> tuple[IPv4Address, ...]:
    """Return addresses on the link that the sender of ``request`` is on, the best first; ``own`` is ours."""
    if not int(request.giaddr):
        # A client that renews or asks by way of a router is where its address is; in a DISCOVER ciaddr may be nonsense.
        has_address = int(request.ciaddr) and request.message_type in _FROM_AN_ADDRESS
        return (request.ciaddr, own) if has_address else (own,)
    said = request.options.get(code.RELAY_AGENT)
    agent = relay.read(said) if said else None
    selected = dict(agent.others).get(LINK_SELECTION, b"") if agent is not None else b""
    return (IPv4Address(selected),) if len(selected) == 4 else (request.giaddr,)


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """One network and the leases in it."""

    network: IPv4Network
    leases: LeaseTable


class AddressBook:
    """The places of one configuration; ``leases`` are those of an earlier one, or of an earlier run.

    Raises `BadConfig` when a range or a fixed address lies in no network that is served.
    """

    def __init__(self, settings: Settings, leases: tuple[Lease, ...] = ()) -> None:
        pools = pools_of(settings)
        fixed = _fixed(settings, pools)
        limits = _limits(pools)
        self.places = tuple(
            Place(
                network,
                LeaseTable(
                    pool, tuple(each for each in leases if each.address in network), fixed[network], limits[network]
                ),
            )
            for network, pool in pools.items()
        )
        self._by_network = NetworkMap({place.network: place for place in self.places})
        # Most of many networks are quiet: only those that somebody has had in hand are looked at again.
        self._changed: dict[Place, None] = {}
        self._moved = dict.fromkeys(self.places)
        self._deadlines: Deadlines[IPv4Network] = Deadlines()

    def place_of(self, request: DhcpMessage, own: IPv4Address) -> Place | None:
        """Return the place that the sender of ``request`` is in, or None; ``own`` is our address."""
        return next(filter(None, map(self.place, links_of(request, own))), None)

    def place(self, address: IPv4Address) -> Place | None:
        """Return the place that ``address`` is in, or None; whatever is done there counts from now on."""
        place = self._by_network.find(address)
        if place is not None:
            self._touch(place)
        return place

    def at(self, address: IPv4Address, now: float) -> Lease | None:
        """Return the record of ``address`` in whatever state, or None."""
        place = self.place(address)
        return None if place is None else place.leases.at(address, now)

    def release(self, key: ClientKey, address: IPv4Address, now: float) -> bool:
        """End the hold of ``key`` on ``address``, see `LeaseTable.release`."""
        place = self.place(address)
        return place is not None and place.leases.release(key, address, now)

    def settle(self, key: ClientKey, here: Place, now: float) -> None:
        """Take from a client that has an address ``here`` what it had elsewhere: it has moved."""
        if len(self.places) > 1 and here.leases.live(key, now) is not None:
            for place in self.places:
                if place is not here and place.leases.forget(key):
                    self._touch(place)

    def expire(self, now: float) -> None:
        """Free what has come to its end at ``now``."""
        self._look()
        for network in self._deadlines.due(now):
            place = self.place(network.network_address)
            assert place is not None
            place.leases.expire(now)

    def next_deadline(self) -> float | None:
        """Return when the next hold ends, or None."""
        self._look()
        return self._deadlines.next()

    def changes(self) -> list[Lease]:
        """Return copies of the records that have changed since the last call: those that lost their client first."""
        changed = [lease for place in self._changed for lease in place.leases.changes()]
        self._changed.clear()
        return sorted(changed, key=lambda lease: lease.key is not None) if len(changed) > 1 else changed

    def snapshot(self) -> tuple[Lease, ...]:
        """Return copies of all records."""
        return tuple(lease for place in self.places for lease in place.leases.snapshot())

    def _touch(self, place: Place) -> None:
        self._changed[place] = self._moved[place] = None

    def _look(self) -> None:
        """Take the deadlines of those networks that something was done in."""
        for place in self._moved:
            network = place.network
            when = place.leases.next_deadline()
            if when is None:
                self._deadlines.clear(network)
            else:
                self._deadlines.set(network, when)
        self._moved.clear()


def pools_of(settings: Settings) -> dict[IPv4Network, Pool | None]:
    """Return the networks that addresses are given out in, with the range of each; {} in the other modes.

    Raises `BadConfig` when the range of everybody lies in no network that is served, or in one that has its own.
    """
    if settings.mode is not Mode.DHCP:
        return {}
    pools: dict[IPv4Network, Pool | None] = {
        subnet.network: _pool(settings, subnet.network, subnet.first, subnet.last, subnet.scope.router)
        for subnet in settings.subnets
    }
    given = settings.addressing
    if given.first is not None and given.last is not None:
        network = _network_of(settings, given.first, given.last)
        if pools.get(network) is not None:
            raise BadConfig(f"--range {given.first}-{given.last}: {network} has its own range; drop one of them")
        pools[network] = _pool(settings, network, given.first, given.last, None)
    own = settings.link.network
    if any(entry.address in own for entry in settings.inventory.entries if entry.address is not None):
        pools.setdefault(own, None)
    return pools


def _pool(
    settings: Settings,
    network: IPv4Network,
    first: IPv4Address | None,
    last: IPv4Address | None,
    router: IPv4Address | None,
) -> Pool | None:
    if first is None or last is None:
        return None
    ours = (settings.link.address, settings.addressing.router, router)
    return Pool(network, first, last, frozenset(each for each in ours if each is not None))


def _network_of(settings: Settings, first: IPv4Address, last: IPv4Address) -> IPv4Network:
    subnets = (subnet.network for subnet in settings.subnets)
    for network in (settings.link.network, *subnets, *settings.allowed):
        if first in network and last in network:
            return network
    raise BadConfig(
        f"--range {first}-{last}: not within {settings.link.network}, the network of {settings.link.name}, nor within"
        " another network that is allowed; choose addresses from one of them"
    )


def _fixed(settings: Settings, pools: dict[IPv4Network, Pool | None]) -> dict[IPv4Network, Fixed]:
    fixed: dict[IPv4Network, dict[IPv4Address, frozenset[ClientKey]]] = {network: {} for network in pools}
    by_network = NetworkMap(fixed)
    for entry in settings.inventory.entries:
        if entry.address is not None and pools:
            here = by_network.find(entry.address)
            if here is None:
                raise BadConfig(f"node {entry.name}: {entry.address} is in no network that is served; add a [[subnet]]")
            owner = entry.owner
            here[entry.address] = frozenset(() if owner is None else (ClientKey(owner.htype, owner.octets),))
    return dict(fixed)


def _limits(pools: dict[IPv4Network, Pool | None]) -> dict[IPv4Network, int]:
    """Return how many records each network may have: all that it can need, or its share of `MAX_LEASES`."""
    spans = {network: 0 if pool is None else pool.span for network, pool in pools.items()}
    total = sum(spans.values())
    if total <= MAX_LEASES:
        return spans
    return {network: span * MAX_LEASES // total for network, span in spans.items()}

"""Several networks, addresses of single nodes, and what comes with them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mtftpd.core.addresses.address_book import AddressBook, Place, links_of, pools_of
from mtftpd.core.addresses.leases import MAX_LEASES, ClientKey, LeaseState
from mtftpd.core.dhcp.service import DhcpService
from mtftpd.core.effects import DropReason
from mtftpd.core.groups import Groups
from mtftpd.core.networks import NetworkMap
from mtftpd.core.node_settings import Inventory, NodeEntry, Scope, Subnet
from mtftpd.core.settings import Addressing, Mode, Settings
from mtftpd.errors import BadConfig
from mtftpd.wire.bootp import BOOTREQUEST, DhcpMessage, MessageType
from mtftpd.wire.datagram import HardwareAddress
from mtftpd.wire.options import Options
from tests.core.dhcp.dhcp_lab import (
    BIOS_ROM,
    DHCP,
    FAR,
    LINK,
    MAC,
    ONE_IMAGE,
    PROXY,
    SERVER,
    SYSTEM,
    UUID,
    Lab,
    Node,
    reason,
    with_addressing,
)

HARDWARE = HardwareAddress(1, MAC)
SECOND = HardwareAddress(1, bytes((2, 0, 0, 0, 0, 2)))
NEAR = Subnet(LINK.network, LINK.network[100], LINK.network[109])
BEHIND = Subnet(FAR, FAR[50], FAR[59], Scope(router=FAR[1], domain="far.example", lease_seconds=600))
TWO = replace(DHCP, addressing=Addressing(), subnets=(NEAR, BEHIND))


def with_node(settings: Settings = DHCP, **fields: object) -> Settings:
    entry = NodeEntry(**{"name": "n1", "hardware": (HARDWARE,), **fields})  # type: ignore[arg-type]
    return replace(settings, inventory=Inventory((entry,)))


def relayed(lab: Lab, mac: bytes = MAC, giaddr: IPv4Address = FAR[1]) -> Node:
    return Node(lab, dict(BIOS_ROM), mac, giaddr=giaddr)


# Which networks there are


def test_the_range_of_a_configuration() -> None:
    first, last = IPv4Address("10.0.0.100"), IPv4Address("10.0.0.149")
    pool = pools_of(DHCP)[LINK.network]
    assert pool is not None
    assert (pool.first, pool.last, pool.network, pool.excluded) == (first, last, LINK.network, frozenset({SERVER}))
    assert pools_of(PROXY) == {}
    assert pools_of(with_addressing(DHCP, last=None)) == {}
    far = pools_of(with_addressing(DHCP, first=FAR[50], last=FAR[59], router=FAR[1]))[FAR]
    assert far is not None
    assert (far.network, far.excluded) == (FAR, frozenset({SERVER, FAR[1]}))
    with pytest.raises(BadConfig, match=r"--range 10\.0\.0\.100-10\.0\.1\.1: not within 10\.0\.0\.0/24"):
        pools_of(with_addressing(DHCP, last=IPv4Address("10.0.1.1")))


def test_each_subnet_has_its_range_and_may_have_that_of_everybody() -> None:
    assert list(pools_of(TWO)) == [LINK.network, FAR]
    pool = pools_of(TWO)[FAR]
    assert pool is not None
    assert pool.excluded == frozenset({SERVER, FAR[1]})
    bare = replace(DHCP, subnets=(Subnet(LINK.network), Subnet(FAR)))
    assert pools_of(bare)[LINK.network] == pools_of(DHCP)[LINK.network]
    assert pools_of(bare)[FAR] is None
    with pytest.raises(BadConfig, match=r"--range .*: 10\.0\.0\.0/24 has its own range"):
        pools_of(replace(DHCP, subnets=(NEAR,)))


def test_our_own_network_is_one_as_soon_as_a_node_has_an_address_in_it() -> None:
    settings = with_node(replace(DHCP, addressing=Addressing()), address=LINK.network[7])
    assert pools_of(settings) == {LINK.network: None}
    assert pools_of(with_node(settings, address=None)) == {}
    assert AddressBook(with_node(PROXY, address=IPv4Address("192.0.2.1"))).places == ()
    with pytest.raises(BadConfig, match=r"node n1: 192\.0\.2\.1 is in no network that is served"):
        AddressBook(with_node(address=IPv4Address("192.0.2.1")))


def test_the_records_of_all_networks_together_are_limited() -> None:
    networks = [IPv4Network(f"10.{number}.0.0/16") for number in (1, 2, 3)]
    subnets = tuple(Subnet(each, each[1], each[65_534]) for each in networks)
    book = AddressBook(replace(TWO, subnets=subnets))
    key = ClientKey(1, MAC)
    assert all(place.leases.reserve(key, None, 0.0) for place in book.places)
    assert sum(place.leases._limit for place in book.places) <= MAX_LEASES


@given(
    numbers=st.sets(st.integers(0, 255), max_size=20),
    address=st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(10 << 24, (11 << 24) - 1).map(IPv4Address),
)
def test_the_network_of_an_address(numbers: set[int], address: IPv4Address) -> None:
    networks = {IPv4Network(f"10.{number}.0.0/{16 + number % 3}"): number for number in numbers}
    expected = [number for network, number in networks.items() if address in network]
    assert NetworkMap(networks).find(address) == (expected[0] if expected else None)


# Which one a request is for


@given(option=st.binary(max_size=20), giaddr=st.sampled_from([IPv4Address(0), FAR[1]]))
def test_any_relay_information_is_a_link(option: bytes, giaddr: IPv4Address) -> None:
    links = links_of(DhcpMessage(BOOTREQUEST, 1, MAC, giaddr=giaddr, options=Options({82: option})), SERVER)
    assert links == ((giaddr if int(giaddr) else SERVER),) or b"\5\4" in option


@pytest.mark.parametrize("kind", [None, *MessageType])
def test_who_has_an_address_is_where_that_is(kind: MessageType | None) -> None:
    options = Options({} if kind is None else {53: bytes((kind,))})
    links = links_of(DhcpMessage(BOOTREQUEST, 1, MAC, ciaddr=FAR[9], options=options), SERVER)
    has_address = kind in (MessageType.REQUEST, MessageType.RELEASE, MessageType.INFORM)
    assert links == ((FAR[9], SERVER) if has_address else (SERVER,))


def test_clients_get_addresses_of_the_network_that_they_are_in() -> None:
    lab = Lab(TWO)
    near = lab.node().discover()
    far = relayed(lab, SECOND.octets).boot()
    assert (near.message.yiaddr, far.message.yiaddr) == (LINK.network[100], FAR[50])
    assert (near[3], far[3]) == (SERVER.packed, FAR[1].packed)
    assert int.from_bytes(far[51] or b"", "big") == 600
    again = lab.node(mac=SECOND.octets).ask(MessageType.REQUEST, ciaddr=FAR[50])
    assert (again.type, again[51]) == (MessageType.ACK, far[51]), "renewed by way of a router"


def test_a_relay_agent_may_name_another_link() -> None:
    third = Subnet(IPv4Network("172.16.6.0/24"), IPv4Address("172.16.6.10"), IPv4Address("172.16.6.19"))
    lab = Lab(replace(TWO, subnets=(*TWO.subnets, third), allowed=(FAR, third.network)))
    node = relayed(lab)
    offer = node.ask(MessageType.DISCOVER, {82: b"\5\4" + third.network[0].packed})
    assert offer.message.yiaddr == third.first
    assert offer[3] is None, "the agent is in another network, so it is no router there"
    assert offer.send.destination.address == str(FAR[1])


def test_without_a_place_there_is_no_address() -> None:
    lab = Lab(replace(TWO, subnets=(BEHIND,)))
    assert reason(lab.node().effects(1)) is DropReason.NO_ADDRESS
    lab = Lab(replace(TWO, subnets=(NEAR,)))
    assert reason(relayed(lab).effects(1)) is DropReason.RELAY_NOT_SERVED
    lab = Lab(replace(TWO, subnets=()))
    assert reason(lab.node().effects(1)) is DropReason.NO_ADDRESS


def test_a_client_that_has_moved_has_one_lease() -> None:
    lab = Lab(TWO)
    lab.node().boot()
    relayed(lab, SECOND.octets).boot()
    relayed(lab).boot()
    leases = {lease.address: lease for lease in lab.service.leases()}
    assert leases[FAR[51]].key == ClientKey(1, MAC)
    assert (leases[LINK.network[100]].key, leases[LINK.network[100]].state) == (None, LeaseState.FREE)
    assert [(each.address, each.key is None) for each in lab.saved[-2:]] == [
        (LINK.network[100], True), (FAR[51], False)
    ]  # fmt: skip
    again = DhcpService(TWO, ONE_IMAGE, Groups(TWO, ONE_IMAGE), lab.service.leases())
    assert {lease.address: lease for lease in again.leases()} == leases
    assert lab.service.next_deadline() is not None
    assert lab.service.release(FAR[50], lab.now)
    assert not lab.service.release(FAR[55], lab.now)
    assert not lab.service.release(IPv4Address("192.0.2.1"), lab.now)


def test_what_was_offered_in_any_network_ends_in_time() -> None:
    lab = Lab(TWO)
    lab.node().discover()
    lab.now += 10
    relayed(lab, SECOND.octets).discover()
    for mac, seconds in ((MAC, 60.0), (SECOND.octets, 10.0)):
        due = lab.service.next_deadline()
        assert due == lab.now + seconds
        lab.now = due
        lab.keep(lab.service.tick(lab.now))
        assert [each.state for each in lab.service.leases() if each.key == ClientKey(1, mac)] == [LeaseState.FREE]
    assert lab.service.next_deadline() is None


class Book(RuleBasedStateMachine):
    """A book of three networks does what three tables do, of which every one is asked about everything."""

    NETWORKS = tuple(IPv4Network(f"10.{number}.0.0/24") for number in range(3))
    CLIENTS = st.integers(0, 5).map(lambda number: ClientKey(1, bytes((2, 0, 0, 0, 0, number))))
    PLACES = st.sampled_from(NETWORKS)

    def __init__(self) -> None:
        super().__init__()
        subnets = tuple(Subnet(each, each[10], each[13]) for each in self.NETWORKS)
        settings = replace(TWO, subnets=subnets)
        self.book, self.plain = AddressBook(settings), AddressBook(settings)
        self.now = 0.0

    @rule(key=CLIENTS, network=PLACES)
    def reserve(self, key: ClientKey, network: IPv4Network) -> None:
        place, other = self.book.place(network[1]), self.of_plain(network)
        assert place is not None
        assert place.leases.reserve(key, None, self.now) == other.leases.reserve(key, None, self.now)

    @rule(key=CLIENTS, network=PLACES, last=st.integers(10, 13))
    def bind(self, key: ClientKey, network: IPv4Network, last: int) -> None:
        place, other = self.book.place(network[1]), self.of_plain(network)
        assert place is not None
        until = self.now + 100
        lease = place.leases.bind(key, network[last], until, self.now)
        assert lease == other.leases.bind(key, network[last], until, self.now)
        self.book.settle(key, place, self.now)
        if other.leases.live(key, self.now) is not None:
            for each in self.plain.places:
                if each is not other:
                    each.leases.forget(key)

    @rule(seconds=st.floats(0.0, 120.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.book.expire(self.now)
        for place in self.plain.places:
            place.leases.expire(self.now)

    @rule()
    def save(self) -> None:
        expected = [each for place in self.plain.places for each in place.leases.changes()]
        found = self.book.changes()
        assert sorted(map(str, found)) == sorted(map(str, expected))
        assert [each.key is None for each in found] == sorted((each.key is None for each in found), reverse=True)

    @invariant()
    def nothing_is_missed(self) -> None:
        times = [place.leases.next_deadline() for place in self.plain.places]
        assert self.book.next_deadline() == min((each for each in times if each is not None), default=None)
        assert self.book.snapshot() == self.plain.snapshot()

    def of_plain(self, network: IPv4Network) -> Place:
        return next(place for place in self.plain.places if place.network == network)


Book.TestCase.settings = hypothesis_settings(max_examples=60, stateful_step_count=30, deadline=None)
TestBook = Book.TestCase


# Addresses of single nodes


@pytest.mark.parametrize("last", [105, 7])
def test_a_node_has_the_same_address_for_ever_and_nobody_else(last: int) -> None:
    own = LINK.network[last]
    lab = Lab(with_node(TWO, address=own))
    greedy = lab.node(mac=SECOND.octets)
    assert greedy.ask(1, {50: own.packed}).message.yiaddr != own
    assert lab.node().boot().message.yiaddr == own
    assert lab.node(SYSTEM).ask(MessageType.REQUEST, {50: own.packed}).message.yiaddr == own
    assert lab.node({}).ask(None).message.yiaddr == own, "BOOTP, for ever"
    taken = greedy.ask(MessageType.REQUEST, {50: own.packed, 54: SERVER.packed})
    assert taken.type == MessageType.NAK


def test_the_address_is_for_the_network_that_it_is_in() -> None:
    lab = Lab(with_node(TWO, address=LINK.network[7]))
    assert relayed(lab).boot().message.yiaddr == FAR[50]
    assert lab.node().boot().message.yiaddr == LINK.network[7]


def test_of_several_interfaces_the_first_has_the_address() -> None:
    lab = Lab(with_node(TWO, hardware=(HARDWARE, SECOND), address=LINK.network[7]))
    assert lab.node(mac=SECOND.octets).boot().message.yiaddr == LINK.network[100]
    assert lab.node().boot().message.yiaddr == LINK.network[7]


def test_the_address_of_a_node_that_is_known_by_its_uuid() -> None:
    lab = Lab(with_node(TWO, hardware=(), uuid=UUID[1:], address=LINK.network[7]))
    assert lab.node().boot().message.yiaddr == LINK.network[7]
    renewed = lab.node(SYSTEM).ask(MessageType.REQUEST, {50: LINK.network[7].packed})
    assert renewed.type == MessageType.ACK
    assert lab.node(mac=SECOND.octets).boot().message.yiaddr == LINK.network[100], "one at a time"


def test_a_reload_that_gives_an_address_away_does_not_give_it_twice() -> None:
    lab = Lab(TWO)
    other = lab.node(mac=SECOND.octets)
    held = other.boot().message.yiaddr
    lab.reconfigure(with_node(TWO, address=held))
    assert lab.node().boot().message.yiaddr == LINK.network[101]
    renewing = other.ask(MessageType.REQUEST, ciaddr=held)
    assert renewing.type == MessageType.NAK
    assert other.boot().message.yiaddr == LINK.network[102]
    assert lab.node().boot().message.yiaddr == held


# What comes with an address


def test_names_and_servers_are_told_to_who_asks_for_them() -> None:
    own = Scope(dns=(FAR[2], FAR[3]), ntp=(FAR[4],), domain="cluster.example")
    lab = Lab(with_node(TWO, host_name="n1", own=own))
    offer = lab.node({**BIOS_ROM, 55: bytes((1, 3, 6, 12, 15, 42))}).discover()
    assert (offer[6], offer[12]) == (FAR[2].packed + FAR[3].packed, b"n1")
    assert (offer[15], offer[42]) == (b"cluster.example", FAR[4].packed)
    assert lab.node({**BIOS_ROM, 55: bytes((1, 3))}).discover()[6] is None
    everything = {number: value for number, value in BIOS_ROM.items() if number != 55}
    assert lab.node(everything).discover()[15] == b"cluster.example"


def test_who_asks_from_another_network_is_not_told_our_mask() -> None:
    lab = Lab(replace(DHCP, mode=Mode.DHCP))
    assert lab.node().ask(MessageType.INFORM, ciaddr=FAR[9])[1] is None
    assert lab.node().ask(MessageType.INFORM, ciaddr=LINK.network[9])[1] is not None

"""Which neighbour entries are wanted, for whom, and until when (quirk Q63)."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mtftpd.core.addresses import arp as module
from mtftpd.core.addresses.arp import ATTEMPT_SECONDS, GRACE_SECONDS, ArpEntries, ArpStatistics
from mtftpd.core.effects import DropArp, Effects, OpenTransfer, Report, SaveLease, Send, SendRun, Service, StuffArp
from mtftpd.core.images import Image
from mtftpd.core.service import BootService
from mtftpd.core.settings import Settings
from mtftpd.wire import bootp, tftp
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress
from tests.core.dhcp.dhcp_lab import (
    ANYBODY,
    DHCP,
    FAR,
    MAC,
    NOBODY,
    ONE_IMAGE,
    PROXY,
    SERVER,
    SYSTEM,
    Lab,
    Node,
    option,
    told,
    with_addressing,
)

A, B = "10.0.0.100", "10.0.0.101"
ONE, TWO = HardwareAddress(1, MAC), HardwareAddress(1, bytes.fromhex("525400000002"))
REQUEST = MessageType.REQUEST


def nobody(_address: str) -> bool:
    return False


class ArpLab(Lab):
    """A DHCP service that tells of neighbour entries."""

    def __init__(self, settings: Settings = DHCP) -> None:
        super().__init__(settings)
        self.arp = self.service.arp


def test_an_ack_wants_an_entry_and_an_offer_does_not() -> None:
    lab = ArpLab()
    node = lab.node()
    offer = node.discover()
    assert lab.arp.take() == ()
    node.select(offer)
    assert lab.arp.take() == (StuffArp(A, ONE, True),)
    assert lab.arp.statistics() == ArpStatistics(1, 1)
    assert lab.arp.next_deadline() == lab.now + ATTEMPT_SECONDS


def test_bootp_wants_an_entry() -> None:
    lab = ArpLab()
    Node(lab, options={}).ask(None)
    assert lab.arp.take() == (StuffArp(A, ONE, True),)


def test_a_system_ends_what_its_rom_began() -> None:
    lab = ArpLab()
    lab.node().boot()
    lab.arp.take()
    lab.now += 30
    lab.node(SYSTEM).ask(REQUEST, {50: option(A)})
    assert lab.arp.take() == ()
    assert lab.arp.tick(lab.now + GRACE_SECONDS, nobody) == (DropArp(A),)
    lab.node(SYSTEM).ask(REQUEST, {50: option(A)})
    assert lab.arp.take() == ()


@pytest.mark.parametrize("kind", [MessageType.RELEASE, MessageType.DECLINE])
def test_an_address_that_was_given_back_has_no_entry(kind: MessageType) -> None:
    lab = ArpLab()
    lab.node().boot()
    lab.arp.take()
    message = lab.node().message(kind, {50: option(A), 54: option(SERVER)}, ciaddr=IPv4Address(A))
    told(lab.receive(message))
    assert lab.arp.take() == (DropArp(A),)
    assert lab.arp.statistics() == ArpStatistics()


def test_relayed_clients_have_none() -> None:
    lab = ArpLab(with_addressing(DHCP, first=FAR[100], last=FAR[110]))
    node = lab.node()
    node.giaddr = FAR[1]
    node.boot()
    lab.node().message(REQUEST)
    assert lab.arp.statistics() == ArpStatistics()


def test_a_relayed_client_of_our_own_network_has_none() -> None:
    lab = ArpLab()
    node = lab.node()
    node.giaddr = IPv4Address("10.0.0.9")
    node.boot()
    assert lab.arp.statistics() == ArpStatistics()


def test_clients_that_are_not_on_ethernet_have_none() -> None:
    lab = ArpLab()
    Node(lab, mac=bytes(8), htype=6).boot()
    assert lab.arp.statistics() == ArpStatistics()


@pytest.mark.parametrize(
    ("source", "ciaddr", "wanted"),
    [(A, A, True), (A, B, False), ("172.16.5.9", "172.16.5.9", False)],
)
def test_a_proxy_wants_one_for_whom_it_answers_on_port_4011(source: str, ciaddr: str, wanted: bool) -> None:
    lab = ArpLab(PROXY)
    request = lab.node().message(REQUEST, ciaddr=IPv4Address(ciaddr))
    effects = lab.receive(request, Endpoint(source, 68), Endpoint(str(SERVER), 4011), Service.PXE)
    assert [type(effect) for effect in effects] == [Send, Report]
    assert lab.arp.take() == ((StuffArp(A, ONE, False),) if wanted else ())


def test_what_a_proxy_overhears_is_nothing_of_its_own() -> None:
    lab = ArpLab(PROXY)
    lab.node().discover()
    lab.receive(lab.node().message(REQUEST, {50: option(A), 54: option("10.0.0.2")}))
    assert lab.arp.statistics() == ArpStatistics()


def test_a_lease_outweighs_what_somebody_says_of_himself() -> None:
    entries = ArpEntries()
    entries.granted(A, ONE, True, 0.0)
    entries.granted(A, TWO, False, 1.0)
    entries.granted(A, ONE, False, 2.0)
    assert entries.take() == (StuffArp(A, ONE, True), StuffArp(A, ONE, True))
    entries.granted(A, TWO, True, 3.0)
    assert entries.take() == (StuffArp(A, TWO, True),)


def test_an_entry_outlives_the_last_file_by_the_grace_time() -> None:
    busy = {A}
    entries = ArpEntries()
    entries.granted(A, ONE, True, 0.0)
    entries.asked(A, 10.0)
    entries.asked(B, 10.0)
    entries.take()
    now = 10.0
    for _ in range(100):
        now += GRACE_SECONDS
        assert entries.tick(now, busy.__contains__) == ()
    busy.clear()
    ended = now + 1.0
    while not (effects := entries.tick(now, busy.__contains__)):
        deadline = entries.next_deadline()
        assert deadline is not None
        now = deadline
    assert effects == (DropArp(A),)
    assert GRACE_SECONDS <= now - ended <= 2 * GRACE_SECONDS
    assert entries.next_deadline() is None


def test_who_asks_again_after_a_long_menu_has_an_entry_again() -> None:
    entries = ArpEntries()
    entries.granted(A, ONE, True, 0.0)
    assert entries.tick(ATTEMPT_SECONDS, nobody) == (StuffArp(A, ONE, True),)
    assert entries.tick(ATTEMPT_SECONDS + GRACE_SECONDS, nobody) == (DropArp(A),)
    assert entries.statistics() == ArpStatistics(0, 1)
    entries.booted(A, 5000.0)
    entries.asked(A, 5000.0)
    assert entries.take() == (StuffArp(A, ONE, True),)
    entries.gone(A)
    entries.gone(A)
    entries.asked(A, 5001.0)
    assert entries.take() == (DropArp(A),)


def test_there_are_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    monkeypatch.setattr(module, "MAX_KNOWN", 4)
    entries = ArpEntries()
    for number in range(1, 4):
        entries.granted(f"10.0.0.{number}", ONE, True, 0.0)
    entries.asked("10.0.0.1", 1.0)
    entries.take()
    entries.granted("10.0.0.4", ONE, True, 2.0)
    assert entries.take() == (StuffArp("10.0.0.4", ONE, True), DropArp("10.0.0.2"))
    assert entries.statistics() == ArpStatistics(3, 4)
    entries.granted("10.0.0.5", ONE, True, 3.0)
    assert entries.take() == (StuffArp("10.0.0.5", ONE, True), DropArp("10.0.0.3"))
    assert entries.statistics() == ArpStatistics(3, 4)


class Kernel(RuleBasedStateMachine):
    """Whatever happens: what the effects leave set is what is counted as wanted, and it comes to an end."""

    addresses = st.sampled_from([f"10.0.0.{number}" for number in range(1, 6)])
    stations = st.sampled_from([ONE, TWO])

    def __init__(self) -> None:
        super().__init__()
        self.busy: set[str] = set()
        self.now = 0.0
        self.table: dict[str, HardwareAddress] = {}
        self.entries = ArpEntries()

    def perform(self, effects: Effects) -> None:
        for effect in effects:
            if isinstance(effect, StuffArp):
                self.table[effect.address] = effect.hardware
            elif isinstance(effect, DropArp):
                del self.table[effect.address]

    @rule(address=addresses, hardware=stations, is_given=st.booleans())
    def grant(self, address: str, hardware: HardwareAddress, is_given: bool) -> None:
        self.entries.granted(address, hardware, is_given, self.now)

    @rule(address=addresses)
    def fetch(self, address: str) -> None:
        self.busy.add(address)
        self.entries.asked(address, self.now)

    @rule(address=addresses)
    def finish(self, address: str) -> None:
        self.busy.discard(address)

    @rule(address=addresses)
    def boot(self, address: str) -> None:
        self.entries.booted(address, self.now)

    @rule(address=addresses)
    def release(self, address: str) -> None:
        self.entries.gone(address)

    @rule(seconds=st.floats(0, 2 * ATTEMPT_SECONDS))
    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (deadline := self.entries.next_deadline()) is not None and deadline <= end:
            self.now = deadline
            self.perform(self.entries.take())
            self.perform(self.entries.tick(self.now, self.busy.__contains__))
        self.now = end

    @invariant()
    def what_is_set_is_what_is_wanted(self) -> None:
        self.perform(self.entries.take())
        assert len(self.table) == self.entries.statistics().wanted
        assert (self.entries.next_deadline() is None) is (not self.table)

    def teardown(self) -> None:
        self.busy.clear()
        self.wait(2 * ATTEMPT_SECONDS)
        assert self.table == {}


TestKernel = Kernel.TestCase


# The whole server


def at(socket: int, data: bytes) -> Datagram:
    return Datagram(socket, Endpoint(A, 2070), Endpoint(str(SERVER), 69), data)


def deeds(effects: Effects) -> list[type]:
    return [type(effect) for effect in effects if not isinstance(effect, Report)]


def booted_node() -> BootService:
    service = BootService(DHCP, ONE_IMAGE)
    request = Lab().node().message(REQUEST, {50: option(A), 54: option(SERVER)})
    effects = service.receive(Datagram(Service.DHCP, NOBODY, ANYBODY, bootp.build(request)), 1000.0)
    assert deeds(effects) == [SaveLease, Send, StuffArp]
    return service


def test_the_entry_is_put_right_before_a_file_is_sent_to_its_client() -> None:
    service = booted_node()
    effects = service.receive(at(Service.TFTP, tftp.build(tftp.Request(1, b"nbp"))), 1100.0)
    assert deeds(effects) == [StuffArp, OpenTransfer, SendRun]
    assert service.statistics().arp == ArpStatistics(1, 1)


def test_a_lease_that_an_operator_takes_back_has_no_entry() -> None:
    service = booted_node()
    assert DropArp(A) in service.release(IPv4Address(A), 1001.0)
    assert service.release(IPv4Address(A), 1002.0) == ()
    assert service.statistics().arp == ArpStatistics()


def test_a_file_that_is_looked_up_keeps_the_entry_too() -> None:
    service = booted_node()
    (lookup,) = service.receive(at(Service.TFTP, tftp.build(tftp.Request(1, b"other"))), 1100.0)
    effects = service.looked_up(lookup.request, Image(9, "other", 1000), 1100.0)  # type: ignore[union-attr]
    assert deeds(effects) == [StuffArp, OpenTransfer, SendRun]


def test_an_entry_lasts_as_long_as_a_transfer() -> None:
    service = booted_node()
    service.receive(at(Service.TFTP, tftp.build(tftp.Request(1, b"nbp"))), 1100.0)
    now, block = 1100.0, 1
    while block < 184:
        now += 10.0
        service.receive(at(1000, tftp.build(tftp.Ack(block))), now)
        block += 1
        assert not [each for each in service.tick(now) if isinstance(each, DropArp)]
    assert now - 1100.0 > 2 * ATTEMPT_SECONDS
    service.receive(at(1000, tftp.build(tftp.Ack(184))), now)
    service.receive(at(1000, tftp.build(tftp.Ack(185))), now)
    assert drops(service, now + 2 * GRACE_SECONDS) == [A]


def test_an_entry_lasts_while_its_client_waits_for_a_pass() -> None:
    """It opened in vain a moment before its time was over; the pass that it listens to takes longer."""
    service, rrq = booted_node(), tftp.build(tftp.Request(1, b"nbp"))
    now = 1000.0 + ATTEMPT_SECONDS - 1
    service.receive(from_(MASTER, rrq), now)
    service.receive(from_(Endpoint(A, 1799), rrq), now)
    for block in range(1, 185):
        now += 0.5
        service.receive(from_(MASTER, tftp.build(tftp.Ack(block))), now)
        assert not [each for each in service.tick(now) if isinstance(each, DropArp)]
    assert now > 1000.0 + ATTEMPT_SECONDS + GRACE_SECONDS
    assert drops(service, now + 3 * GRACE_SECONDS) == [A]


MASTER = Endpoint(B, 1799)


def from_(source: Endpoint, data: bytes) -> Datagram:
    return Datagram(Service.MTFTP, source, Endpoint(str(SERVER), 1542), data)


def drops(service: BootService, until: float) -> list[str]:
    found: list[str] = []
    while (deadline := service.next_deadline()) is not None and deadline <= until:
        found += [each.address for each in service.tick(deadline) if isinstance(each, DropArp)]
    return found

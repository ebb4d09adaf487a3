"""What is played for each quirk: a ROM with its faults, a segment, and when it counts as booted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from mtftpd.core.effects import ReportKind
from mtftpd.core.node_settings import IPXE_STAGE, Boot, Inventory, NodeEntry, OtherNics, Scope
from mtftpd.core.settings import Addressing, Mode, Ports, Settings
from mtftpd.errors import Malformed
from mtftpd.quirks.vocabulary import Mutation as F
from mtftpd.quirks.vocabulary import ServerAction as A
from mtftpd.rom import careless
from mtftpd.rom.mutations import mutated
from mtftpd.rom.profiles import EDK1, SPEC, RomProfile
from mtftpd.wire import bootp
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.datagram import Endpoint, HardwareAddress
from mtftpd.wire.options import Options
from tests.quirks.boot_lab import GROUPS, LATENCY, NAME, UNICAST, Lost, Segment, boots

GROUP = Endpoint("239.1.1.1", 1799)
EDK2 = replace(
    SPEC,
    name="edk2",
    mtftp=None,
    dhcp=replace(SPEC.dhcp, architecture=7, undi=(3, 0), server_from_siaddr=True, wants_discovery_group=False),
)
"""Enough of EDK2 for these scenes: an x64 EFI that has no multicast TFTP."""
PLAIN = replace(SPEC, tftp=replace(SPEC.tftp, block_size=512, probes_size=False))
ATFTP = replace(SPEC, name="atftp")
WITHOUT_MULTICAST = replace(SPEC, mtftp=None, dhcp=replace(SPEC.dhcp, wants_discovery_group=False))
CHAIN = replace(UNICAST, boot=Boot(NAME, ((IPXE_STAGE, "next"),)))
NO_SECOND_CHANCE = replace(GROUPS, without=frozenset({A.OMIT_43}))
"""Without what helps an EFI that has refused three offers, whatever its reason was."""
RASPBERRY = replace(
    UNICAST,
    inventory=Inventory((NodeEntry(hardware=(HardwareAddress(1, bytes((2, 0, 0, 0, 0, 1))),), own=Scope(rom="rpi3")),)),
)
"""The first node of a segment is a Raspberry Pi, by the word of the operator."""
QUICK = 3.0
"""Virtual seconds in which a ROM repeats nothing by itself."""
DIALOGUE = 30.0
"""Virtual seconds that a boot may take here when nothing is lost for good."""


@dataclass(frozen=True)
class Scene:
    """``play(settings)`` boots; it must not when the actions ``off`` are switched off."""

    quirk: str
    off: tuple[A, ...]
    faults: tuple[F, ...]
    play: Callable[[Settings], bool]
    settings: Settings

    def switched_off(self) -> Settings:
        # The defaults of the ports are this work-around, so its switch is the ports.
        ports = Ports(mtftp_server=1541, mtftp_client=1798) if A.PORTS_PALINDROMIC in self.off else self.settings.ports
        return replace(self.settings, without=self.settings.without | set(self.off), ports=ports)

    def __str__(self) -> str:
        return f"{self.quirk}-{'-'.join(each.value for each in self.off)}"


def alone(
    quirk: str,
    off: tuple[A, ...],
    *faults: F,
    rom: RomProfile = SPEC,
    settings: Settings = UNICAST,
    lost: Callable[[], Lost] | None = None,
) -> Scene:
    """A scene of one node that must have the right image in its memory at the end."""

    def play(actual: Settings) -> bool:
        segment = boots(actual, rom, faults, lost() if lost is not None else None)
        return segment.stations[0].booted and segment.now < DIALOGUE

    return Scene(quirk, off, faults, play, settings)


def first_of(wanted: Callable[[Endpoint, Endpoint, bytes], bool]) -> Callable[[], Lost]:
    """Return a maker of losses: the first datagram that is ``wanted`` does not arrive."""

    def make() -> Lost:
        hit: list[bool] = []

        def lost(source: Endpoint, destination: Endpoint, data: bytes) -> bool:
            if not hit and wanted(source, destination, data):
                hit.append(True)
                return True
            return False

        return lost

    return make


def _third_block(source: Endpoint, destination: Endpoint, data: bytes) -> bool:
    return data[:4] == b"\0\3\0\3"


def option_acknowledgement(source: Endpoint, destination: Endpoint, data: bytes) -> bool:
    return data[:2] == b"\0\6"


def _first_of_group(source: Endpoint, destination: Endpoint, data: bytes) -> bool:
    return destination == GROUP and data[:4] == b"\0\3\0\1"


def _bootp_is_answered(settings: Settings) -> bool:
    """A BOOTP client gets so few options that its reply would be short."""
    asked = DhcpMessage(op=bootp.BOOTREQUEST, xid=7, chaddr=bytes.fromhex("02000000000b").ljust(16, b"\0"))
    reply = Segment(settings).ask(asked)
    try:
        return int(careless.read(reply, frozenset({F.DROP_IF_SHORT})).yiaddr) != 0
    except Malformed:
        return False


def _last_is_accepted(settings: Settings) -> bool:
    segment = boots(settings, SPEC, (F.NO_LAST_ACK,))
    segment.settle(60.0)
    return segment.stations[0].booted and not segment.said(ReportKind.TFTP_FAILED)


def _after_one_death(settings: Settings) -> bool:
    """Boot a ROM that dies of the one block it loses, and power-cycle it, with the same block lost again."""
    segment = Segment(settings)
    station = segment.add(mutated(SPEC, (F.WINDOW_4, F.DIE_IN_WINDOW)))
    for _ in range(2):
        segment.lost = first_of(_third_block)()
        segment.power_on(station)
        segment.run()
        segment.settle(90.0)
    return station.booted


def _deaf_node_boots_in_the_end(settings: Settings) -> bool:
    """The group does not reach it, and it does not go to port 69 by itself: the second boot must be by unicast."""
    segment = Segment(settings)
    station = segment.add(mutated(SPEC, (F.NO_IGMP, F.NO_FALLBACK)))
    for _ in range(2):
        segment.power_on(station)
        segment.run()
    return station.booted


def _boots_at_last(rom: RomProfile, faults: tuple[F, ...]) -> Callable[[Settings], bool]:
    """The first boot may be in vain: what it shows must help in the second."""

    def play(settings: Settings) -> bool:
        segment = Segment(settings)
        station = segment.add(mutated(rom, faults))
        for _ in range(2):
            segment.power_on(station)
            segment.run()
            segment.settle(90.0)
        return station.booted

    return play


def _raspberry_boots(settings: Settings) -> bool:
    """It is alone on its wire, asks for everything five times at intervals, and takes the OFFER for a lease."""
    segment = boots(settings, WITHOUT_MULTICAST, (F.NEEDS_TRAFFIC, F.NEVER_REQUEST))
    return segment.stations[0].booted and segment.now < QUICK


def _boots_by_4011(settings: Settings) -> bool:
    """A proxy without option 43 sends its clients to port 4011, so they need an ACK there."""
    other = replace(UNICAST, boot=Boot(), link=replace(UNICAST.link, address=IPv4Address("10.0.0.2")))
    other = replace(other, addressing=replace(other.addressing, serve_all=True))
    proxy = replace(settings, mode=Mode.PROXY, addressing=Addressing(), without=settings.without | {A.ADD_43_6})
    segment = Segment(proxy, _plain(other))
    station = segment.add(SPEC)
    segment.power_on(station)
    segment.run()
    return station.booted


def _plain(settings: Settings) -> Settings:
    """Return a server that gives out addresses and knows nothing of PXE."""
    return replace(settings, boot=Boot("nothing"), without=frozenset({A.ECHO_60, A.BOTH_NAMES}))


def _both_boot(faults: tuple[F, ...], uuid: bytes | None = None) -> Callable[[Settings], bool]:
    """Two nodes, powered on at once, must boot with addresses of their own."""

    def play(settings: Settings) -> bool:
        segment = Segment(settings)
        stations = [segment.add(mutated(SPEC, faults), number, 0x26F30339, uuid) for number in (1, 2)]
        for station in stations:
            segment.power_on(station)
        segment.run()
        return all(each.booted for each in stations) and stations[0].address != stations[1].address

    return play


def _takes_the_first_server(settings: Settings) -> bool:
    """Two complete boot servers; the nearer one is chosen, and ours must leave the client alone."""
    nearer = replace(
        UNICAST,
        link=replace(UNICAST.link, address=IPv4Address("10.0.0.2")),
        addressing=replace(UNICAST.addressing, first=IPv4Address("10.0.0.200"), last=IPv4Address("10.0.0.210")),
    )
    segment = Segment(nearer, settings)
    # Ours answers first whatever it answers to: the other one is slower than its NAK.
    segment.hosts.reverse()
    segment.lost = lambda source, destination, data: (
        source.address == "10.0.0.1" and len(data) > 242 and data[242] == MessageType.OFFER
    )
    station = segment.add(mutated(SPEC, (F.RESTART_ON_ANY_NAK,)))
    segment.power_on(station)
    segment.run(0.2)
    return station.booted


def _chain_ends(settings: Settings) -> bool:
    """The ROM is told of a loader, and the loader, which asks again, of something else."""
    segment = Segment(settings)
    station = segment.add(mutated(WITHOUT_MULTICAST, (F.SAYS_IPXE,)))
    segment.power_on(station)
    segment.run()
    rom = boots(settings, SPEC).stations[0]
    plan = station.node.plan
    return rom.booted and plan is not None and plan.boot_file == b"next"


def _system_keeps_its_address(settings: Settings) -> bool:
    """The ROM boots; then the system asks, as dhclient does, and must be given the same address."""
    segment = boots(settings, SPEC)
    station = segment.stations[0]
    discover = DhcpMessage(
        op=bootp.BOOTREQUEST,
        xid=7,
        chaddr=station.hardware.octets.ljust(16, b"\0"),
        flags=bootp.BROADCAST_FLAG,
        options=Options({53: bytes((MessageType.DISCOVER,)), 55: bytes((1, 3, 6, 15)), 61: b"\xff" + bytes(18)}),
    )
    offer = segment.ask(discover)
    return station.booted and bool(offer) and str(bootp.parse_untrusted(offer).yiaddr) == station.address


def _listener_is_not_disturbed(settings: Settings) -> bool:
    """A second node listens to the pass of the first, and a stranger opens in the middle of it."""
    segment = Segment(settings)
    first, second = (segment.add(mutated(EDK1, (F.NO_FALLBACK,)), number) for number in (1, 2))
    segment.power_on(first)
    segment.power_on(second)
    while segment.service.statistics().mtftp.groups[0].block < 10:
        segment.run(LATENCY)
    segment.deliver(Endpoint("10.0.0.99", GROUP.port), 1542, b"\0\1" + NAME.encode() + b"\0octet\0")
    segment.run(DIALOGUE)
    return first.booted and second.booted


MACHINES = 6


def _one_address_for_each_machine(settings: Settings) -> bool:
    """All interfaces of some machines call at once, and there is one address for each machine and no more."""
    rom = mutated(SPEC, (F.THREE_NICS,))
    first = IPv4Address("10.0.0.100")
    few = replace(settings.addressing, first=first, last=first + MACHINES - 1)
    for other_nics in OtherNics:
        segment = Segment(replace(settings, addressing=few))
        machines = [segment.add_machine(rom, number) for number in range(1, MACHINES + 1)]
        boot_from = [machine[rom.boots_from - 1] for machine in machines]
        nodes = tuple(
            NodeEntry(hardware=tuple(nic.hardware for nic in machine), bootable=nic.hardware, other_nics=other_nics)
            for machine, nic in zip(machines, boot_from, strict=True)
        )
        segment.reconfigure(replace(segment.hosts[0].settings, inventory=Inventory(nodes)))
        for nic in (nic for machine in machines for nic in machine):
            segment.power_on(nic)
        segment.run()
        if not all(nic.booted for nic in boot_from):
            return False
    return True


SCENES = (
    alone("Q01", (A.PAD_AFTER_67,), F.OPTION67_TO_NUL),
    alone("Q01", (A.FIX_NAME,), F.FF_NAME),
    alone("Q02", (A.EMPTY_NAME_TO_OFFERED,), F.EMPTY_NAME),
    alone("Q03", (A.PAD_AFTER_67,), F.OVERWRITE_AFTER_67, F.NEED_43_6),
    alone("Q04", (A.MIRROR_NUL,), F.NUL_STRINGS),
    Scene("Q07", (A.MIN_300,), (F.DROP_IF_SHORT,), _bootp_is_answered, UNICAST),
    alone("Q10", (A.ADD_58_59,), F.NEED_58),
    alone("Q11", (A.OPT_ORDER,), F.DROP_IF_ORDER),
    alone("Q12", (A.ADD_43_6,), F.NEED_43_6),
    alone("Q13", (A.OMIT_43_1_5,), F.REJECT_43_1_5, rom=EDK2, settings=NO_SECOND_CHANCE),
    alone("Q13", (A.OMIT_43_1_5, A.ADD_43_6), F.REJECT_BARE_43_1_5, rom=EDK2, settings=NO_SECOND_CHANCE),
    alone("Q15", (A.PORTS_PALINDROMIC,), F.BE_PORTS, F.NO_FALLBACK, settings=GROUPS),
    Scene("Q16", (A.OMIT_43,), (F.IGNORE_TAG_6,), _boots_at_last(EDK2, (F.IGNORE_TAG_6,)), UNICAST),
    alone("Q18", (A.OWN_CLASS,), F.OWN_CLASS),
    alone("Q19", (A.ECHO_60,), F.NEED_60),
    alone("Q19", (A.ECHO_97,), F.NEED_97),
    alone(
        "Q20", (A.TWIN_ARCHITECTURES,), F.ARCHITECTURE_9,
        rom=EDK2, settings=replace(UNICAST, boot=Boot("nothing", ((7, NAME),))),
    ),
    alone("Q22", (A.SAME_ADDRESS_EVERYWHERE,), F.ONLY_SIADDR),
    alone("Q24", (A.BOTH_NAMES,), F.ONLY_67),
    alone("Q25", (A.OMIT_13,), F.BUFFER_OF_13),
    alone("Q27", (A.ONE_ROUTER,), F.NEED_ONE_ROUTER),
    Scene("Q33", (A.ACK_ON_4011,), (), _boots_by_4011, UNICAST),
    Scene("Q41", (A.DELAY_REPLY,), (F.DEAF_AFTER_SEND,), _boots_at_last(SPEC, (F.DEAF_AFTER_SEND,)), UNICAST),
    Scene(
        "Q44", (A.UNICAST_L2,), (F.ACCEPT_FOREIGN_OFFER, F.NO_BROADCAST_FLAG),
        _both_boot((F.ACCEPT_FOREIGN_OFFER, F.NO_BROADCAST_FLAG)), UNICAST,
    ),
    alone("Q47", (A.IGNORE_CIADDR,), F.CIADDR_IN_DISCOVER),
    alone("Q48", (A.FORCE_BROADCAST,), F.BROADCAST_ONLY, F.NO_BROADCAST_FLAG),
    alone("Q49", (A.LIMITED_BROADCAST,)),
    Scene("Q50", (A.NEVER_NAK,), (F.RESTART_ON_ANY_NAK,), _takes_the_first_server, UNICAST),
    Scene("Q53", (A.KEY_BY_CHADDR,), (), _both_boot((), b"\xff" * 16), UNICAST),
    Scene("Q54", (A.ONE_NIC,), (F.THREE_NICS,), _one_address_for_each_machine, UNICAST),
    Scene("Q59", (A.SECOND_STAGE,), (F.SAYS_IPXE,), _chain_ends, CHAIN),
    Scene("Q61", (A.SERVE_LEASEHOLDERS,), (), _system_keeps_its_address, UNICAST),
    alone("Q65", (A.CLAMP_BLKSIZE,), F.ASK_8192, F.DROP_BIG),
    alone("Q67", (A.CLAMP_BLKSIZE,), F.ASK_8192, F.DROP_BIG, rom=EDK1),
    Scene("Q65", (A.SMALL_BLOCKS,), (F.DROP_1000,), _boots_at_last(SPEC, (F.DROP_1000,)), UNICAST),
    alone("Q69", (A.SINGLE_PORT,), F.ONLY_PORT_69),
    Scene(
        "Q77", (A.REPEAT_OFFER,), (F.NEEDS_TRAFFIC, F.NEVER_REQUEST), _raspberry_boots, RASPBERRY,
    ),
    Scene("Q80", (A.MCAST_DEAF,), (F.NO_IGMP, F.NO_FALLBACK), _deaf_node_boots_in_the_end, GROUPS),
    alone("Q81", (A.REFUSE_OPTIONS,), F.HANG_ON_OACK),
    alone("Q82", (A.NO_ERROR_REPLY,), F.DIE_OF_ERROR_REPLY),
    alone("Q83", (A.OACK_SUBSET,), F.REJECT_UNASKED_OACK, F.ASK_8192),
    Scene("Q87", (A.ACCEPT_NO_LAST_ACK,), (F.NO_LAST_ACK,), _last_is_accepted, UNICAST),
    alone("Q88", (A.DEDUPE_RRQ,), F.DUP_RRQ, F.ANY_TID, F.DIE_OF_DUPLICATES, rom=PLAIN),
    alone("Q90", (A.IGNORE_DUP_ACK,), F.DUP_ACK, F.DIE_OF_DUPLICATES),
    alone("Q92", (A.RETRANSMIT,), F.NEVER_RETRANSMIT, lost=first_of(_third_block)),
    Scene("Q96", (A.WINDOW_1,), (F.WINDOW_4, F.DIE_IN_WINDOW), _after_one_death, UNICAST),
    alone("Q100", (A.FIX_NAME,), F.BACKSLASH_NAME),
    alone("Q101", (A.NETASCII_IS_OCTET,), F.NETASCII),
    alone("Q107", (A.UNICAST_FIRST,), F.NO_FALLBACK, rom=ATFTP, settings=GROUPS),
    alone(
        "Q108", (A.WAIT_FOR_ACK_1,), F.OPEN_CORRUPTION, F.NO_FALLBACK,
        rom=EDK1, settings=GROUPS, lost=first_of(_first_of_group),
    ),
    Scene("Q109", (A.NEVER_BACK,), (F.NO_FALLBACK,), _listener_is_not_disturbed, GROUPS),
    alone("Q111", (A.DATA_FROM_SPORT,), F.NO_FALLBACK, rom=EDK1, settings=GROUPS),
)  # fmt: skip

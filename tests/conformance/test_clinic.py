"""The clinic finds of every known client exactly what that client was made to do, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from mtftpd.conformance.clinic.chart import Chart, Outcome, from_plain, to_plain
from mtftpd.conformance.clinic.examination import Examination
from mtftpd.conformance.clinic.findings import SHOWN, TOGETHER, UNSEEN, UNSEEN_FAULTS, Finding, Trait, quirks_of
from mtftpd.conformance.clinic.judges import NOT_TAKEN
from mtftpd.conformance.clinic.long_download import LongDownload, begin
from mtftpd.conformance.clinic.probes import BY_ID, PROBES
from mtftpd.conformance.clinic.visit import Read, Visit
from mtftpd.errors import BadConfig
from mtftpd.quirks.records import by_number
from mtftpd.quirks.vocabulary import Mutation as F
from mtftpd.rom.firmwares import FIRMWARES
from mtftpd.rom.mutations import mutated
from mtftpd.rom.profiles import EDK1, SPEC, RomProfile
from mtftpd.wire import bootp
from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.options import Options
from tests.conformance.clinic_world import IMAGE, PRACTICE, World

LARGEST_IN_A_FRAME = 1468


def is_pxe(rom: RomProfile) -> bool:
    return rom.dhcp.vendor_class is None


def reads_tags(rom: RomProfile) -> bool:
    return rom.mtftp is not None and is_pxe(rom) and F.REJECT_43_1_5 not in rom.faults


def hears_group(rom: RomProfile) -> bool:
    return reads_tags(rom) and F.NO_IGMP not in rom.faults


def is_ipxe(rom: RomProfile) -> bool:
    return rom.mtftp is not None and rom.mtftp.polled


def falls_back(rom: RomProfile) -> bool:
    return hears_group(rom) and F.NO_FALLBACK not in rom.faults


def takes_options(rom: RomProfile) -> bool:
    return F.HANG_ON_OACK not in rom.faults


def ends_size_probe(rom: RomProfile) -> bool:
    probes_first = rom.mtftp is not None and rom.mtftp.probes_first
    return takes_options(rom) and (rom.tftp.probes_size or probes_first)


NEEDS: dict[F, Callable[[RomProfile], bool]] = {
    F.DROP_BIG: lambda rom: rom.tftp.block_size > LARGEST_IN_A_FRAME,
    F.OPTION67_TO_NUL: lambda rom: F.EMPTY_NAME not in rom.faults or hears_group(rom),
    F.DIE_IN_WINDOW: lambda rom: rom.tftp.window > 1,
    F.DIE_OF_ERROR_REPLY: ends_size_probe,
    F.NO_IGMP: reads_tags,
    F.BE_PORTS: hears_group,
    F.OPEN_CORRUPTION: lambda rom: hears_group(rom) and rom.mtftp is not None and rom.mtftp.needs_group_copy,
    F.NO_FALLBACK: hears_group,
}
"""On whom a fault shows that does not show on everybody."""

SHOWS: dict[Finding, Callable[[RomProfile], bool]] = {
    F.ASK_8192: lambda rom: rom.tftp.block_size == 8192,
    F.WINDOW_4: lambda rom: rom.tftp.window > 1 and takes_options(rom),
    F.NO_BROADCAST_FLAG: lambda rom: not rom.dhcp.broadcast,
    F.SAYS_IPXE: lambda rom: F.SAYS_IPXE in rom.faults or bool(rom.dhcp.user_class),
    F.REJECT_BARE_43_1_5: lambda rom: (
        rom.dhcp.refuses_bare_mtftp and not rom.faults & {F.NEED_43_6, F.REJECT_43_1_5, F.IGNORE_TAG_6}
    ),
    F.THREE_NICS: lambda rom: rom.nics > 1,
    Trait.ASKS_4011: lambda rom: is_pxe(rom) and F.NEED_43_6 not in rom.faults,
    Trait.ENDS_SIZE_PROBE: ends_size_probe,
    Trait.ARP_SILENT: lambda rom: not rom.answers_arp,
    Trait.SYSTEM_ASKS: lambda rom: rom.system is not None,
    Trait.NO_MULTICAST: lambda rom: F.REJECT_43_1_5 not in rom.faults and (rom.mtftp is None or not is_pxe(rom)),
    Trait.LISTENS_AFTER_GROUP_COPY: lambda rom: (
        hears_group(rom) and rom.mtftp is not None and not rom.mtftp.needs_group_copy and not is_ipxe(rom)
    ),
    Trait.LOCKS_FIRST_PORT: is_ipxe,
    Trait.NO_SECOND_OPEN: is_ipxe,
    Trait.ONLY_SERVER_PORT: lambda rom: hears_group(rom) and rom.mtftp is not None and rom.mtftp.only_server_port,
    Trait.NO_STEP_BACK: lambda rom: falls_back(rom) and rom.mtftp is not None and not rom.mtftp.remembers_blocks,
    Trait.DUPLICATES_COST_TRIES: lambda rom: (
        falls_back(rom) and rom.mtftp is not None and rom.mtftp.duplicates_cost_tries
    ),
}
"""What is no fault that was given to a ROM, but a parameter of it."""


def expected(rom: RomProfile) -> set[Finding]:
    """Return what there is to be found of ``rom``, from what it is made of."""
    faults: set[Finding] = {fault for fault in rom.faults if fault not in NEEDS or NEEDS[fault](rom)}
    return (faults - set(SHOWS)) | {finding for finding, shows in SHOWS.items() if shows(rom)}


ROMS = {
    **FIRMWARES,
    **{fault.value: mutated(SPEC, (fault,)) for fault in F},
    "efi1-without-corruption": EDK1,
    "efi1-that-answers-no-arp": replace(EDK1, answers_arp=False),
    "arp-silent": replace(SPEC, answers_arp=False),
    "fragments": mutated(SPEC, (F.ASK_8192, F.DROP_BIG)),
    "windows": mutated(SPEC, (F.WINDOW_4, F.DIE_IN_WINDOW)),
    "never-hears-unicast": mutated(SPEC, (F.NO_BROADCAST_FLAG, F.BROADCAST_ONLY)),
    "raspberry": mutated(replace(SPEC, mtftp=None), (F.NEEDS_TRAFFIC, F.NEVER_REQUEST)),
}


@pytest.mark.parametrize("name", ROMS)
def test_finds_exactly_what_there_is(name: str) -> None:
    world = World(ROMS[name])
    chart = world.run()
    assert world.clinic.discharged
    assert {found.value for found in chart.findings} == {found.value for found in expected(ROMS[name])}


@pytest.mark.parametrize(
    ("name", "quirks"),
    [
        ("intel-bios", ("Q01", "Q12", "Q19", "Q82", "Q107")),
        ("efi1-mtftp", ("Q03", "Q12", "Q67", "Q82", "Q108", "Q109", "Q111")),
        ("landesk-0.99", ("Q12", "Q81", "Q107")),
        ("never-hears-unicast", ("Q12", "Q48", "Q82", "Q107")),
        ("edk2-now", ("Q12", "Q13", "Q25", "Q82")),
    ],
)
def test_findings_have_the_numbers_of_the_records(name: str, quirks: tuple[str, ...]) -> None:
    assert quirks_of(expected(ROMS[name])) == quirks


def test_every_quirk_and_every_fault_is_accounted_for() -> None:
    assert set(SHOWN.values()) | set(TOGETHER) | set(UNSEEN) == set(by_number())
    assert not set(UNSEEN) & set(SHOWN.values())
    assert set(UNSEEN_FAULTS) == set(NEEDS)
    assert set(SHOWN.values()) <= set(by_number())


def test_a_clinic_that_was_stopped_goes_on_where_it_was() -> None:
    whole = World(FIRMWARES["intel-bios"]).run()
    first = World(FIRMWARES["intel-bios"])
    first.run(boots=7)
    assert not first.clinic.discharged
    kept = json.loads(json.dumps(to_plain(first.chart)))
    second = World(FIRMWARES["intel-bios"], from_plain(kept))
    assert second.run().findings == whole.findings
    assert 0 < second.chart.boots - first.chart.boots < whole.boots
    assert to_plain(from_plain(to_plain(whole))) == to_plain(whole)


@pytest.mark.parametrize("events", [3, 9, 14, 20])
@pytest.mark.parametrize("name", ["intel-bios", "efi1-mtftp"])
def test_power_that_is_cut_is_not_taken_for_a_fault(name: str, events: int) -> None:
    world = World(ROMS[name], cut_after=events)
    chart = world.run()
    assert world.clinic.discharged
    assert {found.value for found in chart.findings} == {found.value for found in expected(ROMS[name])}


@pytest.mark.parametrize("said", [None, {}, {"version": 2}, {**to_plain(Chart()), "findings": ["witchcraft"]}])
def test_a_file_of_something_else_is_named(said: object) -> None:
    with pytest.raises(BadConfig, match="state file"):
        from_plain(said)


def test_http_boot_of_the_same_machine_is_not_examined() -> None:
    clinic = Examination(PRACTICE, Chart(), IMAGE)
    options = {53: b"\x01", 60: b"HTTPClient:Arch:00016:UNDI:003000", 93: b"\0\x10", 97: bytes(1) + b"0123456789abcdef"}
    discover = DhcpMessage(
        bootp.BOOTREQUEST, 7, bytes.fromhex("020000000001").ljust(16, b"\0"), options=Options(options)
    )
    asked = Datagram(67, Endpoint("0.0.0.0", 68), Endpoint("255.255.255.255", 67), bootp.build(discover))
    assert clinic.receive(asked, 0.0) == ()
    assert clinic.visit is None
    assert clinic.chart == Chart()


def test_one_probe_alone_can_be_made() -> None:
    chart = World(SPEC, probes=(BY_ID["careful"], BY_ID["options"])).run()
    assert set(chart.outcomes) == {"careful", "options"}
    assert chart.boots == 2


@pytest.fixture
def long_visit() -> tuple[LongDownload, Visit]:
    probe = BY_ID["rollover"]
    visit = Visit(probe.id, probe.style(Chart()), 0.0, b"nbp")
    asked = {"blksize": "1456", "tsize": "0"}
    read = Read(0.0, 69, Endpoint("10.0.0.50", 2070), b"nbp", "octet", asked)
    download = begin(read, visit.style.transfer, b"the image", visit)
    assert isinstance(download, LongDownload)
    download.start(0.0)
    assert visit.granted == {"blksize": "8", "tsize": "524280"}
    for number in range(65_535):
        (shot,) = download.acknowledge(number, number / 1_000)
        assert shot.data[2:4] == (number + 1).to_bytes(2, "big")
    assert [shot.data for shot in download.acknowledge(65_535, 66.0)] == [
        b"\0\3\0\0", b"\0\3\0\0", b"\0\3\0\1"
    ]  # fmt: skip
    return download, visit


def test_a_client_may_count_on_at_0_or_at_1_or_not_at_all(long_visit: tuple[LongDownload, Visit]) -> None:
    download, visit = long_visit
    judge = BY_ID["rollover"].judge
    assert judge(visit, False) is None
    ended = judge(visit, True)
    assert ended is not None
    assert ended.findings == (Trait.NO_ROLLOVER,)
    download.acknowledge(65_535, 67.0)
    assert not visit.finished
    download.acknowledge(1, 68.0)
    at_1 = judge(visit, False)
    assert at_1 is not None
    assert at_1.findings == (Trait.ROLLS_OVER_TO_1,)
    download.acknowledge(0, 69.0)
    assert visit.rolled_to == 1


def test_a_real_client_goes_on_at_0() -> None:
    chart = World(EDK1, probes=(BY_ID["careful"], BY_ID["options"], BY_ID["rollover"])).run()
    assert chart.outcomes["rollover"].said == "goes on at 0"
    assert not chart.findings & {Trait.NO_ROLLOVER, Trait.ROLLS_OVER_TO_1}


def test_probes_have_names_of_their_own() -> None:
    assert len(BY_ID) == len(PROBES)


def test_who_takes_no_file_without_options_is_granted_them_from_then_on() -> None:
    chart = Chart(asked={"tsize": 0})
    chart.record(Outcome("careful", NOT_TAKEN), False)
    assert [probe.id for probe in PROBES if probe.id not in chart.outcomes and probe.applies(chart)] == ["options"]
    chart.record(Outcome("options", "takes them", (Trait.NEEDS_OPTIONS,)), None)
    assert chart.cure == "options"
    assert BY_ID["no-58"].applies(chart)
    assert BY_ID["no-58"].style(chart).transfer.grants

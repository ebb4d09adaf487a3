"""What the clinic hands out: a section that the configuration takes, records in TOML, a page, and a file to boot."""

from __future__ import annotations

import json
import struct
import tomllib
from html.parser import HTMLParser
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mtftpd.conformance.clinic import report, reset_images, stanza
from mtftpd.conformance.clinic.chart import Chart
from mtftpd.conformance.clinic.findings import ABOUT, SHOWN, UNSEEN, Trait
from mtftpd.conformance.clinic.shell import load, practice_of, save
from mtftpd.daemon.sections import KEYS
from mtftpd.errors import BadConfig
from mtftpd.quirks.records import by_number
from mtftpd.quirks.vocabulary import Mutation
from mtftpd.rom.firmwares import FIRMWARES
from mtftpd.rom.mutations import mutated
from mtftpd.rom.profiles import SPEC
from tests.conformance.clinic_world import World


@pytest.fixture(scope="module")
def bios() -> Chart:
    return World(FIRMWARES["intel-bios"]).run()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("intel-bios", {"rom": "intel-bios"}),
        ("landesk-0.99", {"rom": "intel-bios", "with": ["refuse_options"]}),
        ("edk2-now", {"rom": "edk2-now", "multicast": False, "with": ["omit_13", "omit_43_1_5"]}),
    ],
)
def test_the_section_of_a_node_is_one_of_the_configuration(name: str, said: dict[str, object]) -> None:
    chart = World(FIRMWARES[name]).run()
    (node,) = tomllib.loads(stanza.node_stanza(chart))["node"]
    assert {key: value for key, value in node.items() if key != "hardware"} == said
    for key, value in node.items():
        KEYS["node"][key](value)


def test_who_asks_for_broadcasts_need_not_hear_anything_else() -> None:
    asks = World(mutated(SPEC, (Mutation.BROADCAST_ONLY,))).run()
    assert Mutation.BROADCAST_ONLY in asks.findings
    assert "with" not in stanza.node_stanza(asks)
    assert "broadcast" not in stanza.records(asks)
    both = World(mutated(SPEC, (Mutation.BROADCAST_ONLY, Mutation.NO_BROADCAST_FLAG))).run()
    assert 'with = ["force_broadcast"]' in stanza.node_stanza(both)
    assert "Q48" in stanza.records(both)


def test_every_help_may_be_said_of_one_node() -> None:
    for action in stanza.HELP.values():
        assert KEYS["node"]["with"]([action.value]) == (action,)


def test_a_machine_with_interfaces_has_them_all_in_its_section() -> None:
    (node,) = tomllib.loads(stanza.node_stanza(World(FIRMWARES["rlx-3nic"]).run()))["node"]
    assert len(node["hardware"]) == 3


def test_ways_of_multicast() -> None:
    assert [mode.split(":")[0] for mode in stanza.modes(World(SPEC).run())] == [
        "lock-step",
        "paced",
        "late",
        "any order",
    ]
    assert stanza.modes(World(mutated(SPEC, (Mutation.NO_IGMP,))).run()) == []


def test_records_are_toml_with_what_was_seen(bios: Chart) -> None:
    told = tomllib.loads(stanza.records(bios))
    (profile,) = told["profile"]
    assert profile["quirks"] == ["Q01", "Q12", "Q19", "Q82", "Q107"]
    assert profile["multicast"] is True
    efi = tomllib.loads(stanza.records(World(FIRMWARES["efi1-mtftp"]).run()))
    assert [quirk["id"] for quirk in efi["quirk"]] == ["duplicates-cost-tries"]
    assert "group-duplicates" in efi["quirk"][0]["evidence"]


def test_a_word_for_every_finding() -> None:
    for found in (*Mutation, *Trait):
        assert stanza.about(found)
    assert set(ABOUT) | set(SHOWN) == {*Mutation, *Trait}


class Page(HTMLParser):
    """Counts what is opened and closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open.pop() != tag:
            assert tag in self.open


def test_the_page_stands_alone(bios: Chart) -> None:
    text = report.page(bios)
    page = Page()
    page.feed(text)
    assert not page.open
    assert "option67_to_nul" in text
    assert "DISCOVER" in text
    assert all(by_number()[number].id in text for number in UNSEEN)
    assert "http" not in text.replace("http-equiv", "")


def test_json_has_everything_that_there_is_to_paste(bios: Chart) -> None:
    told = json.loads(json.dumps(report.plain(bios)))
    assert told["quirks"] == ["Q01", "Q12", "Q19", "Q82", "Q107"]
    assert told["to-do"] == ["rollover"]
    assert told["profile"] == "intel-bios"
    assert "[[node]]" in told["node"]
    assert report.plain(Chart())["to-do"] == ["careful"]
    assert "No machine" in report.summary(Chart())


def test_the_chart_survives_in_a_file(bios: Chart, tmp_path: Path) -> None:
    state = tmp_path / "chart.json"
    assert load(state) == Chart()
    save(bios, state)
    assert load(state) == bios
    assert [each.name for each in tmp_path.iterdir()] == ["chart.json"]
    state.write_text("{")
    with pytest.raises(BadConfig, match="--state"):
        load(state)


def test_addresses_are_given_out_from_the_end_of_the_network() -> None:
    given = practice_of(IPv4Address("192.168.7.253"), 24, None).addresses
    assert [str(each) for each in given] == [f"192.168.7.{last}" for last in (254, 252, 251, 250, 249)]
    with pytest.raises(BadConfig, match="this machine"):
        practice_of(IPv4Address("192.168.7.3"), 24, IPv4Address("192.168.7.1"))


def test_boot_files_reset_the_machine() -> None:
    bios = reset_images.image_for(0)
    assert bios.startswith(bytes.fromhex("b0fee664"))
    assert len(bios) == reset_images.SIZE
    efi = reset_images.image_for(7)
    header = struct.unpack_from("<I", efi, 0x3C)[0]
    assert efi[header : header + 6] == b"PE\0\0\x64\x86"
    entry, raw = (
        struct.unpack_from("<I", efi, header + 24 + 16)[0],
        struct.unpack_from("<I", efi, header + 24 + 0xF0 + 20)[0],
    )
    assert entry == struct.unpack_from("<I", efi, header + 24 + 0xF0 + 12)[0]
    assert efi[raw:].startswith(bytes.fromhex("4883ec28488b4258"))

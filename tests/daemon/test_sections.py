"""Subnets, groups, nodes and images of the configuration file."""

from __future__ import annotations

import sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.groups import UNICAST_ONLY, Groups
from mtftpd.core.node_settings import Menu, MenuItem, NodeSettings, OtherNics
from mtftpd.core.settings import Link, Settings
from mtftpd.daemon import sections as module
from mtftpd.daemon.assembly import assemble
from mtftpd.daemon.config import Config, Sources, load
from mtftpd.daemon.settings import settings_for, warnings_for
from mtftpd.errors import BadConfig
from mtftpd.net.images import ImageStore
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.datagram import HardwareAddress

LINK = Link("eth1", 2, IPv4Address("10.0.0.1"), IPv4Network("10.0.0.0/24"))
BASE = 'mode = "dhcp"\nrange = "10.0.0.100-10.0.0.149"\n'

FULL = """\
multicast-group = "239.1.1.1"
mode = "dhcp"
lease-time = "1h"
domain = "cluster.example"
without = ["never_nak", "unicast_first"]
boot-file = "nbp"

[[subnet]]
network = "10.0.0.0/24"
range = "10.0.0.100-10.0.0.149"
router = "10.0.0.254"

[[subnet]]
network = "10.1.0.0/16"
range = "10.1.1.0-10.1.1.99"
dns = "10.1.0.53"
boot-file = "far"

[[group]]
name = "gpu"
boot-file-for = { uefi-x64 = "gpu.efi" }
with = ["never_nak"]
multicast = false

[[node]]
name = "n1"
hardware = ["52:54:00:00:00:01", "52-54-00-00-00-02"]
group = "gpu"
bootable = "52:54:00:00:00:02"
other-nics = "silent"
address = "10.0.0.7"
host-name = "n1"
rom = "becker-worst"
multicast = true

[[node]]
uuid = "00112233-4455-6677-8899-aabbccddeeff"
menu.item = [{ type = 0, text = "Disk" }, { type = 1, text = "Other", boot-file = "other" }]
ntp = ["10.0.0.2", "10.0.0.3"]

[[image]]
name = "node"
path = "nbp"
aliases = ["boot/node.0", "node.img"]
weight = 3
pace = "none"

[[image]]
path = "other"
multicast = false
"""


def configured(tmp_path: Path, root: Path, text: str, **flags: str) -> Config:
    file = tmp_path / "m.toml"
    file.write_text(f'root = "{root}"\n' + text)
    return load(Sources({name: (value,) for name, value in flags.items()}, {}, file))


def problems(tmp_path: Path, root: Path, text: str, link: Link = LINK) -> list[str]:
    with pytest.raises(BadConfig) as caught:
        settings_for(configured(tmp_path, root, text), link)
    return str(caught.value).replace(f"{tmp_path}/", "").splitlines()


def found(settings: Settings, last: int, uuid: bytes = b"", link: str = "10.0.0.1") -> NodeSettings:
    return settings.node(
        HardwareAddress(1, bytes((0x52, 0x54, 0, 0, 0, last))), uuid, settings.subnet_of(IPv4Address(link))
    )


def test_what_is_in_force_for_each_node(tmp_path: Path, root: Path) -> None:
    settings = settings_for(configured(tmp_path, root, FULL), LINK)
    one = found(settings, 1)
    assert (one.entry.name, one.entry.address, one.entry.host_name) == ("n1", IPv4Address("10.0.0.7"), "n1")
    assert found(settings, 2).entry is one.entry
    assert one.entry.bootable == one.entry.owner == one.entry.hardware[1]
    assert one.entry.other_nics is OtherNics.SILENT
    assert (one.rom, one.multicast) == ("becker-worst", True)
    assert one.boot.by_architecture == ((7, "gpu.efi"), (9, "gpu.efi"))
    assert (one.terms.router, one.terms.lease_seconds) == (IPv4Address("10.0.0.254"), 3600)
    assert one.does(ServerAction.NEVER_NAK)
    assert not one.does(ServerAction.UNICAST_FIRST)
    two = found(settings, 9, bytes.fromhex("00112233445566778899aabbccddeeff"), "10.1.2.3")
    assert two.entry.name == "00112233-4455-6677-8899-aabbccddeeff"
    assert two.boot.menu == Menu((MenuItem(0, "Disk"), MenuItem(1, "Other", "other")))
    assert (two.boot.default, two.terms.domain) == ("far", "cluster.example")
    assert two.terms.ntp == (IPv4Address("10.0.0.2"), IPv4Address("10.0.0.3"))
    assert two.terms.dns == (IPv4Address("10.1.0.53"),)
    assert two.terms.router is None
    assert not two.does(ServerAction.NEVER_NAK)
    assert settings.serves("10.1.9.9")
    assert settings.subnets[1].first == IPv4Address("10.1.1.0")


def test_images_have_aliases_and_need_not_have_a_group(tmp_path: Path, root: Path) -> None:
    text = FULL.replace('path = "nbp"', 'path = "nbp"\ngroup = "239.2.2.2"')
    store = ImageStore(root)
    assembly = assemble(configured(tmp_path, root, text), LINK, store)
    store.close()
    paths = assembly.catalogue.paths
    assert sorted(paths) == ["boot/node.0", "nbp", "node", "node.img", "other"]
    assert paths["node"] is paths["boot/node.0"]
    groups = Groups(assembly.settings, assembly.catalogue)
    binding = groups.for_image(paths["node"])
    assert binding is not None
    assert binding.group.address == "239.2.2.2"
    assert "boot/node.0" in binding.names
    assert groups.for_image(paths["other"]) is None
    warnings = list(warnings_for(assembly.config, assembly.settings, assembly.catalogue, groups))
    assert not [each for each in warnings if UNICAST_ONLY in each]


def test_a_flag_takes_the_place_of_all_images_of_the_file(tmp_path: Path, root: Path) -> None:
    assert settings_for(configured(tmp_path, root, FULL), LINK).bandwidth.weights == {"node": 3.0}
    assert settings_for(configured(tmp_path, root, FULL), LINK).multicast.paces == (("node", 0.0),)
    assert settings_for(configured(tmp_path, root, FULL, weight="node=5"), LINK).bandwidth.weights == {"node": 5.0}
    config = configured(tmp_path, root, FULL, image="mine=other")
    settings = settings_for(config, LINK)
    assert settings.bandwidth.weights == {}
    assert [str(each) for each in config.image] == ["mine=other"]
    assert settings.multicast.unicast == frozenset()


GROUP = "[[group]]\nname = 'g'\n"
SUBNET = "[[subnet]]\nnetwork = '10.1.0.0/24'\n"
NODE = "[[node]]\nname = 'n'\nhardware = '52:54:00:00:00:01'\n"
UUID = "00112233-4455-6677-8899-aabbccddeeff"
NOT_UUID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
SECOND = "[[node]]\nhardware = ['525400000001', '5254.0000.0002']\n"
TOO_LARGE = (
    "has 33553920 octets, and multicast TFTP carries 33553919 at most; say multicast = false, or make it smaller"
)

OF_GROUPS = [
    ("zzzz = 1", "zzzz: unknown key; known keys are boot-file, boot-file-for, "),
    ("rom = 'intel-boot'", "rom: intel-boot is no profile; did you mean intel-bios?; mtftpd rom list shows them"),
    ("without = ['never-nak']", "without: never-nak is no work-around; did you mean never_nak?"),
    ("without = ['unicast_first']", "without: unicast_first is the same for all nodes"),
    ("without = ['never_nak']\nwith = ['never_nak']", "with: never_nak is in without as well; drop one of the two"),
    ("multicast = 'no'", "multicast: no must be true or false"),
    ("boot-file-for = 'x'", "boot-file-for: x must be a table"),
    ("boot-file-for = { ia64 = 'x' }", "boot-file-for: names no architecture; give a number or one of bios, "),
    ("boot-file = ''", "boot-file:  is empty or has control characters in it"),
    ("menu = { item = [] }", "menu: item: Expected `array` of length >= 1"),
    ("menu = { }", "menu: Object missing required field `item`"),
    ("menu = { item = [{ type = 0, text = 'Disk' }] }", "menu: has no item with a type other than 0"),
    ("lease-time = 5", "lease-time: 5 is not a lease time"),
    ("router = ['10.0.0.1']", "router: takes one value, not a list"),
    ("dns = true", "dns: True must be text or a number, not bool"),
    ("ntp = []", "ntp: is empty; leave it out, or say something"),
    ("domain = 'a b'", "domain: a b is not a domain name; give one such as cluster.example"),
]
OF_NODES = [
    ("adress = '10.0.0.9'", "adress: unknown key; did you mean address?"),
    ("boot_file = 'x'", "boot_file: unknown key; did you mean boot-file?"),
    ("group = 'gup'", "group: there is no group gup; add a [[group]]"),
    ("bootable = '52:54:00:00:00:02'", "bootable: 52:54:00:00:00:02 is not in hardware; name one of the interfaces"),
    ("other-nics = 'quiet'", "other-nics: quiet is neither silent nor hold"),
    ("other-nics = 'silent'", "other-nics: silence needs bootable: no interface is to be left out by mistake"),
    ("host-name = 'a.b'", "host-name: a.b is not a host name"),
    ("uuid = 'x'", "uuid: x is not a UUID"),
    (f"uuid = '{NOT_UUID}'", f"uuid: {NOT_UUID} is what machines without a UUID say"),
    ("address = '10.0.0.1'", "address: 10.0.0.1 is the address of this server; choose another one"),
    ("address = '10.0.9.9'", "address: 10.0.9.9 is in no network that is served; choose one in 10.0.0.0/24, or add"),
    ("address = '10.0.0.255'", "address: 10.0.0.255 is no address for a host in 10.0.0.0/24"),
]
OF_SUBNETS = [
    ("range = '10.1.0.9-10.1.1.9'", "range: 10.1.1.9 is not in 10.1.0.0/24; choose addresses in it"),
    ("range = '10.1.0.0-10.1.0.9'", "range: 10.1.0.0 is no address for a host in 10.1.0.0/24; leave it out"),
    ("router = '10.0.0.1'", "router: 10.0.0.1 is not in 10.1.0.0/24; clients cannot reach it"),
]
OTHERS = [
    ("[[nodes]]", "m.toml:4: unknown key nodes; did you mean node?"),
    ("[node]", "m.toml:4: node must be an array of tables: write [[node]] above each"),
    ("node = [1]", "m.toml:4: node must be an array of tables"),
    ("[[node]]\nname = 'a'", "m.toml:4: node a: says neither hardware nor uuid"),
    ("[[node]]\nhardware = []", "m.toml:5: node 1: hardware: is empty"),
    ("[[node]]\nhardware = '52:54:00:00:00'", "m.toml:5: node 1: hardware: 52:54:00:00:00 is not a hardware address"),
    ("[[node]]\nhardware = ['01:00:5e:00:00:01']", "m.toml:5: node 1: hardware: 01:00:5e:00:00:01 is not the"),
    (f"[[node]]\nname = ''\nuuid = '{UUID}'", f"m.toml:5: node {UUID}: name:  is not a name; give 1 to 64"),
    ("[[group]]\nname = 'gpu'\n" + NODE + "group = 'gup'",
     "m.toml:9: node n: group: there is no group gup; did you mean gpu?"),
    ("[[group]]\nboot-file = 'x'", "m.toml:4: group 1: name: is missing; every [[group]] needs one"),
    (GROUP + GROUP, "m.toml:7: group g: name: g is group g's already (from m.toml:5)"),
    (NODE + SECOND, "m.toml:8: node 52:54:00:00:00:01: hardware: 52:54:00:00:00:01 is node n's already (from "),
    (f"[[node]]\nuuid = '{UUID}'\n[[node]]\nname = 'b'\nuuid = '{UUID.replace('-', '')}'",
     f"m.toml:8: node b: uuid: {UUID} is node {UUID}'s already (from m.toml:5)"),
    (SUBNET + "router = '10.1.0.1'\n" + NODE + "address = '10.1.0.1'",
     "m.toml:10: node n: address: 10.1.0.1 is the router of 10.1.0.0/24; choose another one"),
    ("[[subnet]]\nnetwork = '10.1.0.1/24'", "m.toml:5: subnet 1: network: 10.1.0.1/24 has bits set beyond"),
    ("[[subnet]]\nrange = '10.1.0.1-10.1.0.9'", "m.toml:4: subnet 1: network: is missing"),
    ("[[subnet]]\nnetwork = '10.0.0.0/25'",
     "m.toml:5: subnet 10.0.0.0/25: network: overlaps 10.0.0.0/24, the network of eth1"),
    ("[[subnet]]\nnetwork = '10.0.0.0/24'\nrange = '10.0.0.5-10.0.0.9'",
     "--range 10.0.0.100-10.0.0.149 (from m.toml:3): the [[subnet]] 10.0.0.0/24 has a range of its own"),
    (SUBNET + "[[subnet]]\nnetwork = '10.1.0.0/16'",
     "m.toml:5: subnet 10.1.0.0/24: network: overlaps subnet 10.1.0.0/16 (from m.toml:7); a node is in one subnet"),
    ("[[image]]\nname = 'x'", "m.toml:4: image x: path: is missing; every [[image]] needs one"),
    ("[[image]]\npath = 'gone'", "--image gone=gone (from m.toml:5): there is no such file below the root"),
    ("[[image]]\npath = 'nbp'\nname = 'a=b'", "m.toml:6: image a=b: name: has an = in it; choose another name"),
    ("[[image]]\npath = 'nbp'\n[[image]]\npath = 'other'\naliases = ['nbp']",
     "--image other=other (from m.toml:7): the name nbp already stands for nbp; choose another name"),
    ("[[image]]\npath = 'nbp'\ngroup = '10.0.0.1'", "m.toml:6: image nbp: group: 10.0.0.1 is not a multicast address"),
    ("[[image]]\npath = 'nbp'\ngroup = '239.128.0.1'", "--group 239.128.0.1: has the Ethernet address of 224.0.0.1"),
    ("[[image]]\npath = 'large'\nmulticast = true", f"--image large=large (from m.toml:5): {TOO_LARGE}"),
    ("group = '239.1.1.2'\nmulticast-group = '239.1.1.1'",
     "m.toml:5: multicast-group: is said twice, as multicast-group and as group; drop one of the two"),
    ("[[image]]\npath = 'nbp'\npace = 'fast'", "m.toml:6: image nbp: pace: fast is not a rate; give bits a second"),
    ("[[image]]\npath = 'nbp'\nweight = 0", "m.toml:6: image nbp: weight: 0 is not a weight; give a number from 1"),
    ("group = '239.1.1.1'\n" + GROUP, "m.toml:5: is not valid TOML: Cannot overwrite a value; beside [[group]] sectio"),
    ("domain = 'a..b'", "--domain a..b (from m.toml:4): is not a domain name"),
    ("without = ['nothing']", "--without nothing (from m.toml:4): is no work-around"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((GROUP + said, f"m.toml:{6 + said.count(chr(10))}: group g: {message}") for said, message in OF_GROUPS),
        *((NODE + said, f"m.toml:7: node n: {message}") for said, message in OF_NODES),
        *((SUBNET + said, f"m.toml:6: subnet 10.1.0.0/24: {message}") for said, message in OF_SUBNETS),
        *OTHERS,
    ],
)
def test_each_mistake_is_named_with_file_line_and_advice(tmp_path: Path, root: Path, text: str, message: str) -> None:
    with (root / "large").open("wb") as large:
        large.truncate(33_553_920)
    with pytest.raises(BadConfig) as caught:
        assemble(configured(tmp_path, root, BASE + text), LINK, ImageStore(root))
    (line,) = str(caught.value).replace(f"{tmp_path}/", "").splitlines()
    assert line.startswith(message)


def test_all_mistakes_are_told_at_once(tmp_path: Path, root: Path) -> None:
    text = FULL.replace("with =", "wiht =").replace("10.1.0.0/16", "10.1.0.0/8").replace("node.0", "other")
    text = text.replace('name = "n1"', 'name = ""').replace('rom = "', 'rom = "x')
    assert [line.split(":")[1] for line in problems(tmp_path, root, text)] == ["15", "23", "27", "33", "34"]


def test_the_number_of_subnets_is_limited(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SUBNETS", 1)
    (line,) = problems(tmp_path, root, FULL)
    assert line.startswith("m.toml:9: 2 subnets are more than the 1 that are served")


def test_addresses_alone_need_no_range(tmp_path: Path, root: Path) -> None:
    text = "mode = 'dhcp'\n[[node]]\nhardware = '52:54:00:00:00:01'\naddress = '10.0.0.9'\n"
    assert settings_for(configured(tmp_path, root, text), LINK).inventory.entries[0].address == IPv4Address("10.0.0.9")
    (line,) = problems(tmp_path, root, text.replace("address = '10.0.0.9'", ""))
    assert "needs addresses to give out" in line


@pytest.mark.parametrize(
    ("mode", "texts"),
    [
        ("dhcp", []),
        (
            "proxy",
            ["range of subnet 10.0.0.0/24 (from m.toml:11) has no", "address of node n1 (from m.toml:32)"],
        ),
        ("tftp", ["sections have no effect with --mode tftp, except those of images"]),
    ],
)
def test_what_has_no_effect_is_said(tmp_path: Path, root: Path, mode: str, texts: list[str]) -> None:
    store = ImageStore(root)
    assembly = assemble(configured(tmp_path, root, FULL, mode=mode), LINK, store)
    store.close()
    groups = Groups(assembly.settings, assembly.catalogue)
    found = warnings_for(assembly.config, assembly.settings, assembly.catalogue, groups)
    told = [each.replace(f"{tmp_path}/", "") for each in found if "no effect" in each]
    assert [text for text, each in zip(texts, told, strict=True) if each.startswith(text)] == texts


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=4,
)
TABLES = st.dictionaries(
    st.sampled_from(sorted({key for keys in module.KEYS.values() for key in keys})), VALUES, max_size=5
)


@given(kind=st.sampled_from(sorted(module.KEYS)), raw=st.lists(TABLES, max_size=3))
def test_whatever_a_section_holds_is_values_or_problems(kind: str, raw: list[dict[str, Any]]) -> None:
    sections = module.Sections()
    wrong = list(sections.read(kind, raw))
    assert len(sections[kind]) == len(raw)
    assert all(problem.text for problem in wrong)


def nodes(count: int) -> str:
    sections = [
        f'[[node]]\nname = "n{n}"\nhardware = "02:00:00:00:{n >> 8:02x}:{n & 255:02x}"\n'
        f'address = "10.1.{n >> 8}.{n & 255}"\ngroup = "g{n % 20}"\n'
        for n in range(1, count + 1)
    ]
    groups = [f'[[group]]\nname = "g{n}"\nboot-file = "file{n}"\n' for n in range(20)]
    return "".join([BASE, "[[subnet]]\nnetwork = '10.1.0.0/16'\n", *groups, *sections])


MOST_CALLS_PER_NODE = 400
"""It is 280, and 10,000 such nodes take 0.45 s, 0.16 us a call: with 400 it would be 0.65 s."""


def calls_to_load(tmp_path: Path, root: Path, count: int) -> int:
    """Return how many functions of Python and of C are called, which no load of the machine changes."""
    tmp_path.joinpath("m.toml").write_text(f'root = "{root}"\n' + nodes(count))
    calls = 0

    def count_call(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count_call)
    try:
        config = load(Sources(config=tmp_path / "m.toml"))
    finally:
        sys.setprofile(before)
    assert len(config.inventory.entries) == count
    return calls


def test_the_work_of_loading_grows_with_the_number_of_nodes_and_no_faster(tmp_path: Path, root: Path) -> None:
    none, some, twice = (calls_to_load(tmp_path, root, count) for count in (0, 200, 400))
    each = (some - none) / 200
    assert (twice - none) / 400 == pytest.approx(each, rel=0.05)
    assert each < MOST_CALLS_PER_NODE

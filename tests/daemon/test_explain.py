"""``check --node``: what one node would get, and the example that ``check --example`` prints."""

from __future__ import annotations

import json
import re
import tomllib
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.groups import Groups
from mtftpd.core.settings import Link
from mtftpd.daemon.assembly import assemble
from mtftpd.daemon.check import check_node
from mtftpd.daemon.config import Sources, load
from mtftpd.daemon.example import EXAMPLE
from mtftpd.daemon.explain import Row, explain
from mtftpd.daemon.sections import KEYS
from mtftpd.errors import BadConfig
from mtftpd.net.images import ImageStore
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.datagram import HardwareAddress

LINK = Link("eth1", 2, IPv4Address("192.168.7.4"), IPv4Network("192.168.7.0/24"))
GPU1 = '[[node]]\nname = "gpu1"'
GPU_FILE, BLADE_ROM, FAR_MULTICAST = 'boot-file = "node"', 'rom = "rlx', "multicast = false   "
FILES = ("images/node.img", "images/rescue.img", "boot/pxelinux.0", "boot/grubx64.efi", "boot/grubaa64.efi")


@pytest.fixture(scope="module")
def srv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("srv")
    for name in FILES:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return folder


def rows(srv: Path, text: str, node: str, relay: str | None = None) -> dict[str, Row]:
    file = srv.parent / "m.toml"
    file.write_text(text.replace("/srv/mtftpd", str(srv)))
    store = ImageStore(srv)
    try:
        assembly = assemble(load(Sources(config=file)), LINK, store)
    finally:
        store.close()
    found = explain(
        assembly, Groups(assembly.settings, assembly.catalogue), node, (relay and IPv4Address(relay)) or None
    )
    return {row.name: Row(row.name, row.value, row.place.replace(f"{srv.parent}/", "")) for row in found}


def at(text: str) -> str:
    number = EXAMPLE[: EXAMPLE.index(text)].count("\n") + 1
    return f"m.toml:{number}"


def test_every_value_names_the_section_that_says_it(srv: Path) -> None:
    found = rows(srv, EXAMPLE, "52:54:00:12:34:56")
    assert found["node"] == Row("node", "gpu1", f"node gpu1, {at(GPU1)}")
    assert found["address"] == Row("address", "192.168.7.20", f"node gpu1, {at('address = ')}")
    assert found["boot-file"] == Row("boot-file", "node (group 239.1.2.1:1799)", f"group gpu, {at(GPU_FILE)}")
    assert "boot-file-for uefi-x64" not in found
    router = f"subnet 192.168.7.0/24, {at('router = ')}"
    assert found["router"] == Row("router", "192.168.7.1", router)
    assert found["dns"] == Row("dns", "192.168.7.2 192.168.7.3", f"{at('dns = ')}")
    assert found["host-name"].value == "gpu1"
    assert (found["rom"], found["multicast"]) == (
        Row("rom", "as it is recognised", "default"), Row("multicast", "yes", "default")
    )  # fmt: skip


def test_a_node_with_several_interfaces(srv: Path) -> None:
    found = rows(srv, EXAMPLE, "blade1")
    assert found["other-nics"].value == "silent"
    assert found["bootable"].value == "00:50:c2:00:00:02"
    assert found["rom"].place == f"group blades, {at(BLADE_ROM)}"
    assert found["without unicast_l2"].place == f"group blades, {at('without = ')}"
    assert found["with force_broadcast"].place == f"group blades, {at('with = ')}"
    assert found["boot-file-for uefi-x64"] == Row("boot-file-for uefi-x64", "boot/grubx64.efi", at("boot-file-for"))
    assert rows(srv, EXAMPLE, "00:50:c2:00:00:01")["address"].value == "one of 192.168.7.100-192.168.7.250"


def test_a_node_by_its_uuid_behind_a_relay_agent(srv: Path) -> None:
    found = rows(srv, EXAMPLE, "00112233445566778899aabbccddeeff", "10.20.0.1")
    assert found["node"].value == "lab"
    assert found["menu"].value == "Local disk, Node, Rescue"
    assert found["address"].value == "one of 10.20.1.1-10.20.8.254"
    assert found["lease-time"].value == "3600 s"
    assert found["multicast"] == Row("multicast", "no (F18)", f"subnet 10.20.0.0/16, {at('multicast = false   ')}")
    assert found["boot-file"].value == "node"


def test_a_node_without_a_section(srv: Path) -> None:
    text = EXAMPLE.replace(
        "[[image]]", 'without = ["echo_60"]\n[menu]\nitem = [{ type = 1, text = "One" }]\n[[image]]', 1
    )
    found = rows(srv, text, "02:00:00:00:00:09")
    assert found["node"] == Row("node", "-", "no [[node]] section is its own")
    assert found["boot-file"].value == "loader (group 239.1.1.1:1799)"
    assert found["menu"] == Row("menu", "One", "m.toml")
    assert found["without echo_60"].place.startswith("m.toml:")
    bare = text.replace('mode = "dhcp" ', 'mode = "proxy"').replace('router = "192.168.7.1"', "")
    assert rows(srv, bare, "02:00:00:00:00:09")["address"].value == "from another server"
    assert rows(srv, bare, "02:00:00:00:00:09")["router"] == Row("router", "-", "default")


@pytest.mark.parametrize("text", ["", 'range = "192.168.7.100-192.168.7.250"\n'])
def test_a_network_without_a_section(srv: Path, text: str) -> None:
    text = f'root = "{srv}"\nmode = "dhcp"\n{text}[[node]]\nhardware = "02:00:00:00:00:01"\naddress = "192.168.7.5"\n'
    found = rows(srv, text, "02:00:00:00:00:02")
    assert found["subnet"] == Row("subnet", "192.168.7.0/24", "interface eth1")
    assert found["address"].value == ("one of 192.168.7.100-192.168.7.250" if "range" in text else
                                      "none: this network has no range")  # fmt: skip
    assert rows(srv, text, "02:00:00:00:00:01")["address"].value == "192.168.7.5"


def test_what_names_no_node(srv: Path) -> None:
    with pytest.raises(BadConfig, match=r"--node gpu11: no section has this name.*; did you mean gpu1\?"):
        rows(srv, EXAMPLE, "gpu11")
    with pytest.raises(BadConfig, match=r"--relay 192\.0\.2\.1: is in no network that is served"):
        rows(srv, EXAMPLE, "gpu1", "192.0.2.1")


SAID = st.fixed_dictionaries(
    {},
    optional={
        "boot-file": st.sampled_from(["a", "b"]),
        "boot-file-for": st.dictionaries(st.sampled_from(["bios", "uefi-x64", "5"]), st.sampled_from("cd"), min_size=1),
        "multicast": st.booleans(),
        "rom": st.sampled_from(["ipxe", "gpxe"]),
        "domain": st.sampled_from(["e", "f"]),
        "without": st.just(["never_nak"]),
        "lease-time": st.sampled_from([60, 120]),
    },
)


def written(head: str, said: dict[str, object]) -> str:
    lines = [head]
    for key, value in said.items():
        if isinstance(value, dict):
            lines.append(f"{key} = {{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in value.items()) + " }")
        else:
            lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


@given(top=SAID, subnet=SAID, group=SAID, own=SAID)
def test_the_place_that_is_named_says_the_value_that_is_in_force(
    srv: Path, top: dict[str, object], subnet: dict[str, object], group: dict[str, object], own: dict[str, object]
) -> None:
    top = {key: value for key, value in top.items() if key not in ("multicast", "rom")}
    text = written(f'root = "{srv}"', top) + written('[[subnet]]\nnetwork = "192.168.7.0/24"', subnet)
    text += written('[[group]]\nname = "g"', group)
    text += written('[[node]]\nhardware = "02:00:00:00:00:01"\ngroup = "g"', own)
    found = rows(srv, text, "02:00:00:00:00:01")
    lines = text.splitlines()
    for row in found.values():
        at = re.search(r"m\.toml:(\d+)$", row.place)
        if at is None or row.name in ("node", "subnet", "group", "hardware"):
            continue
        key, _, raw = lines[int(at[1]) - 1].partition(" = ")
        value = tomllib.loads(f"x = {raw}")["x"]
        assert key == row.name.split()[0]
        if isinstance(value, dict):
            assert row.value in value.values()
        else:
            expected = (
                {True: "yes", False: "no (F18)"}.get(value, str(value)) if isinstance(value, bool) else str(value)
            )
            assert row.value in (expected, f"{expected} s", "yes")
    settings = load(Sources(config=srv.parent / "m.toml"))
    assert settings.inventory.find(HardwareAddress(1, b"\2\0\0\0\0\1")).name == "02:00:00:00:00:01"


def test_the_example_has_every_key_of_every_section() -> None:
    tree = tomllib.loads(EXAMPLE)
    inherited = {key for kind in ("subnet", "group", "node") for table in tree[kind] for key in table}
    for kind, keys in KEYS.items():
        said = {key for table in tree[kind] for key in table}
        assert set(keys) <= said | (inherited if kind != "image" else set()) | tree.keys(), kind
    assert {each.value for each in ServerAction} >= set(tree["group"][1]["with"])


def test_text_and_json_say_the_same(tmp_path: Path, root: Path) -> None:
    file = tmp_path / "m.toml"
    file.write_text(f'root = "{root}"\ninterface = "lo"\n[[node]]\nname = "n"\nhardware = "02:00:00:00:00:01"\n')
    values = json.loads(check_node(Sources(config=file), "n", None, as_json=True))
    assert values["node"] == {"value": "n", "from": f"node n, {file}:3"}
    text = check_node(Sources(config=file), "n", None, as_json=False)
    assert [line.split("  ")[0].rstrip() for line in text.splitlines()] == list(values)
    with pytest.raises(BadConfig, match="--relay x: is not an IPv4 address"):
        check_node(Sources(config=file), "n", "x", as_json=False)

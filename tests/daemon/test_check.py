from __future__ import annotations

import json
from contextlib import closing
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from mtftpd.core.images import MAX_MTFTP_SIZE
from mtftpd.core.settings import Link
from mtftpd.daemon.check import check
from mtftpd.daemon.config import Sources
from mtftpd.daemon.option_table import BY_NAME
from mtftpd.daemon.store.sqlite import SqliteStore
from mtftpd.errors import BadConfig
from mtftpd.net import interfaces
from tests.daemon.conftest import sources


def report(root: Path, **flags: str | tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(check(sources(root, interface="lo", **flags), as_json=True))
    return found


def test_shows_every_option_with_its_origin(root: Path) -> None:
    found = report(root, ttl="3", image="node=nbp")
    assert set(found["options"]) == set(BY_NAME)
    assert found["options"]["ttl"] == {"value": "3", "from": "--ttl"}
    assert found["options"]["client-port"] == {"value": "1799", "from": "default"}
    assert found["options"]["boot-file"] == {"value": "node", "from": "default"}
    assert found["link"]["interface"] == "lo"
    assert found["link"]["address"] == "127.0.0.1/8"


def test_shows_the_group_of_each_image(root: Path, tmp_path: Path) -> None:
    with (root / "large").open("wb") as stream:
        stream.truncate(MAX_MTFTP_SIZE + 1)
    with closing(SqliteStore(tmp_path / "state")) as store:
        store.save_groups({"ff" * 32: IPv4Address("239.1.1.1")})
    images = report(
        root, group="239.1.1.1", image=("a=nbp", "b=other", "c=large"), boot_file="b", state=str(tmp_path / "state")
    )["images"]
    assert [image["names"] for image in images] == [["a", "nbp"], ["b", "other"], ["c", "large"]]
    assert [image["group"] for image in images] == ["239.1.1.2:1799", "239.1.1.3:1799", None]
    assert images[1]["ipxe-group"] == "239.255.1.1:3001"
    assert "33553919" in images[2]["why-no-group"]


def test_without_a_base_there_are_no_groups(root: Path) -> None:
    (image,) = report(root, image="a=nbp")["images"]
    assert (image["group"], image["why-no-group"]) == (None, "no --group")


def test_the_text_says_the_same(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "m.toml"
    file.write_text(
        f'root = "{root}"\ninterface = "lo"\ngroup = "239.1.1.1"\n[image]\na = "nbp"\n[ports]\ntftp = 6969\n'
        '[menu]\n[[menu.item]]\ntype = 1\ntext = "Disk"\n[[node]]\nhardware = "52:54:00:00:00:01"\n'
    )
    text = check(Sources(environment={"MTFTPD_TTTL": "1"}, config=file), as_json=False)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "serves lo: 127.0.0.1/8, MTU 65536" in lines
    assert f"group 239.1.1.1 {file}:3" in lines
    assert f"ports.tftp 6969 {file}" in lines
    assert f"menu Disk {file}" in lines
    assert f"[[node]] 1 sections {file}:12" in lines
    assert "image a = nbp" in lines
    assert "group 239.1.1.1:1799, opened on port 1542" in lines
    assert "iPXE: group 239.255.1.1:3001" in lines
    assert any(line.startswith("warning: environment variable MTFTPD_TTTL") for line in lines)


def test_changes_nothing(root: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    report(root, state=str(state), control=str(tmp_path / "s"), capture=str(tmp_path / "c"))
    assert not state.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root"]
    state.mkdir()
    (state / "groups.json").write_text("broken")
    found = report(root, state=str(state))
    assert [path.name for path in state.iterdir()] == ["groups.json"]
    assert any("serve will set it aside" in warning for warning in found["warnings"])
    (state / "mtftpd.db").write_bytes(bytes(100))
    found = report(root, state=str(state))
    assert sorted(path.name for path in state.iterdir()) == ["groups.json", "mtftpd.db"]
    assert any("serve will set it aside" in warning for warning in found["warnings"])


@pytest.mark.parametrize(
    ("count", "message"), [(0, "no interface but loopback is up"), (2, "choose one with --interface: eth0")]
)
def test_one_interface_or_a_name(root: Path, monkeypatch: pytest.MonkeyPatch, count: int, message: str) -> None:
    links = [Link(f"eth{n}", n + 2, IPv4Address("10.0.0.1"), IPv4Network("10.0.0.0/24")) for n in range(count)]
    monkeypatch.setattr(interfaces, "candidates", lambda: links)
    with pytest.raises(BadConfig, match=message):
        check(sources(root), as_json=False)


def test_the_only_interface_is_served(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = Link("eth7", 7, IPv4Address("10.0.0.1"), IPv4Network("10.0.0.0/24"))
    monkeypatch.setattr(interfaces, "candidates", lambda: [link])
    assert "serves eth7: 10.0.0.1/24, MTU 1500" in check(sources(root), as_json=False)

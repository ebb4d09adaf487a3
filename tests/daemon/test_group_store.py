from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtftpd.daemon.group_store import GroupStore, remembered
from mtftpd.errors import Unavailable

GROUPS = {"aa" * 32: IPv4Address("239.1.1.1"), "bb" * 32: IPv4Address("239.1.1.2")}


def test_remembers(tmp_path: Path) -> None:
    store = GroupStore(tmp_path / "a" / "b")
    assert store.load() == {}
    store.save(GROUPS)
    store.save(GROUPS)
    assert GroupStore(tmp_path / "a" / "b").load() == GROUPS
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["groups.json"]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"version": 2, "groups": {}}', '{"version": 1, "groups": {"a": "x"}}', '{"version": 1}', "\xff"],
)
def test_a_corrupt_file_is_set_aside(tmp_path: Path, content: str) -> None:
    file = tmp_path / "groups.json"
    for number in (1, 2):
        file.write_text(content, "latin-1")
        assert GroupStore(tmp_path).load() == {}
        assert (tmp_path / f"groups.json.corrupt-{number}").read_text("latin-1") == content
    GroupStore(tmp_path).save(GROUPS)
    assert GroupStore(tmp_path).load() == GROUPS


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=100))
def test_any_content_is_groups_or_a_value_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "groups.json").write_bytes(content)
    try:
        found = remembered(tmp_path)
    except ValueError:
        return
    assert all(group.is_multicast for group in found.values())


def test_what_is_no_group_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "groups.json").write_text(json.dumps({"version": 1, "groups": {"a": "10.0.0.1", "b": "239.0.0.1"}}))
    assert GroupStore(tmp_path).load() == {"b": IPv4Address("239.0.0.1")}


def test_a_crash_while_writing_leaves_the_old_content(tmp_path: Path) -> None:
    store = GroupStore(tmp_path)
    store.save(GROUPS)
    (tmp_path / "groups.new").write_text('{"version": 1, "gro')
    assert GroupStore(tmp_path).load() == GROUPS
    store.save({})
    assert GroupStore(tmp_path).load() == {}


def test_says_which_folder_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match=r"--state .*/file/x: cannot be made .* name another folder"):
        GroupStore(tmp_path / "file" / "x")
    (tmp_path / "groups.json").mkdir()
    with pytest.raises(Unavailable, match=r"groups\.json cannot be read"):
        GroupStore(tmp_path).load()
    with pytest.raises(Unavailable, match=r"groups\.json cannot be written"):
        GroupStore(tmp_path).save(GROUPS)

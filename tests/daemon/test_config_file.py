from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.node_settings import Menu, MenuItem
from mtftpd.daemon import config_file
from mtftpd.daemon.config_file import FileValues, read_file


def read(folder: Path, text: str) -> FileValues:
    path = folder / "m.toml"
    path.write_text(text)
    return read_file(path)


def problems(folder: Path, text: str) -> list[str]:
    return [str(problem).replace(f"{folder}/", "") for problem in read(folder, text).problems]


def test_reads_every_form(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        'group = "239.1.1.1"\nttl = 3\nserve-all = true\nallow = ["10.0.0.0/8", "10.1.0.0/16"]\n'
        '[image]\nnode = "a.img"\nother = "b.img"\n[boot-file-for]\n7 = "g.efi"\n[ports]\ntftp = 6969\n',
    )
    assert found.problems == []
    assert found.texts == {
        "group": ("239.1.1.1",),
        "ttl": ("3",),
        "serve-all": ("true",),
        "allow": ("10.0.0.0/8", "10.1.0.0/16"),
        "image": ("node=a.img", "other=b.img"),
        "boot-file-for": ("7=g.efi",),
    }
    assert found.places["image"] == f"{tmp_path}/m.toml:5"
    assert found.ports.tftp == 6969


def test_reads_the_menu(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        '[menu]\nprompt = "F8"\ntimeout = 0\n[[menu.item]]\ntype = 0\ntext = "Local disk"\n'
        '[[menu.item]]\ntype = 1\ntext = "Linux"\nboot-file = "l.0"\n',
    )
    assert found.problems == []
    assert found.menu == Menu((MenuItem(0, "Local disk"), MenuItem(1, "Linux", "l.0")), "F8", 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nclient_port = 1\n", "m.toml:2: unknown key client_port; did you mean client-port?"),
        ("zzz = 1\n", "m.toml:1: unknown key zzz; known keys are allow, "),
        ("[prots]\n", "m.toml:1: unknown key prots; did you mean ports?"),
        ("ttl = 1.5\n", "m.toml:1: ttl: must be text or a number, not float"),
        ("ttl = [1]\n", "m.toml:1: ttl: takes one value, not a list"),
        ("ttl = true\n", "m.toml:1: ttl: must be text or a number, not bool"),
        ('serve-all = "yes"\n', "m.toml:1: serve-all: must be true or false, not 'yes'"),
        ("[image]\nx = 1.5\n", "m.toml:1: image: must be text or a number, not float"),
        ("[allow]\nx = 1\n", "m.toml:1: allow: must be text or a number, not dict"),
        ("a = \n", "m.toml:1: is not valid TOML: Invalid value"),
        ("a = [", "m.toml: is not valid TOML: Invalid value"),
        ("[ports]\ntftp = 0\n", "m.toml:2: ports.tftp: Expected `int` >= 1"),
        ("[ports]\nfoo = 1\n", "m.toml:1: ports: Object contains unknown field `foo`"),
        ("ports = 1\n", "m.toml:1: ports: Expected `object`, got `int`"),
        ("[menu]\nprompt = 'x'\n", "m.toml:1: menu: Object missing required field `item`"),
        ("[menu]\n[[menu.item]]\ntype = 0\ntext = 'a'\n[[menu.item]]\ntype = -1\ntext = 'b'\n",
         "m.toml:6: menu.item[1].type: Expected `int` >= 0"),
    ],
)  # fmt: skip
def test_names_file_line_and_key(tmp_path: Path, text: str, message: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith(message)


def test_finds_all_mistakes_at_once(tmp_path: Path) -> None:
    assert len(problems(tmp_path, "x = 1\nttl = 1.5\n[menu]\n[ports]\nfoo = 1\n")) == 4


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (problem,) = read_file(tmp_path / "missing").problems
    assert str(problem).endswith(
        "missing: cannot be read (No such file or directory); check the name and its permissions"
    )
    (tmp_path / "latin").write_bytes(b"a = '\xff'")
    (problem,) = read_file(tmp_path / "latin").problems
    assert "is not UTF-8 text (octet 5)" in problem.text


def test_a_file_that_is_too_long(tmp_path: Path) -> None:
    with (tmp_path / "long").open("wb") as stream:
        os.truncate(stream.fileno(), config_file.MAX_FILE + 1)
    (problem,) = read_file(tmp_path / "long").problems
    assert "is longer than" in problem.text


@given(text=st.text(max_size=200))
def test_any_text_is_values_or_problems(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text, newline="")
    read_file(path)

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mtftpd import __version__, cli
from mtftpd.cli import COMMANDS, group
from mtftpd.cli.options import sources
from mtftpd.cli.serve import command as serve_command
from mtftpd.daemon.example import EXAMPLE
from mtftpd.daemon.option_table import BY_NAME
from tests.cli.server_process import run, write_config

FIXED = [
    "interface", "root", "image", "boot-file", "mode", "range", "client-port", "server-port", "timeout-seconds", "ttl",
    "faithful", "control", "capture", "config", "state", "log-format", "group",
]  # fmt: skip
"""Scripts use these names; they never change."""


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(group, arguments, prog_name="mtftpd")
    return result.exit_code, result.output


def imported_by(*arguments: str) -> tuple[str, set[str]]:
    """Run a command in a fresh interpreter; return its output and the names of the modules that it needed."""
    code = "import sys; from mtftpd.cli import run; run(sys.argv[1:]); print(); print(*sys.modules)"
    command = [sys.executable, "-c", code, *arguments]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return output, set(output.splitlines()[-1].split())


def test_help_lists_every_command_without_importing_it() -> None:
    output, modules = imported_by("--help")
    assert {module for module in modules if module.startswith("mtftpd.cli")} == {"mtftpd.cli"}
    assert all(f"  {name} " in output for name in COMMANDS)


def test_the_help_of_serve_imports_neither_trio_nor_construct() -> None:
    _, modules = imported_by("serve", "--help")
    assert "mtftpd.cli.serve" in modules
    assert not {"trio", "construct", "rich", "netifaces"} & modules


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_exists_and_its_help_has_examples(name: str) -> None:
    status, text = invoke(name, "--help")
    assert status == 0
    assert len(re.findall(rf"^\s+mtftpd {name}\b", text, re.MULTILINE)) >= 2


@pytest.mark.parametrize("name", ["serve", "check"])
def test_the_names_of_options_are_fixed(name: str) -> None:
    _, text = invoke(name, "--help")
    assert all(f"--{option}" in text for option in FIXED)


def test_version() -> None:
    assert invoke("--version") == (0, f"mtftpd, version {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serev"], "no such command 'serev'; there are: serve, check"),
        (["serve", "--gruop", "x"], "--gruop"),
        (["serve", "extra"], "unexpected extra argument"),
        (["serve", "--group"], "requires an argument"),
        (["check", "--jsn"], "--json"),
        (["check", "--relay", "10.0.0.1"], "add --node"),
    ],
)
def test_wrong_usage_is_2_and_goes_to_standard_error(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_only_what_was_typed_is_a_flag() -> None:
    found: list[object] = []

    @click.command(params=serve_command.params)
    def record(config: Path | None, **given: object) -> None:
        found.append(sources({"A": "b"}, config, given))

    CliRunner().invoke(
        record, ["--no-faithful", "--image", "a=b", "--image", "c=d", "--ttl", "3", "--config", "x.toml"]
    )
    (made,) = found
    assert made == type(made)(  # type: ignore[call-arg]
        flags={"faithful": ("false",), "image": ("a=b", "c=d"), "ttl": ("3",)},
        environment={"A": "b"},
        config=Path("x.toml"),
    )


def test_check_explains_one_node(tmp_path: Path) -> None:
    write_config(tmp_path)
    with (tmp_path / "m.toml").open("a") as file:
        file.write("[[node]]\nname = 'n1'\nhardware = '52:54:00:00:00:01'\nrom = 'ipxe'\n")
    config = str(tmp_path / "m.toml")
    status, text = invoke("check", "--config", config, "--node", "52:54:00:00:00:01", "--json")
    assert status == 0
    assert json.loads(text)["rom"]["value"] == "ipxe"
    status, text = invoke("check", "--config", config, "--node", "n1")
    assert (status, text.split()[:2]) == (0, ["node", "n1"])
    assert run("check", "--config", config, "--node", "n2").returncode == 78
    assert invoke("check", "--example") == (0, EXAMPLE)


def test_check_prints_data_on_standard_output(tmp_path: Path) -> None:
    write_config(tmp_path)
    result = run("check", "--config", str(tmp_path / "m.toml"), "--json")
    assert result.returncode == 0
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert set(BY_NAME) <= set(found["options"])
    assert found["images"][0]["group"] == "239.1.1.1:1799"
    assert found["options"]["group"]["from"] == f"{tmp_path}/m.toml:3"


def test_check_exits_78_when_serve_would(tmp_path: Path) -> None:
    result = run("check", "--root", str(tmp_path / "missing"), "--interface", "lo")
    assert result.returncode == 78
    assert result.stdout == ""
    assert result.stderr == f"mtftpd: --root {tmp_path}/missing: is not a folder; create it or name another one\n"


def test_the_environment_and_the_flag(tmp_path: Path) -> None:
    options = ("check", "--json", "--interface", "lo", "--root", str(tmp_path))
    assert json.loads(run(*options, MTFTPD_TTL="7").stdout)["options"]["ttl"] == {"value": "7", "from": "MTFTPD_TTL"}
    found = json.loads(run(*options, "--ttl", "8", MTFTPD_TTL="7").stdout)
    assert found["options"]["ttl"] == {"value": "8", "from": "--ttl"}


def test_a_failure_while_running_is_1(tmp_path: Path) -> None:
    (tmp_path / "cut.pcapng").write_bytes(b"\n\r\r\n\x1c\0\0\0\x4d\x3c\x2b\x1a\1")
    result = run("decode", str(tmp_path / "cut.pcapng"))
    assert result.returncode == 1
    assert "cut.pcapng: the capture is cut short" in result.stderr


def test_an_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise click.Abort

    monkeypatch.setattr(group, "main", interrupt)
    assert cli.run([]) == 130

"""``mtftpd rom`` on what is known and on captures of real clients."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mtftpd.cli.rom import command
from mtftpd.quirks.profiles import PROFILES
from mtftpd.quirks.records import by_number

DATA = Path(__file__).parents[1] / "data"


def invoke(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(command, arguments, input=stdin)


def test_all_clients_and_all_quirks_are_listed() -> None:
    assert [line.split()[0] for line in invoke("list").stdout.splitlines()] == list(PROFILES)
    assert [line.split()[0] for line in invoke("list", "--quirks").stdout.splitlines()] == list(by_number())


@pytest.mark.parametrize("name", [*PROFILES, *by_number()])
def test_each_can_be_shown(name: str) -> None:
    result = invoke("show", name)
    assert result.exit_code == 0
    assert result.stdout.startswith(name)


def test_a_quirk_has_a_name_too() -> None:
    assert invoke("show", "blksize-asked-but-crashes").stdout == invoke("show", "Q81").stdout
    assert "refuse_options" in invoke("show", "Q81").stdout


def test_what_does_not_exist_is_wrong_usage() -> None:
    result = invoke("show", "Q999")
    assert result.exit_code == 2
    assert "mtftpd rom list" in result.stderr


@pytest.mark.parametrize(
    ("name", "id_", "step"),
    [
        ("dhcp-ipxe.pcapng", "ipxe", "user class: option 77 is iPXE"),
        ("dhcp-ovmf-menu.pcap", "edk2-now", "parameter list"),
    ],
)
def test_real_clients_are_recognised(name: str, id_: str, step: str) -> None:
    result = invoke("match", str(DATA / name))
    assert (result.exit_code, result.stderr) == (0, "")
    first, by, fingerprint, *faults = result.stdout.splitlines()[:4]
    assert first.split()[1] == f"{id_}:"
    assert step in by
    assert "vendor_class=PXEClient:Arch" in fingerprint
    assert faults


def test_a_capture_without_dhcp_says_so() -> None:
    result = invoke("match", str(DATA / "mtftp-atftp.pcap"))
    assert result.exit_code == 1
    assert "there is no DHCP request in it" in result.stderr
    assert invoke("match", "-", stdin=b"no capture").exit_code == 1

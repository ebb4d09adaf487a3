from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mtftpd.cli import run
from mtftpd.cli.simulate import command


def simulate(*arguments: str) -> Result:
    return CliRunner().invoke(command, [*arguments, "--image-size", "40K"], standalone_mode=False)


def test_the_table_names_what_matters() -> None:
    result = simulate("--nodes", "12", "--loss", "1%")
    assert result.return_value == 0
    names = [line.split("  ")[0] for line in result.stdout.splitlines()]
    assert names == [
        "booted", "lost", "fell back", "first, median, last", "passes", "DATA packets", "DHCP retries", "dropped",
    ]  # fmt: skip
    assert "12 of 12" in result.stdout


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    arguments = ("--nodes", "30", "--loss", "2%", "--burst", "3", "--rom", "spec=60%,edk1=40%", "--json", "--seed")
    once, again, other = (simulate(*arguments, seed) for seed in ("5", "5", "6"))
    assert once.stdout_bytes == again.stdout_bytes != other.stdout_bytes
    document = json.loads(once.stdout)
    assert document["booted"] == document["nodes"] == len(document["per_node"]) == 30
    assert {node["rom"] for node in document["per_node"]} == {"spec", "edk1"}


def test_a_trace_shows_every_packet_of_one_node() -> None:
    mac = "02:4d:54:00:00:01"
    shown = simulate("--nodes", "3", "--trace", mac)
    assert "sent: 0.0.0.0:68 > 255.255.255.255:67: DHCP DISCOVER" in shown.stdout
    assert "received: 10.77.0.1:67 > 255.255.255.255:68: DHCP OFFER" in shown.stdout
    assert "DATA 80, 512 octets" in shown.stdout
    assert "ACK 81" in shown.stdout
    document = json.loads(simulate("--nodes", "3", "--json", "--trace", mac).stdout)
    assert all(line in shown.stdout for line in document["trace"])


def test_blocks_in_a_row_are_one_line_of_a_trace() -> None:
    shown = simulate("--nodes", "3", "--trace", "02:4d:54:00:00:03")
    assert shown.stdout.count("MTFTP DATA") == 1
    assert "DATA 1, 512 octets, and all up to DATA 81\n" in shown.stdout


def test_a_report_is_written_and_changes_nothing(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    plain = simulate("--nodes", "5", "--json")
    written = simulate("--nodes", "5", "--json", "--report", str(report))
    assert {**json.loads(written.stdout), "events": 0} == {**json.loads(plain.stdout), "events": 0}
    assert report.read_text().startswith("<!doctype html>")
    assert str(report) in written.stderr


def test_a_node_that_does_not_boot_is_a_failure(tmp_path: Path) -> None:
    """A ROM that takes one packet in ten seconds is not served within an hour."""
    topology = tmp_path / "slow.toml"
    topology.write_text("[[segment]]\nspeed = 1\nring = 1\n")
    result = simulate("--nodes", "2", "--topology", str(topology), "--image-size", "4M")
    assert result.return_value == 1
    assert "lost                 2" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--topology", "ring"], 2, "switch-1g, switch-100m, hub-100, or FILE.toml"),
        (["--rom", "award"], 2, "there are: spec, edk1, unicast"),
        (["--rom", "spec+awful"], 2, "there are: option67_to_nul"),
        (["--rom", "spec=x"], 2, "NAME=PERCENT"),
        (["--loss", "lots"], 2, "no percentage"),
        (["--rate", "fast"], 2, "write 1G or 100M"),
        (["--power-on", "later"], 2, "at-once, staggered:30"),
        (["--image-size", "64M"], 2, "give 1 to 33553919"),
        (["--trace", "00:00:00:00:00:00"], 2, "no node has it"),
        (["--topology", "absent.toml"], 69, "absent.toml"),
        (["--report", "/nowhere/at/all.html", "--nodes", "1"], 69, "/nowhere/at/all.html"),
    ],
)
def test_errors_say_what_to_do(
    arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["simulate", *arguments]) == status
    assert words in capsys.readouterr().err


def test_a_bad_file_is_a_bad_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    topology = tmp_path / "bad.toml"
    topology.write_text("[[segment]]\nrate = 'fast'\n")
    assert run(["simulate", "--topology", str(topology)]) == 78
    assert "segment 1: rate" in capsys.readouterr().err


def test_a_rate_makes_everything_take_its_time() -> None:
    quick, slow = (json.loads(simulate("--nodes", "2", "--json", *more).stdout) for more in ((), ("--rate", "1M")))
    # 81 blocks of 582 octets take 377 ms at 1 Mbit/s.
    assert min(node["seconds"] for node in slow["per_node"]) > min(node["seconds"] for node in quick["per_node"]) + 0.3

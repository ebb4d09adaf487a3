"""``mtftpd conformance rom`` as a process: its options and its exit status."""

from __future__ import annotations

import pytest

from mtftpd.conformance.clinic.probes import PROBES
from tests.cli.server_process import run

ROM = ("conformance", "rom")


def test_the_list_has_every_probe() -> None:
    result = run(*ROM, "--list")
    assert result.returncode == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == [probe.id for probe in PROBES]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 2, "--interface IF"),
        (("--probe", "telepathy"), 78, "--probe telepathy"),
        (("--interface", "nic-77"), 78, "no such interface"),
        (("--interface", "lo", "--hardware", "52:54"), 78, "--hardware 52:54"),
        (("--interface", "lo", "--address", "top"), 78, "--address top"),
        (("--interface", "lo", "--image", "missing"), 69, "--image missing"),
        (("--interface", "lo", "--state", "/"), 78, "--state /"),
    ],
)
def test_mistakes_are_named(arguments: tuple[str, ...], status: int, said: str) -> None:
    result = run(*ROM, *arguments)
    assert result.returncode == status, result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stderr

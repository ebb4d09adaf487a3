"""The unit file, as systemd itself judges it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mtftpd.daemon.config import DEFAULT_CONTROL

UNIT = Path(__file__).parents[2] / "tools" / "systemd" / "mtftpd.service"
THRESHOLD = 25
"""Tenths: 2.5 of 10."""


@pytest.mark.system
def test_the_unit_is_hardened() -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={THRESHOLD}", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_the_control_socket_is_where_the_commands_look() -> None:
    assert f"RuntimeDirectory={DEFAULT_CONTROL.parent.name}" in UNIT.read_text().splitlines()
    assert DEFAULT_CONTROL.parent.parent == Path("/run")

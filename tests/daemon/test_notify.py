from __future__ import annotations

import math
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtftpd.daemon.notify import notify, watchdog_seconds
from tests.patience import PATIENCE


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.settimeout(PATIENCE)
        yield made


def test_tells_a_socket_in_the_file_system(
    receiver: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.bind(str(tmp_path / "s"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "s"))
    notify("READY=1", "STATUS=serving")
    assert receiver.recv(100) == b"READY=1\nSTATUS=serving"


def test_tells_an_abstract_socket(receiver: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.bind("")  # The kernel chooses an abstract name.
    monkeypatch.setenv("NOTIFY_SOCKET", "@" + receiver.getsockname()[1:].decode())
    notify("STOPPING=1")
    assert receiver.recv(100) == b"STOPPING=1"


def test_is_silent_without_anybody_who_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    assert not caplog.records
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify("READY=1")
    assert "cannot be written to" in caplog.text


@pytest.mark.parametrize(("microseconds", "pid", "seconds"), [
    (None, None, math.inf), ("20000000", None, 20.0), ("20000000", "1", math.inf), ("0", None, math.inf),
    ("soon", None, math.inf), ("5000000", str(os.getpid()), 5.0),
])  # fmt: skip
def test_the_watchdog_wants_to_hear_from_this_process(
    monkeypatch: pytest.MonkeyPatch, microseconds: str | None, pid: str | None, seconds: float
) -> None:
    for name, value in (("WATCHDOG_USEC", microseconds), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert watchdog_seconds() == seconds

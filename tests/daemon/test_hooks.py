from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from mtftpd.core.effects import Report, ReportKind
from mtftpd.daemon import hooks as module
from mtftpd.daemon.hooks import Hooks, variables
from mtftpd.errors import Unavailable
from mtftpd.wire.datagram import HardwareAddress
from tests.daemon.waiting import eventually, lines_of
from tests.patience import PATIENCE

MAC = HardwareAddress(1, bytes.fromhex("5254000a0b0c"))


def moved(state: str, reason: str = "because", hardware: HardwareAddress | None = MAC) -> Report:
    detail: tuple[tuple[str, str | int], ...] = (
        ("state", state), ("from", "unicast"), ("reason", reason), ("packet", "ACK"), ("inferred", 0),
        ("attempt", 1), ("round", 2), ("stage", "rom"), ("file", "nbp"),
    )  # fmt: skip
    return Report(ReportKind.NODE_STATE, "10.0.0.9" if hardware is not None else "", hardware, detail)


def script(tmp_path: Path, body: str) -> Path:
    path = tmp_path / "hook"
    path.write_text(f"#!/bin/sh\ncd '{tmp_path}'\n{body}\n")
    path.chmod(0o755)
    return path


@asynccontextmanager
async def running(program: Path) -> AsyncIterator[Hooks]:
    hooks = Hooks(program)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hooks.run)
            yield hooks
            nursery.cancel_scope.cancel()


async def test_the_program_gets_arguments_and_environment_in_the_order_of_events(tmp_path: Path) -> None:
    body = 'echo "$# $* | $MTFTPD_FROM $MTFTPD_REASON $MTFTPD_FILE $MTFTPD_ROUND $MTFTPD_HARDWARE" >> out'
    async with running(script(tmp_path, body)) as hooks:
        hooks.report(Report(ReportKind.ALARM))
        for number in range(5):
            hooks.report(moved("done", f"reason {number}"))
        hooks.report(moved("os", hardware=None))
        await eventually(lambda: len(lines_of(tmp_path / "out")) == 6)
    told = lines_of(tmp_path / "out")
    assert [line for line in told if "done" in line] == [
        f"3 done 52:54:00:0a:0b:0c 10.0.0.9 | unicast reason {number} nbp 2 52:54:00:0a:0b:0c" for number in range(5)
    ]
    assert [line for line in told if "os" in line] == ["3 os - - | unicast because nbp 2 "]


async def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path, mock_clock: MockClock) -> None:
    mock_clock.rate = 1.0
    body = "case $1 in hang) sleep 600 & echo $! > child; wait;; *) echo $1 >> out;; esac"
    async with running(script(tmp_path, body)) as hooks:
        hooks.report(moved("hang"))
        hooks.report(moved("done"))
        await eventually(lambda: lines_of(tmp_path / "child"))
        (child,) = lines_of(tmp_path / "child")
        mock_clock.jump(module.PATIENCE)
        await eventually(lambda: lines_of(tmp_path / "out") == ["done"])
        await eventually(lambda: not is_alive(child))


def is_alive(pid: str) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


async def test_what_goes_wrong_is_counted_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(module, "TELL_SECONDS", 0.05)
    monkeypatch.setattr(module, "say", lambda *message: told.append(message[2]))
    program = script(tmp_path, "echo x >> out; exit 3")
    async with running(program) as hooks:
        hooks.report(moved("done"))
        await eventually(lambda: told)
        assert told == [(("what", "exit status 3"), ("count", 1))]
        program.unlink()
        hooks.report(moved("done"))
        await eventually(lambda: len(told) == 2)
    assert told[1] == (("what", "not run: No such file or directory"), ("count", 1))


def test_nothing_waits_for_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    hooks = Hooks(script(tmp_path, "true"))
    for _ in range(10):
        hooks.report(moved("done"))
    assert hooks._troubles == {"lost, too many wait": 7}


def test_text_from_the_network_has_no_control_characters() -> None:
    assert variables(moved("done", "a\nb\x1b[31m\u202e"))["MTFTPD_REASON"] == "a?b?[31m?"


@pytest.mark.parametrize("name", ["missing", "not-executable", "."])
def test_a_program_that_cannot_be_run_is_told_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "not-executable").write_text("")
    assert not os.access(tmp_path / "not-executable", os.X_OK)
    with pytest.raises(Unavailable, match="not a program that can be run"):
        Hooks(tmp_path / name)

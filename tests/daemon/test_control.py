from __future__ import annotations

import json
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.daemon.control import MAX_CONNECTIONS, MAX_LINE, Control
from mtftpd.errors import Unavailable


def echo(request: Mapping[str, Any]) -> Mapping[str, Any]:
    if "fail" in request:
        raise ValueError("told to fail")
    return {"said": request.get("text")}


COMMANDS = {"echo": echo}


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[Control]:
    control = Control(path, COMMANDS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(control.serve)
        yield control
        nursery.cancel_scope.cancel()


async def ask(path: Path, *lines: bytes) -> list[Any]:
    async with await trio.open_unix_socket(str(path)) as stream:
        await stream.send_all(b"".join(lines))
        received = b""
        while received.count(b"\n") < len(lines):
            more = await stream.receive_some()
            if not more:
                break
            received += more
    return [json.loads(line) for line in received.splitlines()]


async def test_answers_one_line_for_each_line(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with serving(path):
        answers = await ask(path, b'{"command": "echo", "text": "a"}\n', b"no json\n", b'{"command": "x"}\n', b"[]\n",
                            b'{"command": ["echo"]}\n', b'{"command": "echo", "fail": 1}\n')  # fmt: skip
    assert answers == [
        {"ok": True, "said": "a"},
        {"ok": False, "error": "a request is one line of JSON"},
        {"ok": False, "error": "no such command; there are: echo"},
        {"ok": False, "error": "no such command; there are: echo"},
        {"ok": False, "error": "no such command; there are: echo"},
        {"ok": False, "error": "told to fail"},
    ]


async def test_a_line_may_come_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with serving(path), await trio.open_unix_socket(str(path)) as stream:
        for piece in (b'{"comm', b'and": "echo"', b"}\n"):
            await stream.send_all(piece)
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert json.loads(await stream.receive_some()) == {"ok": True, "said": None}


async def test_a_line_has_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with serving(path):
        (answer,) = await ask(path, b"x" * (MAX_LINE + 1))
    assert answer == {"ok": False, "error": "the request is too long"}


async def test_connections_have_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with serving(path):
        streams = [await trio.open_unix_socket(str(path)) for _ in range(MAX_CONNECTIONS + 1)]
        assert await streams[-1].receive_some() == b""
        await streams[0].aclose()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert await ask(path, b'{"command": "echo"}\n') == [{"ok": True, "said": None}]
        for stream in streams:
            await stream.aclose()


async def test_survives_those_who_leave_without_reading(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with serving(path):
        for _ in range(10):
            stream = await trio.open_unix_socket(str(path))
            await stream.send_all(b'{"command": "echo"}\n' * 1000)
            await stream.aclose()
        assert await ask(path, b'{"command": "echo"}\n') == [{"ok": True, "said": None}]


async def test_the_file_is_for_owner_and_group_and_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with serving(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


async def test_a_file_that_somebody_else_put_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with serving(path):
        path.unlink()
        path.write_text("mine")
    assert path.read_text() == "mine"


async def test_replaces_the_socket_of_a_dead_server_only(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serving(path):
        with pytest.raises(Unavailable, match=r"--control .*/s: another server answers there; stop"):
            Control(path, COMMANDS)
        assert await ask(path, b'{"command": "echo"}\n') == [{"ok": True, "said": None}]


def test_refuses_paths_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(Unavailable, match="the file there is not a socket"):
        Control(tmp_path / "file", COMMANDS)
    assert (tmp_path / "file").read_text() == "precious"
    with pytest.raises(Unavailable, match="No such file or directory"):
        Control(tmp_path / "missing" / "s", COMMANDS)
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(Unavailable, match="not a socket"):
        Control(tmp_path / "link", COMMANDS)


@given(line=st.binary(max_size=100))
def test_any_line_gets_an_answer(line: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    control = Control(tmp_path_factory.getbasetemp() / "any.sock", COMMANDS)
    try:
        assert json.dumps(control.answer(line))
    finally:
        control.close()

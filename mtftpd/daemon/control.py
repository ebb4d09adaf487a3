"""The control socket: JSON lines on a unix socket that owner and group may use (mode 0660).

A request is ``{"command": NAME, ...}``; the answer is one line, an object with ``"ok"`` and what the command gives, or
``"error"``.  A connection may ask any number of questions.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import trio

from mtftpd.daemon.journal import LOGGER
from mtftpd.daemon.plain import plain
from mtftpd.errors import Unavailable

MAX_LINE = 65_536
"""Octets of one request; with `MAX_CONNECTIONS` the buffers stay below 2 MiB."""
MAX_CONNECTIONS = 32
IDLE_SECONDS = 300.0

Command = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Takes the request and returns what the answer says; ValueError becomes its ``error``."""


class Control:
    """A socket at ``path`` that answers with ``commands``; open from the start, so that errors come early."""

    def __init__(self, path: Path, commands: Mapping[str, Command]) -> None:
        self._path = path
        self._commands = commands
        self._limit = trio.CapacityLimiter(MAX_CONNECTIONS)
        self._listener = _listen(path)
        self._identity = _identity(path)

    async def serve(self) -> None:
        """Answer until cancelled; the socket file is gone afterwards."""
        listener = trio.socket.from_stdlib_socket(self._listener)
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    connection, _ = await listener.accept()
                    if self._limit.available_tokens == 0:
                        connection.close()
                        continue
                    self._limit.acquire_on_behalf_of_nowait(connection)
                    nursery.start_soon(self._converse, connection)
        finally:
            listener.close()
            self.close()

    def close(self) -> None:
        """Close the socket and remove its file, unless somebody else has put another one there."""
        self._listener.close()
        with contextlib.suppress(FileNotFoundError):
            if _identity(self._path) == self._identity:
                self._path.unlink()

    async def _converse(self, connection: trio.socket.SocketType) -> None:
        try:
            stream = trio.SocketStream(connection)
            async with stream:
                await self._answer_lines(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # Whoever asked went away.
        finally:
            self._limit.release_on_behalf_of(connection)

    async def _answer_lines(self, stream: trio.SocketStream) -> None:
        pending = b""
        while True:
            with trio.move_on_after(IDLE_SECONDS) as idle:
                received = await stream.receive_some()
            if idle.cancelled_caught or not received:
                return
            *lines, pending = (pending + received).split(b"\n")
            for line in lines:
                await stream.send_all(json.dumps(self.answer(line)).encode() + b"\n")
            if len(pending) > MAX_LINE:
                await stream.send_all(b'{"ok": false, "error": "the request is too long"}\n')
                return

    def answer(self, line: bytes) -> dict[str, Any]:
        """Return the answer to one request."""
        try:
            request = json.loads(line)
        except ValueError:
            return _error("a request is one line of JSON")
        name = request.get("command") if isinstance(request, dict) else None
        command = self._commands.get(name) if isinstance(name, str) else None
        if command is None:
            return _error(f"no such command; there are: {', '.join(sorted(self._commands))}")
        try:
            return {"ok": True, **plain(command(request))}
        except ValueError as error:
            return _error(str(error))


def _error(text: str) -> dict[str, Any]:
    return {"ok": False, "error": text}


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def _listen(path: Path) -> socket.socket:
    if path.is_symlink() or path.exists():
        _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Made with no rights at all, so that nobody can connect before they are what they should be.
        former = os.umask(0o777)
        try:
            listener.bind(str(path))
        finally:
            os.umask(former)
        path.chmod(0o660)
        listener.listen(MAX_CONNECTIONS)
    except OSError as error:
        listener.close()
        raise _refuse(path, error.strerror or str(error)) from None
    listener.setblocking(False)
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the socket of a server that was killed; leave a living server and other people's files alone."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise _refuse(path, "the file there is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            LOGGER.info("the control socket %s was left by a server that is gone; replacing it", path)
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _refuse(path, error.strerror or str(error)) from None
        else:
            raise _refuse(path, "another server answers there")


def _refuse(path: Path, reason: str) -> Unavailable:
    return Unavailable(f"--control {path}: {reason}; stop whatever uses it or name another path")

"""The other end of the control socket: asks a running server, one JSON line for each question."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from mtftpd.daemon.config import DEFAULT_CONTROL
from mtftpd.errors import StartupError, Unavailable

PATIENCE = 10.0
"""Seconds that an answer may take."""
MAX_ANSWER = 64 * 1024 * 1024
"""Octets of one answer; 4,000 running transfers are 1 MB."""


class CommandFailed(StartupError):
    """The server understood and said no; its words are the message."""


def socket_path(named: Path | None, environment: Mapping[str, str]) -> Path:
    """Return the socket to ask: the one that was named, that of ``MTFTPD_CONTROL``, or the usual one."""
    if named is not None:
        return named
    return Path(environment.get("MTFTPD_CONTROL") or DEFAULT_CONTROL)


class Client:
    """A connection to the server behind ``path``; raises `Unavailable` when there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(PATIENCE)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise Unavailable(_advice(path, error)) from None
        self._answers = self._socket.makefile("rb")

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._answers.close()
        self._socket.close()

    def ask(self, command: str, **values: Any) -> dict[str, Any]:
        """Return the answer to one command; `CommandFailed` when it is no."""
        try:
            self._socket.sendall(json.dumps({"command": command, **values}).encode() + b"\n")
            line = self._answers.readline(MAX_ANSWER)
        except OSError as error:
            raise Unavailable(_advice(self._path, error)) from None
        if not line.endswith(b"\n"):
            raise Unavailable(f"--control {self._path}: the server has closed the connection; is it stopping?")
        answer: dict[str, Any] = json.loads(line)
        if not answer.pop("ok", False):
            raise CommandFailed(str(answer.get("error", "the server gives no reason")))
        return answer

    def pages(self, command: str, name: str) -> Iterator[dict[str, Any]]:
        """Yield the entries of an answer that comes in pages; one that moved meanwhile may come twice."""
        first = 0
        while True:
            answer = self.ask(command, first=first)
            yield from answer[name]
            first += len(answer[name])
            if not answer[name] or first >= answer["total"]:
                return


def _advice(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"--control {path}: {error.strerror}; the socket is for root and the group of the server"
    what = error.strerror or str(error)
    advice = "is a server running, and was it started with --control?"
    if "MTFTPD_CONTROL" not in os.environ and path == DEFAULT_CONTROL:
        advice += " Name its socket with --control SOCKET"
    return f"--control {path}: {what}; {advice}"

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from mtftpd.daemon import serve as module
from mtftpd.daemon.server import Server
from tests.daemon.conftest import sources


def test_a_bug_is_one_line_of_the_log_and_exit_status_1(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], root_logger: logging.Logger
) -> None:
    async def fail(self: Server) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Server, "run", fail)
    flags = sources(root, interface="lo", log_format="json", mode="tftp", server_port="16448")
    file = root / "ports.toml"
    file.write_text("[ports]\ntftp = 16449\nmtftp-ipxe = 16450\n")
    assert module.serve(type(flags)(flags.flags, {}, file)) == 1
    *_, last = capsys.readouterr().err.splitlines()
    line = json.loads(last)
    assert (line["event"], line["level"]) == ("failed", "critical")
    assert "RuntimeError: a bug" in line["text"]

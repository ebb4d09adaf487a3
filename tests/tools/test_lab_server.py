"""The log of a server that is writing it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tools.lab.server import Server


def test_a_line_that_is_being_written_is_left_for_the_next_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        server = Server(process, tmp_path / "s", log)
        for text, events in (
            ("", []),
            ('{"event": "ready"', []),
            ('not JSON\n{"event": "ready"}\n', [{"event": "ready"}]),
            ('{"event": "ready"}\n{"event": "sto', [{"event": "ready"}]),
        ):
            log.write_text(text)
            assert server.events() == events

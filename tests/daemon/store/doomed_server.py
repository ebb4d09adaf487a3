"""Servers that are made to be killed: ``python -m tests.daemon.store.doomed_server m.toml STATE LOG``.

For every line on standard input this process forks a child that runs the whole of ``mtftpd serve`` from the
beginning; only the import of its modules is shared.  The process id of the child is the answer on standard output.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from unittest import mock

from mtftpd.daemon.config import Sources
from mtftpd.daemon.serve import serve
from mtftpd.errors import StartupError
from tests.patience import PATIENCE


def live(config: Path, state: str, log: Path) -> int:
    with log.open("ab", buffering=0) as stream:
        os.dup2(stream.fileno(), 2)
    try:
        # The disk under a test may stand still for a while: here no ACK leaves before its lease is on it.
        with mock.patch("mtftpd.daemon.write_barrier.PATIENCE", PATIENCE):
            return serve(Sources(flags={"state": (state,)}, config=config))
    except StartupError as error:
        os.write(2, f"{error}\n".encode())
        return error.exit_code


def main() -> None:
    config, state, log = sys.argv[1:]
    child = 0
    for _ in sys.stdin:
        if child:
            os.waitpid(child, 0)
        child = os.fork()
        if not child:
            os._exit(live(Path(config), state, Path(log)))
        os.write(1, b"%d\n" % child)


if __name__ == "__main__":
    main()

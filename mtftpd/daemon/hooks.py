"""``--hook PROGRAM``: a program that is run when a node moves to another state.

It is called as ``PROGRAM STATE HARDWARE ADDRESS`` ("-" for what is not known) with an environment of ``PATH``,
``MTFTPD_STATE``, ``MTFTPD_FROM``, ``MTFTPD_REASON``, ``MTFTPD_PACKET``, ``MTFTPD_INFERRED`` (0 or 1),
``MTFTPD_ATTEMPT``, ``MTFTPD_ROUND``, ``MTFTPD_STAGE``, ``MTFTPD_FILE``, ``MTFTPD_HARDWARE`` and ``MTFTPD_ADDRESS``;
standard input and output are empty, standard error is that of the server.  What happens to one node arrives in order.
Nothing waits for it: a program that takes longer than `PATIENCE` is killed.
"""

from __future__ import annotations

import logging
import os
import subprocess
import zlib
from collections import Counter
from pathlib import Path

import trio

from mtftpd.core.effects import Report, ReportKind
from mtftpd.daemon.journal import say
from mtftpd.errors import Unavailable

LANES = 4
"""Programs that run at once; one node always uses the same lane, which keeps its order."""
MAX_WAITING = 1_024
"""Transitions that wait in one lane: 4 * 1,024 * ~1 KB are 4 MB; what comes after them is counted and lost."""
PATIENCE = 30.0
"""Seconds that one run may take."""
TELL_SECONDS = 10.0


class Hooks:
    """Runs ``program`` for every `ReportKind.NODE_STATE`."""

    def __init__(self, program: Path) -> None:
        if not program.is_file() or not os.access(program, os.X_OK):
            raise Unavailable(f"--hook {program}: not a program that can be run; check the path and its permissions")
        self._program = str(program.absolute())
        self._lanes = [trio.open_memory_channel[Report](MAX_WAITING) for _ in range(LANES)]
        self._troubles: Counter[str] = Counter()

    def report(self, report: Report) -> None:
        """Take one event."""
        if report.kind is not ReportKind.NODE_STATE:
            return
        who = str(report.hardware or report.address)
        send, _ = self._lanes[zlib.crc32(who.encode()) % LANES]
        try:
            send.send_nowait(report)
        except trio.WouldBlock:
            self._troubles["lost, too many wait"] += 1

    async def run(self) -> None:
        """Run the program for what comes in, until cancelled; a run that is going on is killed then."""
        async with trio.open_nursery() as nursery:
            for _, receive in self._lanes:
                nursery.start_soon(self._work, receive)
            while True:
                await trio.sleep(TELL_SECONDS)
                for what, count in self._troubles.items():
                    say(logging.WARNING, "hook-trouble", (("what", what), ("count", count)))
                self._troubles.clear()

    async def _work(self, lane: trio.MemoryReceiveChannel[Report]) -> None:
        async for report in lane:
            with trio.move_on_after(PATIENCE) as patience:
                await self._call(report)
            if patience.cancelled_caught:
                self._troubles[f"killed after {PATIENCE:.0f} s"] += 1

    async def _call(self, report: Report) -> None:
        values = variables(report)
        arguments = [values[name] or "-" for name in ("MTFTPD_STATE", "MTFTPD_HARDWARE", "MTFTPD_ADDRESS")]
        try:
            done = await trio.run_process(
                [self._program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                check=False,
                env={"PATH": os.environ.get("PATH", os.defpath), **values},
                start_new_session=True,
                deliver_cancel=_kill,
            )
        except OSError as error:
            self._troubles[f"not run: {error.strerror}"] += 1
        else:
            if done.returncode:
                self._troubles[f"exit status {done.returncode}"] += 1


def variables(report: Report) -> dict[str, str]:
    """Return the environment variables of one transition; text from the network comes without control characters."""
    values = {
        "state": "", "from": "", "reason": "", "packet": "", "inferred": "", "attempt": "", "round": "", "stage": "",
        "file": "", **{name: str(value) for name, value in report.detail},
        "hardware": str(report.hardware or ""), "address": report.address,
    }  # fmt: skip
    return {f"MTFTPD_{name.upper()}": _printable(value) for name, value in values.items()}


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() and letter.isascii() else "?" for letter in text)


async def _kill(process: trio.Process) -> None:
    """End a run with everything that it has started: it leads a process group of its own."""
    try:
        os.killpg(process.pid, 9)
    except ProcessLookupError:
        process.kill()

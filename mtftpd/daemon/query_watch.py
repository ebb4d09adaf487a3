"""Tells the server of the IGMP queries on its link (fallback trigger F14)."""

from __future__ import annotations

import time
from contextlib import suppress

import trio

from mtftpd.core.learning.audiences import Querier
from mtftpd.net.queries import Queries

PAUSE = 1.0
"""Seconds between two looks: queries come every 125 s, and a flood of them is read no faster than this."""


class QueryWatch:
    """Lets ``querier`` know of the queries that ``queries`` hears."""

    def __init__(self, queries: Queries, querier: Querier) -> None:
        self._queries = queries
        self._querier = querier
        querier.listen(time.monotonic())

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._queries.fileno())
            with suppress(BlockingIOError):
                if self._queries.heard():
                    self._querier.heard(time.monotonic())
            await trio.sleep(PAUSE)

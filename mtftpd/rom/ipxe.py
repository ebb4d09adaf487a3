"""iPXE's client of ``mtftp://``, from its ``tftp.c`` and from what its ROM of 2019 was seen to do.

Rules
1. It asks at once and does not listen first; again after 0.25 s; after 0.75 s without an answer it leaves.
2. The address and port of the first DATA are the server; nobody else is heard.  Blocks may come in any order.
3. It says nothing until DATA comes by unicast.  From then on every DATA is answered, by the number of blocks that it
   holds without a gap.
4. A silence of 0.25 s ends it.  It can then go to port 69 only if it has not seen the last block: if it has, it takes
   what it holds for the image, holes included, and boots it.
5. It reports no membership: a switch that snoops, and has a querier, sends it nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from mtftpd.quirks.vocabulary import Mutation
from mtftpd.rom.actions import NOTHING, Actions, Bind, Enter, Join, Leave, Memory, Phase, Transmit, Unbind
from mtftpd.rom.blocks import BLOCK_SIZE, BlockMap, Step
from mtftpd.rom.mtftp import Ticket
from mtftpd.rom.profiles import MtftpProfile
from mtftpd.wire import tftp
from mtftpd.wire.datagram import Datagram, Endpoint

URI: Final = re.compile(rb"mtftp://[^/:]*(?::(?P<port>\d{1,5}))?/(?P<path>.*)", re.DOTALL)
IPXE_PORT: Final = 1759
"""Where it asks if the URI names no port."""
OPEN_WAITS: Final = (0.25, 0.5)
SILENCE: Final = 0.25
"""Seconds; the least that its timer adapts to."""


class PolledListener:
    """One download by multicast into ``memory``, of which ``limit`` octets exist."""

    def __init__(self, ticket: Ticket, profile: MtftpProfile, memory: Memory, limit: int = 1 << 30) -> None:
        self.over = False
        self.complete = False
        self.reason = ""
        self.blocks = BlockMap()
        self.heard = 0
        self.duplicates = 0
        self.ignored = 0
        self.opens = 0
        self.acknowledgements = 0
        self._ticket = ticket
        self._is_deaf = Mutation.NO_IGMP in profile.faults
        self._memory = memory
        self._limit = limit
        self._peer: Endpoint | None = None
        self._answers = False
        self._deadline: float | None = None

    def start(self, now: float) -> Actions:
        """Listen and ask at the same time."""
        port, group = self._ticket.port, self._ticket.group
        bound = (Bind(group.port), Bind(port), Join(group, reported=False))
        return (*bound, Enter(Phase.LISTEN, str(group)), self._ask(now))

    def next_deadline(self) -> float | None:
        """Return when the present wait ends; None before the start and after the end."""
        return self._deadline

    def receive(self, datagram: Datagram, now: float) -> Actions:
        """Take a datagram; what is not of this session is counted and gets no answer."""
        _, source, destination, data = datagram
        to_group = destination == self._ticket.group and not self._is_deaf
        by_unicast = destination == (self._ticket.station, self._ticket.port)
        known = self._peer == source if self._peer else source.address == self._ticket.server
        size = len(data) - 4
        if self._deadline is None or not known or not (to_group or by_unicast) or size < 0 or data[:2] != b"\0\3":
            self.ignored += 1
            return NOTHING
        self._peer = source
        block = data[2] << 8 | data[3]
        if not block or size > BLOCK_SIZE or (block - 1) * BLOCK_SIZE + size > self._limit:
            return self._leave(f"block {block} of {size} octets cannot be taken")
        self._answers = self._answers or by_unicast
        self.heard += 1
        return self._take(block, data, now)

    def tick(self, now: float) -> Actions:
        """End the present wait if it is over."""
        if self._deadline is None or now < self._deadline:
            return NOTHING
        if self._peer is None and self.opens < len(OPEN_WAITS):
            return (self._ask(now),)
        if self._peer is None:
            return self._leave("no answer to the opens")
        self.complete = bool(self.blocks.length)
        return self._leave("silence")

    # -- many blocks at once --------------------------------------------------------------------------------------

    def quiet_until(self, block: int) -> int:
        """Return up to where blocks from the group make it say nothing; see `mtftpd.rom.mtftp.Mtftp.quiet_until`."""
        return self.blocks.quiet_until(block) if self.heard and not self._answers else 0

    def hear_run(self, first: int, last: int, store: Callable[[int, int], None], now: float) -> None:
        """Take full blocks ``first`` to ``last``, the last at ``now``; see `mtftpd.rom.mtftp.Mtftp.hear_run`."""
        count = last - first + 1
        self.heard += count
        self.duplicates += count - self.blocks.add_run(first, last)
        self._deadline = now + SILENCE
        store((first - 1) * BLOCK_SIZE, count * BLOCK_SIZE)

    def hear_map(self, first: int, held: int, count: int, store: Callable[[int, int], None], now: float) -> bool:
        """Take ``count`` blocks, those that are set in ``held``; see `mtftpd.rom.mtftp.Mtftp.hear_map`."""
        self.heard += count
        self.duplicates += count - self.blocks.add_map(first, held)
        self._deadline = now + SILENCE
        store((first - 1) * BLOCK_SIZE, held)
        return True

    # -- act ------------------------------------------------------------------------------------------------------

    def _ask(self, now: float) -> Transmit:
        self._deadline = now + OPEN_WAITS[self.opens]
        self.opens += 1
        request = tftp.Request(tftp.Opcode.RRQ, self._ticket.boot_file)
        server = Endpoint(self._ticket.server, self._ticket.server_port)
        return Transmit(self._ticket.port, server, tftp.build(request))

    def _take(self, block: int, data: bytes, now: float) -> Actions:
        self._deadline = now + SILENCE
        step = self.blocks.add(block, len(data) - 4)
        if step is Step.BROKEN:
            return self._leave(f"block {block} cannot follow")
        if step is Step.HELD:
            self.duplicates += 1
        else:
            self._memory.write((block - 1) * BLOCK_SIZE, data)
        answer = (self._acknowledge(),) if self._answers else ()
        if step is not Step.COMPLETE:
            return answer
        self.complete = True
        return (*answer, *self.stop())

    def _acknowledge(self) -> Transmit:
        assert self._peer is not None, "an ACK follows DATA"
        self.acknowledgements += 1
        return Transmit(self._ticket.port, self._peer, b"\0\4" + self.blocks.unbroken.to_bytes(2, "big"))

    def _leave(self, reason: str) -> Actions:
        self.reason = reason
        return self.stop()

    def stop(self) -> Actions:
        """Give back what is open, without a word to anybody."""
        self.over = True
        self._deadline = None
        return Leave(self._ticket.group), Unbind(self._ticket.port), Unbind(self._ticket.group.port)

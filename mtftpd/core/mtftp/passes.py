"""One pass of an image over its group: what is sent, and what is counted for the report at its end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mtftpd.core.effects import Report, ReportKind, SendRun
from mtftpd.core.groups import Binding
from mtftpd.core.images import MTFTP_BLOCK_SIZE
from mtftpd.core.mtftp.pairs import Pairs
from mtftpd.core.rtt import RoundTrip
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.datagram import Endpoint

MAX_WAITING = 4_096
"""Addresses that are remembered of those who opened in vain: 4,096 * ~100 bytes is 400 KiB a group."""


@dataclass(slots=True, eq=False)
class Pass:
    """Blocks 1 to ``blocks`` of one image, opened by ``opener`` (None: the server is its own master) at ``started``.

    ``waiting`` holds the addresses of other clients that are known to want the image; ``trip`` times the master.
    ``sent`` counts packets to the group, ``repeats`` those of them that were not new, ``stalls`` the blocks that a
    timer had to repeat, ``stalled`` the last of them (0 when it was acknowledged twice), ``echoed`` those of them that
    were acknowledged twice.
    """

    binding: Binding
    opener: Endpoint | None
    started: float
    trip: RoundTrip
    waiting: set[str] = field(default_factory=set)
    pairs: Pairs = field(default_factory=Pairs)
    blocks: int = field(init=False)
    sent: int = 0
    repeats: int = 0
    stalls: int = 0
    ignored: int = 0
    stalled: int = 0
    echoed: int = 0
    came_back: bool = False
    """Whether a master was lost and then acknowledged what was sent without it."""

    def __post_init__(self) -> None:
        self.blocks = self.binding.image.blocks(MTFTP_BLOCK_SIZE)

    @property
    def lost(self) -> int:
        """How many blocks, or their acknowledgements, were lost: a timer that rang too early brings a second ACK."""
        return max(0, self.stalls - self.echoed)

    def to_group(self, block: int, count: int = 1) -> SendRun:
        """Return new blocks for the group."""
        self.sent += count
        binding = self.binding
        return SendRun(binding.data_socket, binding.group, binding.image, block, count, MTFTP_BLOCK_SIZE)

    def again(self, block: int) -> SendRun:
        """Return the current block once more for the group."""
        self.repeats += 1
        return self.to_group(block)

    def both_copies(self, block: int) -> tuple[SendRun, SendRun]:
        """Return a new block twice, so that its acknowledgements tell how long the master takes for one."""
        self.pairs.left()
        return self.to_group(block), self.again(block)

    def to_client(self, client: Endpoint, block: int, count: int = 1) -> SendRun:
        """Return the unicast copy that makes ``client`` the master, or an iPXE answer."""
        return SendRun(self.binding.socket, client, self.binding.image, block, count, MTFTP_BLOCK_SIZE)

    def first_blocks(self, master: Endpoint) -> tuple[SendRun, SendRun]:
        """Return both copies of DATA 1: unicast first, since atftp turns into a listener otherwise (quirk Q107)."""
        own, everybody = self.to_client(master, 1), self.to_group(1)
        return (everybody, own) if ServerAction.UNICAST_FIRST in self.binding.without else (own, everybody)

    def acknowledged_again(self, block: int) -> None:
        """Take note that ``block``, the last but one, was acknowledged once more."""
        if block == self.stalled:
            self.stalled = 0
            self.echoed += 1
            self.trip.was_hasty()

    def stalls_at(self, block: int) -> None:
        """Take note that a timer rings for ``block``; the last time it did so rightly, or was told otherwise."""
        if self.stalled:
            self.trip.was_right()
        self.stalls += 1
        self.stalled = block

    def wanted_by(self, address: str) -> None:
        """Remember that a client at ``address`` wants the image and was not answered."""
        self.ignored += 1
        if len(self.waiting) < MAX_WAITING:
            self.waiting.add(address)

    def report_start(self) -> Report:
        """Return the record of the beginning."""
        detail: tuple[tuple[str, str | int], ...] = (
            ("image", self.binding.image.name),
            ("group", str(self.binding.group)),
            ("master", self._master()),
            ("blocks", self.blocks),
            ("known", len(self.waiting | ({self.opener.address} if self.opener is not None else set()))),
        )
        return Report(ReportKind.PASS_STARTED, self._address(), None, detail)

    def report_lost(self, master: Endpoint, why: str, block: int) -> Report:
        """Return the record of a master that is gone, as far as can be known."""
        detail = (("group", str(self.binding.group)), ("why", why), ("block", block), ("blocks", self.blocks))
        return Report(ReportKind.MASTER_LOST, master.address, None, detail)

    def report_back(self, master: Endpoint, block: int) -> Report:
        """Return the record of a lost master that has acknowledged ``block``."""
        detail = (("group", str(self.binding.group)), ("master", str(master)), ("block", block))
        return Report(ReportKind.MASTER_BACK, master.address, None, detail)

    def report_end(self, kind: ReportKind, outcome: str, block: int, now: float) -> Report:
        """Return the record of the end, of which there is exactly one; ``block`` is the last one that was sent."""
        detail: tuple[tuple[str, str | int], ...] = (
            ("image", self.binding.image.name),
            ("group", str(self.binding.group)),
            ("master", self._master()),
            ("outcome", outcome),
            ("block", block),
            ("ideal", self.blocks),
            ("sent", self.sent),
            ("repeats", self.repeats),
            ("stalls", self.stalls),
            ("ignored", self.ignored),
            ("milliseconds", round((now - self.started) * 1000)),
        )
        return Report(kind, self._address(), None, detail)

    def _master(self) -> str:
        return str(self.opener) if self.opener is not None else ""

    def _address(self) -> str:
        return self.opener.address if self.opener is not None else ""


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    """What one group has done so far (requirement OBS-01); ``block`` and ``master`` are of the pass that is running.

    ``sent`` counts packets to the group, ``repeats`` those of them that were not new, ``stalls`` the blocks that a
    timer had to repeat, ``ignored`` the opens that were met with silence, ``fallbacks`` the clients that had opened
    and then fetched the image by unicast.  ``waiting`` clients are known to want the image; ``started`` is the ``now``
    of the pass that is running, 0 without one.  A ``paused`` group begins no other.
    """

    image: str
    group: str
    state: str
    block: int
    blocks: int
    master: str
    passes: int
    sent: int
    repeats: int
    stalls: int
    ignored: int
    masters_lost: int
    fallbacks: int
    waiting: int = 0
    started: float = 0.0
    paused: bool = False
    block_size: int = MTFTP_BLOCK_SIZE


@dataclass(slots=True)
class Totals:
    """The running counts behind `GroupStatistics`, of passes that have ended."""

    passes: int = 0
    sent: int = 0
    repeats: int = 0
    stalls: int = 0
    ignored: int = 0
    masters_lost: int = 0
    fallbacks: int = 0

    def including(self, run: Pass | None) -> Totals:
        """Return these counts with those of a pass that has not ended."""
        if run is None:
            return self
        return replace(
            self, sent=self.sent + run.sent, repeats=self.repeats + run.repeats, stalls=self.stalls + run.stalls
        )

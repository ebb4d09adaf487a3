"""What the TFTP service tells about itself: the reports of a transfer and the statistics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mtftpd.core.effects import Report, ReportKind
from mtftpd.core.filenames import shown
from mtftpd.core.tftp.transfer import Outcome, Transfer
from mtftpd.wire.datagram import Endpoint


@dataclass(frozen=True, slots=True)
class TransferStatistics:
    """One transfer that has not ended: ``block`` of ``blocks`` was acknowledged; ``started`` is its ``now``."""

    peer: Endpoint
    file: str
    size: int
    block_size: int
    window: int
    block: int
    blocks: int
    retransmissions: int
    started: float


@dataclass(frozen=True, slots=True)
class TftpStatistics:
    """A snapshot of the TFTP service.

    The first seven count since the start, ``blocks`` and ``retransmitted`` in DATA packets of transfers that have
    ended; ``half_open`` transfers wait for the client's first answer, ``lingering`` ones are over.
    """

    requests: int
    done: int
    probes: int
    failed: int
    refused: int
    blocks: int
    retransmitted: int
    half_open: int
    lingering: int
    transfers: tuple[TransferStatistics, ...]


class Tally:
    """The counters behind `TftpStatistics`."""

    __slots__ = ("blocks", "done", "failed", "probes", "refused", "requests", "retransmitted")

    def __init__(self) -> None:
        self.requests = 0
        self.done = 0
        self.probes = 0
        self.failed = 0
        self.refused = 0
        self.blocks = 0
        self.retransmitted = 0

    def ended(self, transfer: Transfer, outcome: Outcome) -> None:
        """Count a transfer that has just ended."""
        if outcome.probe:
            self.probes += 1
        elif outcome.kind is ReportKind.TFTP_DONE:
            self.done += 1
        else:
            self.failed += 1
        self.blocks += transfer.sent
        self.retransmitted += transfer.resent

    def statistics(self, transfers: Iterable[Transfer], half_open: int, lingering: int) -> TftpStatistics:
        """Return the snapshot; ``transfers`` are those that have not ended."""
        return TftpStatistics(
            self.requests,
            self.done,
            self.probes,
            self.failed,
            self.refused,
            self.blocks,
            self.retransmitted,
            half_open,
            lingering,
            tuple(_snapshot(transfer) for transfer in transfers),
        )


def start_report(transfer: Transfer) -> Report:
    """Say that a first reply is on its way."""
    return Report(ReportKind.TFTP_STARTED, transfer.peer.address, detail=_what(transfer))


def end_report(transfer: Transfer, outcome: Outcome, now: float) -> Report:
    """Say how a transfer went; ``blocks`` were acknowledged."""
    detail = (
        *_what(transfer),
        ("blocks", _acknowledged(transfer)),
        ("retransmissions", transfer.retransmissions),
        ("milliseconds", round((now - transfer.started) * 1000)),
        ("end", outcome.end),
    )
    return Report(outcome.kind, transfer.peer.address, detail=detail)


def refusal_report(peer: Endpoint, filename: bytes | str, code: int, reason: str) -> Report:
    """Say that a request got an ERROR."""
    detail: tuple[tuple[str, str | int], ...] = (("file", shown(filename)), ("code", int(code)), ("end", reason))
    return Report(ReportKind.TFTP_REFUSED, peer.address, detail=detail)


def _what(transfer: Transfer) -> tuple[tuple[str, str | int], ...]:
    return (
        ("file", shown(transfer.name)),
        ("size", transfer.image.size),
        ("block_size", transfer.block_size),
        ("window", transfer.window),
    )


def _acknowledged(transfer: Transfer) -> int:
    return max(transfer.base - 1, 0)


def _snapshot(transfer: Transfer) -> TransferStatistics:
    return TransferStatistics(
        transfer.peer,
        shown(transfer.name),
        transfer.image.size,
        transfer.block_size,
        transfer.window,
        _acknowledged(transfer),
        transfer.last,
        transfer.retransmissions,
        transfer.started,
    )

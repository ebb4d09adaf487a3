"""What the TFTP service has seen of each address in the last minutes: signs, and what is only suspected.

A suspicion is tried out at once and becomes a sign when the file arrives that way.
"""

from __future__ import annotations

from mtftpd.core.effects import Effects, Report, ReportKind
from mtftpd.core.filenames import shown
from mtftpd.core.learning.lessons import Sign
from mtftpd.core.tftp.negotiation import DEFAULT_BLOCK_SIZE
from mtftpd.core.tftp.states import State
from mtftpd.core.tftp.transfer import Outcome, Transfer

PLAIN_AFTER_REPEATS = 2
"""The next identical request, after so many whose OACK was never answered, is answered without options (quirk Q81)."""
SINGLE_AFTER_REPEATS = 1
"""The next after so many whose DATA 1 without options was not answered either is answered from port 69 (Q69)."""
UNHEARD_REPEATS = 2
"""Repetitions of one block, after which it is no accident that it does not arrive: 1 % loss does it once in 10**6."""

REMEMBERED_SECONDS = 600.0
"""How long a sign of an address counts here: longer than one boot."""
MAX_ADDRESSES = 1_024
"""Addresses remembered so: 1,024 * ~300 octets are 300 KB; the oldest is forgotten first."""


class Habits:
    """Signs and suspicions by address."""

    __slots__ = ("_signs", "_suspected")

    def __init__(self) -> None:
        self._signs: dict[str, tuple[frozenset[Sign], float]] = {}
        self._suspected: dict[str, Sign] = {}

    def of(self, address: str, now: float) -> frozenset[Sign]:
        """Return the signs of ``address``, the suspected one among them."""
        if address not in self._signs and address not in self._suspected:
            return frozenset()
        signs, until = self._signs.get(address, (frozenset(), now))
        shown = signs if until > now else frozenset()
        suspected = self._suspected.get(address)
        return shown if suspected is None else shown | {suspected}

    def suspect(self, address: str, sign: Sign) -> None:
        """Do what ``sign`` asks for in the next transfer of ``address``, in place of what was tried before."""
        self._suspected.pop(address, None)
        self._suspected[address] = sign
        if len(self._suspected) > MAX_ADDRESSES:
            del self._suspected[next(iter(self._suspected))]

    def asked_in_vain(self, transfer: Transfer, now: float) -> Sign | None:
        """Return what is suspected of a client that repeats its request although it was answered."""
        if transfer.state is State.OFFERED:
            return Sign.NO_OACK if transfer.repeats >= PLAIN_AFTER_REPEATS else None
        signs = self.of(transfer.peer.address, now)
        patience = SINGLE_AFTER_REPEATS if Sign.NO_OACK in signs else PLAIN_AFTER_REPEATS
        return None if Sign.ONLY_PORT_69 in signs or transfer.repeats < patience else Sign.ONLY_PORT_69

    def ended(self, transfer: Transfer, outcome: Outcome, now: float) -> Effects:
        """Take note of the end of a transfer; returns the reports of what it says for sure about its client."""
        address, signs = transfer.peer.address, []
        if transfer.lossy:
            signs.append(Sign.LOST_WINDOW)
        if outcome.kind is ReportKind.TFTP_DONE:
            suspected = None if outcome.probe else self._suspected.pop(address, None)
            signs += [suspected] if suspected is not None else []
        elif transfer.retransmissions >= UNHEARD_REPEATS:
            # Nothing but its answer to the OACK ever came: blocks of that size do not get through.
            if transfer.base == 1 and transfer.block_size > DEFAULT_BLOCK_SIZE:
                self.suspect(address, Sign.NO_LARGE_BLOCK)
            else:
                self._suspected.pop(address, None)
        for sign in signs:
            self._showed(address, sign, now)
        return tuple(_report(transfer, sign) for sign in signs)

    def _showed(self, address: str, sign: Sign, now: float) -> None:
        signs = self.of(address, now) | {sign}
        self._signs.pop(address, None)
        self._signs[address] = (signs, now + REMEMBERED_SECONDS)
        if len(self._signs) > MAX_ADDRESSES:
            del self._signs[next(iter(self._signs))]


def _report(transfer: Transfer, sign: Sign) -> Report:
    detail = (("sign", sign.name), ("reason", sign.value), ("file", shown(transfer.name)))
    return Report(ReportKind.QUIRK_SEEN, transfer.peer.address, detail=detail)

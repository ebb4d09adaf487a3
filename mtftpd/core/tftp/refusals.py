"""How often one address is told that its requests are refused.

Some clients do not notice an ERROR and ask again and again (quirk Q103), and a forged request must not make us a
source of packets for somebody else.
"""

from __future__ import annotations

BURST = 64
"""ERRORs at once: PXELINUX and GRUB each search up to 11 names for their configuration and a few files besides, and a
chain of three such loaders asks for 50."""
PER_SECOND = 2.0
"""After that.  An ERROR has at most 60 octets of payload: forged requests earn their victim 120 octets a second, less
than they cost; a client that was not answered asks again after a second or more, and then is."""
MAX_ADDRESSES = 1_024
"""Addresses remembered: 1,024 * ~150 octets are 150 KB; the one that was refused longest ago is forgotten first."""


class Refusals:
    """Says of each refusal whether it may be told."""

    def __init__(self) -> None:
        # The generic cell rate algorithm: when the burst of an address will be whole again, in seconds.
        self._whole_at: dict[str, float] = {}

    def may_tell(self, address: str, now: float) -> bool:
        """Return whether ``address`` may be sent one more ERROR at ``now``; if so, it is counted."""
        whole_at = max(self._whole_at.pop(address, now), now) + 1 / PER_SECOND
        is_allowed = whole_at - now <= BURST / PER_SECOND
        self._whole_at[address] = whole_at if is_allowed else whole_at - 1 / PER_SECOND
        if len(self._whole_at) > MAX_ADDRESSES:
            del self._whole_at[next(iter(self._whole_at))]
        return is_allowed

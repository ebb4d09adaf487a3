"""Clients that go on asking although they were answered: what is tried for them, what helped, and replies that wait.

A ROM that takes no OFFER tells nobody why.  So the answers to its DISCOVERs change one by one (`LADDER`), and what the
last one had is learnt when a REQUEST follows (`mtftpd.core.learning.lessons`).  One OFFER may be lost and the next one
late: nothing is tried before the third.  That the third goes to everybody is done in `mtftpd.core.dhcp.unicast_deaf`.

What is to go out later waits here: the OFFER for a ROM that hears no reply that comes at once (quirk Q41), and its
copy for one that only sees a packet when the next one arrives (quirk Q77).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from mtftpd.core.deadlines import Deadlines
from mtftpd.core.effects import Effects, Report, ReportKind, Send
from mtftpd.core.learning.fallback_watch import QUICK_SECONDS
from mtftpd.core.learning.lessons import ACTIONS, Firmware, Learning, Sign
from mtftpd.core.nodes.clients import Client, ClientKind
from mtftpd.quirks.matching import by_experience
from mtftpd.quirks.records import by_number
from mtftpd.quirks.vocabulary import ServerAction

DELAY_SECONDS: Final = 1.5
"""From a DISCOVER to its OFFER for a ROM in no hurry: the Raspberry Pi 3 locks up within about a second, and EFI asks
again after two at the earliest but one."""
REPEAT_SECONDS: Final = 0.7
"""From an OFFER to its copy: the Raspberry Pi 3 gives up a receive that nothing flushes after 0.6 to 1.2 s."""
MAX_ASKING: Final = 4_096
"""Clients that are counted, the one that asked longest ago goes first: 4,096 * about 700 octets are 3 MB."""
MAX_WAITING: Final = 1_024
"""Replies that wait, of 600 octets and their timer: 1 MB; with more, the next one leaves at once."""
EFI: Final = 6
"""From this value of option 93 on it is EFI, where offers with tag 6 are ignored now and then (quirk Q16)."""

LADDER: Final = {
    False: {3: Sign.HASTE},
    True: {3: Sign.NO_TAG_6, 4: Sign.HASTE},
}
"""By whether it is EFI: after how many OFFERs in vain what is suspected; the last one that fits counts."""

PATIENT: Final = min(offers for steps in LADDER.values() for offers in steps)
"""OFFERs in vain before anything is suspected."""

BY_PROFILE: Final = frozenset({ServerAction.DELAY_REPLY, ServerAction.REPEAT_OFFER, ServerAction.REFUSE_OPTIONS})
"""Work-arounds that cost others something: they are done at once for the profiles of their quirks, and for nobody
else before he has shown a sign."""


def actions_of(profile: str) -> frozenset[ServerAction]:
    """Return what is done at once for whoever is taken for ``profile``."""
    mine = [quirk for quirk in by_number().values() if profile in quirk.match]
    return frozenset(action for quirk in mine for action in quirk.actions) & BY_PROFILE


@dataclass(slots=True)
class _Asking:
    offers: int = 0
    offered_at: float = 0.0
    tried: Sign | None = None


class Unheeded:
    """Who asks in vain, and what waits for its time; what is learnt goes to ``learning``."""

    def __init__(self, learning: Learning) -> None:
        self._learning = learning
        self._asking: OrderedDict[Firmware, _Asking] = OrderedDict()
        self._waiting: dict[Firmware, tuple[Send, ...]] = {}
        self._deadlines: Deadlines[Firmware] = Deadlines()
        self._by_profile: dict[str, frozenset[ServerAction]] = {}

    def treated(self, client: Client) -> Client:
        """Return ``client`` with everything that is done for it alone."""
        lesson = self._learning.of(client.firmware)
        if lesson.profile:
            rom = by_experience(client.rom, lesson.profile, "what it has shown in former boots")
            client = client._replace(rom=rom, stage=client.rom.profile.id)
        name = client.rom.profile.id
        if name not in self._by_profile:
            self._by_profile[name] = actions_of(name)
        actions = self._by_profile[name] | lesson.actions | client.settings.demanded
        tried = self._tried(client)
        if tried is not None:
            actions |= {ACTIONS[tried]}
        if not actions:
            return client
        return client._replace(actions=frozenset(action for action in actions if client.settings.does(action)))

    def offered(self, client: Client, effects: Effects, now: float) -> Effects:
        """Take what answers a DISCOVER; returns what of it is done at once."""
        if not any(type(effect) is Report and effect.kind is ReportKind.DHCP_OFFERED for effect in effects):
            return effects
        firmware = client.firmware
        if client.kind is ClientKind.PXE:
            asking = self._asking.setdefault(firmware, _Asking())
            asking.tried = self._tried(client)
            if not asking.offers or now - asking.offered_at >= QUICK_SECONDS:
                asking.offers += 1
                asking.offered_at = now
            self._asking.move_to_end(firmware)
            if len(self._asking) > MAX_ASKING:
                self._asking.popitem(last=False)
        delays, repeats = ServerAction.DELAY_REPLY in client.actions, ServerAction.REPEAT_OFFER in client.actions
        is_full = len(self._waiting) >= MAX_WAITING and firmware not in self._waiting
        if is_full or not (delays or repeats):
            return effects
        reply = next(effect for effect in effects if type(effect) is Send)
        if not delays:
            self._wait(firmware, (reply,), now + REPEAT_SECONDS)
            return effects
        # A newer reply takes the place of one that waits, at the time of that one: who asks often is answered too.
        due = self._deadlines.of(firmware) if firmware in self._waiting else now + DELAY_SECONDS
        self._wait(firmware, (reply,) * (2 if repeats else 1), due)
        return tuple(effect for effect in effects if type(effect) is not Send)

    def requested(self, client: Client, now: float) -> Effects:
        """Take note of a REQUEST: an OFFER was heard, and what was tried in it was right."""
        self._waiting.pop(client.firmware, None)
        self._deadlines.clear(client.firmware)
        asking = self._asking.pop(client.firmware, None)
        if asking is None or asking.tried is None:
            return ()
        return self._learning.showed(client.firmware, asking.tried, now)

    def next_deadline(self) -> float | None:
        """Return when `tick` is due, or None."""
        return self._deadlines.next()

    def tick(self, now: float) -> Effects:
        """Return the replies whose time has come."""
        effects: Effects = ()
        for firmware in self._deadlines.due(now):
            reply, *others = self._waiting.pop(firmware)
            effects += (reply,)
            if others:
                self._wait(firmware, tuple(others), now + REPEAT_SECONDS)
        return effects

    def _tried(self, client: Client) -> Sign | None:
        """Return what is suspected of ``client`` at its next OFFER."""
        asking = self._asking.get(client.firmware)
        if asking is None or asking.offers < PATIENT or client.kind is not ClientKind.PXE:
            return None
        steps = LADDER[client.architecture >= EFI]
        return next((steps[least] for least in sorted(steps, reverse=True) if asking.offers >= least), None)

    def _wait(self, firmware: Firmware, replies: tuple[Send, ...], due: float) -> None:
        self._waiting[firmware] = replies
        self._deadlines.set(firmware, due)

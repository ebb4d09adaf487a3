"""What nodes have shown, and what is done about it from then on: `lesson` decides, `Learning` remembers.

A sign is learnt when the boot that it led to went well: a suspicion alone changes the present boot only.  It is held
against one firmware of one hardware address; another fingerprint on the same address (a newer firmware, the iPXE that
the ROM has loaded) begins with nothing (quirk Q105).  Without DHCP nobody is known, and nothing is learnt.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from mtftpd.core.effects import Effects, Report, ReportKind
from mtftpd.core.learning.fallback import Trigger
from mtftpd.core.learning.memory import Memory
from mtftpd.quirks.evidence import Fingerprint
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.datagram import HardwareAddress

MAX_FIRMWARES = 16_384
"""Firmwares with a sign, the one that showed it longest ago goes first: 16,384 * about 700 octets are 12 MB."""
MAX_ADDRESSES = 16_384
"""Addresses whose firmware is known: 16,384 * about 500 octets are 8 MB."""


class Sign(Enum):
    """What a node showed.  The name is the identifier in reports, the value is for people."""

    NO_OACK = "it never answered that options were granted, and took the file without options"
    LOST_WINDOW = "it lost whole windows of blocks"
    NO_LARGE_BLOCK = "it never acknowledged a block of more than 512 octets, and took the file in smaller ones"
    ONLY_PORT_69 = "it heard nothing that did not come from port 69"
    NO_TAG_6 = "it took no offer with option 43, and one without"
    HASTE = "it heard no reply that came at once, and one that came later"


class Lesson(NamedTuple):
    """What is done about a firmware; ``profile`` is the id of the one that its signs are those of, "" for none."""

    profile: str
    actions: frozenset[ServerAction]


ACTIONS: Final = {
    Sign.NO_OACK: ServerAction.REFUSE_OPTIONS,
    Sign.LOST_WINDOW: ServerAction.WINDOW_1,
    Sign.NO_LARGE_BLOCK: ServerAction.SMALL_BLOCKS,
    Sign.ONLY_PORT_69: ServerAction.SINGLE_PORT,
    Sign.NO_TAG_6: ServerAction.OMIT_43,
    Sign.HASTE: ServerAction.DELAY_REPLY,
}
"""What each sign is answered with."""

TRIGGERS: Final = {Sign.NO_LARGE_BLOCK: Trigger.F15}
"""Signs that are among the reasons to fall back."""

PROFILES: Final = {Sign.NO_OACK: "landesk-0.99"}
"""Signs by which a client is known that no option of its packets tells from others."""

NOTHING: Final = Lesson("", frozenset())


def lesson(signs: Iterable[Sign]) -> Lesson:
    """Return what follows from ``signs``: the sum of what follows from each."""
    shown = frozenset(signs)
    profile = next((PROFILES[sign] for sign in Sign if sign in shown and sign in PROFILES), "")
    return Lesson(profile, frozenset(ACTIONS[sign] for sign in shown))


class Firmware(NamedTuple):
    """One program on one node."""

    hardware: HardwareAddress
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Learnt:
    """The signs of one firmware; ``at`` is when the last one came, on the clock of the server."""

    firmware: Firmware
    signs: frozenset[Sign]
    at: float


class Learning:
    """What is learnt of all nodes; ``known`` is the `snapshot` of an earlier run, with its times on this clock."""

    def __init__(self, known: Iterable[Learnt] = ()) -> None:
        self._known: Memory[Firmware, Learnt] = Memory(MAX_FIRMWARES)
        self._at: OrderedDict[str, tuple[Firmware, frozenset[ServerAction]]] = OrderedDict()
        for each in sorted(known, key=lambda learnt: learnt.at):
            self._known.put(each.firmware, each)
        self._known.take_changed()

    def take_changed(self) -> tuple[tuple[Learnt, bool], ...]:
        """Return what has changed since the last call, and whether it is known or forgotten (False)."""
        return self._known.take_changed()

    def snapshot(self) -> tuple[Learnt, ...]:
        """Return everything, the oldest first."""
        return self._known.values()

    def of(self, firmware: Firmware) -> Lesson:
        """Return what is done about ``firmware``."""
        learnt = self._known.get(firmware)
        return NOTHING if learnt is None else lesson(learnt.signs)

    def met(self, address: str, firmware: Firmware, actions: frozenset[ServerAction] = frozenset()) -> None:
        """Take note that ``firmware``, for which ``actions`` are done anyway, has ``address`` from now on."""
        self._at[address] = (firmware, actions)
        self._at.move_to_end(address)
        if len(self._at) > MAX_ADDRESSES:
            self._at.popitem(last=False)

    def actions(self, address: str) -> frozenset[ServerAction]:
        """Return what is done about whoever has ``address``."""
        who = self._at.get(address)
        return NOTHING.actions if who is None else who[1] | self.of(who[0]).actions

    def showed(self, firmware: Firmware, sign: Sign, now: float) -> Effects:
        """Take note of a sign; returns its report, which is to be written down, unless it was known."""
        known = self._known.get(firmware)
        signs = frozenset((sign,)) if known is None else known.signs | {sign}
        self._known.put(firmware, Learnt(firmware, signs, now))
        if known is not None and sign in known.signs:
            return ()
        trigger = (("trigger", TRIGGERS[sign].name),) if sign in TRIGGERS else ()
        detail = (*trigger, ("sign", sign.name), ("reason", sign.value), ("action", ACTIONS[sign].value))
        return (Report(ReportKind.QUIRK_LEARNT, "", firmware.hardware, detail),)

    def learn(self, effects: Effects, now: float) -> Effects:
        """Return ``effects`` with what is learnt of the signs that are reported in them."""
        more: Effects = ()
        for effect in effects:
            if type(effect) is Report and effect.kind is ReportKind.QUIRK_SEEN:
                who = self._at.get(effect.address)
                if who is not None:
                    more += self.showed(who[0], Sign[str(dict(effect.detail)["sign"])], now)
        return effects + more

    def forget(self, hardware: HardwareAddress) -> None:
        """Forget what was learnt of every firmware of ``hardware``."""
        for learnt in self._known.values():
            if learnt.firmware.hardware == hardware:
                self._known.forget(learnt.firmware)

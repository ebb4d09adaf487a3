"""What is done about each client of port 69: by the configuration, by what was learnt, by what it has just shown."""

from __future__ import annotations

from collections.abc import Callable

from mtftpd.core.learning.lessons import ACTIONS
from mtftpd.core.settings import Settings
from mtftpd.core.tftp.habits import Habits
from mtftpd.core.tftp.negotiation import DEFAULT_BLOCK_SIZE, MAX_BLOCK_SIZE, MAX_WINDOW, Limits, largest_block
from mtftpd.quirks.vocabulary import ServerAction

Actions = Callable[[str], frozenset[ServerAction]]
"""Work-arounds for the client that has an address."""


class Treatment:
    """``learnt`` tells what is done about whoever has an address, ``left_out`` what is not."""

    def __init__(self, settings: Settings, habits: Habits, learnt: Actions, left_out: Actions | None) -> None:
        self._settings = settings
        self._habits = habits
        self._learnt = learnt
        self._left_out = left_out

    def reconfigure(self, settings: Settings) -> None:
        """Take another configuration."""
        self._settings = settings

    def without(self, address: str) -> frozenset[ServerAction]:
        """Return the work-arounds that are left out for ``address``."""
        return self._settings.without if self._left_out is None else self._left_out(address)

    def may(self, action: ServerAction, address: str) -> bool:
        """Return whether ``action`` is not left out for ``address``."""
        return action not in self.without(address)

    def does(self, action: ServerAction, address: str, now: float) -> bool:
        """Return whether ``action`` is done for ``address``: it is not left out, and what it showed asks for it."""
        asked = any(ACTIONS[sign] is action for sign in self._habits.of(address, now))
        return self.may(action, address) and (asked or action in self._learnt(address))

    def limits(self, address: str, now: float) -> Limits:
        """Return what may be granted to ``address``."""
        settings = self._settings
        fitting = largest_block(settings.link.mtu) if self.may(ServerAction.CLAMP_BLKSIZE, address) else MAX_BLOCK_SIZE
        if self.does(ServerAction.SMALL_BLOCKS, address, now):
            fitting = DEFAULT_BLOCK_SIZE
        window = 1 if self.does(ServerAction.WINDOW_1, address, now) else MAX_WINDOW
        return Limits(fitting, window, settings.rollover, self.without(address))

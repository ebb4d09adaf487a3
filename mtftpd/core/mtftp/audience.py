"""Who wants the image of one group, as far as packets tell: a listener says nothing, neither of holes nor of success.

Rules
1. Whoever DHCP told of the group (a ticket), or who opens it, wants the image and has heard nothing of it yet.
2. A complete pass that began after that is one pass heard.
3. Whoever acknowledged the last block, turned to unicast or asks for what comes next does not want it any longer.
4. Whoever has heard a pass and is silent for long enough afterwards is believed to have the image.
5. Whoever opens after `VAIN_PASSES` passes that it has heard keeps nothing of them (Intel's EFI client forgets all in
   front of its last gap).  As master it would be served for sure, but one after the other.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

MAX_MEMBERS = 4_096
"""Addresses of one group: 4,096 * ~250 bytes is 1 MiB; the oldest is forgotten first."""


VAIN_PASSES = 3
"""With a map of its blocks and 1 % of loss one listener in 125 lacks a block of 8,192 after as many passes."""
SHARE_IN_VAIN = 0.1
"""Of the members: with fewer of them, the others are not disturbed."""


@dataclass(slots=True)
class Member:
    """One address: the profile of its ROM ("" when DHCP did not say), since when it wants the image, passes heard."""

    profile: str
    since: float
    passes: int = 0
    asks: bool = False
    """It opened after it had heard a whole pass: it has holes for sure, until the next pass."""
    in_vain: bool = False


def chance_of_holes(loss: float, blocks: int, passes: int) -> float:
    """Return how likely a listener lacks a block after ``passes``, when it loses each packet with chance ``loss``."""
    return float(1 - (1 - loss**passes) ** blocks)


class Audience:
    """The members of one group."""

    __slots__ = ("_members",)

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}

    def __len__(self) -> int:
        return len(self._members)

    def passes(self, address: str) -> int:
        """Return how many whole passes ``address`` has heard."""
        member = self._members.get(address)
        return 0 if member is None else member.passes

    def has_others(self, address: str) -> bool:
        """Return whether anybody but ``address`` is known to want the image."""
        return len(self._members) > (address in self._members)

    def profile(self, address: str) -> str:
        """Return the profile of ``address``, "" where it is not known."""
        member = self._members.get(address)
        return "" if member is None else member.profile

    def told(self, address: str, profile: str, now: float) -> None:
        """Take note of a ticket; a node that is told again has begun again."""
        self._add(address, Member(profile, now))

    def opened(self, address: str, now: float) -> None:
        """Take note of an open."""
        member = self._members.get(address)
        if member is None:
            self._add(address, Member("", now))
        elif member.passes:
            member.asks = True
            member.in_vain = member.in_vain or member.passes >= VAIN_PASSES

    def is_hopeless(self, pass_seconds: float, silence_seconds: float) -> bool:
        """Return whether it is quicker to leave all members to port 69 than to serve those in vain one by one.

        A pass takes ``pass_seconds``; after ``silence_seconds`` without one every client has turned to port 69.
        """
        in_vain = sum(member.in_vain for member in self._members.values())
        is_slow = (in_vain - 1) * pass_seconds > silence_seconds
        return is_slow and in_vain >= SHARE_IN_VAIN * len(self._members)

    def gone(self, address: str) -> bool:
        """Take note that ``address`` does not want the image any longer; False when it never did."""
        return self._members.pop(address, None) is not None

    def pass_began(self) -> None:
        """Take note that a pass begins, which may fill all holes."""
        for member in self._members.values():
            member.asks = False

    def pass_ended(self, began: float) -> None:
        """Take note of a complete pass."""
        for member in self._members.values():
            if member.since <= began:
                member.passes += 1

    def waits(self, now: float, seconds: float) -> bool:
        """Return whether a member needs another pass for sure, and has waited ``seconds`` for one."""
        return any(
            member.asks or (not member.passes and now - member.since >= seconds) for member in self._members.values()
        )

    def with_holes(self, loss: float, blocks: int) -> float:
        """Return how many of those that heard whole passes lack a block, as the loss of the network has it."""
        heard: dict[int, int] = {}
        for member in self._members.values():
            if member.passes:
                heard[member.passes] = heard.get(member.passes, 0) + 1
        return sum(count * chance_of_holes(loss, blocks, passes) for passes, count in heard.items())

    def profiles(self) -> Set[str]:
        """Return the profiles of all members."""
        return {member.profile for member in self._members.values()}

    def rest(self, now: float, seconds: float) -> None:
        """Take note that nobody asked for anything in time: who has heard a pass has the image.

        Who has not heard one and waits for longer than ``seconds`` has gone elsewhere.
        """
        self._members = {
            address: member
            for address, member in self._members.items()
            if not member.passes and now - member.since <= seconds
        }

    def _add(self, address: str, member: Member) -> None:
        self._members.pop(address, None)
        if len(self._members) == MAX_MEMBERS:
            del self._members[next(iter(self._members))]
        self._members[address] = member

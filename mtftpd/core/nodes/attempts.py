"""One boot of one node as it is told when it is over, and written down while it is not."""

from __future__ import annotations

from typing import NamedTuple

from mtftpd.core.nodes.states import NodeState
from mtftpd.wire.datagram import HardwareAddress

NodeKey = HardwareAddress | str
"""A hardware address, or the IPv4 address of a node that came without DHCP."""

PAST_ATTEMPTS = 3
"""Boots of one node that are remembered beside the present one; 8,192 nodes * 4 * ~600 octets are 20 MB."""


class PastAttempt(NamedTuple):
    """A boot that another one has followed: its times are monotonic seconds, ``state`` is the one that it ended in."""

    number: int
    began: float
    ended: float
    state: NodeState
    reason: str


class Attempt(NamedTuple):
    """Boot ``number`` of a node since it is known: begun at ``began``, in ``state`` since ``since``.

    The other fields are those of `mtftpd.core.nodes.records.Node`.
    """

    node: NodeKey
    number: int
    began: float
    since: float
    state: NodeState
    reason: str
    packet: str
    inferred: bool
    round: int
    address: str
    stage: str
    rom: str
    file: str
    group: str

    def as_past(self) -> PastAttempt:
        """Return it as one of the past."""
        return PastAttempt(self.number, self.began, self.since, self.state, self.reason)

"""DHCP messages between the socket and the service: the newest of each node; of too many, the oldest are dropped.

A client that repeats itself has forgotten what it asked before, and its answer would be to a transaction that is over.
So the newest message of a node takes the place of the one that waits, and keeps its turn.  Messages of one node by way
of different relay agents, or to another port, are different questions.

There are two lines.  A REQUEST goes before all who only begin: with first come, first served, a server that is offered
more than it can answer gives OFFERs to all and finishes nothing.  Where more than `PATIENT` wait to begin, the one that
came last is the next, because those in front have given up by the time when they would be answered; when they ask again
it is they who came last.

DECLINE and RELEASE are no questions: each of them is heard.  Their sender has given up what it asked before them, and
what it asks afterwards waits behind them, or it would be offered the address that it has just declined.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from mtftpd.core.effects import Drop, DropReason
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.datagram import Datagram
from mtftpd.wire.fields import END, PAD
from mtftpd.wire.options import MESSAGE_TYPE

MAX_WAITING: Final = 8_192
"""Nodes: 2,000 with three interfaces each, and visitors.  8,192 * 2 KB are 16 MB; at 0.3 ms for an answer the last one
is answered after 2.5 s, before the 4 s at which ROMs repeat their first message."""

PATIENT: Final = 2_048
"""Nodes that are answered in their order, those of a large cluster that is switched on: 2,048 * 0.3 ms are 0.6 s."""

_NODE: Final = slice(24, 44)
"""giaddr and chaddr of a BOOTP header (RFC 951 section 3)."""
_NODE_END: Final = 44
_TRANSACTION: Final = slice(4, 8)
_HARDWARE: Final = slice(28, 44)
_NO_HARDWARE: Final = bytes(16)
_OPTIONS: Final = 240
"""Where the options begin, behind the magic cookie (RFC 2131 section 3)."""
_MAX_OPTIONS: Final = 64
"""Options and PADs that are looked at for the message type: it is the first one of nearly all messages."""
_STATEMENTS: Final = frozenset({MessageType.DECLINE, MessageType.RELEASE})
_FIRST: Final = _STATEMENTS | {MessageType.REQUEST}


_Line = OrderedDict[tuple[int, object], Datagram]


class DhcpQueue:
    """The messages that wait."""

    __slots__ = ("_beginning", "_first", "_most", "_patient", "_statements")

    def __init__(self, most: int = MAX_WAITING, patient: int = PATIENT) -> None:
        self._most = most
        self._patient = patient
        self._statements = 0
        self._first: _Line = OrderedDict()
        self._beginning: _Line = OrderedDict()

    def __len__(self) -> int:
        return len(self._first) + len(self._beginning)

    def put(self, datagram: Datagram) -> Drop | None:
        """Let ``datagram`` wait; returns what is dropped for it, if anything."""
        kind, key = _message_type(datagram.data), (datagram.socket, _node(datagram))
        line, other = (self._first, self._beginning) if kind in _FIRST else (self._beginning, self._first)
        former = other.pop(key, None)
        if kind in _STATEMENTS:
            former = line.pop(key, former)
            self._statements += 1
            key = (datagram.socket, self._statements)
        former = line.get(key, former)
        line[key] = datagram
        if former is not None:
            if self._is_hopeless:
                line.move_to_end(key)
            return Drop(DropReason.SUPERSEDED, former.source, _text(former))
        if len(self) <= self._most:
            return None
        _, oldest = (self._beginning or self._first).popitem(last=False)
        return Drop(DropReason.DHCP_QUEUE_FULL, oldest.source, _text(oldest))

    def take(self) -> Datagram:
        """Return the next message; KeyError when there is none."""
        if self._first:
            return self._first.popitem(last=False)[1]
        return self._beginning.popitem(last=self._is_hopeless)[1]

    @property
    def _is_hopeless(self) -> bool:
        return len(self._beginning) > self._patient


def _node(datagram: Datagram) -> object:
    """Return what tells the sender from others: a node of InfiniBand has no chaddr, but a transaction (RFC 4390)."""
    data = datagram.data
    if len(data) < _NODE_END:
        return datagram.source
    return data[_TRANSACTION] if data[_HARDWARE] == _NO_HARDWARE else data[_NODE]


def _message_type(data: bytes) -> int:
    """Return option 53 of a message that is well-formed up to there, else 0.  Cannot fail."""
    at, end = _OPTIONS, len(data) - 2
    for _ in range(_MAX_OPTIONS):
        if at >= end or data[at] == END:
            return 0
        if data[at] == MESSAGE_TYPE:
            return data[at + 2]
        at += 1 if data[at] == PAD else 2 + data[at + 1]
    return 0


def _text(datagram: Datagram) -> str:
    """Name the node of a message by its Ethernet address."""
    return datagram.data[28:34].hex(":")

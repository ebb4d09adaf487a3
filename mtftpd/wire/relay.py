"""Option 82, the relay agent's information (RFC 3046).

A server echoes the octets of the option as they came (RFC 3046 2.2); what is read here is for policy and for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from mtftpd.errors import Malformed
from mtftpd.wire.fields import Element, PlainTlvList, encode, walk


class SubOption(IntEnum):
    """The sub-options that RFC 3046 2.0 defines."""

    CIRCUIT_ID = 1
    REMOTE_ID = 2


@dataclass(frozen=True, slots=True)
class RelayAgent:
    """The port of the relay that the client is on, who the relay says it is, and every other sub-option."""

    circuit_id: bytes | None = None
    remote_id: bytes | None = None
    others: tuple[Element, ...] = ()


def parse_untrusted(data: bytes) -> RelayAgent:
    """Return what is in ``data``, the value of an option 82; raises `Malformed` and nothing else.

    Sub-options have neither PAD nor END and fill the value exactly; one that comes again is kept in ``others``.
    """
    known: dict[int, bytes] = {}
    others: list[Element] = []
    for code, value in walk(data, delimited=False):
        if code in (SubOption.CIRCUIT_ID, SubOption.REMOTE_ID) and code not in known:
            known[code] = value
        else:
            others.append((code, value))
    return RelayAgent(known.get(SubOption.CIRCUIT_ID), known.get(SubOption.REMOTE_ID), tuple(others))


def read(data: bytes) -> RelayAgent | None:
    """Return what is in ``data``, or None when it is malformed."""
    try:
        return parse_untrusted(data)
    except Malformed:
        return None


def build(agent: RelayAgent) -> bytes:
    """Return the value of an option 82; raises ValueError when a sub-option is over 255 octets or has no code."""
    elements = list(agent.others)
    if agent.remote_id is not None:
        elements.insert(0, (SubOption.REMOTE_ID, agent.remote_id))
    if agent.circuit_id is not None:
        elements.insert(0, (SubOption.CIRCUIT_ID, agent.circuit_id))
    return encode(PlainTlvList, elements, "option 82")

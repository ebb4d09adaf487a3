"""Replies that are ready but for what differs from one client to the next: what two thousand nodes at power-on get.

A reply is built once, by `mtftpd.core.dhcp.replies` and `mtftpd.wire.bootp`, and its octets are kept.  The next client
with the same `_Kind`, that is with everything the same that the rest of the octets depends on, gets a copy in which the
header and the values of `_VARIABLE` are its own: 5 us instead of 40.  That both ways give the same octets for every
request is shown by tests/core/dhcp/test_reply_templates.py.

`ReplyTemplates.reply` returns None for what is built each time: a client for whom a work-around is left out, a reply
with a value that must be split (RFC 3396), and one that the client has no room for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from mtftpd.core import option_codes as code
from mtftpd.core.dhcp.boot_plan import BootPlan
from mtftpd.core.dhcp.replies import LARGEST_MESSAGE, Grant, Replies, ends_strings, largest
from mtftpd.core.node_settings import Terms
from mtftpd.core.nodes.clients import Client, ClientKind
from mtftpd.wire import bootp
from mtftpd.wire.bootp import AREA_OFFSET, BOOTREPLY, DhcpMessage, MessageType
from mtftpd.wire.fields import END, PAD

MAX_TEMPLATES = 4_096
"""OFFER and ACK for 2,000 nodes with boot files of their own: 4,096 * about 1.5 KB is 6 MB, and 14 MB with the longest
option 55 that fits a packet, the work of an enemy.  The oldest is dropped first."""

LONGEST = 255
"""Octets of an option that is not split; only these can be put in place."""

_VARIABLE = (code.HOST_NAME, code.CLIENT_IDENTIFIER, code.MACHINE_IDENTIFIER, code.RELAY_AGENT)
"""Options whose value belongs to one client; their lengths belong to the kind."""

_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s")
"""The header up to chaddr; sname and file are those of the plan."""

_NOWHERE = bytes(4)


class _Kind(NamedTuple):
    """Everything that the octets of a reply depend on, without those that are put in place."""

    is_ack: bool
    seconds: int
    terms: int
    """The identity of the terms, and of the plan below: their values would be hashed for each reply."""
    plan: int
    lengths: tuple[int, ...]
    """Of `_VARIABLE`, -1 for an option that is not there."""
    relay: int
    asked: bytes | None
    vendor_class: bytes | None
    is_ipxe: bool
    ends_strings: bool


class _Template(NamedTuple):
    """The octets of one reply, and where in them the values of `_VARIABLE` are (0: not there).

    ``terms`` and ``plan`` are those of its kind, which keeps them alive, and so their identities theirs alone.
    """

    data: bytes
    offsets: tuple[int, ...]
    terms: Terms
    plan: BootPlan | None


class ReplyTemplates:
    """The OFFERs and ACKs of one network, as ``replies`` make them for an interface with this ``mtu``."""

    def __init__(self, replies: Replies, mtu: int) -> None:
        self._replies = replies
        self._mtu = mtu
        self._templates: dict[_Kind, _Template] = {}

    def __len__(self) -> int:
        return len(self._templates)

    def reply(
        self, message: MessageType, request: DhcpMessage, client: Client, plan: BootPlan | None, grant: Grant
    ) -> bytes | None:
        """Return the OFFER or ACK that gives the address of ``grant``; None: it must be built (see above)."""
        if client.settings.without:
            return None
        options = request.options
        find = options.get
        values = (
            client.settings.entry.host_name.encode("ascii"),
            find(code.CLIENT_IDENTIFIER),
            find(code.MACHINE_IDENTIFIER),
            find(code.RELAY_AGENT),
        )
        is_ack = message is MessageType.ACK
        kind = _kind(is_ack, request, client, plan, grant, values)
        template = self._templates.get(kind)
        if template is None or template.terms is not client.settings.terms or template.plan is not plan:
            template = self._make(kind, request, client, plan, grant)
        if template is None or len(template.data) > largest(request, self._mtu):
            return None
        data = bytearray(template.data)
        _HEADER.pack_into(
            data,
            0,
            BOOTREPLY,
            request.htype,
            request.hlen,
            0,
            request.xid,
            0,
            request.flags,
            request.ciaddr.packed if is_ack else _NOWHERE,
            grant.address.packed,
            template.data[20:24],
            request.giaddr.packed,
            request.chaddr,
        )
        for value, at in zip(values, template.offsets, strict=True):
            if at and value is not None:
                data[at : at + len(value)] = value
        return bytes(data)

    def built(
        self, message: MessageType, request: DhcpMessage, client: Client, plan: BootPlan | None, grant: Grant
    ) -> DhcpMessage:
        """Return the same reply without a template, and before anything is left out of it."""
        return self._replies.answer(message, request, client, plan, grant)

    def _make(
        self, kind: _Kind, request: DhcpMessage, client: Client, plan: BootPlan | None, grant: Grant
    ) -> _Template | None:
        message = MessageType.ACK if kind.is_ack else MessageType.OFFER
        reply = self._replies.answer(message, request, client, plan, grant)
        if any(len(value) > LONGEST for value in reply.options.values()):
            return None
        try:
            data = bootp.build(reply, max_size=LARGEST_MESSAGE)
        except ValueError:
            return None
        places = dict(_places(data))
        offsets = tuple(places.get(number, 0) for number in _VARIABLE)
        template = _Template(data, offsets, client.settings.terms, plan)
        if len(self._templates) >= MAX_TEMPLATES:
            del self._templates[next(iter(self._templates))]
        self._templates[kind] = template
        return template


def _kind(
    is_ack: bool,
    request: DhcpMessage,
    client: Client,
    plan: BootPlan | None,
    grant: Grant,
    values: tuple[bytes | None, ...],
) -> _Kind:
    has_class = client.kind is ClientKind.PXE or client.kind is ClientKind.HTTP
    return _Kind(
        is_ack,
        grant.seconds,
        id(client.settings.terms),
        id(plan),
        tuple([-1 if value is None else len(value) for value in values]),
        int(request.giaddr),
        request.options.get(code.PARAMETER_LIST),
        client.vendor_class if has_class else None,
        client.is_ipxe,
        ends_strings(request),
    )


def _places(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield each option of a message that was built here, and where its value begins."""
    at = AREA_OFFSET
    while data[at] != END:
        if data[at] == PAD:
            at += 1
            continue
        yield data[at], at + 2
        at += 2 + data[at + 1]

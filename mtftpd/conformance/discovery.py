"""What the target does, found out before the first case, so that cases which do not concern it say so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Final

from mtftpd.conformance.dhcp_client import VENDOR_CLASS, DhcpClient
from mtftpd.conformance.findings import Feature, Findings, Image, Session
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.pxe_client import VENDOR_SPECIFIC, PxeQuestion, item, pxe_question
from mtftpd.conformance.verdicts import Failed, Inconclusive
from mtftpd.errors import Malformed, StartupError
from mtftpd.wire import pxe
from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.options import LEASE_TIME

MAX_IMAGE: Final = 4 * 1024 * 1024
"""Octets of an image that are fetched: 8,192 blocks, a few seconds.  A larger one makes each case slow as well."""

_MOMENT: Final = 0.1
"""Seconds for what should have come already."""
_FAST: Final = (("blksize", "1428"),)


@dataclass(frozen=True, slots=True)
class Told:
    """What the user says of the target, which then need not be found: files, and multicast sessions."""

    images: tuple[str, ...] = ()
    sessions: tuple[Session, ...] = ()


async def discover(make_lab: Callable[[Findings], Lab], told: Told, tell: Callable[[str], None]) -> Findings:
    """Return what the target does; ``tell`` is given a line for each thing that is looked for."""
    found = Findings()
    tell("DHCP")
    found = await _dhcp(make_lab(found), found)
    if Feature.PXE in found.features:
        tell("port 4011")
        found = await _port_4011(make_lab(found), found)
    found = _sessions(found, told.sessions)
    tell("TFTP")
    found = await _images(make_lab, found, told.images)
    lab = make_lab(found)
    more = {Feature.TWO_HOSTS} if lab.has_other_host or Feature.LEASES in found.features else set()
    return replace(found, features=found.features | more)


async def _dhcp(lab: Lab, found: Findings) -> Findings:
    try:
        client = lab.dhcp()
    except StartupError:
        return found
    features = {Feature.FRAMES}
    async with client:
        try:
            offer = (await client.offer()).value
        except Inconclusive:
            return replace(found, features=frozenset(features))
        features |= {Feature.DHCP, Feature.LEASES if await _gives_addresses(client, offer) else Feature.PROXY}
    if VENDOR_SPECIFIC in offer.options or offer.options.get(VENDOR_CLASS, b"").startswith(b"PXEClient"):
        features.add(Feature.PXE)
    if offer.file:
        features.add(Feature.BOOT_FILE)
    menu = _pxe_options(offer)
    listed = [each.type for each in menu.boot_servers] + [each.type for each in menu.menu]
    types = tuple(dict.fromkeys(type_ for type_ in listed if type_))
    if menu.menu:
        features.add(Feature.MENU)
    return replace(found, features=frozenset(features), offer=offer, boot_types=types)


async def _gives_addresses(client: DhcpClient, offer: DhcpMessage) -> bool:
    """Return whether the target means to be a full server: it says for how long, or acknowledges what it offered."""
    if not int(offer.yiaddr):
        return False
    try:
        await client.accept(offer)
    except Inconclusive:
        return LEASE_TIME in offer.options
    return True


async def _port_4011(lab: Lab, found: Findings) -> Findings:
    # Every PXE server may be asked for type 0, the bootstrap (PXE 2.1 table 2-1).
    types = found.boot_types or (0,)
    features = set(found.features)
    try:
        async with pxe_question(lab) as question:
            for feature, more in ((Feature.PORT_4011, None), (Feature.BOOT_SERVER, item(types[0]))):
                if await _is_answered(question, more):
                    features.add(feature)
    except Inconclusive:  # Without its lease the client has nowhere to ask from.
        return found
    return replace(found, features=frozenset(features), boot_types=types)


async def _is_answered(question: PxeQuestion, more: dict[int, bytes] | None) -> bool:
    """Return whether an answer comes, be it to the port of DHCP clients instead of that of the question."""
    try:
        await question.ask(more)
    except Failed:
        return await question.client.hear(_MOMENT) is not None
    return True


def _pxe_options(offer: DhcpMessage) -> pxe.PxeOptions:
    try:
        return pxe.parse_untrusted(offer.options.get(VENDOR_SPECIFIC, b""))
    except Malformed:
        return pxe.PxeOptions()


def _sessions(found: Findings, told: Sequence[Session]) -> Findings:
    sessions = list(told)
    offer = found.offer
    if offer is not None and not told:
        tags = _pxe_options(offer).mtftp
        if tags is not None and tags.group != IPv4Address(0) and offer.file:
            name = offer.file.decode("latin-1")
            sessions.append(Session(name, str(tags.group), tags.client_port, tags.server_port, tags.delay))
    more = {Feature.MTFTP} if sessions else set()
    return replace(found, sessions=tuple(sessions), features=found.features | more)


async def _images(make_lab: Callable[[Findings], Lab], found: Findings, told: Sequence[str]) -> Findings:
    names = list(told)
    if found.offer is not None and found.offer.file and b"://" not in found.offer.file:
        names.append(found.offer.file.decode("latin-1"))
    names += [session.name for session in found.sessions]
    images = []
    for name in dict.fromkeys(names):
        content = await _fetch(make_lab(found), name)
        if content is not None:
            images.append(Image(name, content))
    more = {Feature.TFTP} if images else set()
    return replace(found, images=tuple(images), features=found.features | more)


async def _fetch(lab: Lab, name: str) -> bytes | None:
    """Return the content of a file, or None when it cannot be had; larger blocks are tried first."""
    for options in (_FAST, ()):
        async with lab.tftp(name=name) as client:
            try:
                if not options:
                    client.request()
                    return await client.rest(most=MAX_IMAGE)
                await client.negotiate(options)
                client.ack(0)
                return await client.rest(most=MAX_IMAGE)
            except Failed:
                continue
    return None

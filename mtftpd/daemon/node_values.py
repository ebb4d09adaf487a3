"""From the text of one value of a node, a subnet or an image to what it means, like `mtftpd.daemon.values`."""

from __future__ import annotations

import difflib
import re
import uuid as uuids
from collections.abc import Iterable

from mtftpd.core.node_settings import GROUP_ACTIONS, OtherNics
from mtftpd.quirks.profiles import PROFILES
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.datagram import HardwareAddress

ETHERNET = 1
MAX_NAME = 64
"""Characters of the name of a section; it is printed, and compared with what others say."""
MAX_DOMAIN = 253
"""Octets of a domain name (RFC 1035 section 2.3.4)."""

_OCTET = "[0-9A-Fa-f]{2}"
_MAC = re.compile(rf"{_OCTET}([:-]?){_OCTET}(?:\1{_OCTET}){{4}}|[0-9A-Fa-f]{{4}}(?:\.[0-9A-Fa-f]{{4}}){{2}}")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(_LABEL)
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NO_UUID = (bytes(16), b"\xff" * 16)


def hardware(text: str) -> HardwareAddress:
    """Read the address of an Ethernet interface: twelve hexadecimal digits with colons, hyphens, dots or nothing."""
    if not _MAC.fullmatch(text):
        raise ValueError("is not a hardware address; give six octets such as 52:54:00:12:34:56")
    octets = bytes.fromhex(re.sub(r"[:.-]", "", text))
    if octets[0] & 1 or not any(octets):
        raise ValueError("is not the address of one station; its first octet must be even, and one digit not zero")
    return HardwareAddress(ETHERNET, octets)


def uuid(text: str) -> bytes:
    """Read a UUID as dmidecode shows it, into its 16 octets."""
    try:
        octets = uuids.UUID(text).bytes
    except ValueError:
        raise ValueError("is not a UUID; give one such as 00112233-4455-6677-8899-aabbccddeeff") from None
    if octets in _NO_UUID:
        raise ValueError("is what machines without a UUID say; name the node by its hardware address")
    return octets


def name(text: str) -> str:
    """Read the name of a section."""
    if not 0 < len(text) <= MAX_NAME or not text.isprintable():
        raise ValueError(f"is not a name; give 1 to {MAX_NAME} printable characters")
    return text


def host_name(text: str) -> str:
    """Read what option 12 says: the name of a host without its domain (RFC 2132 section 3.14)."""
    if not _HOST_NAME.fullmatch(text):
        raise ValueError("is not a host name; give up to 63 letters, digits and hyphens")
    return text


def domain(text: str) -> str:
    """Read what option 15 says."""
    if len(text) > MAX_DOMAIN or not _DOMAIN.fullmatch(text):
        raise ValueError("is not a domain name; give one such as cluster.example")
    return text


def rom(text: str) -> str:
    """Read the name of a profile."""
    if text not in PROFILES:
        raise ValueError(f"is no profile{suggestion(text, PROFILES)}; mtftpd rom list shows them")
    return text


def work_around(text: str) -> ServerAction:
    """Read the name of a work-around."""
    try:
        return ServerAction(text)
    except ValueError:
        known = [action.value for action in ServerAction]
        raise ValueError(f"is no work-around{suggestion(text, known)}; mtftpd rom show names them") from None


def work_around_of_one(text: str) -> ServerAction:
    """Read the name of a work-around that a node may have otherwise than everybody else."""
    action = work_around(text)
    if action in GROUP_ACTIONS:
        raise ValueError(
            "is the same for all nodes, which share what is sent to a group; move it to the top of the file"
        )
    return action


def other_nics(text: str) -> OtherNics:
    """Read what becomes of the interfaces of a node that do not boot."""
    try:
        return OtherNics(text)
    except ValueError:
        raise ValueError("is neither silent nor hold; give one of the two") from None


def suggestion(text: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" when something like ``text`` is known, else ""."""
    near = difflib.get_close_matches(text, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def uuid_text(octets: bytes) -> str:
    """Return a UUID as people write it."""
    return str(uuids.UUID(bytes=octets))

"""What a DHCP message shows of the program that sent it: everything that a profile is matched by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.datagram import HardwareAddress
from mtftpd.wire.options import Options
from mtftpd.wire.pxe import ClientClass, architectures, is_ipxe, parse_client_class, user_classes
from mtftpd.wire.pxe_identity import IPXE

_VENDOR_CLASS, _MAX_MESSAGE, _PARAMETERS, _USER_CLASS = 60, 57, 55, 77
_ARCHITECTURE, _INTERFACE, _UUID = 93, 94, 97

MAX_REMEMBERED = 512
"""Programs, not clients; with options of 1,400 octets in each, the work of an enemy, 0.8 MB."""


class Fingerprint(NamedTuple):
    """The options by which two programs on one node are told apart: no address and no identity is among them."""

    vendor_class: bytes
    parameters: bytes
    max_message: bytes
    user_class: bytes
    architecture: bytes
    interface: bytes
    uuid_octets: int
    hlen: int

    def __str__(self) -> str:
        return " ".join(f"{name}={_shown(value)}" for name, value in zip(self._fields, tuple(self), strict=True))


@dataclass(frozen=True, slots=True)
class Evidence:
    """One message; ``architecture`` is the first of option 93, else that of option 60, else None."""

    hardware: HardwareAddress
    fingerprint: Fingerprint
    architecture: int | None
    user_classes: tuple[bytes, ...]
    is_ipxe: bool
    client_class: ClientClass | None
    """What option 60 says, None when it is not that of a boot client."""

    @property
    def boots(self) -> bool:
        """Whether it calls itself a boot client."""
        return self.client_class is not None


def fingerprint_of(message: DhcpMessage) -> Fingerprint:
    """Return the options of ``message`` that belong to the program; never raises."""
    options = message.options
    return Fingerprint(
        options.get(_VENDOR_CLASS, b""),
        options.get(_PARAMETERS, b""),
        options.get(_MAX_MESSAGE, b""),
        options.get(_USER_CLASS, b""),
        options.get(_ARCHITECTURE, b""),
        options.get(_INTERFACE, b""),
        len(options.get(_UUID, b"")),
        message.hlen,
    )


def evidence_of(message: DhcpMessage) -> Evidence:
    """Return what ``message`` shows; never raises."""
    return evidence_by(message.hardware, fingerprint_of(message), IPXE in message.options)


def evidence_by(hardware: HardwareAddress, fingerprint: Fingerprint, has_ipxe_options: bool) -> Evidence:
    """Return what a message shows whose sender has ``hardware``; ``has_ipxe_options`` says that option 175 is there."""
    architecture, classes, said, says_ipxe = _meaning(fingerprint)
    return Evidence(hardware, fingerprint, architecture, classes, has_ipxe_options or says_ipxe, said)


@lru_cache(MAX_REMEMBERED)
def _meaning(fingerprint: Fingerprint) -> tuple[int | None, tuple[bytes, ...], ClientClass | None, bool]:
    said = parse_client_class(fingerprint.vendor_class)
    listed = architectures(fingerprint.architecture)
    architecture = listed[0] if listed else said.architecture if said is not None else None
    says_ipxe = is_ipxe(Options({_USER_CLASS: fingerprint.user_class}))
    return architecture, user_classes(fingerprint.user_class), said, says_ipxe


def _shown(value: object) -> str:
    if not isinstance(value, bytes):
        return str(value)
    return value.decode("ascii") if value.isascii() and value.decode("ascii").isprintable() else value.hex()

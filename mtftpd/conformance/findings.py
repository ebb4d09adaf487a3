"""What was found out about the target before the first case: which services it has, and what it serves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from mtftpd.wire.bootp import DhcpMessage


class Feature(Enum):
    """Something that a case cannot do without; the value says why it is not applicable where that is missing."""

    FRAMES = "clients without an address cannot be played here"
    DHCP = "the target answers no DISCOVER of a boot client"
    LEASES = "the target gives out no addresses"
    PROXY = "the target is not a proxy beside another DHCP server"
    PXE = "the target's DHCP answers are not for PXE clients"
    BOOT_FILE = "the target's DHCP answers name no boot file"
    MENU = "the target offers no boot menu"
    PORT_4011 = "the target does not answer a question for the boot file on port 4011"
    BOOT_SERVER = "the target is no boot server of a type that is known"
    TFTP = "the target serves no file that is known by TFTP; name one with --image"
    MTFTP = "the target is not known to serve MTFTP; name a group with --mtftp"
    TWO_HOSTS = "there is only one address here to be a client with"


@dataclass(frozen=True, slots=True)
class Image:
    """A file that the target serves by TFTP, and its content as TFTP brought it."""

    name: str
    content: bytes

    @property
    def size(self) -> int:
        """Octets."""
        return len(self.content)


@dataclass(frozen=True, slots=True)
class Session:
    """What clients are told about the multicast of one file: PXE 2.1 table 2-1, tags 1 to 5; ``delay`` in seconds."""

    name: str
    group: str
    client_port: int
    server_port: int
    delay: int = 2


@dataclass(frozen=True, slots=True)
class Findings:
    """The target, before the first case.

    ``offer`` is its OFFER to a BIOS PXE client; ``boot_types`` are the boot server types of its menu or list.
    """

    features: frozenset[Feature] = frozenset()
    offer: DhcpMessage | None = None
    boot_types: tuple[int, ...] = ()
    images: tuple[Image, ...] = ()
    sessions: tuple[Session, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return them as plain data."""
        return {
            "features": sorted(feature.name.lower().replace("_", "-") for feature in self.features),
            "boot_file": self.offer.file.decode("latin-1") if self.offer else "",
            "images": [{"name": image.name, "size": image.size} for image in self.images],
            "sessions": [
                {
                    "name": each.name, "group": each.group, "client_port": each.client_port,
                    "server_port": each.server_port, "delay": each.delay,
                }
                for each in self.sessions
            ],
        }  # fmt: skip

"""The clients that are known, each with what it is recognised by and the quirks that it has.

A profile that nothing on the wire tells from another has no predicate: an operator, or what was learnt, names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mtftpd.quirks.records import by_number

EDK2_PARAMETERS: Final = bytes(
    (1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67, 97)
) + bytes(range(128, 136))
GRUB_PARAMETERS: Final = bytes((1, 3, 6, 15, 12, 17, 18))


@dataclass(frozen=True, slots=True)
class Profile:
    """One client; ``multicast`` says that it may have the multicast TFTP of PXE and may be told of a group.

    ``user_classes`` also holds how it names itself in option 60.  Without any predicate it is never matched.
    """

    id: str
    about: str
    multicast: bool = False
    user_classes: tuple[bytes, ...] = ()
    parameters: tuple[bytes, ...] = ()
    ouis: tuple[bytes, ...] = ()
    architectures: tuple[int, ...] = ()

    @property
    def quirks(self) -> tuple[str, ...]:
        """The numbers of its quirks, in the order of the catalogue, those that anybody may have left out."""
        return tuple(number for number, quirk in by_number().items() if self.id in quirk.match)


UNKNOWN: Final = Profile("unknown", "nothing that is known; every work-around that needs no knowledge is applied")

PROFILES: Final = {
    profile.id: profile
    for profile in (
        Profile("efi1-mtftp", "Intel's first EFI base code, the reference client of MTFTP", True, architectures=(2, 6)),
        Profile("intel-bios", "BIOS ROM with Intel's base code", True, architectures=(0,)),
        Profile("landesk-0.99", "Intel LANDesk Service Agent II up to 0.99h", True),
        Profile("edk2-2008", "EDK2 before 2010: no roll-over, no reassembly, one DISCOVER"),
        Profile(
            "edk2-now", "EDK2 and UEFI firmware made of it", parameters=(EDK2_PARAMETERS,),
            architectures=(7, 8, 9, 10, 11),
        ),
        Profile("gpxe", "gPXE, the ancestor of iPXE", user_classes=(b"gPXE",)),
        Profile("ipxe", "iPXE, loaded or in the ROM", user_classes=(b"iPXE",)),
        Profile("ipxe-mtftp", "iPXE that was given an mtftp URI"),
        Profile("pxelinux", "PXELINUX, which has no DHCP of its own"),
        Profile("grub", "GRUB's own network stack", parameters=(GRUB_PARAMETERS,)),
        Profile("u-boot", "U-Boot", user_classes=(b"U-Boot",)),
        Profile("rpi3", "boot ROM of the Raspberry Pi 3, which says it is a BIOS", ouis=(bytes.fromhex("b827eb"),)),
        Profile("becker-worst", "the worst client that Becker describes: short time-outs, then dead", True),
        Profile("rlx-3nic", "RLX blade: three interfaces, one of which boots", True),
        Profile("atftp-mtftp", "the client of atftp in MTFTP mode", True),
        Profile("nilo", "NILO and UNDI ROMs whose TFTP never retransmits"),
        Profile("os-dhclient", "the DHCP client of a system that has booted"),
    )
}  # fmt: skip

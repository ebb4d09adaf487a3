"""How firmwares differ, as parameters: everything that a machine of this package does differently is a field here.

`SPEC` is PXE 2.1 by the letter (figures 2-2 and 2-5 to 2-7); `EDK1` is Intel's own EFI client, the one MTFTP client
whose behaviour is known packet by packet.  Other profiles are made of these with ``dataclasses.replace``.
Times are in seconds; a tuple of times is one wait per try.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from mtftpd.quirks.vocabulary import Mutation
from mtftpd.wire.datagram import Endpoint, HardwareAddress

NO_FAULTS: Final[frozenset[Mutation]] = frozenset()

PARAMETERS: Final = bytes((1, 3, 12, 15, 43, 54, 60, 66, 67, *range(128, 136)))
"""Option 55: PXE 2.1 table 2-2 wants at least 1, 3, 43, 60 and 128 to 135."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes one node different from another; all randomness of a ROM enters here.

    ``xid`` is that of its first DISCOVER, ``port`` the first local port of unicast TFTP, and ``jitter`` is added to
    every wait for an OFFER (RFC 2131 4.1 has -1 to +1 seconds).
    """

    hardware: HardwareAddress
    uuid: bytes
    xid: int
    port: int = 2070
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class RomPorts:
    """Ports that are compiled into every ROM; only a demo without privileges moves them."""

    dhcp_server: int = 67
    dhcp_client: int = 68
    pxe: int = 4011
    tftp: int = 69


@dataclass(frozen=True, slots=True)
class DhcpProfile:
    """DHCP and PXE discovery.

    ``settle`` is how long offers are collected after a sufficient one; ``plain_patience`` is after how many DISCOVERs
    an offer without "PXEClient" is taken (figure 2-2: the 4 s and 8 s waits are always repeated).
    """

    architecture: int = 0
    undi: tuple[int, int] = (2, 1)
    parameters: bytes = PARAMETERS
    max_message: int = 1472
    broadcast: bool = True
    discover_waits: tuple[float, ...] = (4.0, 8.0, 16.0, 32.0)
    request_waits: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0)
    proxy_waits: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0)
    settle: float = 0.0
    plain_patience: int = 2
    new_xid: bool = False
    proxy_port: int = 68
    vendor_class: bytes | None = None
    """Option 60 in place of PXE's, b"" for none: what is not PXE sends neither 93, 94 nor 97."""
    user_class: bytes = b""
    """Option 77 as it stands on the wire."""
    encapsulated: bytes = b""
    """Option 175, by which iPXE and gPXE are known."""
    identifier: bytes = b""
    """Option 61, when it is not the UUID."""
    loads: bool = True
    """Wants a boot file beside its address."""
    server_from_siaddr: bool = False
    """Takes the boot server from siaddr before option 54; PXE 2.1 has it the other way round."""
    wants_discovery_group: bool = True
    """Refuses tag 6 that allows multicast discovery without tag 7, even when it says that the boot file is enough."""
    zero_tag_is_fatal: bool = False
    """A zero among tags 1 to 5 ends the boot without a fallback (quirk Q14)."""
    refuses_bare_mtftp: bool = False
    """Discards an offer with tags 1 to 5 but without tag 6 (EDK2, quirk Q13)."""
    faults: frozenset[Mutation] = NO_FAULTS


@dataclass(frozen=True, slots=True)
class MtftpProfile:
    """Listen, open, receive."""

    grace: float = 0.0
    """Added to every wait of tags 4 and 5."""
    opens: int = 3
    acknowledgements: int = 4
    """How often one ACK is sent in all: figure 2-7 repeats it three times."""
    remembers_blocks: bool = True
    """Holds a map of all blocks; otherwise only the first block after the last gap of a pass."""
    only_server_port: bool = False
    """Hears nothing that does not come from the port of tag 3."""
    needs_group_copy: bool = False
    """Becomes the master on DATA 1 by unicast and from the group; takes everything after it from the group alone."""
    duplicates_cost_tries: bool = False
    opens_again: bool = True
    """A master that nobody answers goes back to Open (figure 2-7); otherwise to unicast."""
    listens_again: bool = True
    """After a silence that followed blocks it listens once more (figure 2-5); otherwise every silence opens."""
    answers_copies: bool = True
    """A master acknowledges a copy of the block before, and repeats its ACK; otherwise it waits for another block."""
    checks_for_holes: bool = True
    """A master that has got the last block knows whether it lacks others; otherwise it ends with what it has."""
    own_port: bool = False
    """Asks and acknowledges from a port of its own, not from the client port."""
    polled: bool = False
    """It is iPXE, of which nothing of the above holds: `mtftpd.rom.ipxe`."""
    only_data: bool = False
    """Anything but DATA on the group ends MTFTP."""
    probes_first: bool = False
    """Asks port 69 for the size before it listens, unless option 13 told it."""
    error_code: int = 0
    faults: frozenset[Mutation] = NO_FAULTS


@dataclass(frozen=True, slots=True)
class TftpProfile:
    """Unicast TFTP on port 69.  ``block_size`` 0 asks without options; ``window`` is that of RFC 7440."""

    block_size: int = 1456
    window: int = 1
    probes_size: bool = True
    """Asks for tsize first and ends that transfer with an ERROR."""
    request_waits: tuple[float, ...] = (4.0,) * 6
    data_waits: tuple[float, ...] = (4.0,) * 6
    new_port_per_request: bool = False
    plain_after_error: bool = True
    """Asks again without options when the server answers them with an ERROR."""
    error_code: int = 0
    faults: frozenset[Mutation] = NO_FAULTS


@dataclass(frozen=True, slots=True)
class RomProfile:
    """One firmware.  Without ``mtftp`` it never looks at tags 1 to 5.

    It calls from ``nics`` interfaces at once, of which number ``boots_from``, from 1, goes on after DHCP (quirk Q54).
    """

    name: str
    dhcp: DhcpProfile = DhcpProfile()
    mtftp: MtftpProfile | None = MtftpProfile()
    tftp: TftpProfile = TftpProfile()
    faults: frozenset[Mutation] = NO_FAULTS
    """Given with `mtftpd.rom.mutations.mutated`, which hands them to all parts."""
    oui: bytes = b"\x02\x4d\x54"
    """The vendor's part of its hardware addresses."""
    multicast_group: Endpoint | None = None
    """Compiled in: where it listens when the name of its boot file is a ``mtftp`` URI, without other words (iPXE)."""
    system: DhcpProfile | None = None
    """What asks for an address when everything is loaded, and must be given the same one (quirk Q61)."""
    nics: int = 1
    boots_from: int = 1
    boots: bool = True
    """Whether this is the firmware as it runs on the interface that boots."""
    answers_arp: bool = True
    """Whether it can be found by ARP while it boots (quirk Q63); who drives it on a link of frames looks at this."""

    def interfaces(self) -> tuple[RomProfile, ...]:
        """Return what runs on each of its interfaces."""
        return tuple(
            replace(self, nics=1, boots_from=1, boots=number == self.boots_from) for number in range(1, self.nics + 1)
        )


SPEC: Final = RomProfile("spec")

EDK1: Final = RomProfile(
    "edk1",
    DhcpProfile(
        architecture=6,
        undi=(3, 0),
        discover_waits=(1.0, 2.0, 4.0, 8.0, 16.0),
        new_xid=True,
        proxy_port=4011,
        server_from_siaddr=True,
        zero_tag_is_fatal=True,
    ),
    MtftpProfile(
        grace=0.1,
        acknowledgements=3,
        remembers_blocks=False,
        only_server_port=True,
        needs_group_copy=True,
        duplicates_cost_tries=True,
        opens_again=False,
        only_data=True,
        probes_first=True,
        error_code=8,
    ),
    TftpProfile(
        block_size=8192,
        request_waits=(5.0, 5.0, 5.0),
        data_waits=(4.0, 4.0, 4.0),
        new_port_per_request=True,
        error_code=8,
    ),
)

PROFILES: Final = {profile.name: profile for profile in (SPEC, EDK1)}

"""The clients of `mtftpd.quirks.profiles` as ROMs that can be run, by the same names.

Each has the timers and the faults that are known of it and that a server can do something about.  What no server can
help on a wire that loses packets is milder here: what firmware sends once and dies of when it is lost (DISCOVER of
``edk2-2008``, RRQ of ``nilo`` and ``becker-worst``) is sent again.  ``nilo`` repeats an ACK once, too, since nobody is
sent anything twice who has not acknowledged his first block.  ``rlx-3nic`` calls from three interfaces.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mtftpd.quirks.profiles import EDK2_PARAMETERS, GRUB_PARAMETERS
from mtftpd.quirks.vocabulary import Mutation as F
from mtftpd.rom.mutations import mutated
from mtftpd.rom.profiles import EDK1, SPEC, DhcpProfile, MtftpProfile, RomProfile
from mtftpd.wire.datagram import Endpoint

_IPXE_GROUP: Final = Endpoint("239.255.1.1", 3001)
_DOUBLING: Final = (1.0, 2.0, 4.0, 8.0, 10.0)
_IPXE_FEATURES: Final = bytes.fromhex("b105011af41000eb03010000")
_GRUB_WAITS: Final = tuple(0.4 + 0.02 * tries for tries in range(40))
_EDK2_DHCP: Final = DhcpProfile(
    architecture=7,
    undi=(3, 0),
    parameters=EDK2_PARAMETERS,
    server_from_siaddr=True,
    wants_discovery_group=False,
)
_IPXE_DHCP: Final = DhcpProfile(
    discover_waits=_DOUBLING, user_class=b"iPXE", encapsulated=_IPXE_FEATURES, wants_discovery_group=False
)
_SYSTEM: Final = DhcpProfile(
    vendor_class=b"",
    parameters=bytes((1, 3, 6, 12, 15, 28)),
    identifier=b"\xff" + bytes(18),
    broadcast=False,
    discover_waits=(3.0, 5.0, 8.0, 13.0),
    plain_patience=0,
    loads=False,
)

_ATFTP: Final = MtftpProfile(
    opens=1,
    opens_again=False,
    listens_again=False,
    answers_copies=False,
    checks_for_holes=False,
    own_port=True,
)
"""As Debian's atftp 0.8.0 was seen to do: its second open goes to port 0, and a master whose ACK was lost is mute."""

_UNICAST: Final = replace(SPEC, mtftp=None)
_EDK2: Final = replace(_UNICAST, dhcp=_EDK2_DHCP, tftp=replace(SPEC.tftp, block_size=1468, error_code=8))
_IPXE: Final = replace(
    _UNICAST,
    dhcp=_IPXE_DHCP,
    tftp=replace(SPEC.tftp, block_size=1432, request_waits=_DOUBLING, data_waits=_DOUBLING),
)


def _becker_worst() -> RomProfile:
    """Return the client that waits long for the first packet, shortly for all others, and then is dead (quirk Q93).

    It answers no ARP either (quirk Q63).
    """
    tftp = replace(SPEC.tftp, request_waits=(5.0, 5.0, 10.0), data_waits=(1.5, 1.5, 1.5), probes_size=False)
    return mutated(replace(SPEC, tftp=tftp, answers_arp=False), (F.OPTION67_TO_NUL, F.EMPTY_NAME))


_KNOWN: Final = {
    "efi1-mtftp": mutated(EDK1, (F.OVERWRITE_AFTER_67, F.OPEN_CORRUPTION)),
    "intel-bios": mutated(SPEC, (F.OPTION67_TO_NUL, F.NEED_60, F.NEED_97, F.NEED_43_6)),
    "landesk-0.99": mutated(SPEC, (F.HANG_ON_OACK,)),
    "edk2-2008": mutated(_EDK2, (F.REJECT_BARE_43_1_5, F.RESTART_ON_ANY_NAK, F.DROP_BIG)),
    "edk2-now": replace(
        mutated(_EDK2, (F.REJECT_43_1_5, F.NEED_43_6, F.BUFFER_OF_13)), tftp=replace(_EDK2.tftp, window=4)
    ),
    "gpxe": mutated(replace(_IPXE, dhcp=replace(_IPXE_DHCP, user_class=b"gPXE")), (F.RESTART_ON_ANY_NAK,)),
    "ipxe": _IPXE,
    "ipxe-mtftp": replace(_IPXE, mtftp=MtftpProfile(own_port=True, polled=True), multicast_group=_IPXE_GROUP),
    "pxelinux": mutated(
        replace(_UNICAST, tftp=replace(SPEC.tftp, block_size=1408)), (F.NEED_ONE_ROUTER, F.REJECT_UNASKED_OACK)
    ),
    "grub": replace(
        _UNICAST,
        dhcp=replace(_EDK2_DHCP, parameters=GRUB_PARAMETERS),
        tftp=replace(SPEC.tftp, block_size=1024, request_waits=_GRUB_WAITS, data_waits=_GRUB_WAITS),
    ),
    "u-boot": replace(
        _UNICAST,
        dhcp=DhcpProfile(
            vendor_class=b"U-Boot.armv8",
            max_message=576,
            discover_waits=(0.25, 0.5, 1.0, 2.0, 4.0, 8.0),
            new_xid=True,
            plain_patience=0,
        ),
        tftp=replace(SPEC.tftp, block_size=1468, probes_size=False, request_waits=(5.0,) * 10, data_waits=(5.0,) * 10),
    ),
    "rpi3": mutated(
        replace(_UNICAST, oui=bytes.fromhex("b827eb"), dhcp=replace(SPEC.dhcp, wants_discovery_group=False)),
        (F.ACCEPT_FOREIGN_OFFER,),
    ),
    "becker-worst": _becker_worst(),
    "rlx-3nic": mutated(SPEC, (F.THREE_NICS,)),
    "atftp-mtftp": mutated(replace(SPEC, mtftp=_ATFTP), (F.NO_FALLBACK,)),
    "nilo": replace(_UNICAST, tftp=replace(SPEC.tftp, data_waits=(2.0, 30.0))),
    "os-dhclient": replace(_UNICAST, system=_SYSTEM),
}

FIRMWARES: Final = {name: replace(profile, name=name) for name, profile in _KNOWN.items()}
"""By the ids of `mtftpd.quirks.profiles.PROFILES`, in their order."""

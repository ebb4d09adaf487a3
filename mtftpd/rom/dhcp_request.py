"""What a PXE client says to a DHCP server: the options of PXE 2.1 table 2-2 in a fixed order."""

from __future__ import annotations

from collections.abc import Mapping

from mtftpd.quirks.vocabulary import Mutation
from mtftpd.rom.profiles import DhcpProfile, Identity
from mtftpd.wire import bootp
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.options import Options


def request(kind: MessageType, identity: Identity, profile: DhcpProfile, options: Mapping[int, bytes]) -> DhcpMessage:
    """Return a message of ``kind`` with ``options`` behind option 53; xid, secs and ciaddr are the caller's."""
    said = {
        53: bytes((kind,)),
        **options,
        55: profile.parameters,
        57: profile.max_message.to_bytes(2, "big"),
        61: profile.identifier or b"\0" + identity.uuid,
        77: b"iPXE" if Mutation.SAYS_IPXE in profile.faults else profile.user_class,
        175: profile.encapsulated,
        **(_pxe(identity, profile) if profile.vendor_class is None else {60: profile.vendor_class}),
    }
    return DhcpMessage(
        op=bootp.BOOTREQUEST,
        xid=identity.xid,
        chaddr=identity.hardware.octets.ljust(bootp.CHADDR_SIZE, b"\0"),
        htype=identity.hardware.htype,
        hlen=len(identity.hardware.octets),
        flags=bootp.BROADCAST_FLAG if profile.broadcast else 0,
        options=Options({code: value for code, value in said.items() if value}),
    )


def _pxe(identity: Identity, profile: DhcpProfile) -> dict[int, bytes]:
    """Return what makes a client one of PXE."""
    major, minor = profile.undi
    name = "HW-Client" if Mutation.OWN_CLASS in profile.faults else "PXEClient"
    end = "\0" if Mutation.NUL_STRINGS in profile.faults else ""
    client_class = f"{name}:Arch:{profile.architecture:05}:UNDI:{major:03}{minor:03}{end}"
    return {
        60: client_class.encode("ascii"),
        93: profile.architecture.to_bytes(2, "big"),
        94: bytes((1, major, minor)),
        97: b"\0" + identity.uuid,
    }

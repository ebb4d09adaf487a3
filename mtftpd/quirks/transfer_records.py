"""Quirks that show in TFTP and MTFTP."""

from __future__ import annotations

from typing import Final

from mtftpd.quirks.records import HIGH, LOW, MEDIUM, Quirk
from mtftpd.quirks.vocabulary import Layer, Mutation, ServerAction

_EFI1 = "tianocore edk2@772db4bb33 PxeBcDxe/Pxe_bc_mtftp.c"

RECORDS: Final = (
    Quirk(
        "Q15", "mtftp-port-endianness", Layer.MTFTP, "opens and ACKs go to a byte-swapped port, DATA is not heard",
        (ServerAction.PORTS_PALINDROMIC,), (Mutation.BE_PORTS, Mutation.NO_FALLBACK),
        "tianocore edk2@772db4bb33 PxeBcDxe/Pxe_loadfile.c; option encoding of isc-projects/dhcp", HIGH,
    ),
    Quirk(
        "Q65", "no-ip-reassembly", Layer.TFTP, "whatever does not fit one frame never arrives",
        (ServerAction.CLAMP_BLKSIZE, ServerAction.SMALL_BLOCKS),
        (Mutation.ASK_8192, Mutation.DROP_BIG, Mutation.DROP_1000),
        "syslinux wiki Hardware_Compatibility; edk2 c3cd46d421; tftp-hpa -B", HIGH, ("edk2-2008", "intel-bios"),
    ),
    Quirk(
        "Q67", "oversize-blksize-request", Layer.TFTP, "blocks of 8192 octets or of the size of the file are asked for",
        (ServerAction.CLAMP_BLKSIZE,), (Mutation.ASK_8192, Mutation.DROP_BIG), _EFI1, HIGH, ("efi1-mtftp",),
    ),
    Quirk(
        "Q69", "server-port-must-be-69", Layer.TFTP, "whatever does not come from port 69 is not heard",
        (ServerAction.SINGLE_PORT,), (Mutation.ONLY_PORT_69,),
        "msoulier/tftpy#44; psychomario/PyPXE#152; dnsmasq --tftp-single-port", LOW,
    ),
    Quirk(
        "Q80", "igmp-absent-or-v3", Layer.MTFTP, "the group never reaches the client: no report, or none that counts",
        (ServerAction.MCAST_DEAF,), (Mutation.NO_IGMP, Mutation.NO_FALLBACK),
        "ipxe 00a780e38 (IGMP removed); switches that snoop without a querier", HIGH,
    ),
    Quirk(
        "Q81", "blksize-asked-but-crashes", Layer.TFTP, "the client asks for blksize and hangs when it is granted",
        (ServerAction.REFUSE_OPTIONS,), (Mutation.HANG_ON_OACK,),
        "syslinux pxelinux.doc; tftp-hpa tftpd.8; dnsmasq --tftp-no-blocksize", HIGH, ("landesk-0.99",),
    ),
    Quirk(
        "Q82", "tsize-probe-abort", Layer.TFTP, "the transfer that told the size is ended with an ERROR",
        (ServerAction.NO_ERROR_REPLY,), (Mutation.DIE_OF_ERROR_REPLY,), "ipxe 0579ddc83; ptftpd#5", HIGH,
        ("ipxe", "edk2-now", "efi1-mtftp", "pxelinux"),
    ),
    Quirk(
        "Q83", "oack-unrequested", Layer.TFTP, "an OACK with an option that was not asked for is an error",
        (ServerAction.OACK_SUBSET,), (Mutation.REJECT_UNASKED_OACK, Mutation.ASK_8192),
        "u-boot net/tftp.c; psychomario/PyPXE#125, #128", HIGH, ("pxelinux", "u-boot", "edk2-now"),
    ),
    Quirk(
        "Q87", "no-final-ack", Layer.TFTP, "the last block is never acknowledged",
        (ServerAction.ACCEPT_NO_LAST_ACK,), (Mutation.NO_LAST_ACK,), f"dnsmasq src/tftp.c; {_EFI1}", HIGH,
        ("efi1-mtftp",),
    ),
    Quirk(
        "Q88", "duplicate-rrq", Layer.TFTP, "the RRQ comes twice from one port before it can have been answered",
        (ServerAction.DEDUPE_RRQ,), (Mutation.DUP_RRQ, Mutation.ANY_TID, Mutation.DIE_OF_DUPLICATES),
        "atftp FAQ; tftpd64", HIGH,
    ),
    Quirk(
        "Q90", "sorcerers-apprentice", Layer.TFTP, "every ACK comes twice; answering both doubles all that follows",
        (ServerAction.IGNORE_DUP_ACK,), (Mutation.DUP_ACK, Mutation.DIE_OF_DUPLICATES),
        "RFC 1123 4.2.3.1; tftp-hpa 0.25 and 5.4", HIGH, ("efi1-mtftp", "edk2-now", "grub"),
    ),
    Quirk(
        "Q92", "client-never-retransmits", Layer.TFTP, "the client waits in silence, all recovery is the server's",
        (ServerAction.RETRANSMIT,), (Mutation.NEVER_RETRANSMIT,), "ipxe 2ffc960e6; syslinux 71713e66", HIGH,
        ("nilo", "becker-worst"),
    ),
    Quirk(
        "Q96", "windowsize", Layer.TFTP, "a block lost inside a window is the end for a client that asked for windows",
        (ServerAction.WINDOW_1,), (Mutation.WINDOW_4, Mutation.DIE_IN_WINDOW), "u-boot 21a265c0d1e", HIGH,
        ("u-boot", "edk2-now"),
    ),
    Quirk(
        "Q100", "path-dialects", Layer.TFTP, "backslashes, doubled and leading slashes in the file name",
        (ServerAction.FIX_NAME,), (Mutation.BACKSLASH_NAME,), "maas c88efa432; dnsmasq 2.51; grub2 e2c09aed9", HIGH,
    ),
    Quirk(
        "Q101", "mode-and-case", Layer.TFTP, "an image is asked for in netascii",
        (ServerAction.NETASCII_IS_OCTET,), (Mutation.NETASCII,), "general practice of several servers", MEDIUM,
    ),
    Quirk(
        "Q107", "mcast-unicast-order", Layer.MTFTP, "DATA 1 from the group before the unicast one makes a listener",
        (ServerAction.UNICAST_FIRST,), (Mutation.NO_FALLBACK,), "atftp tftp_mtftp.c", HIGH, ("atftp-mtftp",),
    ),
    Quirk(
        "Q108", "open-corruption", Layer.MTFTP, "after DATA 1 by unicast, DATA 2 from the group is written over DATA 1",
        (ServerAction.WAIT_FOR_ACK_1,), (Mutation.OPEN_CORRUPTION, Mutation.NO_FALLBACK), _EFI1, LOW, ("efi1-mtftp",),
    ),
    Quirk(
        "Q109", "non-monotonic-kills-listeners", Layer.MTFTP, "a block number below the last one ends the listening",
        (ServerAction.NEVER_BACK,), (Mutation.NO_FALLBACK,), _EFI1, HIGH, ("efi1-mtftp",),
    ),
    Quirk(
        "Q111", "strict-source-port", Layer.MTFTP, "DATA that does not come from the port of tag 3 is not heard",
        (ServerAction.DATA_FROM_SPORT,), (Mutation.NO_FALLBACK,), _EFI1, HIGH, ("efi1-mtftp",),
    ),
)  # fmt: skip

"""Quirks that show in DHCP, PXE and the delivery of their replies."""

from __future__ import annotations

from typing import Final

from mtftpd.quirks.records import HIGH, LOW, MEDIUM, Quirk
from mtftpd.quirks.vocabulary import Layer, Mutation, ServerAction

_DNSMASQ = "dnsmasq src/rfc2131.c"
_EFI1 = "tianocore edk2@772db4bb33 Universal/Network/PxeBcDxe"
_EDK2 = "tianocore edk2@c5aa7e7 NetworkPkg/UefiPxeBcDxe"

RECORDS: Final = (
    Quirk(
        "Q01", "filename-ff-tail", Layer.DHCP, "the RRQ names pxelinux.0 with 0xFF or later option octets behind it",
        (ServerAction.PAD_AFTER_67, ServerAction.FIX_NAME), (Mutation.OPTION67_TO_NUL, Mutation.FF_NAME),
        f"beowulf 2003-January/009374; {_DNSMASQ}; netbootxyz/netboot.xyz#1198", HIGH, ("becker-worst", "intel-bios"),
    ),
    Quirk(
        "Q02", "zero-length-filename", Layer.TFTP, "the RRQ has an empty file name",
        (ServerAction.EMPTY_NAME_TO_OFFERED,), (Mutation.EMPTY_NAME,),
        "dnsmasq src/tftp.c has an error of its own for it", LOW, ("becker-worst",),
    ),
    Quirk(
        "Q03", "opt67-nul-overwrite", Layer.DHCP, "a NUL written behind option 67 destroys the code of the next option",
        (ServerAction.PAD_AFTER_67,), (Mutation.OVERWRITE_AFTER_67, Mutation.NEED_43_6),
        f"{_EFI1}/Pxe_loadfile.c; {_EDK2}/PxeBcDhcp4.c", HIGH, ("efi1-mtftp", "edk2-2008", "edk2-now"),
    ),
    Quirk(
        "Q04", "nul-terminated-strings", Layer.DHCP, "a client that ends its strings with a NUL needs one in ours",
        (ServerAction.MIRROR_NUL,), (Mutation.NUL_STRINGS,), "isc-projects/dhcp server/dhcp.c; dnsmasq", HIGH,
    ),
    Quirk(
        "Q07", "min-300-bytes", Layer.DHCP, "replies shorter than 300 octets are ignored",
        (ServerAction.MIN_300,), (Mutation.DROP_IF_SHORT,), "dnsmasq CHANGELOG.archive 2.8 (MIN_PACKETSZ)", HIGH,
    ),
    Quirk(
        "Q10", "t1-t2-in-offer", Layer.DHCP, "an OFFER without options 58 and 59 is rejected",
        (ServerAction.ADD_58_59,), (Mutation.NEED_58,), _DNSMASQ, HIGH,
    ),
    Quirk(
        "Q11", "option-order", Layer.DHCP, "a reply whose first option is not 53 is lost in a relay or ignored",
        (ServerAction.OPT_ORDER,), (Mutation.DROP_IF_ORDER,), "ipxe 9de525c34, cf5e79adc, ed73d5350", HIGH,
    ),
    Quirk(
        "Q12", "opt60-without-43", Layer.DHCP, "an offer with option 60 but without 43 sends the client to port 4011",
        (ServerAction.ADD_43_6,), (Mutation.NEED_43_6,), f"{_EDK2}/PxeBcDhcp4.c; edk2#8149; ipxe c34533643", HIGH,
        ("edk2-now", "intel-bios", "ipxe"),
    ),
    Quirk(
        "Q13", "uefi-drops-43.1-5-offer", Layer.DHCP, "DISCOVER is repeated although an OFFER with tags 1-5 was sent",
        (ServerAction.OMIT_43_1_5, ServerAction.ADD_43_6), (Mutation.REJECT_43_1_5, Mutation.REJECT_BARE_43_1_5),
        f"{_EDK2}/PxeBcDhcp4.c, classification of offers", HIGH, ("edk2-2008", "edk2-now"),
    ),
    Quirk(
        "Q16", "uefi-ignores-bypass", Layer.DHCP, "offers with tag 6 are ignored; without option 43 it asks port 4011",
        (ServerAction.OMIT_43,), (Mutation.IGNORE_TAG_6,), "netboot pixiecore/dhcp.go; dnsmasq src/rfc2131.c", HIGH,
    ),
    Quirk(
        "Q18", "vendor-class-not-pxeclient", Layer.DHCP, "option 60 has another name, and must have it in the reply",
        (ServerAction.OWN_CLASS,), (Mutation.OWN_CLASS,), "dnsmasq 4ded962 (Huawei TaiShan: HW-Client)", HIGH,
    ),
    Quirk(
        "Q19", "echo-60-and-97", Layer.DHCP, "an OFFER without PXEClient or with another option 97 is ignored",
        (ServerAction.ECHO_60, ServerAction.ECHO_97), (Mutation.NEED_60, Mutation.NEED_97),
        f"PXE 2.1 as coded in {_EFI1}; netboot pixiecore/dhcp.go", HIGH, ("intel-bios", "edk2-now"),
    ),
    Quirk(
        "Q20", "arch-7-9-swap", Layer.DHCP, "x64 EFI says architecture 9 where nearly all firmware says 7",
        (ServerAction.TWIN_ARCHITECTURES,), (Mutation.ARCHITECTURE_9,),
        "RFC 4578 and its erratum; ipxe af9afd0a8; netboot bc95504", HIGH, ("edk2-now",),
    ),
    Quirk(
        "Q22", "which-server-address", Layer.DHCP, "TFTP goes to siaddr, option 54, option 66 or the IP source",
        (ServerAction.SAME_ADDRESS_EVERYWHERE,), (Mutation.ONLY_SIADDR,),
        f"{_EDK2}; syslinux 2e9a9df7; dnsmasq.conf.example", HIGH,
    ),
    Quirk(
        "Q24", "file-vs-67", Layer.DHCP, "the client reads the boot file from only one of header and option 67",
        (ServerAction.BOTH_NAMES,), (Mutation.ONLY_67,), "isc-projects/dhcp; netboot pixiecore/dhcp.go", HIGH,
    ),
    Quirk(
        "Q25", "opt13-as-size", Layer.DHCP, "a file larger than 512 times option 13 is given up (PXE-E05)",
        (ServerAction.OMIT_13,), (Mutation.BUFFER_OF_13,), f"{_EDK2}/PxeBcBoot.c", HIGH, ("edk2-now",),
    ),
    Quirk(
        "Q27", "one-router-only", Layer.DHCP, "the client has no gateway unless option 3 holds exactly one address",
        (ServerAction.ONE_ROUTER,), (Mutation.NEED_ONE_ROUTER,), "syslinux core/dhcp_option.c; 42615d2c, 618d1193",
        HIGH, ("pxelinux",),
    ),
    Quirk(
        "Q33", "proxy-reply-type", Layer.DHCP, "on port 4011 only an ACK is taken for an answer",
        (ServerAction.ACK_ON_4011,), (), "ipxe 04e4a4f69", HIGH, ("intel-bios", "efi1-mtftp"),
    ),
    Quirk(
        "Q41", "reply-too-fast", Layer.DHCP, "a reply that comes at once is not heard, or locks the client up",
        (ServerAction.DELAY_REPLY,), (Mutation.DEAF_AFTER_SEND,),
        "dnsmasq 503c609 (--dhcp-reply-delay); raspberrypi/firmware#934", HIGH, ("rpi3",),
    ),
    Quirk(
        "Q44", "accepts-foreign-offer", Layer.DHCP, "two nodes have one address: each takes any OFFER with its xid",
        (ServerAction.UNICAST_L2,), (Mutation.ACCEPT_FOREIGN_OFFER, Mutation.NO_BROADCAST_FLAG),
        "raspberrypi/firmware boot ROM; ipxe before 08bcc0fe0", HIGH, ("rpi3", "gpxe"),
    ),
    Quirk(
        "Q47", "ciaddr-in-discover", Layer.DHCP, "a DISCOVER carries an address of former times in ciaddr",
        (ServerAction.IGNORE_CIADDR,), (Mutation.CIADDR_IN_DISCOVER,), _DNSMASQ, HIGH,
    ),
    Quirk(
        "Q48", "broadcast-flag-missing", Layer.DHCP, "a client without the broadcast flag never sees a unicast OFFER",
        (ServerAction.FORCE_BROADCAST,), (Mutation.BROADCAST_ONLY, Mutation.NO_BROADCAST_FLAG),
        "xcat-core 0cd91682c; dnsmasq --dhcp-broadcast; isc always-broadcast", HIGH,
    ),
    Quirk(
        "Q49", "all-ones-broadcast", Layer.DHCP, "a reply to the broadcast address of the subnet is not heard",
        (ServerAction.LIMITED_BROADCAST,), (), "isc-projects/dhcp README; psychomario/PyPXE pull 190", HIGH,
    ),
    Quirk(
        "Q50", "spurious-nak", Layer.DHCP, "a NAK of a server that was not chosen starts the client again",
        (ServerAction.NEVER_NAK,), (Mutation.RESTART_ON_ANY_NAK,), "ipxe 8450fa4a7; edk2 3f55418d53", HIGH,
        ("gpxe", "edk2-2008"),
    ),
    Quirk(
        "Q53", "uuid-zero-ff-duplicate", Layer.DHCP, "option 97 is all zero, all ones or the same in many machines",
        (ServerAction.KEY_BY_CHADDR,), (), "FOGProject/fogproject#196; MAAS LP 1893690", MEDIUM, ("becker-worst",),
    ),
    Quirk(
        "Q54", "multi-nic-one-boots", Layer.DHCP, "several interfaces of a machine call at once, one of them goes on",
        (ServerAction.ONE_NIC,), (Mutation.THREE_NICS,), "canonical/maas cab1f94e4; ipxe#826, #1274; xcat#7484", MEDIUM,
        ("rlx-3nic",),
    ),
    Quirk(
        "Q59", "chain-loop", Layer.DHCP, "iPXE that was loaded asks again, is given iPXE again, and so on for ever",
        (ServerAction.SECOND_STAGE,), (Mutation.SAYS_IPXE,), "ipxe 7b1a5a799; opnsense/core#3557", HIGH,
        ("ipxe", "gpxe"),
    ),
    Quirk(
        "Q61", "os-round-no-60", Layer.DHCP, "the booted system sends neither 60 nor 93 and must keep its address",
        (ServerAction.SERVE_LEASEHOLDERS,), (), f"{_DNSMASQ}; isc-projects/dhcp", HIGH, ("os-dhclient",),
    ),
    Quirk(
        "Q77", "rpi-needs-traffic", Layer.DHCP, "a packet is seen only when the next one arrives",
        (ServerAction.REPEAT_OFFER,), (Mutation.NEEDS_TRAFFIC, Mutation.NEVER_REQUEST),
        "raspberrypi/firmware#670, #764, #975; netboot-rpi3b README", MEDIUM, ("rpi3",),
    ),
)  # fmt: skip

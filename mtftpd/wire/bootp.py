"""The BOOTP and DHCP message: schema, frozen value, reader and builder.

Sources: RFC 951 3, RFC 1542 2, RFC 2131 2 (figure 1), RFC 2132 2 (magic cookie).

What is accepted: any hardware type; ``hlen`` from 0 (IPoIB, RFC 4390) to 16; any value of the fields that have no
bearing on reading.  A message without the magic cookie is BOOTP of RFC 951 times: its vendor area has no options.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address

from construct import Bytes, GreedyBytes, IfThenElse, Int8ub, Int16ub, Int32ub, Struct, this

from mtftpd.errors import Malformed
from mtftpd.wire import options as dhcp_options
from mtftpd.wire.datagram import HardwareAddress, ipv4
from mtftpd.wire.fields import Ipv4, TlvList
from mtftpd.wire.options import CAREFUL, Layout, Options, build_area, parse_area

BOOTREQUEST = 1
BOOTREPLY = 2
MAGIC_COOKIE = b"\x63\x82\x53\x63"
BROADCAST_FLAG = 0x8000

HEADER_SIZE = 236
AREA_OFFSET = HEADER_SIZE + len(MAGIC_COOKIE)
MINIMUM_SIZE = 300
"""A BOOTP message with its vendor area of 64 octets (RFC 951 3); shorter replies are ignored (quirk Q07)."""

DEFAULT_MAXIMUM = 548
"""What any client takes: an IP datagram of 576 octets less 28 of IP and UDP (RFC 2131 2)."""

CHADDR_SIZE, SNAME_SIZE, FILE_SIZE = 16, 64, 128

HEADER = Struct(
    "op" / Int8ub,
    "htype" / Int8ub,
    "hlen" / Int8ub,
    "hops" / Int8ub,
    "xid" / Int32ub,
    "secs" / Int16ub,
    "flags" / Int16ub,
    "ciaddr" / Ipv4,
    "yiaddr" / Ipv4,
    "siaddr" / Ipv4,
    "giaddr" / Ipv4,
    "chaddr" / Bytes(CHADDR_SIZE),
    "sname" / Bytes(SNAME_SIZE),
    "file" / Bytes(FILE_SIZE),
    "cookie" / Bytes(len(MAGIC_COOKIE)),
)

MESSAGE = Struct(
    *HEADER.subcons,
    "area" / IfThenElse(this.cookie == MAGIC_COOKIE, TlvList, GreedyBytes),
)
"""The whole message as it stands on the wire: options as (code, octets) pairs, names with their padding."""

_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
"""`HEADER` for the messages of a storm: 4 us instead of 45, the same for every input (tests/wire/test_bootp.py)."""

_ZERO = IPv4Address(0)
_NO_OPTIONS = Options()


class MessageType(IntEnum):
    """The values of option 53 (RFC 2132 9.6)."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


@dataclass(frozen=True, slots=True)
class DhcpMessage:
    """A BOOTP or DHCP message.

    ``chaddr`` is the whole field of 16 octets; ``sname`` and ``file`` are cut at their first NUL and empty when the
    field held options; ``is_dhcp`` says that the magic cookie is there (BOOTP requests with options have it too).
    """

    op: int
    xid: int
    chaddr: bytes
    htype: int = 1
    hlen: int = 6
    hops: int = 0
    secs: int = 0
    flags: int = 0
    ciaddr: IPv4Address = _ZERO
    yiaddr: IPv4Address = _ZERO
    siaddr: IPv4Address = _ZERO
    giaddr: IPv4Address = _ZERO
    sname: bytes = b""
    file: bytes = b""
    options: Options = _NO_OPTIONS
    is_dhcp: bool = True
    hardware: HardwareAddress = field(init=False, repr=False, compare=False)
    """The hardware type and the first ``hlen`` octets of ``chaddr``."""
    message_type: int | None = field(init=False, repr=False, compare=False)
    """Option 53, or None for BOOTP."""

    def __post_init__(self) -> None:
        # Everybody asks for these two, some ten times for each message.
        value = self.options.get(dhcp_options.MESSAGE_TYPE)
        object.__setattr__(self, "hardware", HardwareAddress(self.htype, self.chaddr[: self.hlen]))
        object.__setattr__(self, "message_type", value[0] if value is not None and len(value) == 1 else None)

    @property
    def broadcast(self) -> bool:
        """Whether the client asks for replies to the broadcast address (RFC 2131 2, figure 2)."""
        return bool(self.flags & BROADCAST_FLAG)


def parse_untrusted(data: bytes) -> DhcpMessage:
    """Return the message in ``data`` (a UDP payload); raises `Malformed` and nothing else."""
    if len(data) < AREA_OFFSET:
        raise Malformed("shorter than a BOOTP header and a magic cookie", len(data))
    fields = _HEADER.unpack_from(data)
    op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file, cookie = fields
    if op not in (BOOTREQUEST, BOOTREPLY):
        raise Malformed(f"op {op} is neither request nor reply", 0)
    if hlen > CHADDR_SIZE:
        raise Malformed(f"a hardware address of {hlen} octets does not fit", 2)
    is_dhcp = cookie == MAGIC_COOKIE
    options, overload = parse_area(data[AREA_OFFSET:], file, sname) if is_dhcp else (Options(), 0)
    if len(options.get(dhcp_options.MESSAGE_TYPE, b"\0")) != 1:
        raise Malformed("option 53 is not one octet")
    return DhcpMessage(
        op=op,
        xid=xid,
        chaddr=chaddr,
        htype=htype,
        hlen=hlen,
        hops=hops,
        secs=secs,
        flags=flags,
        ciaddr=ipv4(ciaddr),
        yiaddr=ipv4(yiaddr),
        siaddr=ipv4(siaddr),
        giaddr=ipv4(giaddr),
        sname=b"" if overload & dhcp_options.SNAME_OVERLOADED else sname.partition(b"\0")[0],
        file=b"" if overload & dhcp_options.FILE_OVERLOADED else file.partition(b"\0")[0],
        options=options,
        is_dhcp=is_dhcp,
    )


def build(message: DhcpMessage, *, max_size: int = DEFAULT_MAXIMUM, layout: Layout = CAREFUL) -> bytes:
    """Return ``message`` as a UDP payload of 300 to ``max_size`` octets, zero-padded unless ``layout`` says otherwise.

    Raises ValueError when a field does not fit, when a name leaves no room for its NUL, and when the whole is larger
    than ``max_size``.  See `mtftpd.wire.options.build_area` for the order of the options.
    """
    for name, octets, size in (("sname", message.sname, SNAME_SIZE), ("file", message.file, FILE_SIZE)):
        if len(octets) >= size or b"\0" in octets:
            raise ValueError(f"{name} must be at most {size - 1} octets without NUL")
    if message.op not in (BOOTREQUEST, BOOTREPLY) or not 0 <= message.hlen <= CHADDR_SIZE:
        raise ValueError("op must be 1 or 2 and hlen at most 16")
    if len(message.chaddr) > CHADDR_SIZE:
        raise ValueError(f"a chaddr of {len(message.chaddr)} octets does not fit")
    if message.options and not message.is_dhcp:
        raise ValueError("options need the magic cookie")
    try:
        header = _HEADER.pack(
            message.op,
            message.htype,
            message.hlen,
            message.hops,
            message.xid,
            message.secs,
            message.flags,
            message.ciaddr.packed,
            message.yiaddr.packed,
            message.siaddr.packed,
            message.giaddr.packed,
            message.chaddr,
            message.sname,
            message.file,
            MAGIC_COOKIE if message.is_dhcp else bytes(len(MAGIC_COOKIE)),
        )
    except struct.error as error:
        raise ValueError(f"header cannot be built: {error}") from error
    data = header + (build_area(message.options, layout) if message.is_dhcp else b"")
    if layout.fills_up:
        data = data.ljust(MINIMUM_SIZE, b"\0")
    if len(data) > max_size:
        raise ValueError(f"the message has {len(data)} octets, {max_size} is the most that the client takes")
    return data

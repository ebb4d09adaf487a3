"""The MTFTP open and the constants of multicast TFTP: PXE 2.1 section 2.4.10.

MTFTP has no packet of its own: it is RRQ, DATA, ACK and ERROR of `mtftpd.wire.tftp`, with blocks of 512 octets, no
options, and DATA to a group.  The open is an RRQ in octet mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mtftpd.errors import Malformed
from mtftpd.wire import tftp
from mtftpd.wire.datagram import Endpoint

BLOCK_SIZE: Final = 512
"""Not negotiable: a longer block is fatal to iPXE and truncated by atftp."""

IPXE_GROUP: Final = Endpoint("239.255.1.1", 3001)
"""Where every iPXE ROM listens for ``mtftp://``, whatever it is told."""

SERVER_PORTS: Final = frozenset({75, 1542, 1759})
"""Server ports in use: Bootix and atftp samples, our default, and Intel's (also the one of iPXE)."""

CLIENT_PORTS: Final = frozenset({76, 1758, 1799, IPXE_GROUP.port})
"""Client ports in use, in the order of the servers above."""


@dataclass(frozen=True, slots=True)
class Open:
    """A request to send a file to its group.

    ``options`` are to be ignored in an open (Etherboot appends them to every RRQ), but from another port than the
    client port they tell a size probe of Intel's EFI from an open.
    """

    filename: bytes
    options: tftp.Pairs = ()


def parse_untrusted(data: bytes) -> Open:
    """Return the open in a UDP payload; raises `Malformed` for everything else, other TFTP packets included."""
    match tftp.parse_untrusted(data):
        case tftp.Request(tftp.Opcode.RRQ, filename, tftp.OCTET, options):
            return Open(filename, options)
        case tftp.Request(tftp.Opcode.RRQ, filename):
            raise Malformed("the MTFTP open is not in octet mode", 3 + len(filename))
    raise Malformed("not an MTFTP open", 0)


def build(request: Open) -> bytes:
    """Return the UDP payload; raises ValueError as `mtftpd.wire.tftp.build` does."""
    return tftp.build(tftp.Request(tftp.Opcode.RRQ, request.filename, tftp.OCTET, request.options))

"""What one boot is answered with: each probe changes one thing of a reply, a transfer or a group session."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Tags(Enum):
    """What option 43 holds."""

    NONE = "no option 43"
    CONTROL = "tag 6"
    GROUP = "tags 1 to 6"
    BARE = "tags 1 to 5"


@dataclass(frozen=True, slots=True)
class Reply:
    """How OFFER and ACK differ from those that every known ROM can read.

    ``delay`` is how many seconds the first copy waits; of ``copies`` all others follow at once.
    """

    without: frozenset[int] = frozenset()
    type_first: bool = True
    ends_name: bool = True
    """A NUL inside option 67."""
    pads_name: bool = True
    """A PAD behind option 67; without it option 54 is the next octet."""
    short: bool = False
    needs: frozenset[int] = frozenset()
    """Options that must be in a short reply as well."""
    routers: int = 1
    siaddr: bool = True
    tags: Tags = Tags.CONTROL
    boot_blocks: int | None = None
    swappable_ports: bool = False
    by_unicast: bool = False
    foreign_first: bool = False
    nak_first: bool = False
    delay: float = 0.0
    copies: int = 1


class Trouble(Enum):
    """What happens in a transfer behind block 2."""

    NONE = "nothing"
    STRANGER = "block 3 comes from another port"
    DUPLICATES = "block 2 comes many times"
    PAUSE = "block 3 is late"


@dataclass(frozen=True, slots=True)
class Transfer:
    """How unicast TFTP is answered; without ``grants`` a request with options gets DATA at once (RFC 2347)."""

    grants: bool = False
    largest: int = 512
    extra_option: bool = False
    window: bool = False
    """Grants the window asked for, and loses the second block of it."""
    own_port: bool = False
    """From a port of its own, not from 69."""
    error_to_error: bool = False
    long: bool = False
    """65,536 blocks, whatever the image is."""
    trouble: Trouble = Trouble.NONE
    asks_arp: bool = False
    """Asks for the client's hardware address at its request and its first ACKs."""


class Session(Enum):
    """How an open of MTFTP is answered."""

    SILENT = "not at all"
    LOCKSTEP = "DATA 1 by unicast, then all from the group as the master acknowledges"
    GROUP_FIRST = "DATA 1 from the group before DATA 1 by unicast"
    OTHER_PORT = "DATA 1 by unicast from a port of its own, the group from the server port"
    ERROR = "an ERROR"
    GROUP_ONLY = "all blocks from the group, none by unicast"
    TAIL = "the second half from the group, then silence"
    BACK = "all blocks from the group, one of them again out of order"
    DUPLICATES = "like a master's pass, with block 2 sent many times"
    SECOND_ONLY = "DATA 1 by unicast alone, then the others from the group"


@dataclass(frozen=True, slots=True)
class Style:
    """All that one boot is answered with."""

    reply: Reply = Reply()
    transfer: Transfer = Transfer()
    session: Session = Session.SILENT


CAREFUL = Style()

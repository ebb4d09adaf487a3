"""What the core asks of the world.

A machine never does anything: it returns a tuple of these values, and the shell (or a simulator) performs them in
order.  Silence is a value too: whoever decides not to answer says why with `Drop`.

Sockets are named by numbers.  The service sockets below are open from the start; a transfer opens one of its own with
`OpenTransfer`, numbered from `FIRST_TRANSFER` upwards and never used twice.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from functools import partial
from ipaddress import IPv4Address
from typing import NamedTuple

from mtftpd.core.addresses.leases import ClientKey, LeaseState
from mtftpd.core.images import Image
from mtftpd.wire.datagram import Endpoint, HardwareAddress


class Service(IntEnum):
    """The sockets that are open as long as the server runs; the ports are in ``Settings.ports``."""

    DHCP = 1
    PXE = 2
    TFTP = 3
    MTFTP = 4
    MTFTP_IPXE = 5
    MTFTP_SWAPPED = 6
    """A decoy on the byte-swapped MTFTP server port: who calls here read tags 2 and 3 big-endian (quirk Q15)."""


FIRST_TRANSFER = 1000


class Send(NamedTuple):
    """One datagram of ``data`` from ``socket`` to ``destination``.

    With ``hardware`` the client has no address that it would answer ARP for: the frame goes to that link-layer
    address without a neighbour entry (RFC 2131 4.1).
    """

    socket: int
    destination: Endpoint
    data: bytes
    hardware: HardwareAddress | None = None


class SendRun(NamedTuple):
    """``count`` consecutive DATA packets of ``image`` from ``socket`` to ``destination``, in strict order.

    Block numbers are absolute and start at 1; the block after 65,535 carries the number ``rollover`` (0 or 1) on the
    wire.  The last block of the image may be short or empty.  The core never sees the bytes.
    """

    socket: int
    destination: Endpoint
    image: Image
    first_block: int
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody calls
    block_size: int
    rollover: int = 0


new_run = partial(tuple.__new__, SendRun)
"""`SendRun` from a tuple of all its fields: 0.15 us instead of 0.27 us, once per ACK."""


class OpenTransfer(NamedTuple):
    """Open a UDP socket on the server's address and a fresh ephemeral port (the transfer's TID) for ``peer``.

    What strangers send to that port must be received too: they are answered, and the transfer lives on.
    """

    socket: int
    peer: Endpoint


class CloseTransfer(NamedTuple):
    """Close the socket of a transfer; later packets to it are answered by the kernel."""

    socket: int


class Lookup(NamedTuple):
    """Open the file ``name`` (already normalised, relative) beneath the root.

    The shell answers with ``service.looked_up(request, image_or_none, now)`` before it reads another datagram.
    """

    request: int
    name: str


class Release(NamedTuple):
    """No transfer uses this image any longer: a file opened by `Lookup` can be closed."""

    image: Image


class SaveLease(NamedTuple):
    """Write down the state of one lease record; who starts again later gets it back.

    With ``awaited`` the effects that follow wait until that is durable: no ACK for a lease that a crash would lose.
    All of a tuple come before its other effects, so the shell need look at the first one only.  ``expires`` is in
    monotonic seconds, ``inf`` for a lease without an end; ``key`` is None while an address is declined.
    """

    address: IPv4Address
    key: ClientKey | None
    state: LeaseState
    expires: float
    awaited: bool


class StuffArp(NamedTuple):
    """Have the kernel reach ``address`` on the link at ``hardware`` (Ethernet) without ever asking for it.

    It holds until `DropArp`, and is repeated to be put right.  Where ``given`` is False the client itself says that
    the address is its own, and an entry that the kernel knows to be right is left alone.  Whoever cannot do it goes
    on without: it is no part of any protocol.
    """

    address: str
    hardware: HardwareAddress
    given: bool


class DropArp(NamedTuple):
    """Leave ``address`` to the kernel again."""

    address: str


class DropReason(Enum):
    """Why a packet got no answer.  The value is the identifier in logs and metrics."""

    __hash__ = object.__hash__  # A member is equal to itself alone; hashing its name is Python, and costs 0.2 us.

    MALFORMED = "malformed"
    NOT_A_REQUEST = "not-a-request"
    NOT_PXE = "not-pxe"
    NOT_FOR_US = "not-for-us"
    OTHER_SERVER = "other-server"
    NO_ADDRESS = "no-free-address"
    WRONG_NIC = "wrong-nic"
    NO_CIADDR = "no-client-address"
    UNKNOWN_LEASE = "unknown-lease"
    RELAY_NOT_SERVED = "relay-not-served"
    NO_BOOT_FILE = "no-boot-file"
    NOT_OUR_TYPE = "boot-server-type-not-served"
    CREDENTIALS_WANTED = "credentials-wanted"
    TOO_LARGE = "reply-too-large"
    MODE = "not-in-this-mode"
    OFF_LINK = "source-off-link"
    PASS_RUNNING = "pass-running"
    QUIET = "group-is-quiet"
    PAUSED = "group-is-paused"
    UNHEARD = "does-not-hear-the-group"
    IN_VAIN = "has-heard-passes-in-vain"
    UNKNOWN_FILE = "unknown-file"
    BAD_MODE = "transfer-mode-not-octet"
    WRITE_REQUEST = "write-request"
    HAS_OPTIONS = "mtftp-open-with-options"
    SWAPPED_PORT = "swapped-port"
    IMAGE_CHANGED = "image-changed"
    NOT_THE_MASTER = "not-the-master"
    STALE_ACK = "stale-ack"
    COUNTED = "acknowledgement-counted"
    DUPLICATE_REQUEST = "duplicate-request"
    TOO_MANY_TRANSFERS = "too-many-transfers"
    TOO_MANY_ERRORS = "too-many-errors"
    SUPERSEDED = "newer-message-waits"
    DHCP_QUEUE_FULL = "dhcp-queue-full"
    STOPPING = "server-is-stopping"
    UNEXPECTED = "unexpected-in-this-state"


class Sender(NamedTuple):
    """What a DHCP message says of its sender: all that the record of a node needs, so that nobody reads it twice.

    ``message`` is the DHCP message type, None for BOOTP; ``client`` is the value of its
    `mtftpd.core.nodes.clients.ClientKind`; ``address`` is the one that it asks for or has, ``server`` the one that it
    chose (option 54), both "" when it names none; ``secs`` is how long it says that it has been trying.
    """

    hardware: HardwareAddress
    message: int | None
    xid: int
    client: str
    is_ipxe: bool
    uuid: bytes
    address: str
    server: str
    secs: int = 0


class Drop(NamedTuple):
    """A packet that gets no answer, and why; ``detail`` is for people; ``sender`` is known of DHCP messages."""

    reason: DropReason
    source: Endpoint
    detail: str = ""
    sender: Sender | None = None


class ReportKind(Enum):
    """Something worth telling.  The value is the identifier in logs and events."""

    __hash__ = object.__hash__  # A member is equal to itself alone; hashing its name is Python, and costs 0.2 us.

    DHCP_OFFERED = "dhcp-offered"
    DHCP_ACKED = "dhcp-acked"
    DHCP_REFUSED = "dhcp-refused"
    DHCP_RELEASED = "dhcp-released"
    DHCP_DECLINED = "dhcp-declined"
    HOLD_OVER = "hold-over"
    BOOTP_ANSWERED = "bootp-answered"
    PXE_ANSWERED = "pxe-answered"
    TFTP_QUEUED = "tftp-queued"
    TFTP_STARTED = "tftp-started"
    TFTP_DONE = "tftp-done"
    TFTP_FAILED = "tftp-failed"
    TFTP_REFUSED = "tftp-refused"
    PASS_STARTED = "pass-started"
    PASS_ENDED = "pass-ended"
    PASS_ABORTED = "pass-aborted"
    LISTENER_DONE = "listener-done"
    MASTER_LOST = "master-lost"
    MASTER_BACK = "master-back"
    FALLBACK = "fallback-to-unicast"
    NO_GROUP = "image-without-group"
    SWAPPED_PORT = "swapped-port"
    NODE_STATE = "node-state"
    WRONG_NIC = "wrong-nic"
    NODE_FORGOTTEN = "node-forgotten"
    ALARM = "alarm"
    ALARM_OVER = "alarm-over"
    MULTICAST_TROUBLE = "multicast-trouble"
    MULTICAST_FOR_ONE = "multicast-for-one"
    GROUP_RESTS = "group-rests"
    GROUP_PAUSED = "group-paused"
    GROUP_RESUMED = "group-resumed"
    GROUP_LEFT = "group-left"
    QUIRK_SEEN = "quirk-seen"
    QUIRK_LEARNT = "quirk-learnt"


class Report(NamedTuple):
    """An event for logs, status and the demo: ``address`` and ``hardware`` say of whom, as far as known.

    ``detail`` holds (name, value) pairs in a fixed order; values are text or integers.  ``sender`` is known of the
    answers to DHCP messages.
    """

    kind: ReportKind
    address: str = ""
    hardware: HardwareAddress | None = None
    detail: tuple[tuple[str, str | int], ...] = ()
    sender: Sender | None = None


Effect = (
    Send | SendRun | OpenTransfer | CloseTransfer | Lookup | Release | SaveLease | StuffArp | DropArp | Drop | Report
)
Effects = tuple[Effect, ...]

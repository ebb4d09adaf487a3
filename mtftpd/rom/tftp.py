"""Unicast TFTP as a ROM speaks it: RFC 1350, 2347, 2348, 2349 and 7440 from the side of the reader.

Rules
1. The size is asked for first, by a request that is ended with an ERROR as soon as its OACK came.
2. The port of the first answer is the transfer's; packets from another port of the server are ignored.
3. DATA is taken in order only.  Whatever else comes is answered with the ACK of the last block in order.
4. Every wait has a limited number of tries; the last ACK is sent once and not waited for.
5. The block number goes on at 0 after 65,535.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

from mtftpd.errors import Malformed
from mtftpd.quirks.vocabulary import Mutation
from mtftpd.rom.actions import NOTHING, Actions, Bind, Enter, Memory, Phase, Transmit, Unbind
from mtftpd.rom.profiles import TftpProfile
from mtftpd.wire import tftp
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import ErrorCode, Opcode

_NARROW: Final = frozenset({Mutation.DROP_BIG, Mutation.DROP_1000})
PLAIN_BLOCK_SIZE: Final = 512
LARGEST_DATAGRAM: Final = 1472
"""UDP payload of an Ethernet frame of 1500 octets: ROMs do not put fragments together (quirk Q65)."""
NARROW_PATH: Final = 1000
"""Octets that get through to a ROM behind a tunnel or a bad receiver."""
MAX_DUPLICATES: Final = 16
"""How many copies a ROM bears that dies of them."""


class State(Enum):
    """Where the client is."""

    PROBE = "probe"
    REQUEST = "request"
    RECEIVE = "receive"
    DONE = "done"
    FAILED = "failed"


class Event(Enum):
    """What moves it."""

    ANSWERED = "the transfer began"
    SIZE_KNOWN = "the probe is over"
    ONLY_PROBED = "the probe was all that was asked"
    COMPLETE = "the last block came"
    SILENCE = "all tries used up"
    REFUSED = "ERROR, or what cannot be accepted"


TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = {
    State.PROBE: {
        Event.SIZE_KNOWN: State.REQUEST,
        Event.ONLY_PROBED: State.DONE,
        Event.ANSWERED: State.RECEIVE,
        Event.SILENCE: State.FAILED,
        Event.REFUSED: State.FAILED,
    },
    State.REQUEST: {Event.ANSWERED: State.RECEIVE, Event.SILENCE: State.FAILED, Event.REFUSED: State.FAILED},
    State.RECEIVE: {Event.COMPLETE: State.DONE, Event.SILENCE: State.FAILED, Event.REFUSED: State.FAILED},
    State.DONE: {},
    State.FAILED: {},
}


class Source(NamedTuple):
    """Who has the file, and the local address and first local port of the transfer."""

    server: Endpoint
    boot_file: bytes
    station: str
    port: int


class Tftp:
    """One file by unicast into ``memory``, of which ``limit`` octets exist; or, ``only_probe``, its size alone."""

    def __init__(
        self, source: Source, profile: TftpProfile, memory: Memory, limit: int = 1 << 30, *, only_probe: bool = False
    ) -> None:
        self.state = State.PROBE if only_probe or profile.probes_size else State.REQUEST
        self.over = False
        self.reason = ""
        self.length = 0
        self.size: int | None = None
        self.acknowledgements = 0
        self.duplicates = 0
        self._source = source
        self._profile = profile
        self._memory = memory
        self._limit = limit
        self.only_probe = only_probe
        self._port = source.port
        self._peer: Endpoint | None = None
        self._deadline: float | None = None
        self._tries = 0
        self._plain = False
        self._with_options = False
        self._asked: frozenset[str] = frozenset()
        self._block_size = PLAIN_BLOCK_SIZE
        self._window = 1
        self._block = 0
        self._unacknowledged = 0
        self._complained = -1

    @property
    def complete(self) -> bool:
        """Whether the memory holds the whole file, ``length`` octets."""
        return self.state is State.DONE and not self.only_probe

    @property
    def port(self) -> int:
        """The local port last used; the next transfer of this node takes a higher one."""
        return self._port

    def start(self, now: float) -> Actions:
        """Send the first request."""
        phase = Phase.PROBE if self.only_probe else Phase.UNICAST
        request = self._request(now)
        requests = (request, request) if Mutation.DUP_RRQ in self._profile.faults else (request,)
        return Bind(self._port), Enter(phase, str(self._source.server)), *requests

    def next_deadline(self) -> float | None:
        """Return when the present wait ends, or None."""
        return self._deadline

    def receive(self, datagram: Datagram, now: float) -> Actions:
        """Take a packet of the server; what is not of this transfer gets no answer."""
        if (
            self._deadline is None
            or datagram.source.address != self._source.server.address
            or datagram.destination != (self._source.station, self._port)
            or not self._takes(datagram)
        ):
            return NOTHING
        if Mutation.ANY_TID in self._profile.faults and self._peer is not None:
            self._peer = datagram.source
        try:
            packet = tftp.parse_untrusted(datagram.data)
        except Malformed:
            return NOTHING
        match packet:
            case tftp.Data():
                return self._data(packet.number, datagram, now)
            case tftp.OptionAck() if self.state is not State.RECEIVE or not self._block:
                return self._options_granted(dict(packet.options), datagram.source, now)
            case tftp.Error():
                return self._error(packet, now)
        return NOTHING

    def tick(self, now: float) -> Actions:
        """Repeat the request or the last ACK, or give up."""
        if self._deadline is None or now < self._deadline:
            return NOTHING
        if self.state is State.RECEIVE:
            if self._tries >= len(self._profile.data_waits):
                return self._leave(Event.SILENCE, f"no block after {self._block}")
            return (self._acknowledge(now),)
        if self._tries >= len(self._profile.request_waits):
            return self._leave(Event.SILENCE, "no answer to the request")
        return self._ask_again(now)

    def _takes(self, datagram: Datagram) -> bool:
        """Return whether the datagram gets past what is below TFTP, and is of this transfer."""
        faults = self._profile.faults
        largest = NARROW_PATH if Mutation.DROP_1000 in faults else LARGEST_DATAGRAM
        if faults & _NARROW and len(datagram.data) > largest:
            return False
        if Mutation.ONLY_PORT_69 in faults and datagram.source.port != self._source.server.port:
            return False
        return self._peer is None or datagram.source == self._peer or Mutation.ANY_TID in faults

    # -- request --------------------------------------------------------------------------------------------------

    def _request(self, now: float) -> Transmit:
        self._deadline = now + self._profile.request_waits[self._tries]
        self._tries += 1
        self._peer = None
        options: list[tuple[str, str]] = []
        if not self._plain:
            if self._profile.block_size:
                options.append(("blksize", str(self._wanted_block_size())))
            if self.state is State.PROBE:
                options.append(("tsize", "0"))
            elif self._profile.window > 1:
                options.append(("windowsize", str(self._profile.window)))
        self._with_options = bool(options)
        self._asked = frozenset(name for name, _ in options)
        mode = tftp.NETASCII if Mutation.NETASCII in self._profile.faults else tftp.OCTET
        request = tftp.Request(Opcode.RRQ, self._name(), mode, tuple(options))
        return Transmit(self._port, self._source.server, tftp.build(request))

    def _name(self) -> bytes:
        name, faults = self._source.boot_file, self._profile.faults
        if Mutation.EMPTY_NAME in faults:
            return b""
        if Mutation.BACKSLASH_NAME in faults:
            name = b"\\" + name.replace(b"/", b"\\")
        return name + b"\xff" if Mutation.FF_NAME in faults else name

    def _wanted_block_size(self) -> int:
        """Return the block size to ask for: no larger than the file, as EFI 1 does, but none that RFC 2348 forbids."""
        wanted = self._profile.block_size
        return wanted if self.size is None else max(8, min(wanted, self.size))

    def _ask_again(self, now: float) -> Actions:
        if not self._profile.new_port_per_request:
            return (self._request(now),)
        old = self._port
        self._port += 1
        return Unbind(old), Bind(self._port), self._request(now)

    def _options_granted(self, options: dict[str, str], source: Endpoint, now: float) -> Actions:
        if Mutation.HANG_ON_OACK in self._profile.faults:
            return NOTHING
        if Mutation.REJECT_UNASKED_OACK in self._profile.faults and not options.keys() <= self._asked:
            return self._refuse(source, "the OACK grants what was not asked for")
        sizes = [_number(options.get(name, default)) for name, default in _DEFAULTS]
        total, block_size, window = sizes
        if block_size is None or window is None or not 8 <= block_size <= max(8, self._profile.block_size or 512):
            return self._refuse(source, "the OACK grants what was not asked for")
        if total is not None and total >= 0:
            self.size = total
        if self.state is State.PROBE:
            return self._probed(source, now)
        self._block_size = block_size
        self._window = max(1, window)
        if self.state is State.REQUEST:
            self._answered(source)
        return (self._acknowledge(now),)

    def _probed(self, source: Endpoint, now: float) -> Actions:
        """End the probe with an ERROR and go on with a transfer of its own port."""
        stop = Transmit(self._port, source, tftp.build(tftp.Error(self._profile.error_code)))
        if self.only_probe:
            return (stop, *self._leave(Event.ONLY_PROBED))
        self.state = TRANSITIONS[self.state][Event.SIZE_KNOWN]
        old = self._port
        self._tries = 0
        if Mutation.DIE_OF_ERROR_REPLY in self._profile.faults:
            return stop, self._request(now)
        self._port += 1
        return stop, Unbind(old), Bind(self._port), self._request(now)

    def _error(self, error: tftp.Error, now: float) -> Actions:
        """Ask without options when options were what the server answered, else give up."""
        if self.only_probe:
            return self._leave(Event.ONLY_PROBED, error.text)
        if Mutation.DIE_OF_ERROR_REPLY in self._profile.faults:
            return self._leave(Event.REFUSED, "an ERROR that nobody expected")
        if self.state is State.RECEIVE or not self._with_options or not self._profile.plain_after_error:
            return self._leave(Event.REFUSED, f"ERROR {error.code} {error.text}".rstrip())
        self._plain = True
        self._tries = 0
        if self.state is State.PROBE:
            self.state = TRANSITIONS[self.state][Event.SIZE_KNOWN]
        return self._ask_again(now)

    def _answered(self, source: Endpoint) -> None:
        self.state = TRANSITIONS[self.state][Event.ANSWERED]
        self._peer = source
        self._tries = 0

    # -- receive --------------------------------------------------------------------------------------------------

    def _data(self, number: int, datagram: Datagram, now: float) -> Actions:
        if self.state is not State.RECEIVE:
            # A server without options answers the request, and the probe too, with DATA 1 right away.
            if number != 1:
                return NOTHING
            if self.only_probe:
                return self._probed(datagram.source, now)
            self._answered(datagram.source)
        size = len(datagram.data) - 4
        if number != (self._block + 1) & 0xFFFF:
            return self._out_of_order(now)
        offset = self._block * self._block_size
        if size > self._block_size or offset + size > self._limit:
            return self._refuse(datagram.source, f"block {self._block + 1} does not fit", ErrorCode.DISK_FULL)
        self._memory.write(offset, datagram.data)
        self._block += 1
        self._tries = 0
        self._unacknowledged += 1
        if size < self._block_size:
            self.length = offset + size
            last = (self._acknowledge(now),) if Mutation.NO_LAST_ACK not in self._profile.faults else NOTHING
            return (*last, *self._leave(Event.COMPLETE))
        if self._unacknowledged < self._window:
            self._deadline = now + self._profile.data_waits[0]
            return NOTHING
        acknowledgement = self._acknowledge(now)
        return (acknowledgement,) * (2 if Mutation.DUP_ACK in self._profile.faults else 1)

    def _out_of_order(self, now: float) -> Actions:
        """Repeat the ACK; inside a window only once per gap (RFC 7440 section 4), or every packet behind it would."""
        self.duplicates += 1
        faults = self._profile.faults
        if Mutation.DIE_IN_WINDOW in faults and self._window > 1:
            return self._leave(Event.REFUSED, f"lost its way behind block {self._block}")
        if Mutation.DIE_OF_DUPLICATES in faults and self.duplicates > MAX_DUPLICATES:
            return self._leave(Event.REFUSED, f"{self.duplicates} duplicates")
        if self._window > 1:
            if self._complained == self._block:
                return NOTHING
            self._complained = self._block
        self._tries = 0
        return (self._acknowledge(now),)

    def _acknowledge(self, now: float) -> Transmit:
        assert self._peer is not None, "an ACK follows an answer"
        self._deadline = now + self._profile.data_waits[self._tries]
        self._tries += 1
        self._unacknowledged = 0
        self.acknowledgements += 1
        return Transmit(self._port, self._peer, tftp.build(tftp.Ack(self._block & 0xFFFF)))

    # -- the end --------------------------------------------------------------------------------------------------

    def _refuse(self, source: Endpoint, reason: str, code: int = ErrorCode.OPTION_NEGOTIATION) -> Actions:
        error = Transmit(self._port, source, tftp.build(tftp.Error(code, reason)))
        return (error, *self._leave(Event.REFUSED, reason))

    def stop(self) -> Actions:
        """Give back what is open, without a word to anybody."""
        self.over = True
        self._deadline = None
        return (Unbind(self._port),)

    def _leave(self, event: Event, reason: str = "") -> Actions:
        self.state = TRANSITIONS[self.state][event]
        self.reason = reason
        return self.stop()


_DEFAULTS: Final = (("tsize", "-1"), ("blksize", str(PLAIN_BLOCK_SIZE)), ("windowsize", "1"))


def _number(text: str) -> int | None:
    """Return a decimal number as RFC 2347 writes it, or None."""
    if text == "-1":
        return -1
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None

"""DHCP options: the values of a message, the walk over its option areas and their building.

Sources: RFC 2131 4.1 (overload), RFC 2132 (codes, PAD, END), RFC 3046 2.1 (option 82 last), RFC 3396 (values over
255 octets).  The table of codes and the rendering for people are in `mtftpd.wire.option_types`.

What is accepted: a list that fills its area without END; an option that comes more than once (its values are joined
in the order options, file, sname, RFC 3396 5 and 7); any octets behind END.  A cut option is `Malformed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address
from typing import NamedTuple, TypeVar, overload

from mtftpd.wire.datagram import ipv4
from mtftpd.wire.fields import END, PAD, Element, walk
from mtftpd.wire.option_types import OPTIONS as OPTIONS
from mtftpd.wire.option_types import OptionType as OptionType
from mtftpd.wire.option_types import option_name as option_name
from mtftpd.wire.option_types import render as render

OVERLOAD = 52
MESSAGE_TYPE = 53
SERVER_IDENTIFIER = 54
LEASE_TIME = 51
RELAY_AGENT = 82
BOOT_FILE = 67

FILE_OVERLOADED = 1
SNAME_OVERLOADED = 2

_FIRST = (MESSAGE_TYPE, SERVER_IDENTIFIER, LEASE_TIME)
_LONGEST = 255

T = TypeVar("T")


class Options(Mapping[int, bytes]):
    """The options of one message: code (1-254) to the raw octets of the whole value, in the order of the message.

    Immutable and hashable.  Built from a mapping or from pairs; the values of a repeated code are joined (RFC 3396).
    Raises ValueError for a code that is not an option.  The typed getters never raise: an absent option, and one
    whose length does not fit the type that was asked for, is None (or an empty tuple).
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[int, bytes] | Iterable[Element] = ()) -> None:
        joined: dict[int, bytes] = {}
        pairs = values if type(values) is list else values.items() if isinstance(values, Mapping) else values
        for code, value in pairs:
            if not PAD < code < END:
                raise ValueError(f"{code} is not the code of an option")
            joined[code] = joined[code] + value if code in joined else value
        self._values = joined

    def __getitem__(self, code: int) -> bytes:
        return self._values[code]

    # What `Mapping` inherits goes through an exception for every option that is absent.
    def __contains__(self, code: object) -> bool:
        return code in self._values

    @overload
    def get(self, code: int, /) -> bytes | None: ...
    @overload
    def get(self, code: int, /, default: bytes) -> bytes: ...
    @overload
    def get(self, code: int, /, default: T) -> bytes | T: ...
    def get(self, code: int, /, default: object = None) -> object:
        """Return the octets of option ``code``, or ``default``."""
        return self._values.get(code, default)

    def __iter__(self) -> Iterator[int]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return f"Options({self._values!r})"

    def with_(self, code: int, value: bytes) -> Options:
        """Return these options with the value of ``code`` replaced or, when it is new, added at the end."""
        return Options({**self._values, code: value})

    def without(self, *codes: int) -> Options:
        """Return these options without ``codes``."""
        return Options({code: value for code, value in self._values.items() if code not in codes})

    def address(self, code: int) -> IPv4Address | None:
        """Return the one address that option ``code`` holds."""
        value = self._values.get(code, b"")
        return ipv4(value) if len(value) == 4 else None

    def addresses(self, code: int) -> tuple[IPv4Address, ...]:
        """Return the addresses that option ``code`` holds; none when its length is not a multiple of four."""
        value = self._values.get(code, b"")
        if len(value) % 4:
            return ()
        return tuple(IPv4Address(value[at : at + 4]) for at in range(0, len(value), 4))

    def integer(self, code: int) -> int | None:
        """Return option ``code`` as an unsigned big-endian integer of 1, 2 or 4 octets."""
        value = self._values.get(code, b"")
        return int.from_bytes(value, "big") if len(value) in (1, 2, 4) else None

    def text(self, code: int) -> str | None:
        r"""Return option ``code`` as text without trailing NULs; octets that are not UTF-8 become ``\xhh``."""
        value = self._values.get(code)
        return None if value is None else value.rstrip(b"\0").decode("utf-8", "backslashreplace")


def parse_area(area: bytes, file: bytes = b"", sname: bytes = b"") -> tuple[Options, int]:
    """Return the options in ``area`` and, where option 52 says so, in ``file`` and ``sname``; and the overload.

    The overload is option 52: 0 when there is none (or none that RFC 2132 9.3 knows, which then counts as absent),
    else 1 (file), 2 (sname) or 3; it is not among the options.  Raises `Malformed` when an option is cut; the offset
    is that in its own area.
    """
    elements = walk(area)
    options = Options(elements)
    if OVERLOAD not in options:
        return options, 0
    found = next(value for code, value in elements if code == OVERLOAD)
    overload = found[0] if found in (b"\1", b"\2", b"\3") else 0
    if overload & FILE_OVERLOADED:
        elements += walk(file)
    if overload & SNAME_OVERLOADED:
        elements += walk(sname)
    return Options(element for element in elements if element[0] != OVERLOAD), overload


class Layout(NamedTuple):
    """How a message is laid out beyond what RFC 2131 asks; each of these is needed by some ROM or relay."""

    pads_boot_file: bool = True
    """A PAD behind option 67: EFI 1 and EDK2 write a NUL there, others read on to the next one (quirks Q01, Q03)."""
    sorts_first: bool = True
    """Options 53, 54 and 51 before all others (quirk Q11)."""
    fills_up: bool = True
    """Zeros up to the 300 octets of BOOTP (quirk Q07)."""


CAREFUL = Layout()


def build_area(options: Options, layout: Layout = CAREFUL) -> bytes:
    """Return the option area, END included: 53, 54 and 51 first, 82 last, the others in their own order.

    A value over 255 octets is split (RFC 3396 4).  Raises ValueError for option 52: nothing is ever overloaded here,
    because many ROMs take the contents of an overloaded field for a name (quirk Q05).
    """
    if OVERLOAD in options:
        raise ValueError("option 52 cannot be built: fields are never overloaded")
    first = _FIRST if layout.sorts_first else ()
    order = [code for code in first if code in options]
    order += [code for code in options if code not in first and code != RELAY_AGENT]
    order += [RELAY_AGENT] if RELAY_AGENT in options else []
    parts: list[bytes] = []
    for code in order:
        value = options[code]
        for at in range(0, len(value) or 1, _LONGEST):
            piece = value[at : at + _LONGEST]
            parts.append(bytes((code, len(piece))) + piece)
        if code == BOOT_FILE and layout.pads_boot_file:
            parts.append(bytes((PAD,)))
    parts.append(bytes((END,)))
    return b"".join(parts)
